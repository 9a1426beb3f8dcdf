"""Depthwise convolutions as sums of shifted features.

XLA has no good depthwise convolution over time and space: on a CPU, that of X3D's blocks takes some 200 times as long as the sum that it
is, which is one loop over the features, and its gradient 14 times as long.
"""

import functools
import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Extents = tuple[int, int, int]
PLACES = (0, 1, 2, 3)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def sum_of_shifts(x: Float[Array, "b t h w c"], kernel: Float[Array, "kt kh kw 1 c"], stride: Extents) -> Float[Array, "b t2 h2 w2 c"]:
    """Each channel convolved with its own kernel, of odd extents; zeros lie around the features. The sum is float32."""
    products = (shifted.astype(jnp.float32) * kernel[at][0].astype(jnp.float32) for at, shifted in _shifts(x, kernel.shape[:3], stride))
    return functools.reduce(jnp.add, products).astype(x.dtype)


def _shifts(x: Array, kernel: Extents, stride: Extents) -> Iterator[tuple[Extents, Array]]:
    """For each place of the kernel, what it sees at each place of the output."""
    padded = jnp.pad(x, ((0, 0), *((extent // 2, extent // 2) for extent in kernel), (0, 0)))
    for at in itertools.product(*map(range, kernel)):
        window = (slice(start, start + extent, step) for start, extent, step in zip(at, x.shape[1:4], stride, strict=True))
        yield at, padded[:, *window]


def _forward(x: Array, kernel: Array, stride: Extents) -> tuple[Array, tuple[Array, Array]]:
    return sum_of_shifts(x, kernel, stride), (x, kernel)


def _backward(stride: Extents, residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    extents = kernel.shape[:3]
    dkernel = [
        (shifted.astype(jnp.float32) * dy.astype(jnp.float32)).sum(PLACES).astype(kernel.dtype)
        for _, shifted in _shifts(x, extents, stride)
    ]
    ends = ((0, whole - (count - 1) * step - 1, step - 1) for whole, count, step in zip(x.shape[1:4], dy.shape[1:4], stride, strict=True))
    spread = jax.lax.pad(dy, jnp.zeros((), dy.dtype), [(0, 0, 0), *ends, (0, 0, 0)])
    return sum_of_shifts(spread, kernel[::-1, ::-1, ::-1], (1, 1, 1)), jnp.stack(dkernel).reshape(kernel.shape)


sum_of_shifts.defvjp(_forward, _backward)
