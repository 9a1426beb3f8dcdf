"""ResNets over time and space: what they cost, how they train beside torch's, how they are explained, what they refuse."""

import functools
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vivit_jax.analysis import complexity
from vivit_jax.errors import UserError
from vivit_jax.inference.relevance import integrated_gradients, log_odds
from vivit_jax.models.families import build, create_model, family_of, make_config
from vivit_jax.models.resnet3d.batch_norm import BatchNorm
from vivit_jax.preprocess import Preprocess
from vivit_jax.training.config import LossConfig, OptimizerConfig, ParallelConfig, TrainingConfig
from vivit_jax.training.devices.executors import make_executor
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.state import create_state
from vivit_jax.training.step import make_train_step
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.convert import convert
from vivit_jax.weights.layers import flatten_variables

CLIP, BATCH, STEPS, CLASSES = (8, 48, 48), 4, 3, 5
RATE, MOMENTUM = 0.02, 0.9


@pytest.mark.parametrize(
    ("architecture", "parameters", "gmac", "grid"),  # parameters and GMAC of torchvision 0.29.1's `Weights.meta`
    [
        ("r3d_18", 33_371_472, 40.697, (2, 7, 7)),
        ("mc3_18", 11_695_440, 43.343, (16, 7, 7)),
        ("r2plus1d_18", 31_505_325, 40.519, (2, 7, 7)),
    ],
)
def test_costs_are_torchvisions(architecture, parameters, gmac, grid):
    config = create_model(family="resnet3d", architecture=architecture, num_classes=400, clip=(16, 112, 112)).config
    assert complexity.count_parameters(config) == parameters
    assert complexity.count_arithmetic(config).products / 1e9 == pytest.approx(gmac, abs=5e-4)
    assert family_of(config).cells(config).shape == grid


def tiny(architecture="r3d_18", **options):
    return make_config("resnet3d", {"architecture": architecture, "width": 8, "clip": CLIP, "num_classes": CLASSES} | options)


def trained(config, variables, batches, parallel):
    """Our variables by path after some steps of the train step that every run takes."""
    executor = make_executor(ParallelConfig(**parallel))
    optimizer = OptimizerConfig(name="sgd", learning_rate=RATE, momentum=MOMENTUM, weight_decay=0.0)
    optimizer = make_optimizer(optimizer, optax.constant_schedule(RATE), variables["params"], config)
    state = executor.place(lambda tree: create_state(tree, optimizer, averaged=False), variables)
    model = build(config, axis_name=executor.axis_name)
    options = {"axis_name": executor.axis_name, "gather": executor.gather}
    step = make_train_step(model, Preprocess(8, 1, 48, (48, 48)), optimizer, LossConfig(), TrainingConfig(), **options)
    step, seed = executor.compile_train(step, state), executor.place_whole(np.uint32(0))
    for batch in batches:
        state, _ = step(state, executor.to_devices(batch), seed)
    return flatten_variables(executor.to_host(state.model_variables))


@functools.cache
def trained_by_torch(architecture):
    """The batches, our variables of torch's first weights, and those of its weights after as many steps."""
    import resnets
    import torch

    model = resnets.randomise(resnets.NarrowResNet(architecture, CLASSES)).train()
    generator = np.random.default_rng(0)
    batches = [
        {"video": generator.integers(0, 256, (BATCH, *CLIP, 3), np.uint8), "label": generator.integers(0, CLASSES, BATCH, np.int32)}
        for _ in range(STEPS)
    ]
    before = ours(model)
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=MOMENTUM)
    for batch in batches:
        optimizer.zero_grad()
        video = torch.from_numpy(batch["video"]).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        torch.nn.functional.cross_entropy(model(video), torch.from_numpy(batch["label"]).long()).backward()
        optimizer.step()
    return batches, before, flatten_variables(ours(model).variables)


def ours(model):
    """A torch model as ours."""
    import resnets

    with tempfile.TemporaryDirectory() as folder:
        path = resnets.write(model, pathlib.Path(folder) / "weights.safetensors")
        return convert(path, {"clip": CLIP}, InitConfig()).pretrained


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "parallel"),
    [
        ("r3d_18", {"data": 1}),
        ("mc3_18", {"data": 1}),
        ("r2plus1d_18", {"data": 1}),
        ("r2plus1d_18", {"data": 2}),
        ("r2plus1d_18", {"mode": "pmap", "data": 2}),
    ],
    ids=["r3d", "mc3", "r2plus1d", "r2plus1d-two-devices", "r2plus1d-pmap"],
)
def test_steps_of_descent_are_torchs(architecture, parallel):
    pytest.importorskip("torchvision", reason="parity needs the extra `parity`: pip install -e .[parity]")
    batches, before, expected = trained_by_torch(architecture)
    actual = trained(before.model.config, before.variables, batches, parallel)
    first = flatten_variables(before.variables)
    assert actual.keys() == expected.keys()
    for path, values in expected.items():
        moved = np.abs(values - first[path]).max()
        assert moved > 1e-4, path
        worst[path] = max(worst.get(path, 0), np.abs(actual[path] - values).max() / moved)
    print(sorted(worst.items(), key=lambda i: -i[1])[:8])


worst = {}


def test_relevances_add_up_to_the_score():
    config = tiny("r2plus1d_18", clip=(8, 32, 32))
    model = build(config)
    video = jax.random.normal(jax.random.key(1), (8, 32, 32, 3))
    variables = jax.jit(model.init)(jax.random.key(0), video[None])
    relevance = integrated_gradients(lambda clip: log_odds(model.apply(variables, clip), 1), video, family_of(config).cells(config))
    assert relevance.tokens.shape == config.grid
    assert relevance.tokens.sum() == pytest.approx(relevance.score - relevance.blank, rel=0.05)


def test_a_batch_of_one_value_a_channel_cannot_be_normalised():
    model = BatchNorm()
    variables = model.init(jax.random.key(0), jnp.ones((2, 1, 1, 1, 3)), train=False)
    with pytest.raises(UserError, match="more than one value a channel"):
        model.apply(variables, jnp.ones((1, 1, 1, 1, 3)), train=True, mutable=["batch_stats"])
    held = BatchNorm(frozen=True).apply(variables, jnp.ones((1, 1, 1, 1, 3)), train=True, mutable=["batch_stats"])
    np.testing.assert_array_equal(held[1]["batch_stats"]["mean"], variables["batch_stats"]["mean"])
