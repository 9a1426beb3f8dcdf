"""GELU after a bias, both of whose gradients one pass computes: on NVIDIA GPUs a Triton kernel written in Pallas.

Forward, XLA has cuBLAS add the bias and apply the tanh form as it writes a product, its argument beside it. Backward, XLA's fusion of the
slope and of the sum over all tokens, the bias's gradient, rounds each of its twenty operations to 16 bits and is bound by them, not by
memory. Ours computes in float32, with fewer. docs/performance_history.md has the figures.
"""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jaxtyping import Array, Float

from vivit_jax.models.kernels import triton
from vivit_jax.models.kernels.partitioning import flat, per_device
from vivit_jax.models.kernels.platform import runs_our_kernels
from vivit_jax.models.kernels.shared_parameters import summed

# A program takes up to UNITS hidden units of TOKENS tokens, TOKENS_TOGETHER of them at a time.
UNITS, TOKENS, TOKENS_TOGETHER = 256, 64, 8

Hidden = Float[Array, "b *n m"]
# Computed again in the backward pass: without `checkpoint` XLA sees that the forward pass did the same, and keeps every tanh until then.
GELU = {name: jax.checkpoint(functools.partial(nn.gelu, approximate=name == "gelu_tanh")) for name in ("gelu_tanh", "gelu")}


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def biased_gelu(x: Hidden, bias: Float[Array, " m"], activation: str, backend: str) -> Hidden:
    """GELU(x + bias) in the type of x.

    Args:
      x: the product of tokens and a matrix.
      bias: of each hidden unit.
      activation: as `ViViTConfig.activation`; our kernel is for `gelu_tanh`, the other's gradient is XLA's.
      backend: as `ViViTConfig.attention`, which also decides whether our kernel computes the gradients.
    """
    return GELU[activation](x + bias.astype(x.dtype))


def _forward_rule(x: Hidden, bias: Array, activation: str, backend: str) -> tuple[Hidden, tuple[Hidden, Array]]:
    argument = x + bias.astype(x.dtype)
    return GELU[activation](argument), (argument, bias)


def _backward_rule(activation: str, backend: str, saved: tuple[Hidden, Array], gradient: Hidden) -> tuple[Hidden, Array]:
    argument, bias = saved
    if activation == "gelu_tanh" and runs_our_kernels(backend, argument.dtype):
        dx, dbias = gelu_gradients(argument, gradient)
        return dx, dbias.astype(bias.dtype)
    (dx,) = jax.vjp(GELU[activation], argument)[1](gradient)
    return dx, summed(dx, bias)


biased_gelu.defvjp(_forward_rule, _backward_rule)


def gelu_gradients(argument: Hidden, gradient: Hidden, interpret: bool = False) -> tuple[Hidden, Float[Array, " m"]]:
    """gradient * GELU'(argument), and its sum over all tokens in float32; `interpret` runs the kernel in Python, on any platform."""

    def call(*arrays: Float[Array, "b n m"]) -> list[Array]:
        """Runs the kernel on one device's part of the argument and the gradient."""
        batch, count, hidden = arrays[0].shape
        units, programs = math.gcd(UNITS, hidden), pl.cdiv(count, TOKENS)
        block = pl.BlockSpec((None, TOKENS, units), lambda b, p, m: (b, p, m))
        return pl.pallas_call(
            functools.partial(_backward_kernel, count=count),
            out_shape=[
                jax.ShapeDtypeStruct(arrays[0].shape, arrays[0].dtype),
                jax.ShapeDtypeStruct((batch, programs, hidden), jnp.float32),
            ],
            grid=(batch, programs, hidden // units),
            in_specs=[block, block],
            out_specs=[block, pl.BlockSpec((None, None, units), lambda b, p, m: (b, p, m))],
            compiler_params=triton.CompilerParams(num_warps=4, num_stages=1),
            interpret=interpret,
            name="gelu_backward",
        )(*arrays)

    dx, parts = per_device(call, "bnm bnm -> bnm bpm", divided="bm")(flat(argument), flat(gradient))
    return dx.reshape(argument.shape), parts.sum((0, 1))


def _backward_kernel(argument_ref: Array, gradient_ref: Array, dx_ref: Array, sum_ref: Array, *, count: int) -> None:
    first = pl.program_id(1) * TOKENS

    def of_some(number: Array, total: Array) -> Array:
        here = pl.ds(number * TOKENS_TOGETHER, TOKENS_TOGETHER)
        there = first + number * TOKENS_TOGETHER + jnp.arange(TOKENS_TOGETHER) < count
        inside = jnp.broadcast_to(there[:, None], total.shape)
        argument, gradient = (triton.load(ref.at[here], mask=inside, other=0.0).astype(jnp.float32) for ref in (argument_ref, gradient_ref))
        dx = gradient * _slope(argument)
        triton.store(dx_ref.at[here], dx.astype(dx_ref.dtype), mask=inside)
        return total + dx

    total = jnp.zeros((TOKENS_TOGETHER, sum_ref.shape[-1]))
    sum_ref[...] = jax.lax.fori_loop(0, TOKENS // TOKENS_TOGETHER, of_some, total).sum(axis=0)


def _slope(x: Array) -> Array:
    """GELU'(x) of GELU(x) = x s, s = (1 + tanh(c (x + 0.044715 x^3))) / 2, c = sqrt(2 / pi); s is the sigmoid of twice tanh's argument."""
    c, cubic = math.sqrt(2 / math.pi), 0.044715
    s = 1 / (1 + jnp.exp2(-2 * c * math.log2(math.e) * x * (1 + cubic * x * x)))
    return s * (1 + 2 * c * x * (1 - s) * (1 + 3 * cubic * x * x))
