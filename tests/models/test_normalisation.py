"""LayerNorm is its definition in float64, and its kernels are the definition with its gradients, the residual's included.

Interpreted, a kernel cannot write past its array, so that a mask missing from a store is seen on a GPU alone.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closeness import relative
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from pallas_triton import NEEDS_TRITON

from vivit_jax.models.kernels.layer_norm import LayerNorm, fork, normalised

EPSILON = 1e-6
INTERPRET = jax.default_backend() != "gpu"


def draw(shape, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 5)
    x, branch, residual = (2 * jax.random.normal(key, shape, dtype) + 1 for key in keys[:3])
    return x, *(jax.random.normal(key, shape[-1:]) for key in keys[3:]), branch, residual


def plain(x, scale, bias):
    return x, normalised(x, scale, bias, EPSILON)


def test_the_definition_in_float64():
    x, scale, bias, *_ = draw((3, 7, 24))
    exact = np.asarray(x, np.float64)
    exact = (exact - exact.mean(-1, keepdims=True)) / np.sqrt(exact.var(-1, keepdims=True) + EPSILON) * np.asarray(scale) + np.asarray(bias)
    same, y = LayerNorm(EPSILON, "auto", jnp.float32).apply({"params": {"scale": scale, "bias": bias}}, x)
    assert relative(y, exact) < 1e-6
    np.testing.assert_array_equal(same, x)


# Widths that are and are not powers of two; more and fewer tokens than one program sums over, and a number that does not divide.
@NEEDS_TRITON
@pytest.mark.parametrize("shape", [(2, 5, 24), (1, 64, 32), (2, 3, 15, 12)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.float16, 1e-3), (jnp.bfloat16, 1e-2)])
def test_the_kernels_are_the_definition_with_its_gradients(shape, dtype, tolerance):
    x, scale, bias, branch, residual = draw(shape, dtype)
    out, backward = jax.vjp(functools.partial(fork, epsilon=EPSILON, interpret=INTERPRET), x, scale, bias)
    expected, plain_backward = jax.vjp(plain, x, scale, bias)
    np.testing.assert_array_equal(out[0], x)
    assert relative(out[1], expected[1]) < tolerance
    dx, *summed = backward((residual, branch))
    wanted_dx, *wanted = plain_backward((residual, branch))
    assert dx.dtype == dtype and relative(dx, wanted_dx) < tolerance
    for actual, expected in zip(summed, wanted, strict=True):  # in float32 whatever the tokens are
        assert actual.dtype == jnp.float32 and relative(actual, expected) < 1e-5


@NEEDS_TRITON
def test_gradients_have_the_type_of_their_parameters():
    x, scale, bias, branch, residual = draw((2, 5, 24), jnp.bfloat16)
    scale, bias = scale.astype(jnp.bfloat16), bias.astype(jnp.bfloat16)
    gradients = jax.vjp(functools.partial(fork, epsilon=EPSILON, interpret=INTERPRET), x, scale, bias)[1]((residual, branch))
    assert {gradient.dtype for gradient in gradients} == {jnp.dtype(jnp.bfloat16)}


@NEEDS_TRITON
@pytest.mark.skipif(jax.device_count() < 8, reason="eight devices, virtual or real")
def test_the_kernels_run_on_each_devices_part():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    x, scale, bias, branch, residual = draw((8, 5, 24))

    def gradients(x, scale, bias, branch, residual):
        return jax.vjp(functools.partial(fork, epsilon=EPSILON, interpret=True), x, scale, bias)[1]((residual, branch))

    divided = [jax.device_put(array, NamedSharding(mesh, PartitionSpec("data"))) for array in (x, branch, residual)]
    compiled = jax.jit(gradients).lower(divided[0], scale, bias, *divided[1:]).compile()
    assert "all-gather(" not in compiled.as_text()
    expected = jax.vjp(plain, x, scale, bias)[1]((residual, branch))
    for actual, wanted in zip(compiled(divided[0], scale, bias, *divided[1:]), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-5)
