"""LayerNorm where tokens fork into a residual and a branch, on NVIDIA GPUs as a pair of Triton kernels written in Pallas.

XLA reads the tokens twice to normalise them, and three times in the backward pass: for two sums over a token, for the tokens' gradient, and
for the gradients of scale and bias. A program of ours keeps a token in registers and reads everything once, and adds the residual's
gradient while it is there. docs/performance_history.md has the figures.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jaxtyping import Array, Float

from vivit_jax.models.kernels import triton
from vivit_jax.models.kernels.partitioning import flat, per_device
from vivit_jax.models.kernels.platform import runs_our_kernels

# One program of the backward pass takes so many tokens, one after the other, and sums the gradients of scale and bias over them.
TOKENS_TOGETHER = 32
# One warp sums over a token without waiting for another.
ONE_WARP = {"num_warps": 1, "num_stages": 1}

Tokens = Float[Array, "b *n d"]
Parameter = Float[Array, " d"]


class LayerNorm(nn.Module):
    """Layer normalisation (Ba et al. 2016), statistics in float32. Parameters: `scale` and `bias` (d).

    Attributes:
      epsilon: added to the variance.
      backend: as `ViViTConfig.attention`, which also decides whether our kernels compute this.
      dtype: of the tokens.
    """

    epsilon: float
    backend: str
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Tokens) -> tuple[Tokens, Tokens]:
        """The tokens in `dtype`, for the residual, and the normalised tokens, for the branch."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        x = x.astype(self.dtype)
        if runs_our_kernels(self.backend, self.dtype):
            return fork(x, scale, bias, self.epsilon)
        return x, normalised(x, scale, bias, self.epsilon)


def normalised(x: Tokens, scale: Parameter, bias: Parameter, epsilon: float) -> Tokens:
    """LayerNorm over the width in the type of x, as XLA computes it: what the kernels are held to."""
    wide = x.astype(jnp.float32)
    mean = wide.mean(axis=-1, keepdims=True)
    variance = jnp.maximum((wide * wide).mean(axis=-1, keepdims=True) - mean * mean, 0)
    return ((wide - mean) * (jax.lax.rsqrt(variance + epsilon) * scale) + bias).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def fork(x: Tokens, scale: Parameter, bias: Parameter, epsilon: float, interpret: bool = False) -> tuple[Tokens, Tokens]:
    """x and `normalised` of x, by the kernels, which add the gradients of both; `interpret` runs them in Python, on any platform."""
    return x, _forward(x, scale, bias, epsilon, interpret)


def _forward_rule(x: Tokens, scale: Parameter, bias: Parameter, epsilon: float, interpret: bool) -> tuple[tuple, tuple]:
    return (x, _forward(x, scale, bias, epsilon, interpret)), (x, scale)


def _backward_rule(epsilon: float, interpret: bool, saved: tuple, gradients: tuple) -> tuple[Tokens, Parameter, Parameter]:
    x, scale = saved
    residual, branch = gradients
    return _backward(x, scale, branch, residual, epsilon, interpret)


fork.defvjp(_forward_rule, _backward_rule)


def _forward(x: Tokens, scale: Parameter, bias: Parameter, epsilon: float, interpret: bool) -> Tokens:
    def call(x: Float[Array, "b n d"], scale: Parameter, bias: Parameter) -> Float[Array, "b n d"]:
        """Runs the kernel on one device's part of the tokens: a program for each of them."""
        batch, count, width = x.shape
        block = pl.next_power_of_2(width)
        token = pl.BlockSpec((None, None, block), lambda b, n: (b, n, 0))
        parameter = pl.BlockSpec((block,), lambda b, n: (0,))
        return pl.pallas_call(
            functools.partial(_forward_kernel, width=width, epsilon=epsilon),
            out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
            grid=(batch, count),
            in_specs=[token, parameter, parameter],
            out_specs=token,
            compiler_params=triton.CompilerParams(**ONE_WARP),
            interpret=interpret,
            name="normalise_forward",
        )(x, scale, bias)

    return per_device(call, "bnd d d -> bnd")(flat(x), scale, bias).reshape(x.shape)


