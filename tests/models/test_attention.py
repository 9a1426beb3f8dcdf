"""Every way to compute attention is its definition, forward and backward, at even and odd lengths, and on a divided batch."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closeness import relative
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from pallas_triton import NEEDS_TRITON

from vivit_jax.models.kernels import attention as backends
from vivit_jax.models.kernels import memory_layout as layout
from vivit_jax.models.kernels import time_attention
from vivit_jax.models.kernels.attention import choose_backend, dot_product_attention, padded_length
from vivit_jax.models.kernels.platform import this_machine
from vivit_jax.models.vivit.attention import SPACE, TIME, MultiHeadAttention

NEEDS_GPU = pytest.mark.skipif(jax.default_backend() != "gpu", reason="cuDNN runs on NVIDIA GPUs")
NEEDS_FA3 = pytest.mark.skipif(not this_machine().runs_fa3, reason="FlashAttention-3 runs on Hopper GPUs, by the extra fa3")


def definition(query, key, value, length=None):
    """(b, n, k, f) in float64, head by head."""
    query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
    out = np.zeros(query.shape)
    for b, k in np.ndindex(query.shape[0], query.shape[2]):
        scores = query[b, :, k] @ key[b, :length, k].T / np.sqrt(query.shape[-1])
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        out[b, :, k] = weights / weights.sum(axis=-1, keepdims=True) @ value[b, :length, k]
    return out


def draw(shape, dtype=jnp.float32, count=4):
    return [jax.random.normal(key, shape, dtype) for key in jax.random.split(jax.random.key(0), count)]


@pytest.mark.parametrize("tokens", [6, 261, 512])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(
    ("backend", "dtype", "tolerance"),
    [
        ("xla", jnp.float32, 1e-6),
        ("chunked", jnp.float32, 1e-6),
        pytest.param("cudnn", jnp.bfloat16, 1e-2, marks=NEEDS_GPU),
        pytest.param("fa3", jnp.bfloat16, 1e-2, marks=NEEDS_FA3),
    ],
)
def test_a_backend_is_the_definition_with_its_gradients(backend, dtype, tolerance, tokens, padding):
    length = tokens - padding if padding else None
    real = slice(length)
    query, key, value, gradient = draw((2, tokens + tokens % 2 if backend == "cudnn" else tokens, 2, 16), dtype)
    if backend == "cudnn" and tokens % 2:
        length, real = length or tokens, slice(length or tokens)
    gradient = gradient.at[:, real.stop or tokens :].set(0)
    attend = functools.partial(dot_product_attention, backend=backend, length=length)
    out, backward = jax.vjp(attend, query, key, value)
    assert relative(out[:, real], definition(query, key, value, length)[:, real]) < tolerance
    plain = jax.vjp(
        functools.partial(dot_product_attention, backend="xla", length=length), *(x.astype(jnp.float32) for x in (query, key, value))
    )[1]
    for actual, expected in zip(backward(gradient), plain(gradient.astype(jnp.float32)), strict=True):
        assert relative(actual, expected) < tolerance


def test_the_gradient_of_the_definition_is_its_slope():
    query, key, value, gradient = draw((1, 5, 1, 4))
    dquery = jax.vjp(dot_product_attention, query, key, value)[1](gradient)[0]
    step = 1e-6 * np.random.default_rng(0).normal(size=query.shape)
    query = np.asarray(query, np.float64)
    rise = (definition(query + step, key, value) - definition(query - step, key, value)) / 2
    assert (np.asarray(dquery, np.float64) * step).sum() == pytest.approx((rise * np.asarray(gradient, np.float64)).sum(), rel=1e-4)


def over_time(query, key, value):
    swapped = dot_product_attention(*(x.swapaxes(1, 2) for x in (query, key, value)), backend="xla")
    return swapped.swapaxes(1, 2)


@NEEDS_TRITON
@pytest.mark.parametrize("grid", [(16, 4), *(pytest.param(grid, marks=pytest.mark.slow) for grid in ((8, 12), (32, 3))), (2, 8)])
def test_the_kernel_over_time_is_the_definition_with_its_gradients(grid):
    assert time_attention.takes_grid(*grid, 16)
    query, key, value, gradient = draw((2, *grid, 2, 16))
    out, backward = jax.vjp(lambda *x: time_attention.attend_over_time(*x, jax.default_backend() != "gpu"), query, key, value)
    expected, plain = jax.vjp(over_time, query, key, value)
    assert relative(out, expected) < 1e-5
    for actual, wanted in zip(backward(gradient), plain(gradient), strict=True):
        assert relative(actual, wanted) < 1e-5


@pytest.mark.parametrize(("times", "places", "head_dim"), [(12, 196, 64), (4, 3, 64), (256, 4, 64), (16, 196, 80)])
def test_the_kernel_over_time_leaves_other_grids_to_the_rest(times, places, head_dim):
    assert not time_attention.takes_grid(times, places, head_dim)


@pytest.mark.parametrize("axes", [(SPACE,), (TIME,), (TIME, SPACE)])
@pytest.mark.parametrize("backend", ["xla", "chunked"])
def test_asking_for_some_tokens_gives_what_they_have_among_all(axes, backend):
    attention = MultiHeadAttention(num_heads=4, axes=axes, backend=backend)
    (x,) = draw((2, 3, 6, 16), count=1)
    variables = attention.init(jax.random.key(1), x)
    some = attention.apply(variables, x, 2)
    assert some.shape == (2, 3, 2, 16)
    assert relative(some, attention.apply(variables, x)[:, :, :2]) < 1e-6


@pytest.mark.parametrize("length", [None, 5])
def test_a_keys_bias_changes_nothing_and_learns_nothing(length):
    attention = MultiHeadAttention(num_heads=4, length=length)
    (x,) = draw((2, 3, 6, 16), count=1)
    params = attention.init(jax.random.key(1), x)["params"]
    moved = params | {"key": params["key"] | {"bias": params["key"]["bias"] + draw((4, 4), count=1)[0]}}
    expected, actual = (attention.apply({"params": values}, x)[..., :length, :] for values in (params, moved))
    assert relative(actual, expected) < 1e-5
    gradient = jax.grad(lambda params: (attention.apply({"params": params}, x)[..., :length, :] ** 2).sum())(moved)
    np.testing.assert_array_equal(gradient["key"]["bias"], 0)
    assert np.abs(gradient["query"]["bias"]).max() > 0


def test_cudnn_is_asked_for_even_lengths_and_by_every_token(monkeypatch):
    """Where the kernel over time does not fit, an odd number of times is padded; where a cls token alone asks, cuDNN is not called."""
    given = []

    def cudnn(query, key, value, length):
        given.append((query.shape[-3], key.shape[-3], length))
        return dot_product_attention(query, key, value, backend="xla", length=length)

    monkeypatch.setattr(backends, "_cudnn_attention", cudnn)
    grids = draw((2, 5, 3, 2, 16), count=3)
    assert relative(backends.time_attention(*grids, backend="cudnn"), over_time(*grids)) < 1e-6
    query, key, value = draw((2, 6, 2, 16), count=3)
    alone = dot_product_attention(query[:, :1], key, value, backend="cudnn", length=5)
    assert relative(alone, definition(query, key, value, 5)[:, :1]) < 1e-6
    assert given == [(6, 6, 5)]


@NEEDS_GPU
@pytest.mark.parametrize("grid", [(5, 4), (12, 6), (65, 3)])
def test_cudnn_takes_the_grids_that_the_kernel_over_time_does_not(grid):
    assert not time_attention.takes_grid(*grid, 16)
    query, key, value, gradient = draw((2, *grid, 2, 16), jnp.bfloat16)
    out, backward = jax.vjp(functools.partial(backends.time_attention, backend="cudnn"), query, key, value)
    expected, plain = jax.vjp(over_time, *(x.astype(jnp.float32) for x in (query, key, value)))
    assert relative(out, expected) < 1e-2
    for actual, wanted in zip(backward(gradient), plain(gradient.astype(jnp.float32)), strict=True):
        assert relative(actual, wanted) < 1e-2


@NEEDS_TRITON
@pytest.mark.skipif(jax.device_count() < 8, reason="eight devices, virtual or real")
def test_operations_of_our_own_run_on_each_devices_part():
    """Neither the kernel nor the layout makes a device gather what belongs to others, and the gradients are those of one device."""
    mesh = jax.make_mesh((4, 2), ("data", "tensor"), axis_types=(AxisType.Auto,) * 2)
    grids = draw((4, 16, 4, 2, 16), count=3)

    def loss(attend, query, key, value):
        return (attend(layout.constrained(query), key, value) ** 2).sum()

    kernel = functools.partial(time_attention.attend_over_time, interpret=True)
    expected = jax.grad(functools.partial(loss, over_time), argnums=(0, 1, 2))(*grids)
    divided = [jax.device_put(grid, NamedSharding(mesh, PartitionSpec("data"))) for grid in grids]
    compiled = jax.jit(jax.grad(functools.partial(loss, kernel), argnums=(0, 1, 2))).lower(*divided).compile()
    assert not re.findall(r"all-gather\(|all-to-all\(|collective-permute\(", compiled.as_text())
    for actual, wanted in zip(compiled(*divided), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-5)


def test_long_sequences_without_cudnn_are_computed_in_chunks():
    assert choose_backend("auto", 3137, 64, jnp.float32) == "chunked"
    assert choose_backend("auto", 197, 64, jnp.float32) == "xla"
    assert choose_backend("xla", 3137, 64, jnp.float32) == "xla"
    assert padded_length(197, "cudnn", 64, jnp.bfloat16) == 198
    assert padded_length(197, "auto", 64, jnp.float32) == 197
