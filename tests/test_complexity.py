"""Counting a model's cost: against XLA's own count, arithmetic done by hand, and arrays really allocated."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest

from vivit_jax.analysis import complexity
from vivit_jax.analysis.training_memory import activation_bytes
from vivit_jax.models.vivit.config import FACTORISATIONS, ViViTConfig
from vivit_jax.models.vivit.model import ViViT

SMALL = {"hidden_size": 16, "num_layers": 3, "num_heads": 2, "mlp_dim": 32, "clip": (4, 32, 32), "tubelet": (2, 8, 8), "num_classes": 5}


def small(factorisation="factorised_encoder", **options):
    return ViViTConfig(factorisation=factorisation, **(SMALL | options))


@pytest.mark.parametrize("factorisation", FACTORISATIONS)
@pytest.mark.parametrize("as_run", [True, False])
def test_arithmetic_is_what_xla_counts(factorisation, as_run):
    config = small(factorisation)
    video = jax.ShapeDtypeStruct((1, *config.clip, 3), jnp.float32)
    apply = functools.partial(ViViT(config).apply, mutable=[] if as_run else ["intermediates"])
    lowered = jax.jit(apply).lower({"params": complexity.parameter_tree(config)}, video)
    counted = complexity.count_arithmetic(config, as_run=as_run).multiply_accumulates
    assert counted == pytest.approx(lowered.cost_analysis()["flops"] / 2, rel=0.01)


@pytest.mark.parametrize("options", [{"scan_layers": True}, {"remat": True}, {"scan_layers": True, "remat": True}])
def test_arithmetic_does_not_depend_on_how_the_layers_are_run(options):
    assert complexity.count_arithmetic(small(**options)) == complexity.count_arithmetic(small())


def test_products_and_convolutions_are_counted_by_hand():
    def program(x, kernel, image):
        y = jax.lax.fori_loop(0, 3, lambda _, x: x @ x, x)
        y = jax.lax.cond(y.sum() > 0, lambda y: y @ y, lambda y: y, y)
        return y, jax.lax.conv_general_dilated(image, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    jaxpr = jax.make_jaxpr(program)(jnp.ones((4, 4)), jnp.ones((2, 2, 3, 5)), jnp.ones((1, 8, 8, 3))).jaxpr
    assert complexity.arithmetic(jaxpr).products == (3 + 1) * 4**3 + (4 * 4 * 5) * (2 * 2 * 3)


def test_training_counts_the_patches_and_examples_that_it_keeps():
    drops = {"patch_dropout": 0.5, "stochastic_depth": 0.5, "stochastic_depth_skips": True, "pool": "mean", "remat": True}
    config = small("spatio_temporal_attention", **drops)
    width, hidden, patches, kept, head = 16, 32, 2 * 4 * 4, 2 * 4 * 4 // 2, 16 * 5
    block = kept * (4 * width**2 + 2 * width * hidden) + 2 * kept**2 * width
    examples = [8, 8 - 2, 8 - 4]  # of the three layers, whose rates are 0, 1/4 and 1/2
    tokenizer = 8 * patches * 2 * 8 * 8 * 3 * width
    above = 8 * head + sum(examples) * block
    by_hand = 2 * tokenizer + 3 * above  # the video has no gradient
    assert complexity.count_training_products(config, 8) == by_hand
    assert complexity.count_training_products(config, 8, parts=2) == by_hand
    plain = small("spatio_temporal_attention", pool="mean")
    forward = 8 * complexity.count_arithmetic(plain, as_run=True).products
    assert complexity.count_training_products(plain, 8) == 3 * forward - tokenizer
    assert complexity.count_training_products(config, 8, frozen=lambda path: not path.startswith("head")) == tokenizer + above + 8 * head


def test_the_gradients_of_a_convolution_are_as_much_work_as_itself():
    def convolved(image, kernel):
        return jax.lax.conv_general_dilated(image, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")).sum()

    gradients = jax.make_jaxpr(jax.value_and_grad(convolved, argnums=(0, 1)))(jnp.ones((3, 8, 8, 3)), jnp.ones((2, 2, 3, 5)))
    assert complexity.arithmetic(gradients.jaxpr).products == 3 * (3 * 4 * 4 * 5) * (2 * 2 * 3)


def test_a_loop_of_unknown_length_is_not_guessed():
    jaxpr = jax.make_jaxpr(lambda x: jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ x, x))(jnp.ones((2, 2))).jaxpr
    with pytest.raises(ValueError, match="while loop"):
        complexity.arithmetic(jaxpr)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_groups_hold_every_parameter_once(scan_layers):
    config = small(num_classes={"verb": 3, "noun": 4}, scan_layers=scan_layers)
    variables = jax.eval_shape(ViViT(config).init, jax.random.key(0), jnp.zeros((1, *config.clip, 3)))
    groups = complexity.parameter_groups(config)
    assert sum(group.parameters for group in groups) == sum(leaf.size for leaf in jax.tree.leaves(variables))
    assert sum(group.parameters for group in groups) == complexity.count_parameters(config)
    assert [groups[0].name, {groups[-2].name, groups[-1].name}] == ["tokenizer", {"head_verb", "head_noun"}]
    attention = next(group for group in groups if group.name == "transformer/spatial_encoder/blocks/attention")
    assert (attention.tensors, attention.parameters) == (3 * 8, 3 * 4 * (16 * 16 + 16))


def test_kept_activations_grow_with_the_batch_and_shrink_with_remat():
    config = small()
    one, four = activation_bytes(config), activation_bytes(config, batch=4)
    assert 3.5 * one < four <= 4 * one + 4096
    assert activation_bytes(dataclasses.replace(config, remat=True)) < one / 3


def test_a_model_too_big_for_this_machine_is_counted_without_allocating_it():
    config = ViViTConfig(size="H", hidden_size=16384, num_layers=48, mlp_dim=65536, scan_layers=True, num_classes=10)
    assert complexity.count_parameters(config) > 1e11
