"""What each parameter's learning rate is, which parameters decay, and which stand still."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from vivit_jax.analysis.training_memory import trained_parameters
from vivit_jax.errors import UserError
from vivit_jax.models.families import build
from vivit_jax.models.probe.config import ProbeConfig, described
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.models.vivit.family import height
from vivit_jax.training.config import OptimizerConfig, ScheduleConfig
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.schedule import make_schedule
from vivit_jax.training.setup import optimizer_of
from vivit_jax.weights.layers import flatten, stack_layers

CONFIG = ViViTConfig(**tiny.MODEL, num_classes=4)
FACTORISED = ViViTConfig(**tiny.MODEL, num_classes=4, factorisation="factorised_encoder")


@functools.cache
def params_of(config):
    shapes = jax.eval_shape(build(config).init, jax.random.key(0), jnp.zeros((1, *config.clip, 3)))["params"]
    generator = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: generator.normal(size=leaf.shape).astype(np.float32), shapes)


def updates(optimizer, params, gradients):
    @jax.jit
    def update(params, gradients):
        return optimizer.transform.update(optimizer.without_frozen(gradients), optimizer.transform.init(params), params)[0]

    return jax.device_get(update(params, gradients))


def sgd(**options):
    return OptimizerConfig(**({"name": "sgd", "momentum": 0.0, "learning_rate": 1.0} | options))


def factors_by_path(config, model=CONFIG):
    """The factors, read off the updates of plain gradient descent on gradients of one."""
    params = params_of(model)
    optimizer = make_optimizer(config, optax.constant_schedule(1.0), params, model)
    moved = updates(optimizer, params, jax.tree.map(np.ones_like, params))
    return {name: -np.unique(leaf)[0] for name, leaf in flatten(moved).items() if len(np.unique(leaf)) == 1}


def test_the_first_pattern_that_matches_wins():
    factors = factors_by_path(sgd(multipliers=(("head/bias", 3.0), ("head", 10.0), ("block_00/mlp", 0.0))))
    assert factors["head/bias"] == 3
    assert factors["head/kernel"] == 10
    assert factors["transformer/encoder/block_00/mlp/in/kernel"] == 0
    assert factors["transformer/encoder/block_01/mlp/in/kernel"] == 1


@pytest.mark.parametrize("pattern", ["heads", "block_02", "head/kernel$"], ids=["nothing", "no_such_layer", "already_matched"])
def test_a_pattern_that_matches_nothing_is_refused(pattern):
    with pytest.raises(UserError, match=r"matches no parameter .* named as .*transformer/encoder"):
        factors_by_path(sgd(multipliers=(("head", 2.0), (pattern, 0.1))))


def test_a_pattern_that_is_no_regular_expression_is_refused():
    with pytest.raises(UserError, match="not a regular expression"):
        factors_by_path(sgd(multipliers=(("head(", 2.0),)))


def test_freezing_everything_is_refused():
    with pytest.raises(UserError, match="nothing to train"):
        factors_by_path(sgd(multipliers=((".", 0.0),)))


def test_frozen_parameters_stand_still_and_take_no_state():
    params = params_of(CONFIG)
    config = OptimizerConfig(weight_decay=0.1, clip_norm=1.0, multipliers=(("head", 1.0), (".", 0.0)))
    optimizer = make_optimizer(config, optax.constant_schedule(1.0), params, CONFIG)
    state = optimizer.transform.init(params)
    assert sum(leaf.size for leaf in jax.tree.leaves(state) if leaf.ndim) == 2 * (16 * 4 + 4)
    moved = flatten(updates(optimizer, params, jax.tree.map(lambda leaf: 100 * np.ones_like(leaf), params)))
    assert {name for name, leaf in moved.items() if np.any(leaf)} == {"head/kernel", "head/bias"}


@pytest.mark.parametrize("name", ["sgd", "adamw", "lamb", "lion"])
def test_weight_decay_leaves_the_backbone_of_a_probe_as_it_is(name):
    """Its gradients are zero, and decay is not: of a kernel of 1 it would leave 0.7 after a step."""
    backbone = described(dataclasses.replace(CONFIG, num_classes=None))
    model = ProbeConfig(backbone, num_classes=4, kind="attentive")
    sections = tiny.experiment(optimizer={"name": name, "learning_rate": 1.0, "weight_decay": 0.3}, schedule={"name": "constant"})
    params = params_of(model)
    optimizer = optimizer_of(sections, params, model, total=10, warmup=0)
    moved = flatten(updates(optimizer, params, jax.tree.map(np.zeros_like, params)))
    assert {path.partition("/")[0] for path, leaf in moved.items() if np.any(leaf)} == {"pool", "head"}
    nearest = ProbeConfig(backbone, num_classes=4, kind="knn", neighbours=1)
    with pytest.raises(UserError, match="nothing to train"):
        optimizer_of(sections, params_of(nearest), nearest, total=10, warmup=0)


def test_frozen_gradients_count_in_no_norm():
    params = params_of(CONFIG)
    optimizer = make_optimizer(sgd(multipliers=(("head/bias", 1.0), (".", 0.0)), clip_norm=1.0), lambda step: 1.0, params, CONFIG)
    moved = flatten(updates(optimizer, params, jax.tree.map(np.ones_like, params)))
    np.testing.assert_allclose(moved["head/bias"], -np.ones(4) / 2, rtol=1e-6)  # four ones have norm 2


def test_layers_decay_from_the_head_down():
    factors = factors_by_path(sgd(layer_decay=0.5))
    assert factors["head/kernel"] == 1
    assert factors["transformer/encoder/norm/scale"] == 1
    assert factors["transformer/encoder/block_01/mlp/in/kernel"] == 0.5
    assert factors["transformer/encoder/block_00/attention/query/kernel"] == 0.25
    assert factors["tokenizer/kernel"] == factors["transformer/encoder/position"] == factors["transformer/encoder_cls"] == 0.125


def test_the_temporal_encoder_stands_on_the_spatial_one():
    names = (
        "tokenizer/kernel",
        "transformer/spatial_encoder/position",
        "transformer/spatial_encoder/block_01/mlp/in/kernel",
        "transformer/spatial_encoder/norm/scale",
        "transformer/temporal_encoder_cls",
        "transformer/temporal_encoder/block_00/mlp/in/kernel",
        "transformer/temporal_encoder/norm/scale",
        "head/kernel",
    )
    assert [height(FACTORISED, name) for name in names] == [0, 0, 2, 2, 2, 3, 4, 4]


def test_weight_decay_falls_on_kernels_alone():
    params = params_of(CONFIG)
    optimizer = make_optimizer(sgd(weight_decay=0.1), lambda step: 1.0, params, CONFIG)
    moved, flat = flatten(updates(optimizer, params, jax.tree.map(np.zeros_like, params))), flatten(params)
    for name, leaf in moved.items():
        np.testing.assert_allclose(leaf, -0.1 * flat[name] if name.endswith("kernel") else np.zeros_like(leaf), rtol=1e-6)


def test_of_scanned_layers_those_decay_that_the_pattern_matches():
    params = params_of(CONFIG)
    config = sgd(weight_decay=0.1, weight_decay_pattern="block_01/.*kernel$|head/kernel$")
    stacked = stack_layers(params)
    optimizer = make_optimizer(config, lambda step: 1.0, stacked, CONFIG)
    moved = flatten(updates(optimizer, stacked, jax.tree.map(np.zeros_like, stacked)))
    for name, leaf in flatten(params).items():
        decays = name.endswith("kernel") and ("block_01" in name or "head" in name)
        np.testing.assert_allclose(moved[name], -0.1 * leaf if decays else np.zeros_like(leaf), rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_frozen_layers_are_counted_one_by_one(scan_layers):
    """By hand: the first block is frozen, of width 16 with an MLP of 32."""
    model, optimizer = {"scan_layers": scan_layers}, {"multipliers": (("block_00/", 0.0),)}
    trained, frozen = trained_parameters(tiny.experiment(model=model, optimizer=optimizer))
    assert frozen == 4 * (16 * 16 + 16) + (16 * 32 + 32) + (32 * 16 + 16) + 2 * 2 * 16
    assert trained + frozen == trained_parameters(tiny.experiment(model=model))[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"name": "sgd", "momentum": 0.9, "weight_decay": 0.05, "nesterov": True, "clip_norm": 0.5},
        {"name": "adamw", "weight_decay": 0.1, "b1": 0.8, "layer_decay": 0.75},
    ],
)
def test_steps_are_those_of_torchs_optimisers(options):
    """Kernels alone decay, and a parameter's rate falls with its distance from the head, as by torch's groups of parameters."""
    torch = pytest.importorskip("torch", reason="needs the extra `parity`")
    config = OptimizerConfig(learning_rate=0.1, **options)
    params, rng = params_of(CONFIG), np.random.default_rng(1)
    theirs = {name: torch.nn.Parameter(torch.tensor(leaf)) for name, leaf in flatten(params).items()}
    rates = {name: 0.1 * config.layer_decay ** (height(CONFIG, "head") - height(CONFIG, name)) for name in theirs}
    groups = [
        {"params": [parameter], "lr": rates[name], "weight_decay": config.weight_decay if name.endswith("kernel") else 0.0}
        for name, parameter in theirs.items()
    ]
    if config.name == "sgd":
        torch_optimizer = torch.optim.SGD(groups, momentum=config.momentum, nesterov=config.nesterov)
    else:
        torch_optimizer = torch.optim.AdamW(groups, betas=(config.b1, config.b2))
    optimizer = make_optimizer(config, optax.constant_schedule(0.1), params, CONFIG)
    state, update = optimizer.transform.init(params), jax.jit(optimizer.transform.update)
    for _ in range(4):
        gradients = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), params)
        moves, state = update(gradients, state, params)
        params = optax.apply_updates(params, moves)
        for name, gradient in flatten(gradients).items():
            theirs[name].grad = torch.tensor(gradient)
        if config.clip_norm:
            torch.nn.utils.clip_grad_norm_(list(theirs.values()), config.clip_norm)
        torch_optimizer.step()
    for name, leaf in flatten(params).items():
        np.testing.assert_allclose(leaf, theirs[name].detach().numpy(), atol=5e-6, err_msg=name)


@pytest.mark.parametrize("name", ["sgd", "adamw", "lamb", "lion"])
def test_scanned_layers_are_updated_as_unrolled_ones(name):
    options = {"multipliers": (("block_00/mlp", 0.0), ("block_01/attention", 3.0)), "layer_decay": 0.7}
    config = OptimizerConfig(name=name, weight_decay=0.1, **options)
    params = params_of(CONFIG)
    gradients = jax.tree.map(lambda leaf: np.sin(7 * leaf), params)
    unrolled = updates(make_optimizer(config, lambda step: 0.1, params, CONFIG), params, gradients)
    stacked = stack_layers(params)
    scanned = updates(make_optimizer(config, lambda step: 0.1, stacked, CONFIG), stacked, stack_layers(gradients))
    expected, actual = flatten(unrolled), flatten(jax.device_get(scanned))
    assert expected.keys() == actual.keys()
    for path in expected:
        np.testing.assert_allclose(actual[path], expected[path], atol=1e-6, err_msg=path)
    assert not np.any(actual["transformer/encoder/block_00/mlp/in/kernel"])


@pytest.mark.parametrize(
    ("config", "steps", "rates"),
    [
        (ScheduleConfig(), (0, 10, 55, 100), (0.0, 1.0, 0.5, 0.0)),
        (ScheduleConfig(final=0.2), (100,), (0.2,)),
        (ScheduleConfig(name="constant"), (5, 10, 100), (0.5, 1.0, 1.0)),
        (ScheduleConfig(name="step", milestones=(0.5, 0.8)), (10, 49, 51, 81), (1.0, 1.0, 0.1, 0.01)),
        (ScheduleConfig(name="step", milestones=(0.498, 0.502)), (49, 51), (1.0, 0.01)),  # both are step 50
        (ScheduleConfig(name="step", milestones=(0.05, 0.8)), (5, 10, 81), (0.5, 0.1, 0.01)),  # within the warm-up
    ],
    ids=["cosine", "cosine_final", "constant", "step", "steps_that_meet", "step_in_the_warm_up"],
)
def test_the_learning_rate_warms_up_and_follows_its_curve(config, steps, rates):
    schedule = make_schedule(config, 1.0, total=100, warmup=10)
    np.testing.assert_allclose([schedule(step) for step in steps], rates, atol=1e-6)


def test_a_warm_up_longer_than_the_run_is_refused():
    with pytest.raises(UserError, match="warm-up of 10 steps does not fit into a run of 10"):
        make_schedule(ScheduleConfig(), 1.0, total=10, warmup=10)
