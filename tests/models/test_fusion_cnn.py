"""The fusion CNNs against a twin in torch, an independent count, and the paper's temporal extents."""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vivit_jax.analysis.complexity import count_arithmetic, count_parameters
from vivit_jax.errors import UserError
from vivit_jax.inference.relevance import integrated_gradients, log_odds
from vivit_jax.models.families import create_model
from vivit_jax.models.fusion_cnn.config import FUSIONS, FusionCNNConfig
from vivit_jax.models.fusion_cnn.family import cells, height
from vivit_jax.models.fusion_cnn.model import FusionCNN, context_of, fovea_of, response_normalisation
from vivit_jax.training.paths import leaf_names

FRAMES = {"single_frame": 1, "early": 10, "late": 2, "slow": 10}
BOTH = [(fusion, multiresolution) for fusion in FUSIONS for multiresolution in (False, True)]
SMALL = {"filters": (6, 5, 4, 7, 3), "hidden": (8, 6), "num_classes": 4}


def small(fusion="slow", multiresolution=False, side=None, **options):
    clip = (FRAMES[fusion], side or 30, (side or 30) + 4)  # 34 and 30 are odd at some pooling
    return FusionCNNConfig(fusion=fusion, multiresolution=multiresolution, **SMALL | {"clip": clip} | options)


def random_params(config, seed=0):
    """Every parameter drawn, biases and head too, of a size that keeps the signal's."""
    shapes = jax.eval_shape(FusionCNN(config).init, jax.random.key(0), jnp.zeros((1, *config.clip, 3)))["params"]
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.normal(0, 1.4 / np.sqrt(max(1, np.prod(leaf.shape[:-1]))), leaf.shape).astype(np.float32), shapes)


def random_video(config, count=2, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, (count, *config.clip, 3)).astype(np.float32)


@pytest.mark.parametrize(("fusion", "multiresolution"), BOTH)
def test_logits_are_those_of_the_twin_in_torch(fusion, multiresolution):
    pytest.importorskip("torch", reason="needs the extra `parity`")
    import fusion_twin
    import torch

    config = small(fusion, multiresolution)
    params, video = random_params(config), random_video(config)
    ours = np.asarray(jax.jit(FusionCNN(config).apply)({"params": params}, video))
    theirs = fusion_twin.logits(fusion_twin.as_tensors(params), torch.tensor(video), fusion, multiresolution).numpy()
    assert np.abs(theirs).std() > 1e-3
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("fusion", "multiresolution"), [("slow", True), ("late", False)])
def test_gradients_are_those_of_the_twin_in_torch(fusion, multiresolution):
    pytest.importorskip("torch", reason="needs the extra `parity`")
    import fusion_twin
    import torch

    config = small(fusion, multiresolution)
    params, video = random_params(config), random_video(config)

    def loss(params):
        return jnp.square(FusionCNN(config).apply({"params": params}, video) - 1).sum()

    ours = jax.jit(jax.grad(loss))(params)
    tensors = fusion_twin.as_tensors(params, grad=True)
    (fusion_twin.logits(tensors, torch.tensor(video), fusion, multiresolution) - 1).square().sum().backward()
    theirs = jax.tree.map(lambda tensor: tensor.grad.numpy(), tensors)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max()), ours, theirs)