def _backward(x: Tokens, scale: Parameter, branch: Tokens, residual: Tokens, epsilon: float, interpret: bool) -> tuple:
    def call(x: Float[Array, "b n d"], scale: Parameter, *gradients: Float[Array, "b n d"]) -> list[Array]:
        """Runs the kernel on one device's part of the tokens: each program takes a few, and sums their share of the gradients."""
        batch, count, width = x.shape
        programs, block = pl.cdiv(count, TOKENS_TOGETHER), pl.next_power_of_2(width)
        tokens = pl.BlockSpec((None, TOKENS_TOGETHER, block), lambda b, p: (b, p, 0))
        parameter = pl.BlockSpec((block,), lambda b, p: (0,))
        part = pl.BlockSpec((None, None, block), lambda b, p: (b, p, 0))
        parts = jax.ShapeDtypeStruct((batch, programs, width), jnp.float32)
        return pl.pallas_call(
            functools.partial(_backward_kernel, count=count, width=width, epsilon=epsilon),
            out_shape=[jax.ShapeDtypeStruct(x.shape, x.dtype), parts, parts],
            grid=(batch, programs),
            in_specs=[tokens, parameter, tokens, tokens],
            out_specs=[tokens, part, part],
            compiler_params=triton.CompilerParams(**ONE_WARP),
            interpret=interpret,
            name="normalise_backward",
        )(x, scale, *gradients)

    dx, dscale, dbias = per_device(call, "bnd d bnd bnd -> bnd bpd bpd")(flat(x), scale, flat(branch), flat(residual))
    return dx.reshape(x.shape), *(parts.sum((0, 1)).astype(scale.dtype) for parts in (dscale, dbias))


def _forward_kernel(x_ref: Array, scale_ref: Array, bias_ref: Array, y_ref: Array, *, width: int, epsilon: float) -> None:
    load, inside = _row_loader(x_ref, width)
    x, _ = _standardised(load(x_ref), inside, width, epsilon)
    triton.store(y_ref, (x * load(scale_ref) + load(bias_ref)).astype(y_ref.dtype), mask=inside)


def _backward_kernel(
    x_ref: Array,
    scale_ref: Array,
    branch_ref: Array,
    residual_ref: Array,
    dx_ref: Array,
    dscale_ref: Array,
    dbias_ref: Array,
    *,
    count: int,
    width: int,
    epsilon: float,
) -> None:
    load, inside = _row_loader(x_ref, width)
    scale = load(scale_ref)
    tokens = jnp.minimum(TOKENS_TOGETHER, count - pl.program_id(1) * TOKENS_TOGETHER)

    def read(n: Array) -> tuple[Array, ...]:
        """Token n and its two gradients as they are stored; past the last, the last again."""
        n = jnp.minimum(n, tokens - 1)
        return tuple(triton.load(ref.at[n], mask=inside, other=0.0) for ref in (x_ref, branch_ref, residual_ref))

    def of_one(n: Array, carried: tuple) -> tuple:
        token, dscale, dbias = carried
        following = read(n + 1)  # on its way while this one is worked on
        x, dy, residual = (array.astype(jnp.float32) for array in token)
        x, deviation = _standardised(x, inside, width, epsilon)
        dx = dy * scale
        dx = (dx - dx.sum() / width - x * ((dx * x).sum() / width)) / deviation + residual
        triton.store(dx_ref.at[n], dx.astype(dx_ref.dtype), mask=inside)
        return following, dscale + dy * x, dbias + dy

    zeros = jnp.zeros(inside.shape)
    _, dscale, dbias = jax.lax.fori_loop(0, tokens, of_one, (read(jnp.int32(0)), zeros, zeros))
    triton.store(dscale_ref, dscale, mask=inside)
    triton.store(dbias_ref, dbias, mask=inside)


def _row_loader(x_ref: Array, width: int) -> tuple[Callable[[Array], Parameter], Array]:
    """A function that reads a row of `width` numbers as float32, and which places of a block, a power of two, lie inside the row."""
    inside = jnp.arange(x_ref.shape[-1]) < width

    def load(ref: Array) -> Parameter:
        return triton.load(ref, mask=inside, other=0.0).astype(jnp.float32)

    return load, inside


def _standardised(x: Parameter, inside: Array, width: int, epsilon: float) -> tuple[Parameter, Array]:
    """The token scaled to mean 0 and variance 1, and its standard deviation before."""
    centred = jnp.where(inside, x - x.sum() / width, 0.0)
    deviation = jnp.sqrt((centred * centred).sum() / width + epsilon)
    return centred / deviation, deviation
