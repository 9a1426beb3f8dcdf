import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_variables import random_variables

from vivit_jax.models.families import create_model
from vivit_jax.weights.layers import flatten, stack_layers, unflatten, unstack_layers
from vivit_jax.weights.parameters import variable_shapes

TINY = {"hidden_size": 8, "num_heads": 2, "mlp_dim": 16, "tubelet": (2, 4, 4), "clip": (4, 8, 8), "num_classes": 3}


@pytest.mark.parametrize("factorisation", ["factorised_encoder", pytest.param("factorised_self_attention", marks=pytest.mark.slow)])
def test_stacked_parameters_are_those_of_the_scanned_model_and_give_its_logits(factorisation):
    layered = create_model(factorisation=factorisation, num_layers=3, temporal_layers=2, **TINY)
    scanned = create_model(factorisation=factorisation, num_layers=3, temporal_layers=2, scan_layers=True, **TINY)
    video = jax.random.normal(jax.random.key(1), (1, 4, 8, 8, 3))
    params = random_variables(layered.config)["params"]
    expected = jax.eval_shape(scanned.init, jax.random.key(0), video)["params"]
    stacked = stack_layers(params)
    assert jax.tree.map(jnp.shape, stacked) == jax.tree.map(jnp.shape, expected)
    np.testing.assert_allclose(
        jax.jit(scanned.apply)({"params": stacked}, video), jax.jit(layered.apply)({"params": params}, video), atol=1e-5
    )


def test_unstacking_is_the_inverse_of_stacking_bit_by_bit_beyond_ten_layers():
    layered = {"encoder": {f"block_{i:02d}": {"kernel": np.full((2,), float(i))} for i in range(102)}, "head": np.ones(3)}
    restored = unstack_layers(stack_layers(layered))
    assert jax.tree.structure(restored) == jax.tree.structure(layered)
    jax.tree.map(np.testing.assert_array_equal, restored, layered)


def test_flat_paths_name_every_layer_and_lead_back_to_the_scanned_tree():
    stacked = {"encoder": {"blocks": {"mlp": {"kernel": np.arange(6.0).reshape(3, 2)}}}}
    flat = flatten(stacked)
    assert list(flat) == [f"encoder/block_0{i}/mlp/kernel" for i in range(3)]
    jax.tree.map(np.testing.assert_array_equal, unflatten(flat, scan_layers=True), stacked)


@pytest.mark.parametrize(
    "options",
    [
        {"factorisation": "factorised_encoder", "num_layers": 3, "temporal_layers": 2},
        {"factorisation": "factorised_encoder", "num_layers": 2, "temporal_layers": 0, "pool": "mean"},
        {"factorisation": "factorised_self_attention", "num_layers": 3, "pool": "mean_then_norm"},
        {"factorisation": "factorised_dot_product_attention", "num_layers": 2, "num_classes": {"verb": 3, "noun": 2}},
    ],
)
def test_the_shapes_told_by_one_block_are_those_of_the_model_in_the_order_of_their_paths(options):
    model = create_model(**TINY | {"attention": "xla"} | options)
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 4, 8, 8, 3)))["params"]
    assert list(variable_shapes(model.config).items()) == [(path, leaf.shape) for path, leaf in flatten(params).items()]
