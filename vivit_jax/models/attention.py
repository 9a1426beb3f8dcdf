"""Multi-head attention: the projections, the patterns of what attends to what, and the backends that compute it.

Letters of the shapes: b batch, t time, s space, n token, d width, k head, f head dimension. A pattern takes query, key and value of
shape (b, ..., n, k, f) and decides over which axis tokens attend; the factorisations of the paper differ in the pattern alone. Only the
last token axis is ever padded: a pattern that attends over another says so to its `attend`.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Attend = Callable[..., Array]
Pattern = Callable[[Attend, Array, Array, Array], Array]

# Below this many tokens cuDNN's fused kernel loses to XLA's batched products, whose attention matrix is small.
CUDNN_MIN_TOKENS = 64


def over_tokens(attend: Attend, query: Array, key: Array, value: Array) -> Array:
    """Every token to every token of the last token axis: Model 1, and the encoders of Model 2."""
    return attend(query, key, value)


def over_time(attend: Attend, query: Array, key: Array, value: Array) -> Array:
    """Of a grid (b, t, s, k, f), each place to itself at all times: the temporal attention of Model 3."""
    query, key, value = (x.swapaxes(-4, -3) for x in (query, key, value))
    return attend(query, key, value, padded=False).swapaxes(-4, -3)


def heads_over_time_and_space(attend: Attend, query: Array, key: Array, value: Array) -> Array:
    """Of a grid (b, t, s, k, f), the first half of the heads over time, the second over space: Model 4 (Sec. 3.3.4)."""
    half = query.shape[-2] // 2
    temporal = over_time(attend, *(x[..., :half, :] for x in (query, key, value)))
    spatial = over_tokens(attend, *(x[..., half:, :] for x in (query, key, value)))
    return jnp.concatenate([temporal, spatial], axis=-2)


class MultiHeadAttention(nn.Module):
    """Projections to query, key and value, attention by a pattern, and the projection out (Vaswani et al. 2017).

    Parameters: `query`, `key`, `value` with kernel (d, k, f) and bias (k, f); `out` with kernel (k, f, d) and bias (d).

    Attributes:
      num_heads: k; must divide the width.
      pattern: what attends to what.
      length: number of real tokens on the token axis where it is padded at its end; padded tokens are attended to by nobody.
      backend: `auto`, `xla` or `cudnn`.
      dropout: rate on the attention weights.
      train: whether dropout is drawn.
      dtype: of the computation.
    """

    num_heads: int
    pattern: Pattern = over_tokens
    length: int | None = None
    backend: str = "auto"
    dropout: float = 0.0
    train: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b *n d"]) -> Float[Array, "b *n d"]:
        """Attends within `x`."""
        width = x.shape[-1]
        project = functools.partial(
            nn.DenseGeneral,
            features=(self.num_heads, width // self.num_heads),
            kernel_init=nn.initializers.xavier_uniform(),
            dtype=self.dtype,
        )
        query, key, value = (project(name=name)(x) for name in ("query", "key", "value"))
        mixed = self.pattern(self._attend, query, key, value)
        return nn.DenseGeneral(width, axis=(-2, -1), kernel_init=nn.initializers.xavier_uniform(), dtype=self.dtype, name="out")(mixed)

    def _attend(self, query: Array, key: Array, value: Array, padded: bool = True) -> Array:
        dropout_key = self.make_rng("dropout") if self.train and self.dropout else None
        length = self.length if padded and self.length != query.shape[-3] else None
        return dot_product_attention(query, key, value, backend=self.backend, length=length, dropout=self.dropout, dropout_key=dropout_key)


def dot_product_attention(
    query: Float[Array, "*b n k f"],
    key: Float[Array, "*b n k f"],
    value: Float[Array, "*b n k f"],
    *,
    backend: str = "auto",
    length: int | None = None,
    dropout: float = 0.0,
    dropout_key: Array | None = None,
) -> Float[Array, "*b n k f"]:
    """softmax(query key^T / sqrt(f)) value, each head alone, the softmax in float32.

    Args:
      query: what asks.
      key: what is compared with.
      value: what is mixed.
      backend: `xla`, `cudnn` (16-bit types on a GPU only), or `auto`.
      length: where given, only the first `length` tokens are attended to; rows past it hold no meaning.
      dropout: rate on the attention weights; `xla` only.
      dropout_key: where given, dropout is drawn from it.
    """
    if dropout_key is None and choose_backend(backend, query.shape[-3], query.shape[-1], query.dtype) == "cudnn":
        return _cudnn_attention(query, key, value, length)
    weights = jnp.einsum("...qkf,...skf->...kqs", query * query.shape[-1] ** -0.5, key, preferred_element_type=jnp.float32)
    if length is not None:
        weights = jnp.where(jnp.arange(key.shape[-3]) < length, weights, -jnp.inf)
    weights = jax.nn.softmax(weights).astype(value.dtype)
    if dropout_key is not None:
        kept = jax.random.bernoulli(dropout_key, 1 - dropout, weights.shape)
        weights = jnp.where(kept, weights / (1 - dropout), 0)
    return jnp.einsum("...kqs,...skf->...qkf", weights, value)


def choose_backend(backend: str, tokens: int, head_dim: int, dtype: jnp.dtype) -> str:
    """The backend that computes attention over `tokens` tokens: `backend` itself, or under `auto` the fastest that can."""
    if backend != "auto":
        return backend
    fits = dtype in (jnp.bfloat16, jnp.float16) and head_dim % 8 == 0 and head_dim <= 128 and tokens >= CUDNN_MIN_TOKENS
    return "cudnn" if fits and jax.default_backend() == "gpu" else "xla"


def padded_length(tokens: int, backend: str, head_dim: int, dtype: jnp.dtype) -> int:
    """The length to carry a sequence at: cuDNN's backward pass refuses odd ones."""
    return tokens + tokens % 2 if choose_backend(backend, tokens, head_dim, dtype) == "cudnn" else tokens


def _cudnn_attention(query: Array, key: Array, value: Array, length: int | None) -> Array:
    flat_query, flat_key, flat_value = (x.reshape(-1, *x.shape[-3:]) for x in (query, key, value))
    lengths = None if length is None else jnp.full(flat_query.shape[0], length, jnp.int32)
    mixed = jax.nn.dot_product_attention(
        flat_query,
        flat_key,
        flat_value,
        query_seq_lengths=lengths,
        key_value_seq_lengths=lengths,
        implementation="cudnn",
    )
    return mixed.reshape(query.shape)
