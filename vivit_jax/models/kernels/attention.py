"""softmax(query key^T / sqrt(f)) value, each head alone: one definition and the ways to compute it.

xla      the definition; its attention matrix goes through memory. Any platform, any length; the only one with dropout.
chunked  the definition for some queries at a time, computed again in the backward pass: memory grows linearly with the tokens.
cudnn    cuDNN's flash attention: NVIDIA GPUs, 16-bit types. Over time our own kernels take its place (`time_attention`).
auto     the fastest of these for the platform, the type, the length and the head dimension (docs/performance.md has the figures).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.models.kernels import time_attention as kernels
from vivit_jax.models.kernels.platform import half_precision_on_gpu, runs_our_kernels

# Below this many tokens cuDNN's fused kernel loses to XLA's batched products, whose attention matrix is small.
CUDNN_MIN_TOKENS = 64

# From this many tokens on the attention matrix of one clip takes hundreds of megabytes.
CHUNKED_MIN_TOKENS = 1024
QUERIES_TOGETHER = 256


def dot_product_attention(
    query: Float[Array, "*b q k f"],
    key: Float[Array, "*b n k f"],
    value: Float[Array, "*b n k f"],
    *,
    backend: str = "auto",
    length: int | None = None,
    dropout: float = 0.0,
    dropout_key: Array | None = None,
) -> Float[Array, "*b q k f"]:
    """Attention over the last token axis, the softmax in float32.

    Args:
      query: the queries.
      key: the keys.
      value: the values.
      backend: `auto`, `xla`, `chunked` or `cudnn`.
      length: where given, only the first `length` tokens are attended to; rows past it are meaningless.
      dropout: rate on the attention weights; `xla` only.
      dropout_key: where given, dropout is drawn from it.
    """
    if dropout_key is None:
        chosen = choose_backend(backend, query.shape[-3], query.shape[-1], query.dtype)
        # Where the only query is a cls token the attention matrix is small, and cuDNN would take the keys' length for the queries' too.
        if chosen == "cudnn" and query.shape[-3] == key.shape[-3]:
            return _cudnn_attention(query, key, value, length)
        if chosen == "chunked":
            return _chunked_attention(query, key, value, length)
    return _attention(query, key, value, length, dropout, dropout_key)


def time_attention(
    query: Float[Array, "b t s k f"],
    key: Float[Array, "b t s k f"],
    value: Float[Array, "b t s k f"],
    *,
    backend: str = "auto",
    dropout: float = 0.0,
    dropout_key: Array | None = None,
) -> Float[Array, "b t s k f"]:
    """Attention of each place of a grid to itself at all times. Arguments are those of `dot_product_attention`."""
    _, times, places, _, head_dim = query.shape
    if dropout_key is None and runs_our_kernels(backend, query.dtype) and kernels.fits(times, places, head_dim):
        return kernels.attend_over_time(query, key, value)
    padding = padded_length(times, backend, head_dim, query.dtype) - times
    query, key, value = (_padded(x.swapaxes(-4, -3), padding) for x in (query, key, value))
    length = times if padding else None
    mixed = dot_product_attention(query, key, value, backend=backend, length=length, dropout=dropout, dropout_key=dropout_key)
    return mixed[..., :times, :, :].swapaxes(-4, -3)


def choose_backend(backend: str, tokens: int, head_dim: int, dtype: jnp.dtype) -> str:
    """The backend that computes attention over `tokens` tokens: `backend` itself, or under `auto` the fastest that can."""
    if backend != "auto":
        return backend
    if half_precision_on_gpu(dtype) and head_dim % 8 == 0 and head_dim <= 128:
        return "cudnn" if tokens >= CUDNN_MIN_TOKENS else "xla"
    return "chunked" if tokens >= CHUNKED_MIN_TOKENS else "xla"


def padded_length(tokens: int, backend: str, head_dim: int, dtype: jnp.dtype) -> int:
    """The length to pad a sequence to: cuDNN's backward pass refuses odd lengths."""
    return tokens + tokens % 2 if choose_backend(backend, tokens, head_dim, dtype) == "cudnn" else tokens


def _padded(x: Float[Array, "*b n k f"], padding: int) -> Float[Array, "*b m k f"]:
    """x with `padding` zeros at the end of the token axis."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [(0, padding), (0, 0), (0, 0)]) if padding else x


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


def _chunked_attention(query: Array, key: Array, value: Array, length: int | None) -> Array:
    @jax.checkpoint
    def of_one(query: Float[Array, "*b k f"]) -> Float[Array, "*b k f"]:
        return _attention(query[..., None, :, :], key, value, length)[..., 0, :, :]

    return jnp.moveaxis(jax.lax.map(of_one, jnp.moveaxis(query, -3, 0), batch_size=QUERIES_TOGETHER), 0, -3)


def _attention(query: Array, key: Array, value: Array, length: int | None, dropout: float = 0.0, dropout_key: Array | None = None) -> Array:
    weights = jnp.einsum("...qkf,...skf->...kqs", query * query.shape[-1] ** -0.5, key, preferred_element_type=jnp.float32)
    if length is not None:
        weights = jnp.where(jnp.arange(key.shape[-3]) < length, weights, -jnp.inf)
    weights = jax.nn.softmax(weights).astype(value.dtype)
    if dropout_key is not None:
        kept = jax.random.bernoulli(dropout_key, 1 - dropout, weights.shape)
        weights = jnp.where(kept, weights / (1 - dropout), 0)
    return jnp.einsum("...kqs,...skf->...qkf", weights, value)
