"""What one request may cost the server; more is refused in one line."""

import dataclasses

from vivit_jax.data.video.container import Limits
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Views

MEGABYTE = 10**6


@dataclasses.dataclass(frozen=True)
class ServingLimits:
    """What a server takes from anybody who sends it something.

    Attributes:
      upload_bytes: the most bytes of a request's body.
      waiting: requests that may wait for the model while it works on another; more are told to come back later.
      upload_seconds: how long an upload may take, from its first byte to its last.
      silence_seconds: how long an upload may pause.
      views: the most views of a video, temporal times spatial.
      windows: points of the score along a video.
      gradients: the most gradients of an explanation.
      video: what the video itself may cost to read; `seconds` is for all that is read of it.
    """

    upload_bytes: int = 200 * MEGABYTE
    waiting: int = 8
    upload_seconds: float = 600.0
    silence_seconds: float = 30.0
    views: int = 60
    windows: int = 12
    gradients: int = 32
    video: Limits = Limits(frames=54_000, seconds=60.0, memory=2 << 30)

    def check_views(self, views: Views) -> Views:
        """`views` itself, if they are not too many.

        Raises:
          UserError: if they are.
        """
        if views[0] * views[1] > self.views:
            raise UserError(f"views must be at most {self.views} in all, got {views[0]}x{views[1]}")
        return views
