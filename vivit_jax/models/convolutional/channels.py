"""Features with more channels than a network has: zeros at the end, which tensor cores want in eights."""

import jax.numpy as jnp
from jaxtyping import Array


def eights(channels: int) -> int:
    """The next multiple of 8."""
    return -(-channels // 8) * 8


def widened(array: Array, channels: int, axis: int = -1) -> Array:
    """The array with so many channels along `axis`, those added being zeros."""
    more = channels - array.shape[axis]
    if not more:
        return array
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, more)
    return jnp.pad(array, widths)
