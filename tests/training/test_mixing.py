"""Mixup and cutmix against NumPy, given the same draws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from vivit_jax.models.vivit.model import ViViT
from vivit_jax.training.config import LossConfig, OptimizerConfig
from vivit_jax.training.mixing import box_weights, pixel_weights
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.state import create_state
from vivit_jax.training.step import keys_of, make_train_step


def test_mixup_weights_all_pixels_alike():
    weights = np.asarray(pixel_weights(jax.random.key(0), 0.3, 0.0, 6, 8))
    assert weights.shape == (6, 8)
    assert 0 <= weights.min() == weights.max() <= 1


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_is_a_box_as_numpy_draws_it(seed):
    key, own, (height, width) = jax.random.key(seed), 0.6, (12, 20)
    centre = np.asarray(jax.random.uniform(key, (2,))) * (height, width)
    half = np.sqrt(1 - own) * np.array([height, width]) / 2
    expected = np.ones((height, width))
    (top, left), (bottom, right) = np.round(centre - half).astype(int).clip(0), np.round(centre + half).astype(int)
    expected[top:bottom, left:right] = 0
    np.testing.assert_array_equal(box_weights(key, jnp.asarray(own), height, width), expected)


def test_with_both_on_each_batch_draws_one_of_them():
    weights = [np.asarray(pixel_weights(jax.random.key(seed), 5.0, 5.0, 16, 16)) for seed in range(40)]
    boxes = sum(set(np.unique(w)) <= {0.0, 1.0} for w in weights)
    assert 8 < boxes < 32


@pytest.mark.parametrize(
    ("mixed", "mix_per"),
    [
        pytest.param({"mixup": 0.4}, "batch", marks=pytest.mark.slow),
        pytest.param({"cutmix": 1.0}, "batch", marks=pytest.mark.slow),
        ({"mixup": 0.4, "cutmix": 1.0}, "example"),
    ],
    ids=["mixup", "cutmix", "both_per_example"],
)
def test_the_step_minimises_the_loss_of_numpys_mixed_batch(mixed, mix_per):
    """The step's loss and update, against a batch that NumPy mixes and a loss that is written out."""
    experiment = tiny.experiment(training=mixed | {"mix_per": mix_per})
    model, batch = ViViT(experiment.model), next(tiny.Batches(8))
    params = jax.device_get(jax.jit(model.init)(jax.random.key(1), jnp.zeros((1, *tiny.CLIP, 3))))["params"]
    params["head"]["kernel"] = np.random.default_rng(2).normal(size=params["head"]["kernel"].shape).astype(np.float32)
    optimizer = make_optimizer(OptimizerConfig(name="sgd", momentum=0.0), optax.constant_schedule(1.0), params, experiment.model)
    loss = LossConfig(label_smoothing=0.1)
    step = jax.jit(make_train_step(model, tiny.PREPROCESS, optimizer, loss, experiment.training))
    state, metrics = step(jax.jit(functools.partial(create_state, optimizer=optimizer, averaged=False))({"params": params}), batch, 3)

    mix_key = jax.random.split(jax.random.fold_in(jax.random.key(3), 0))[0]
    keys = [mix_key] * 8 if mix_per == "batch" else [jax.random.fold_in(mix_key, row) for row in range(8)]
    weights = np.stack([pixel_weights(key, experiment.training.mixup, experiment.training.cutmix, 16, 16) for key in keys])
    assert len({weight.tobytes() for weight in weights}) == (1 if mix_per == "batch" else 8)
    clips = batch["video"].astype(np.float64) / 127.5 - 1
    video, targets = np.empty_like(clips), np.empty((8, 4))
    for row, weight in enumerate(weights):
        video[row] = weight[:, :, None] * clips[row] + (1 - weight[:, :, None]) * clips[7 - row]
        own, other = np.eye(4)[batch["label"][row]], np.eye(4)[batch["label"][7 - row]]
        targets[row] = 0.9 * (weight.mean() * own + (1 - weight.mean()) * other) + 0.1 / 4

    def expected_loss(params):
        log_probability = jax.nn.log_softmax(model.apply({"params": params}, jnp.asarray(video, jnp.float32)))
        return -(targets * log_probability).sum(axis=1).mean()

    value, gradient = jax.jit(jax.value_and_grad(expected_loss))(params)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
    assert metrics["loss"] > 0.1
    jax.tree.map(lambda new, old, g: np.testing.assert_allclose(new, old - g, rtol=1e-5, atol=1e-4), state.params, params, gradient)


def test_each_step_draws_anew_and_the_same_step_the_same():
    keys = [keys_of(0, step)[0] for step in (0, 1, 0)]
    first, second, again = (float(pixel_weights(key, 0.4, 0.0, 2, 2)[0, 0]) for key in keys)
    assert first == again != second
