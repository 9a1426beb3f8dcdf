"""What every model refuses to be called on."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from vivit_jax.errors import UserError

# No mean and standard deviation in use bring a pixel in [0, 1] this far from zero; pixels in [0, 255] are further.
LARGEST_PIXEL = 16.0


def check_video(video: Array, clip: tuple[int, int, int]) -> None:
    """Refuses what is not a batch of normalised clips of (t, h, w) frames and pixels.

    Raises:
      UserError: for another shape or type, or for pixels that are not normalised, which only a call outside `jit` can see.
    """
    expected = (*clip, 3)
    if video.ndim != 5 or video.shape[1:] != expected:
        raise UserError(
            f"video must have shape (batch, time, height, width, channel) = (b, {', '.join(map(str, expected))}), got {video.shape}"
        )
    if not jnp.issubdtype(video.dtype, jnp.floating):
        raise UserError(f"video must be floating point, normalised (Preprocess.normalise makes it of uint8 pixels), got {video.dtype}")
    if isinstance(video, jax.core.Tracer) or not getattr(video, "is_fully_addressable", True):
        return
    # NumPy's, since a constant that is closed over is concrete where jax.numpy would already trace.
    if (largest := float(np.abs(video).max(initial=0))) > LARGEST_PIXEL:
        raise UserError(f"video must be normalised, as [-1, 1] (Preprocess.normalise does it of uint8), got values up to {largest:g}")
