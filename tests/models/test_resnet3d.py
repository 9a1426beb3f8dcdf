"""ResNets over time and space: what they cost, how they train beside torch's, how they are explained, what they refuse."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vivit_jax.analysis import complexity
from vivit_jax.errors import UserError
from vivit_jax.inference.relevance import integrated_gradients, log_odds
from vivit_jax.models.convolutional.batch_norm import BatchNorm
from vivit_jax.models.convolutional.computation import Computation
from vivit_jax.models.convolutional.convolution import Conv
from vivit_jax.models.families import build, create_model, family_of, make_config
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
RATE, MOMENTUM = 0.002, 0.9


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
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):  # few values near zero, where rounding decides over a ReLU and a step over the next
            module.bias.data += 3
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
    import pathlib
    import tempfile

    import resnets

    with tempfile.TemporaryDirectory() as folder:
        path = resnets.write(model, pathlib.Path(folder) / "weights.safetensors")
        return convert(path, {"clip": CLIP}, InitConfig()).pretrained


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "parallel", "convolutions"),
    [
        ("r3d_18", {"data": 1}, "3d"),
        ("mc3_18", {"data": 1}, "3d"),
        ("r2plus1d_18", {"data": 1}, "3d"),
        ("r2plus1d_18", {"data": 2}, "2d"),
        ("r2plus1d_18", {"mode": "pmap", "data": 2}, "3d"),
    ],
    ids=["r3d", "mc3", "r2plus1d", "r2plus1d-two-devices-as-on-gpus", "r2plus1d-pmap"],
)
def test_steps_of_descent_are_torchs(architecture, parallel, convolutions):
    pytest.importorskip("torchvision", reason="parity needs the extra `parity`: pip install -e '.[parity]'")
    batches, before, expected = trained_by_torch(architecture)
    actual = trained(dataclasses.replace(before.model.config, convolutions=convolutions), before.variables, batches, parallel)
    first = flatten_variables(before.variables)
    assert actual.keys() == expected.keys()
    for path, values in expected.items():
        moved = np.abs(values - first[path]).max()
        np.testing.assert_allclose(actual[path], values, rtol=0, atol=1e-3 * moved + 2e-7 * np.abs(values).max(), err_msg=path)
        assert moved > 1e-7, path


@pytest.fixture(scope="module")
def sharp():
    """A tiny network with no variable at its first value, and a clip."""
    config = tiny("r2plus1d_18", clip=(6, 32, 40))
    rng = np.random.default_rng(0)

    def draw(leaf):
        noise = (
            rng.normal(size=leaf.shape) / np.sqrt(leaf.size / leaf.shape[-1]) if len(leaf.shape) > 1 else rng.uniform(0.5, 1, leaf.shape)
        )
        return noise.astype(np.float32)

    variables = jax.tree.map(draw, complexity.variable_tree(config))
    return build(config), variables, jnp.asarray(rng.normal(size=(*config.clip, 3)), jnp.float32)


@pytest.mark.slow
def test_the_heat_adds_up_to_the_score(sharp):
    model, variables, video = sharp
    cells = family_of(model.config).cells(model.config)
    relevance = integrated_gradients(lambda clip: log_odds(model.apply(variables, clip), 1), video, cells)
    assert cells.shape == relevance.tokens.shape == (1, 2, 3)
    assert cells.sums(np.ones((6, 32, 40))).sum() == 6 * 32 * 40
    assert relevance.tokens.sum() == pytest.approx(relevance.score - relevance.blank, rel=0.03)


@pytest.mark.parametrize("clip", [(16, 112, 112), (5, 37, 50), (1, 16, 16)])
@pytest.mark.parametrize("architecture", ["mc3_18", "r2plus1d_18", "i3d_50"])
def test_cells_are_the_grid_of_the_last_stage(architecture, clip):
    config = tiny(architecture, clip=clip, num_classes=None)
    _, state = jax.eval_shape(
        lambda: build(config).init_with_output(
            jax.random.key(0), jnp.zeros((1, *clip, 3)), capture_intermediates=True, mutable=["params", "batch_stats", "intermediates"]
        )
    )
    (features,) = state["intermediates"]["stage_4"]["__call__"]
    cells = family_of(config).cells(config)
    assert features.shape[1:4] == cells.shape
    assert sorted(frame for frames in cells.frames for frame in frames) == list(range(clip[0]))
    assert (cells.rows[-1], cells.columns[-1]) == clip[1:]


def test_heights_rise_from_the_stem_to_the_head():
    config = tiny("i3d_50", num_classes={"verb": 3, "noun": 2})
    paths = complexity.parameter_tree(config)
    heights = {part: family_of(config).height(config, f"{part}/conv_1/kernel") for part in ("stem", "stage_1/block_00", "stage_4/block_02")}
    assert heights == {"stem": 0, "stage_1/block_00": 1, "stage_4/block_02": 16}
    assert {family_of(config).height(config, f"{head}/kernel") for head in paths if head.startswith("head")} == {17}
    assert [group.name.split("/")[0] for group in complexity.parameter_groups(config)][:: len(paths)][0] == "stem"


def test_the_running_variance_is_unbiased_and_frozen_statistics_stay():
    x = np.random.default_rng(0).normal(3, 2, (2, 3, 4)).astype(np.float32)
    norm = BatchNorm()
    variables = norm.init(jax.random.key(0), x, train=True)
    assert variables["batch_stats"]["mean"].tolist() == [0] * 4
    y, moved = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    rows = x.reshape(-1, 4).astype(np.float64)
    np.testing.assert_allclose(moved["batch_stats"]["mean"], 0.1 * rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(moved["batch_stats"]["var"], 0.9 + 0.1 * rows.var(0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(y.reshape(-1, 4), (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5), rtol=1e-4, atol=1e-5)
    still, unmoved = BatchNorm(frozen=True).apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(still, x / np.sqrt(1 + 1e-5), rtol=1e-6)
    assert unmoved["batch_stats"]["var"].tolist() == [1] * 4


@pytest.mark.parametrize("train", [True, False])
def test_devices_of_pmap_share_their_statistics(train):
    x = np.random.default_rng(0).normal(3, 2, (6, 3, 4)).astype(np.float32)
    variables = BatchNorm().init(jax.random.key(0), x, train=False)
    expected, state = BatchNorm().apply(variables, x, train=train, mutable=["batch_stats"])
    parts = jax.pmap(
        lambda part: BatchNorm("devices").apply(variables, part, train=train, mutable=["batch_stats"]), "devices", devices=jax.devices()[:2]
    )
    actual, states = parts(x.reshape(2, 3, 3, 4))
    np.testing.assert_allclose(actual.reshape(x.shape), expected, rtol=1e-5, atol=1e-6)
    for ours, whole in zip(jax.tree.leaves(states), jax.tree.leaves(state), strict=True):
        np.testing.assert_allclose(ours, np.stack([whole, whole]), rtol=1e-6)


@pytest.mark.parametrize("one_pass", [False, True])
def test_a_variance_keeps_its_digits_far_from_zero(one_pass):
    x = (1e4 + np.arange(8, dtype=np.float32)).reshape(8, 1)
    norm = BatchNorm(one_pass=one_pass)
    y, _ = norm.apply(norm.init(jax.random.key(0), x, train=False), x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(y.ravel(), (np.arange(8) - 3.5) / np.sqrt(5.25), rtol=1e-5)


def test_one_pass_gives_the_gradients_of_the_definition():
    rng = np.random.default_rng(0)
    x, weights = (jnp.asarray(rng.normal(2, 3, (2, 3, 4, 5)), jnp.float32) for _ in range(2))
    variables = BatchNorm().init(jax.random.key(0), x, train=False)
    params = {"scale": jnp.asarray(rng.uniform(0.5, 1, 5), jnp.float32), "bias": jnp.asarray(rng.normal(size=5), jnp.float32)}

    def outcome(norm):
        def loss(x, params):
            y, state = norm.apply(variables | {"params": params}, x, train=True, mutable=["batch_stats"])
            return (weights * jnp.sin(y)).sum(), state

        return jax.value_and_grad(loss, (0, 1), has_aux=True)(x, params)

    for actual, expected in zip(*(jax.tree.leaves(outcome(BatchNorm(one_pass=way))) for way in (True, False)), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_channels_of_zeros_stay_zeros_and_have_no_parameters():
    x = jnp.asarray(np.random.default_rng(0).normal(3, 2, (2, 3, 5)), jnp.float32)
    wide = jnp.pad(x, ((0, 0), (0, 0), (0, 3)))
    norm, narrow = BatchNorm(channels=5, one_pass=True), BatchNorm(one_pass=True)
    variables = norm.init(jax.random.key(0), wide, train=False)
    variables = variables | {"params": {"scale": jnp.full(5, 0.7), "bias": jnp.full(5, 0.3)}}
    (y, moved), (expected, stats) = (
        each.apply(variables, z, train=True, mutable=["batch_stats"]) for each, z in ((norm, wide), (narrow, x))
    )
    np.testing.assert_array_equal(y[..., 5:], 0)
    np.testing.assert_array_equal(y[..., :5], expected)
    np.testing.assert_array_equal(moved["batch_stats"]["var"], stats["batch_stats"]["var"])


@pytest.mark.parametrize("shape", [(8, 10, 3), (6, 4, 3)])
@pytest.mark.parametrize("kernel", [(3, 7, 7), (1, 3, 5)])
def test_a_convolution_over_blocks_is_that_over_pixels(kernel, shape):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, *shape)), jnp.float32)
    plain = Conv(5, kernel, (1, 2, 2))
    variables = plain.init(jax.random.key(0), x)
    for how in (Computation(in_blocks=True), Computation(in_blocks=True, in_eights=True, as_2d=True)):
        np.testing.assert_allclose(plain.clone(computation=how).apply(variables, x), plain.apply(variables, x), rtol=1e-4, atol=1e-5)


def test_a_single_value_a_channel_is_refused_in_training():
    model = create_model(family="resnet3d", width=1, clip=(1, 8, 8), num_classes=2)
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1, 8, 8, 3)))
    train = functools.partial(model.apply, train=True, mutable=["batch_stats"])
    with pytest.raises(UserError, match="more than one value per channel"):
        jax.eval_shape(train, variables, jnp.zeros((1, 1, 8, 8, 3)))
    jax.eval_shape(train, variables, jnp.zeros((2, 1, 8, 8, 3)))
    jax.eval_shape(functools.partial(model.apply, train=False), variables, jnp.zeros((1, 1, 8, 8, 3)))


def test_bfloat16_stays_in_the_convolutions(sharp):
    model, variables, video = sharp
    half = build(make_config("resnet3d", model.config.to_dict() | {"dtype": "bfloat16"}))
    logits, state = jax.jit(functools.partial(half.apply, train=True, mutable=["batch_stats"]))(variables, video[None])
    assert logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype("float32")}
    program = str(jax.make_jaxpr(functools.partial(half.apply, train=False))(variables, video[None]))
    convolutions = [line for line in program.splitlines() if "conv_general_dilated[" in line]
    assert convolutions
    assert all("bf16" in line for line in convolutions)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"architecture": "r3d_19"}, "did you mean 'r3d_18'"),
        ({"clip": (16, 112)}, "must be"),
        ({"clip": (0, 16, 16)}, "clip t must be a whole number"),
        ({"width": 0}, "width must be a whole number"),
        ({"num_classes": {"verb": 0}}, "num_classes.verb"),
        ({"dropout": 1.0}, "dropout"),
        ({"frozen_statistics": 1}, "frozen_statistics"),
        ({"convolutions": "4d"}, "convolutions"),
    ],
)
def test_what_cannot_be_built_is_refused(options, told):
    with pytest.raises(UserError, match=told):
        create_model(family="resnet3d", **options)
