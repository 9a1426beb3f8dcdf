"""Depthwise convolutions as sums of shifted features.

XLA has no good depthwise convolution over time and space: on a CPU, that of X3D's blocks takes a hundred times as long as the sum that it
is, which is one loop over the features, and its gradient 45 times as long.
"""

import functools
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Extents = tuple[int, int, int]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def sum_of_shifts(x: Float[Array, "b t h w c"], kernel: Float[Array, "kt kh kw 1 c"], stride: Extents) -> Float[Array, "b t2 h2 w2 c"]:
    """Each channel convolved with its own kernel, of odd extents; zeros lie around the features. The sum is float32."""
    padded, places = _padded(x, kernel.shape[:3])
    products = (_seen(padded, x.shape, at, stride) * kernel[at][0].astype(jnp.float32) for at in places)
    return functools.reduce(jnp.add, products).astype(x.dtype)


def _padded(x: Array, kernel: Extents) -> tuple[Array, list[Extents]]:
    """The features with zeros around them, and the places of the kernel."""
    widths = ((0, 0), *((extent // 2, extent // 2) for extent in kernel), (0, 0))
    return jnp.pad(x, widths), list(itertools.product(*map(range, kernel)))


def _seen(padded: Array, shape: tuple[int, ...], at: Sequence[int | Array], stride: Extents) -> Array:
    """What a place of the kernel sees at each place of the output, in float32."""
    window = jax.lax.dynamic_slice(padded, (0, *at, 0), shape)
    return window[:, :: stride[0], :: stride[1], :: stride[2]].astype(jnp.float32)


def _forward(x: Array, kernel: Array, stride: Extents) -> tuple[Array, tuple[Array, Array]]:
    return sum_of_shifts(x, kernel, stride), (x, kernel)


def _backward(stride: Extents, residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    ends = ((0, whole - (count - 1) * step - 1, step - 1) for whole, count, step in zip(x.shape[1:4], dy.shape[1:4], stride, strict=True))
    spread = jax.lax.pad(dy, jnp.zeros((), dy.dtype), [(0, 0, 0), *ends, (0, 0, 0)])
    dx = sum_of_shifts(spread, kernel[::-1, ::-1, ::-1], (1, 1, 1))
    return dx, _kernel_gradient(x, dy, kernel, stride)


def _kernel_gradient(x: Array, dy: Array, kernel: Array, stride: Extents) -> Array:
    """The gradient of the kernel. Sums over all places are taken clip by clip first, since XLA's reductions are slow on a GPU otherwise."""
    padded, places = _padded(x, kernel.shape[:3])

    def of_clips(at: Sequence[int | Array]) -> Array:
        return (_seen(padded, x.shape, at, stride) * dy.astype(jnp.float32)).sum((1, 2, 3))

    # A GPU reads the features once for many sums. On a CPU, a program of 27 takes five times as long to compile and no less to run.
    at_once = jax.default_backend() == "gpu"
    sums = jnp.stack([of_clips(at) for at in places]) if at_once else jax.lax.map(of_clips, jnp.asarray(places))
    return sums.sum(1).reshape(kernel.shape).astype(kernel.dtype)


sum_of_shifts.defvjp(_forward, _backward)
