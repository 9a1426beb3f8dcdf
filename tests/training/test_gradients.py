"""Sharpness-aware minimisation against the arithmetic of its paper."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from vivit_jax.models.vivit.model import ViViT
from vivit_jax.training.config import OptimizerConfig
from vivit_jax.training.gradients import sharpness_aware
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.state import create_state
from vivit_jax.training.step import make_train_step


def test_of_a_quadratic_the_gradient_is_the_one_on_paper():
    """Of w^T A w / 2 the gradient is A w, and at the worst point A (w + rho A w / |A w|); `w` is cut into two parameters."""
    hessian, point, rho = np.array([[3.0, 1.0, 0.0], [1.0, 2.0, 0.5], [0.0, 0.5, 1.0]]), np.array([1.0, -2.0, 0.5]), 0.3

    def loss(params, collections, batch, key):
        w = jnp.concatenate([params["a"], params["b"]])
        return w @ jnp.asarray(hessian) @ w / 2, jnp.zeros(())

    params = {"a": jnp.asarray(point[:1]), "b": jnp.asarray(point[1:])}
    (value, _), gradients = sharpness_aware(jax.value_and_grad(loss, has_aux=True), rho)(params, {}, {}, jax.random.key(0))
    slope = hessian @ point
    expected = hessian @ (point + rho * slope / np.linalg.norm(slope))
    np.testing.assert_allclose(value, point @ slope / 2, rtol=1e-6)
    np.testing.assert_allclose(np.concatenate([gradients["a"], gradients["b"]]), expected, rtol=1e-5)
    assert not np.allclose(expected, slope, rtol=1e-2)


@pytest.mark.slow
def test_both_passes_of_a_step_make_the_same_draws_and_leave_frozen_parameters_alone():
    """A step of plain descent with dropout and stochastic depth, the tokenizer frozen, against two gradients with one key."""
    experiment = tiny.experiment(model={"dropout": 0.2, "stochastic_depth": 0.5}, training={"mixup": 0.0})
    model, batch, rho = ViViT(experiment.model), next(tiny.Batches(8)), 0.5
    params = jax.device_get(jax.jit(model.init)(jax.random.key(1), jnp.zeros((1, *tiny.CLIP, 3))))["params"]
    params["head"]["kernel"] = np.random.default_rng(2).normal(size=params["head"]["kernel"].shape).astype(np.float32)
    config = OptimizerConfig(name="sgd", momentum=0.0, sam_rho=rho, multipliers=(("tokenizer", 0.0),))
    optimizer = make_optimizer(config, optax.constant_schedule(1.0), params, experiment.model)
    step = jax.jit(make_train_step(model, tiny.PREPROCESS, optimizer, experiment.loss, experiment.training))
    state, metrics = step(jax.jit(functools.partial(create_state, optimizer=optimizer, averaged=False))({"params": params}), batch, 3)

    key = jax.random.split(jax.random.fold_in(jax.random.key(3), 0))[1]
    video = jnp.asarray(batch["video"] / 127.5 - 1, jnp.float32)

    @jax.jit
    @jax.value_and_grad
    def loss(params):
        logits = model.apply({"params": params}, video, train=True, rngs={"dropout": key})
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), batch["label"][:, None], axis=1).mean()

    value, slope = loss(params)
    slope["tokenizer"] = jax.tree.map(jnp.zeros_like, slope["tokenizer"])
    length = np.sqrt(sum(float(np.square(leaf).sum()) for leaf in jax.tree.leaves(slope)))
    gradient = loss(jax.tree.map(lambda leaf, up: leaf + rho * up / length, params, slope))[1]
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
    np.testing.assert_array_equal(state.params["tokenizer"]["kernel"], params["tokenizer"]["kernel"])
    expected = params["head"]["kernel"] - gradient["head"]["kernel"]
    np.testing.assert_allclose(state.params["head"]["kernel"], expected, atol=1e-5)
    assert np.abs(gradient["head"]["kernel"] - slope["head"]["kernel"]).max() > 1e-2
