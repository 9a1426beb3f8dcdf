"""softmax(query key^T / sqrt(f)) value, each head alone: one definition and the ways to compute it.

xla      the definition; its attention matrix goes through memory. Any platform, any length; the only one with dropout.
chunked  the definition for some queries at a time, computed again in the backward pass: memory grows linearly with the tokens.
cudnn    cuDNN's flash attention: NVIDIA GPUs, 16-bit types. Over time our own kernels take its place (`time_attention`).
fa3      FlashAttention-3: Hopper GPUs, 16-bit types, any length, by the extra `fa3`. Over time as `cudnn`.
auto     the fastest of these for the platform, the type, the length and the head dimension (docs/performance_history.md has the figures).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.errors import UserError
from vivit_jax.models.kernels import time_attention as kernels
from vivit_jax.models.kernels.flash_attention_3 import flash_attention_3
from vivit_jax.models.kernels.platform import HALF_PRECISION, Machine, runs_our_kernels, this_machine

# Below this many tokens cuDNN's fused kernel loses to XLA's batched products, whose attention matrix is small.
CUDNN_MIN_TOKENS = 64

# From this many tokens on, at this head dimension, FlashAttention-3 is faster than cuDNN; at the 196 of a frame it is slower.
FA3_MIN_TOKENS = 512
FA3_HEAD_DIM = 64

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
      backend: `auto`, `xla`, `chunked`, `cudnn` or `fa3`.
      length: where given, only the first `length` tokens are attended to; rows past it are meaningless.
      dropout: rate on the attention weights; `xla` only.
      dropout_key: where given, dropout is drawn from it.

    Raises:
      UserError: if `backend` is `fa3`, and the machine, the type or the head dimension rules it out.
    """
    if dropout_key is None:
        chosen = choose_backend(backend, query.shape[-3] if length is None else length, query.shape[-1], query.dtype)
        # Where the only query is a cls token the attention matrix is small, and cuDNN would take the keys' length for the queries' too.
        if chosen in ("cudnn", "fa3") and query.shape[-3] == key.shape[-3]:
            return {"cudnn": _cudnn_attention, "fa3": _flash_attention_3}[chosen](query, key, value, length)
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


def choose_backend(backend: str, tokens: int, head_dim: int, dtype: jnp.dtype, machine: Machine | None = None) -> str:
    """The backend that computes attention over `tokens` tokens: `backend` itself, or under `auto` the fastest that can.

    Args:
      backend: as of `dot_product_attention`.
      tokens: how many are attended to, without padding.
      head_dim: width of a head.
      dtype: of query, key and value.
      machine: what computes; None for that of this process.

    Raises:
      UserError: if `backend` is `fa3`, and the machine, the type or the head dimension rules it out.
    """
    machine = machine or this_machine()
    if backend == "fa3":
        _check_fa3(machine, head_dim, dtype)
    if backend != "auto":
        return backend
    if machine.platform == "gpu" and dtype in HALF_PRECISION and head_dim % 8 == 0 and head_dim <= 128:
        if machine.runs_fa3 and head_dim == FA3_HEAD_DIM and tokens >= FA3_MIN_TOKENS:
            return "fa3"
        return "cudnn" if tokens >= CUDNN_MIN_TOKENS else "xla"
    return "chunked" if tokens >= CHUNKED_MIN_TOKENS else "xla"


def _check_fa3(machine: Machine, head_dim: int, dtype: jnp.dtype) -> None:
    if not machine.is_hopper:
        found = f"a GPU of compute capability {machine.capability}" if machine.capability else f"a {machine.platform}"
        problem = f"runs on NVIDIA's Hopper GPUs (H100, H200), and jax computes on {found}"
    elif machine.fa3_obstacle:
        problem = machine.fa3_obstacle
    elif dtype not in HALF_PRECISION:
        problem = f"computes in 16 bits only, and the tokens are {jnp.dtype(dtype)}: set model.dtype to bfloat16 or auto"
    elif head_dim % 8 or head_dim > 256:
        problem = f"takes heads whose width is a multiple of 8 and at most 256, and here it is {head_dim}"
    else:
        return
    raise UserError(f"model.attention fa3 {problem}; or set model.attention to auto")


def padded_length(tokens: int, backend: str, head_dim: int, dtype: jnp.dtype, machine: Machine | None = None) -> int:
    """The length to pad a sequence to: cuDNN's backward pass refuses odd lengths. Arguments are those of `choose_backend`."""
    return tokens + tokens % 2 if choose_backend(backend, tokens, head_dim, dtype, machine) == "cudnn" else tokens


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


def _flash_attention_3(query: Array, key: Array, value: Array, length: int | None) -> Array:
    tokens = query.shape[-3]
    attended = (x.reshape(-1, *x.shape[-3:])[:, :length] for x in (query, key, value))
    return _padded(flash_attention_3(*attended), tokens - (length or tokens)).reshape(query.shape)


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