def test_response_normalisation_is_the_sum_over_five_channels_around_each():
    x = np.random.default_rng(0).normal(0, 100, (2, 3, 9)).astype(np.float32)
    expected = np.empty_like(x, np.float64)
    for channel in range(9):
        around = x[..., max(0, channel - 2) : channel + 3].astype(np.float64)
        expected[..., channel] = x[..., channel] / (2 + 1e-4 * (around**2).sum(-1)) ** 0.75
    np.testing.assert_allclose(response_normalisation(x), expected, rtol=1e-5)
    assert response_normalisation(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def parameters_by_hand(fusion, multiresolution, classes=487):
    """From the paper's description: filters by what each sees, one bias each, and the fully connected layers on maps of 7 x 7 x 256."""
    spans = {"early": (10, 1, 1), "slow": (4, 2, 2)}.get(fusion, (1, 1, 1))
    streams = 2 if multiresolution else 1
    conv = (11 * 11 * 3 * spans[0] + 1) * 96 + (25 * 96 * spans[1] + 1) * 256 + (9 * 256 * spans[2] + 1) * 384
    conv += (9 * 384 + 1) * 384 + (9 * 384 + 1) * 256
    towers = 2 if fusion == "late" else 1
    return streams * conv + (7 * 7 * 256 * streams * towers + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * classes


@pytest.mark.parametrize(("fusion", "multiresolution"), BOTH)
def test_parameters_are_those_counted_by_hand(fusion, multiresolution):
    config = FusionCNNConfig(fusion=fusion, multiresolution=multiresolution, num_classes=487)
    assert count_parameters(config) == parameters_by_hand(fusion, multiresolution)


@pytest.mark.parametrize(
    ("fusion", "multiresolution", "total"),
    [("single_frame", False, 73_908_071), ("early", False, 74_221_703), ("late", False, 125_288_295), ("slow", False, 75_511_751)],
)
def test_parameters_of_the_papers_networks(fusion, multiresolution, total):
    assert parameters_by_hand(fusion, multiresolution) == total


@pytest.mark.parametrize(("fusion", "multiresolution"), BOTH)
def test_both_streams_end_in_maps_of_7_by_7_by_256_at_the_papers_sizes(fusion, multiresolution):
    config = FusionCNNConfig(fusion=fusion, multiresolution=multiresolution, num_classes=487)
    side = 178 if multiresolution else 170
    assert config.clip == (FRAMES[fusion], side, side)
    model = FusionCNN(config)
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *config.clip, 3)))
    apply = functools.partial(model.apply, mutable="intermediates")
    _, state = jax.eval_shape(apply, {"params": variables["params"]}, jnp.zeros((1, *config.clip, 3)))
    maps = {name: values["maps"][0].shape for name, values in state["intermediates"].items()}
    names = ("context", "fovea") if multiresolution else ("stream",)
    assert maps == {name: (1, 2 if fusion == "late" else 1, 7, 7, 256) for name in names}


def frames_seen(config):
    """For each convolution and each of its responses along time, the frames that change it."""
    video, params = random_video(config, 1), random_params(config)

    def energies(video):
        _, state = FusionCNN(config).apply({"params": params}, video, capture_intermediates=True, mutable="intermediates")
        layers = state["intermediates"]["stream"]
        return {name: jnp.square(layers[name]["__call__"][0]).sum((0, 2, 3, 4)) for name in layers if name.startswith("conv")}

    gradients = jax.jit(jax.jacrev(energies))(video)
    return {name: [tuple(np.flatnonzero(np.abs(one).sum((0, 2, 3, 4))).tolist()) for one in rows] for name, rows in gradients.items()}


@pytest.mark.parametrize(
    ("config", "layers"),
    [
        (small(side=24), {"conv1": ["0-3", "2-5", "4-7", "6-9"], "conv2": ["0-5", "4-9"], "conv3": ["0-9"], "conv5": ["0-9"]}),
        (small(clip=(14, 24, 24)), {"conv2": ["0-5", "4-9", "8-13"], "conv3": ["0-13"]}),
        (small("early", side=24), {"conv1": ["0-9"]}),
        (small("late", side=24), {"conv1": ["0-0", "1-1"], "conv5": ["0-0", "1-1"]}),
    ],
)
def test_the_frames_that_each_layer_sees(config, layers):
    seen = frames_seen(config)
    for name, expected in layers.items():
        ranges = [tuple(map(int, text.split("-"))) for text in expected]
        assert seen[name] == [tuple(range(first, last + 1)) for first, last in ranges], name


def test_the_context_is_the_frame_at_half_size_and_the_fovea_its_centre():
    frame = np.random.default_rng(0).uniform(0, 1, (178, 178, 3)).astype(np.float32)
    context, fovea = (np.asarray(part(frame[None, None])[0, 0]) for part in (context_of, fovea_of))
    np.testing.assert_allclose(context, cv2.resize(frame, (89, 89), interpolation=cv2.INTER_AREA), atol=1e-6)
    np.testing.assert_array_equal(fovea, frame[44:133, 44:133])


def test_multiply_accumulates_are_those_counted_by_hand():
    """Responses times what each sees; slow fusion has 4, 2 and 1 of them along time."""
    by_layer = [57**2 * 96 * 363, 28**2 * 256 * 2400, 14**2 * 384 * 2304, 14**2 * 384 * 3456, 14**2 * 256 * 3456]
    full = 7 * 7 * 256 * 4096 + 4096**2 + 4096 * 487
    slow = sum(a * b for a, b in zip(by_layer, (4 * 4, 2 * 2, 2, 1, 1), strict=True)) + full
    for fusion, expected in (("single_frame", sum(by_layer) + full), ("slow", slow)):
        assert count_arithmetic(FusionCNNConfig(fusion=fusion, num_classes=487)).products == expected


def test_the_signal_keeps_its_size_through_fresh_weights():
    config = FusionCNNConfig(fusion="single_frame", clip=(1, 46, 46), filters=(48, 96, 96, 96, 64), hidden=(256, 256))
    features = jax.jit(FusionCNN(config).init_with_output)(jax.random.key(0), random_video(config))[0]
    assert 0.1 < np.asarray(features).std() < 10


