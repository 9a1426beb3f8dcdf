"""Attentive pooling: a few learned queries that attend to the tokens of a frozen backbone (CoCa, V-JEPA)."""

import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vivit_jax.errors import UserError

EPSILON = 1e-6


class AttentivePool(nn.Module):
    """Tokens to one feature: multi-head attention from learned queries, and an optional MLP with a residual; the queries' mean.

    As no query depends on the video, a key projection acts on the query instead of on each token, and a value projection on the mix of
    tokens: the same function for a hundredth of the arithmetic.

    Parameters: `query` (q, k, f); `key/kernel` and `value/kernel` (d, k, f), `value/bias` (k, f); `out/kernel` (k, f, d), `out/bias` (d);
    `time` (t, d), which is added to the tokens of each time index, as attention has no order of its own; with an MLP `mlp_in`, `mlp_out`.

    Attributes:
      times: t, the time indices of the tokens.
      queries: q.
      num_heads: k, which divides the width d.
      mlp_dim: hidden units of the MLP; 0 has none.
    """

    times: int
    queries: int
    num_heads: int
    mlp_dim: int

    @nn.compact
    def __call__(self, tokens: Float[Array, "b n d"], index: Int[np.ndarray, " n"]) -> Float[Array, "b d"]:
        """Pools tokens; `index` is the time index of each, -1 for a token of the whole clip."""
        width = tokens.shape[-1]
        if width % self.num_heads:
            raise UserError(f"model.num_heads {self.num_heads} does not divide the width {width} of the tokens")
        shape = (width, self.num_heads, width // self.num_heads)
        time = self.param("time", nn.initializers.zeros, (self.times, width))
        query = self.param("query", nn.initializers.normal(1.0), (self.queries, *shape[1:]))
        key, _ = _Projection(shape, bias=False, name="key")()
        tokens, time = _normalised(tokens), jnp.pad(time, ((0, 1), (0, 0)))[index]
        asked = jnp.einsum("qkf,dkf->qkd", query, key) / np.sqrt(shape[-1])
        # The sum of tokens and times is never made: where several heads are trained at once, they share the tokens.
        scores = jnp.einsum("bnd,qkd->bqkn", tokens, asked) + jnp.einsum("nd,qkd->qkn", time, asked)
        weights = nn.softmax(scores, axis=-1)
        mixed = jnp.einsum("bqkn,bnd->bqkd", weights, tokens) + jnp.einsum("bqkn,nd->bqkd", weights, time)
        value, value_bias = _Projection(shape, name="value")()
        heads = jnp.einsum("bqkd,dkf->bqkf", mixed, value) + value_bias
        out, out_bias = _Projection((*shape[1:], width), inputs=2, name="out")()
        pooled = jnp.einsum("bqkf,kfd->bqd", heads, out) + out_bias
        if self.mlp_dim:
            hidden = nn.gelu(nn.Dense(self.mlp_dim, name="mlp_in")(_normalised(pooled)), approximate=False)
            pooled = pooled + nn.Dense(width, name="mlp_out")(hidden)
        return pooled.mean(axis=1)


class _Projection(nn.Module):
    """The parameters of a projection: a kernel whose first `inputs` dimensions are summed over, and maybe a bias (else None)."""

    shape: tuple[int, ...]
    inputs: int = 1
    bias: bool = True

    @nn.compact
    def __call__(self) -> tuple[Array, Array | None]:
        flat = (math.prod(self.shape[: self.inputs]), math.prod(self.shape[self.inputs :]))
        kernel = self.param("kernel", lambda key: nn.initializers.xavier_uniform()(key, flat).reshape(self.shape))
        return kernel, self.param("bias", nn.initializers.zeros, self.shape[self.inputs :]) if self.bias else None


def _normalised(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Scales each token to mean 0 and variance 1. A scale and a shift of its own would be absorbed by the next projection."""
    return (x - x.mean(axis=-1, keepdims=True)) / jnp.sqrt(x.var(axis=-1, keepdims=True) + EPSILON)
