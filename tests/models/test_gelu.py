"""GELU after a bias is its formula in float64, and its kernel takes the gradients of the definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closeness import relative
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from pallas_triton import NEEDS_TRITON

from vivit_jax.models.kernels.gelu import TOKENS, biased_gelu, gelu_gradients

INTERPRET = jax.default_backend() != "gpu"


def draw(shape, dtype=jnp.float32):
    x, gradient, bias = (3 * jax.random.normal(key, shape, dtype) for key in jax.random.split(jax.random.key(0), 3))
    return x, gradient, bias.reshape(-1, shape[-1])[0].astype(jnp.float32)


def exact(x):
    """The tanh form and its slope in float64."""
    inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    slope = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)
    return x * (1 + np.tanh(inner)) / 2, (1 + np.tanh(inner)) / 2 + x * slope / (2 * np.cosh(inner) ** 2)


def test_the_tanh_form_and_its_gradients_in_float64():
    x, gradient, bias = draw((2, 5, 16))
    out, backward = jax.vjp(lambda x, bias: biased_gelu(x, bias, "gelu_tanh", "auto"), x, bias)
    value, slope = exact(np.asarray(x, np.float64) + np.asarray(bias, np.float64))
    dx, dbias = backward(gradient)
    assert relative(out, value) < 1e-6
    assert relative(dx, gradient * slope) < 1e-6
    assert relative(dbias, (gradient * slope).sum((0, 1))) < 1e-6


def test_the_exact_form_is_that_of_erf():
    x, gradient, bias = draw((2, 5, 16))
    out, backward = jax.vjp(lambda x, bias: biased_gelu(x, bias, "gelu", "auto"), x, bias)
    expected, plain = jax.vjp(lambda x, bias: (x + bias) * jax.scipy.stats.norm.cdf(x + bias), x, bias)
    assert relative(out, expected) < 1e-6
    for actual, wanted in zip(backward(gradient), plain(gradient), strict=True):
        assert relative(actual, wanted) < 1e-5


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="counts what XLA makes of it on a CPU")
def test_the_forward_pass_does_not_keep_its_tanh():
    """Each of two layers has a tanh, and computes it again in the backward pass: kept, it would take as much memory as the hidden units."""
    x, kernel, bias = draw((8, 32), jnp.float32)[0], *draw((32, 32))[::2]

    def loss(x, kernel, bias):
        for _ in range(2):
            x = x + biased_gelu(x @ kernel, bias, "gelu_tanh", "xla") @ kernel.T
        return (x**2).sum()

    program = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(x, kernel, bias).compile().as_text()
    assert program.count(" tanh(") == 4


@NEEDS_TRITON
@pytest.mark.parametrize("shape", [(2, 5, 64), (1, TOKENS + 3, 384), (2, 3, 7, 512)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.float16, 1e-3), (jnp.bfloat16, 1e-2)])
def test_the_kernel_takes_the_gradients_of_the_definition(shape, dtype, tolerance):
    argument, gradient, _ = draw(shape, dtype)
    dx, dbias = gelu_gradients(argument, gradient, INTERPRET)
    wanted = np.asarray(gradient, np.float64) * exact(np.asarray(argument, np.float64))[1]
    assert dx.dtype == dtype and dbias.dtype == jnp.float32
    assert relative(dx, wanted) < tolerance
    assert relative(dbias, wanted.reshape(-1, shape[-1]).sum(0)) < 1e-5


@NEEDS_TRITON
@pytest.mark.parametrize("extreme", [1e4, -1e4, 30.0, -30.0, 0.0])
def test_the_kernel_is_finite_far_out(extreme):
    argument = jnp.full((1, 1, 64), extreme)
    dx, _ = gelu_gradients(argument, jnp.ones_like(argument), INTERPRET)
    np.testing.assert_allclose(dx, (np.sign(extreme) + 1) / 2, atol=1e-6)


@NEEDS_TRITON
@pytest.mark.skipif(jax.device_count() < 8, reason="eight devices, virtual or real")
def test_the_kernel_runs_on_each_devices_part():
    """Of the batch, and of the hidden units, which tensor parallelism divides."""
    mesh = jax.make_mesh((4, 2), ("data", "tensor"), axis_types=(AxisType.Auto,) * 2)
    argument, gradient, _ = draw((4, 5, 64))
    divided = [jax.device_put(array, NamedSharding(mesh, PartitionSpec("data", None, "tensor"))) for array in (argument, gradient)]
    compiled = jax.jit(lambda *arrays: gelu_gradients(*arrays, True)).lower(*divided).compile()
    assert "all-gather(" not in compiled.as_text()
    for actual, wanted in zip(compiled(*divided), gelu_gradients(argument, gradient, True), strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-5)
