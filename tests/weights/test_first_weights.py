"""The program that draws the first weights is compiled in a hurry, and draws what one compiled with every pass draws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from vivit_jax.models.families import build, family_of
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.weights.initialise import fresh_variables
from vivit_jax.weights.layers import flatten_variables

EVERY_PASS = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}  # XLA's default, which conftest.py changes


def test_a_hurried_compilation_draws_the_same_bits():
    widths = {"hidden_size": 24, "num_layers": 1, "num_heads": 2, "mlp_dim": 40, "temporal_layers": 0}
    model = ViViTConfig("factorised_encoder", tubelet=(2, 8, 8), clip=(4, 16, 16), num_classes=5, **widths)
    video = jnp.zeros((1, *model.clip, 3))
    drawn, module = fresh_variables(model, seed=3), build(family_of(model).plain(model))

    @functools.partial(jax.jit, compiler_options=EVERY_PASS)
    def draw(key):
        flat = flatten_variables(module.init(key, video))
        return {path: flat[path] for path in drawn}

    for path, values in draw(jax.random.key(3)).items():
        np.testing.assert_array_equal(drawn[path], np.asarray(values), err_msg=path)
    assert sum(values.std() > 0 for values in drawn.values()) > 5