def test_dropout_is_drawn_in_training_alone():
    config = small("single_frame", hidden=(64, 64))
    params, video = random_params(config), random_video(config)

    @functools.partial(jax.jit, static_argnums=0)
    def logits(train, seed):
        return FusionCNN(config).apply({"params": params}, video, train=train, rngs={"dropout": jax.random.key(seed)})

    np.testing.assert_array_equal(logits(False, 0), logits(False, 1))
    assert np.abs(logits(True, 0) - logits(True, 1)).max() > 1e-4


def test_in_bfloat16_parameters_and_logits_are_float32_and_about_the_same():
    config, half = small("late"), small("late", dtype="bfloat16")
    params, video = random_params(config), random_video(config)
    whole, rough = (np.asarray(jax.jit(FusionCNN(c).apply)({"params": params}, video)) for c in (config, half))
    assert rough.dtype == np.float32
    assert np.abs(whole - rough).max() < 0.03 * np.abs(whole).max()
    assert {leaf.dtype for leaf in jax.tree.leaves(jax.eval_shape(FusionCNN(half).init, jax.random.key(0), video))} == {
        jnp.dtype("float32")
    }


def test_relevances_of_the_boxes_add_up_to_the_score():
    config = small("late", multiresolution=True)
    boxes = cells(config)
    assert all((np.diff(edges) > 0).all() for edges in (boxes.rows, boxes.columns))
    pixels = np.random.default_rng(0).normal(size=config.clip)
    assert boxes.sums(pixels).sum() == pytest.approx(pixels.sum())
    model, params = FusionCNN(config), random_params(config)
    relevance = integrated_gradients(
        lambda clips: log_odds(model.apply({"params": params}, clips), 0),
        jnp.asarray(random_video(config, 1)[0]),
        boxes,
        tolerance=0.05,
        max_steps=24,
    )
    assert relevance.tokens.shape == boxes.shape
    assert relevance.tokens.sum() == pytest.approx(relevance.score - relevance.blank, rel=0.1)


def test_heights_rise_from_the_pixels_to_the_head():
    config = small("slow", True)
    heights = {path: height(config, path) for path in leaf_names(random_params(config))}
    order = sorted(heights, key=lambda path: (heights[path], path))
    layers = list(dict.fromkeys(path.split("/")[-2] for path in order))
    assert layers == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "head"]


def test_several_heads_and_none():
    video = random_video(small("late"))
    logits = create_model(family="fusion_cnn", fusion="late", **SMALL | {"clip": (2, 30, 34), "num_classes": {"verb": 2, "noun": 3}})
    shapes = jax.eval_shape(logits.init_with_output, jax.random.key(0), video)[0]
    assert {head: leaf.shape for head, leaf in shapes.items()} == {"verb": (2, 2), "noun": (2, 3)}
    none = FusionCNN(small("late", num_classes=None))
    assert jax.eval_shape(none.init_with_output, jax.random.key(0), video)[0].shape == (2, 6)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"fusion": "slow", "clip": (12, 170, 170)}, "10 or 14"),
        ({"fusion": "single_frame", "clip": (3, 170, 170)}, "takes 1$"),
        ({"fusion": "late", "clip": (1, 170, 170)}, "takes 2$"),
        ({"multiresolution": True, "clip": (10, 178, 177)}, "177 pixels wide.* 176 or 178"),
        ({"clip": (10, 20, 170)}, "20 pixels high.* 22$"),
        ({"fusion": "sloww"}, "unknown model.fusion 'sloww'"),
        ({"filters": (1, 2, 3)}, "5 numbers"),
        ({"hidden": (0, 4)}, "at least 1"),
        ({"dropout": (0.5, 1.0)}, "dropout"),
    ],
)
def test_what_cannot_be_built_is_refused_with_what_can(options, told):
    with pytest.raises(UserError, match=told):
        FusionCNNConfig(**options)


@pytest.mark.parametrize("multiresolution", [False, True])
def test_the_smallest_frames_have_one_place_in_the_last_map(multiresolution):
    side = 20 if multiresolution else 22
    assert small(multiresolution=multiresolution, clip=(10, side, side)).map_side(side) == 1
    with pytest.raises(UserError, match=str(side)):
        small(multiresolution=multiresolution, clip=(10, side - 2, side))


@pytest.mark.parametrize(("fusion", "multiresolution"), BOTH)
def test_a_config_of_its_plain_values_is_the_same(fusion, multiresolution):
    config = small(fusion, multiresolution, num_classes={"verb": 2, "noun": 3})
    assert FusionCNNConfig(**config.to_dict()) == config
    assert hash(config)
