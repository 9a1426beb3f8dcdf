"""Multi-head attention: the projections to heads and back, and the axis of the grid of tokens along which each head attends.

Letters of the shapes: b batch, t time, s space, n token, d width, k head, f head dimension. The factorisations of the paper differ only in
the axes; `models.kernels.attention` decides how attention over an axis is computed.
"""

import functools
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.models.kernels.attention import dot_product_attention, time_attention
from vivit_jax.models.kernels.platform import prefers_matrix_products
from vivit_jax.models.kernels.shared_parameters import add_shared

# What the tokens of a head attend to. SPACE: the last token axis (all tokens in Model 1, else the places of one time index).
# TIME: in a grid (b, t, s, d), the tokens of the same place at all times.
SPACE, TIME = "space", "time"

Heads = Float[Array, "b *n k f"]


class MultiHeadAttention(nn.Module):
    """Projections to query, key and value, attention, and the projection out (Vaswani et al. 2017).

    Parameters: `query`, `key`, `value` with kernel (d, k, f) and bias (k, f); `out` with kernel (k, f, d) and bias (d).

    Attributes:
      num_heads: k; must divide the width.
      axes: the heads are divided evenly among these, in order: `(TIME, SPACE)` is the attention of Model 4 (Sec. 3.3.4).
      length: number of real tokens on the token axis where it is padded at its end; no token attends to the padding.
      backend: as `ViViTConfig.attention`.
      dropout: rate on the attention weights.
      train: whether dropout is drawn.
      dtype: of the computation.
    """

    num_heads: int
    axes: tuple[str, ...] = (SPACE,)
    length: int | None = None
    backend: str = "auto"
    dropout: float = 0.0
    train: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b *n d"], queries: int | None = None) -> Float[Array, "b *q d"]:
        """Attends within `x`; where `queries` is given, results are those of the first `queries` tokens of the last token axis.

        Over time a place attends only to itself, so nothing is computed for the other places.
        """
        width = x.shape[-1]
        shape = (width, self.num_heads, width // self.num_heads)
        query, key, value = (ToHeads(shape, self.dtype, bias_learns=name != "key", name=name) for name in ("query", "key", "value"))
        inputs = copies(x, 3 * len(self.axes))
        share = self.num_heads // len(self.axes)
        mixed = []
        for number, axis in enumerate(self.axes):
            heads = slice(number * share, (number + 1) * share)
            for_query, for_key, for_value = inputs[3 * number : 3 * (number + 1)]
            attended = queries if axis == TIME else None
            projected = (
                query(for_query[..., :queries, :], heads),
                key(for_key[..., :attended, :], heads),
                value(for_value[..., :attended, :], heads),
            )
            mixed.append(self._attend(axis, *projected))
        return FromHeads((*shape[1:], width), self.dtype, name="out")(mixed)

    def _attend(self, axis: str, query: Heads, key: Heads, value: Heads) -> Heads:
        dropout_key = self.make_rng("dropout") if self.train and self.dropout else None
        arguments = {"backend": self.backend, "dropout": self.dropout, "dropout_key": dropout_key}
        if axis == TIME:
            return time_attention(query, key, value, **arguments)
        length = self.length if self.length != key.shape[-3] else None
        return dot_product_attention(query, key, value, length=length, **arguments)


class ToHeads(nn.Module):
    """The projection from the width to heads. Parameters: kernel (d, k, f) and bias (k, f).

    Attributes:
      shape: of the kernel.
      dtype: of the computation.
      bias_learns: whether the bias has a gradient. A key's has none: it adds the same to all scores of a query, which the softmax cancels.
    """

    shape: tuple[int, int, int]
    dtype: jnp.dtype
    bias_learns: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "b *n d"], heads: slice) -> Heads:
        """Projects to some of the heads. Slicing the kernel is cheaper than slicing the result."""
        width, count, head_dim = self.shape
        kernel = self.param("kernel", _xavier_of_flat(width), self.shape)
        bias = self.param("bias", nn.initializers.zeros, (count, head_dim))
        bias = bias if self.bias_learns else jax.lax.stop_gradient(bias)
        kernel, bias = kernel[:, heads].astype(self.dtype), bias[heads]
        if prefers_matrix_products():
            return add_shared(x @ kernel.reshape(width, -1), bias.reshape(-1)).reshape(*x.shape[:-1], -1, head_dim)
        return add_shared(jnp.tensordot(x, kernel, axes=1), bias)


class FromHeads(nn.Module):
    """The projection from heads to the width. Parameters: kernel (k, f, d) and bias (d)."""

    shape: tuple[int, int, int]
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, mixed: Sequence[Heads]) -> Float[Array, "b *n d"]:
        """Projects groups of heads, in order. Adding up their projections is cheaper than concatenating the groups first."""
        count, head_dim, width = self.shape
        kernel = self.param("kernel", _xavier_of_flat(count * head_dim), self.shape)
        bias = self.param("bias", nn.initializers.zeros, (width,))
        kernels = jnp.split(kernel.astype(self.dtype), len(mixed))
        if prefers_matrix_products():
            mixed, kernels = [group.reshape(*group.shape[:-2], -1) for group in mixed], [part.reshape(-1, width) for part in kernels]
        axes = kernels[0].ndim - 1
        return add_shared(sum(jnp.tensordot(group, part, axes) for group, part in zip(mixed, kernels, strict=True)), bias)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def copies(x: Float[Array, "b *n d"], count: int) -> tuple[Array, ...]:
    """Copies of x, one for each projection; their gradients are added from the last to the first, as q + (k + v).

    XLA lets a product add to an array, as cuBLAS can while it writes, only where a sum names the product first.
    """
    return (x,) * count


def _sum_of_gradients(count: int, _: None, gradients: tuple[Array, ...]) -> tuple[Array]:
    *others, total = gradients
    for gradient in reversed(others):
        total = gradient + total
    return (total,)


copies.defvjp(lambda x, count: (copies(x, count), None), _sum_of_gradients)


def _xavier_of_flat(inputs: int) -> nn.initializers.Initializer:
    """Xavier's uniform initialisation of a kernel, taken as a matrix (inputs, outputs)."""

    def initialise(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        return nn.initializers.xavier_uniform()(key, (inputs, math.prod(shape) // inputs), dtype).reshape(shape)

    return initialise
