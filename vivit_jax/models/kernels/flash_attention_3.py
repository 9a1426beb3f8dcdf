"""FlashAttention-3 (Shah et al. 2024): Dao-AILab's kernels for NVIDIA's Hopper GPUs, from the wheels of the extra `fa3`.

The wheel holds two libraries of XLA FFI targets. Its own functions are not used: XLA would gather the whole batch on every device for them,
and importing them loads the other library, FlashAttention-2, of 338 MB. docs/performance_history.md has the figures.
"""

import ctypes
import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vivit_jax import console, extras
from vivit_jax.models.kernels.partitioning import over_batch

PACKAGE, LIBRARY = "dew_flash_attn", "libdew_flash_attn3.so"
FORWARD, BACKWARD = "dew_flash3_mha_fwd", "dew_flash3_mha_bwd"
# Rows of scratch memory that the backward pass takes beside its queries: at most one block a sequence, and one more.
BLOCK = 128

Heads = Float[Array, "b n k f"]
Sums = Float[Array, "b k n"]


@functools.cache
def obstacle() -> str | None:
    """Why the library cannot be used in this process, or None where it is loaded; the GPU is not looked at."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None:
        return f"needs the extra fa3, or fa3-cuda13 with jax for CUDA 13 (Linux x86_64, Python 3.12): {extras.install('fa3')}"
    try:
        library = ctypes.cdll.LoadLibrary(str(Path(next(iter(package.submodule_search_locations or [])), LIBRARY)))
        for target in (FORWARD, BACKWARD):
            jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(getattr(library, target)), platform="CUDA")
    except (OSError, AttributeError) as error:
        problem = f"cannot load {PACKAGE} ({error}): install the extra for the CUDA of your jax, fa3 for 12 or fa3-cuda13"
        console.warn(f"FlashAttention-3 {problem}")
        return problem
    return None


@jax.custom_vjp
def flash_attention_3(query: Heads, key: Heads, value: Heads) -> Heads:
    """softmax(query key^T / sqrt(f)) value, each head alone; any lengths, one type of 16 bits, f a multiple of 8 and at most 256."""
    return _forward(query, key, value)[0]


def _forward(query: Heads, key: Heads, value: Heads) -> tuple[Heads, Sums]:
    return over_batch(_forward_part, "bnkf bmkf bmkf -> bnkf bkn", divided="bk")(query, key, value)


def _forward_rule(query: Heads, key: Heads, value: Heads) -> tuple[Heads, tuple[Array, ...]]:
    out, log_sums = _forward(query, key, value)
    return out, (query, key, value, out, log_sums)


def _backward_rule(saved: tuple[Array, ...], gradient: Heads) -> tuple[Heads, Heads, Heads]:
    return over_batch(_backward_part, "bnkf bmkf bmkf bnkf bkn bnkf -> bnkf bmkf bmkf", divided="bk")(*saved, gradient)


flash_attention_3.defvjp(_forward_rule, _backward_rule)


def _forward_part(query: Heads, key: Heads, value: Heads) -> tuple[Array, ...]:
    """The attention of one device's part of the batch and of the heads, and the logarithms of the softmax's sums."""
    batch, queries, heads, _ = query.shape
    unused = [_float32(1, 1, 1, 1), _float32(1, 1, 1)]  # for keys in several parts, which this build has not
    return _call(FORWARD, [_like(query), _float32(batch, heads, queries), *unused], query, key, value)[:2]


def _backward_part(query: Heads, key: Heads, value: Heads, out: Heads, log_sums: Sums, gradient: Heads) -> tuple[Array, ...]:
    """The gradients of one device's part."""
    batch, queries, heads, _ = query.shape
    scratch = _float32(heads * (batch * queries + BLOCK * (batch + 1)))
    results = [_like(query), _like(key), _like(value), scratch, scratch]
    return _call(BACKWARD, results, gradient, query, key, value, out, log_sums)[:3]


def _call(target: str, results: Sequence[jax.ShapeDtypeStruct], *arrays: Array) -> tuple[Array, ...]:
    """Runs a target of the library for full attention, neither causal nor in a window."""
    scale = np.float64(arrays[0].shape[-1] ** -0.5)
    whole = {"is_causal": False, "window_size_left": np.int64(-1), "window_size_right": np.int64(-1)}
    return tuple(jax.ffi.ffi_call(target, results)(*arrays, softmax_scale=scale, **whole))


def _like(x: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def _float32(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)
