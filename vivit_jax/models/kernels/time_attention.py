"""Attention over time on NVIDIA GPUs, as a pair of Triton kernels written in Pallas.

The temporal attention of Models 3 and 4 is thousands of sequences of some 16 tokens. XLA copies the grid so that they lie together and back
and multiplies matrices of 16 rows; flash attention works on blocks of 64 rows or more, most of them padding. Here a program takes all times
of several places as one matrix, straight from the grid, masks what is not of the same place, and takes the softmax at once; so the backward
pass needs query, key and value alone. docs/performance_history.md has the figures.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jaxtyping import Array, Bool, Float

from vivit_jax.models.kernels import triton
from vivit_jax.models.kernels.partitioning import per_device

# Rows of one program's matrices: tensor cores multiply at least 16, and 64 keep one busy.
LEAST_ROWS, USUAL_ROWS, MOST_ROWS = 16, 64, 128
HEAD_DIMS = (16, 32, 64, 128)

Grid = Float[Array, "b t s k f"]


def takes_grid(times: int, places: int, head_dim: int) -> bool:
    """Whether the kernels can compute a grid of these extents: Triton's blocks are powers of two."""
    rows = times * _places_together(times, places)
    return times & (times - 1) == 0 and LEAST_ROWS <= rows <= MOST_ROWS and head_dim in HEAD_DIMS


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def attend_over_time(query: Grid, key: Grid, value: Grid, interpret: bool = False) -> Grid:
    """softmax(query key^T / sqrt(f)) value, each head and each place alone over its times.

    Args:
      query: the queries, of extents that `takes_grid` accepts.
      key: the keys.
      value: the values.
      interpret: run the kernels in Python, on any platform.
    """
    return _launch(_forward_kernel, "attend_over_time_forward", 1, interpret, query, key, value)


def _forward_rule(query: Grid, key: Grid, value: Grid, interpret: bool) -> tuple[Grid, tuple[Grid, Grid, Grid]]:
    return attend_over_time(query, key, value, interpret), (query, key, value)


def _backward_rule(interpret: bool, saved: tuple[Grid, Grid, Grid], gradient: Grid) -> tuple[Grid, Grid, Grid]:
    return tuple(_launch(_backward_kernel, "attend_over_time_backward", 3, interpret, *saved, gradient))


attend_over_time.defvjp(_forward_rule, _backward_rule)


def _launch(kernel: Callable, name: str, outputs: int, interpret: bool, *grids: Grid) -> Grid | list[Grid]:
    """Runs a kernel over all heads and places of the grids; it gives `outputs` grids like them."""

    def call(*grids: Grid) -> Grid | list[Grid]:
        """Runs the kernel on one device's part of the grids: a program for every few places of a head."""
        batch, times, places, heads, head_dim = grids[0].shape
        together = _places_together(times, places)
        block = pl.BlockSpec((None, times, together, None, head_dim), lambda b, s, k: (b, 0, s, k, 0))
        shape = jax.ShapeDtypeStruct(grids[0].shape, grids[0].dtype)
        return pl.pallas_call(
            kernel,
            out_shape=shape if outputs == 1 else [shape] * outputs,
            grid=(batch, places // together, heads),
            in_specs=[block] * len(grids),
            out_specs=block if outputs == 1 else [block] * outputs,
            compiler_params=triton.CompilerParams(num_warps=4, num_stages=1),
            interpret=interpret,
            name=name,
        )(*grids)

    axes = " ".join([*["btskf"] * len(grids), "->", *["btskf"] * outputs])
    return per_device(call, axes, divided="bk")(*grids)


def _forward_kernel(query_ref: Array, key_ref: Array, value_ref: Array, out_ref: Array) -> None:
    query, key, value = (_rows(ref) for ref in (query_ref, key_ref, value_ref))
    weights = _weights(query, key, _same_place(query_ref))
    out_ref[...] = triton.dot(weights.astype(value.dtype), value).astype(out_ref.dtype).reshape(out_ref.shape)


def _backward_kernel(query_ref: Array, key_ref: Array, value_ref: Array, gradient_ref: Array, *results: Array) -> None:
    query, key, value, gradient = (_rows(ref) for ref in (query_ref, key_ref, value_ref, gradient_ref))
    weights = _weights(query, key, _same_place(query_ref))
    dvalue = triton.dot(weights.astype(value.dtype).T, gradient)
    dweights = triton.dot(gradient, value.T)
    dscores = weights * (dweights - (dweights * weights).sum(axis=-1)[:, None]) * query.shape[-1] ** -0.5
    dscores = dscores.astype(query.dtype)
    gradients = triton.dot(dscores, key), triton.dot(dscores.T, query), dvalue
    for ref, result in zip(results, gradients, strict=True):
        ref[...] = result.astype(ref.dtype).reshape(ref.shape)


def _weights(query: Float[Array, "n f"], key: Float[Array, "n f"], attended: Bool[Array, "n n"]) -> Float[Array, "n n"]:
    """The softmax in float32 of the scores where `attended`, by powers of two, which the hardware has."""
    scores = triton.dot(query, key.T) * (query.shape[-1] ** -0.5 * math.log2(math.e))
    scores = jnp.where(attended, scores, -1e30)
    weights = jnp.exp2(scores - scores.max(axis=-1)[:, None])
    return weights / weights.sum(axis=-1)[:, None]


def _rows(ref: Array) -> Float[Array, "n f"]:
    """The tokens of a program as rows, those of one time next to each other."""
    return ref[...].reshape(-1, ref.shape[-1])


def _same_place(ref: Array) -> Bool[Array, "n n"]:
    """Tells which pairs of rows are of one place: only these attend to each other."""
    places = jnp.arange(ref.shape[0] * ref.shape[1]) % ref.shape[1]
    return places[:, None] == places[None, :]


def _places_together(times: int, places: int) -> int:
    """How many places a program takes: the largest power of two that divides `places` and makes no more than `USUAL_ROWS` rows."""
    together = 1
    while places % (2 * together) == 0 and 2 * together * times <= USUAL_ROWS:
        together *= 2
    return together
