"""The check of a video that every model makes when it is called."""

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
        raise UserError(
            f"video must be floating point and normalised (Preprocess.normalise turns uint8 pixels into that), got {video.dtype}"
        )
    if isinstance(video, jax.core.Tracer) or not getattr(video, "is_fully_addressable", True):
        return
    # By NumPy: a constant that a jitted function closes over is concrete here, and jax.numpy would trace it.
    if (largest := float(np.abs(video).max(initial=0))) > LARGEST_PIXEL:
        raise UserError(
            f"video must be normalised, such as to [-1, 1] (Preprocess.normalise does that to uint8), got values up to {largest:g}"
        )
