"""Fault 17: on a still clip, a ViViT made of an image model computes the image model's own features.

Against an image ViT in NumPy float64, with a real ViT-S/14. Where equality cannot hold, and why:
Model 1 with a cls token and more than one time: every patch is there once a time and the cls token once, so that attention gives the cls
token less weight than in the image. It holds for one time, or without a cls token.
Model 3 has no cls token: its tokens are those of the image model run without one.
Model 4 spends half its heads on time, where a still clip shows each of them only itself.
"""

import functools

import jax
import numpy as np
import pytest
from image_vit import random_vit, tokens

from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.models.vivit.model import ViViT
from vivit_jax.weights import initialise
from vivit_jax.weights.config import InitConfig

TOLERANCE = 2e-4  # float32 against float64, features of order 1 to 10 through 12 layers

VITS14 = {"activation": "gelu", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "position_resize": "cubic"}
NAMES = {
    1: "spatio_temporal_attention",
    2: "factorised_encoder",
    3: "factorised_self_attention",
    4: "factorised_dot_product_attention",
}


@pytest.fixture(scope="module")
def vits14(shared_data):
    path = shared_data / "pretrained_vits14" / "vits14_google_layout_fp16.npz"
    arrays = np.load(path)
    return path, {name: arrays[name].astype(np.float32) for name in arrays.files}


def features_of(path, model, *, times=2, pixels=98, tubelet="central_frame", **options):
    """(image, features, sown intermediates, parameters) of a still clip."""
    config = ViViTConfig(
        factorisation=NAMES[model],
        size="S",
        temporal_layers=1,
        tubelet=(2, 14, 14),
        clip=(2 * times, pixels, pixels),
        scan_layers=True,
        **options,
    )
    started = initialise(config, InitConfig(source=str(path), tubelet=tubelet, **VITS14), 0)
    image = np.random.default_rng(3).normal(size=(pixels, pixels, 3)).astype(np.float32)
    video = np.broadcast_to(image, (1, 2 * times, *image.shape))
    apply = jax.jit(functools.partial(ViViT(started.model).apply, mutable=["intermediates"]))
    features, sown = apply(started.variables, video)
    return image, np.asarray(features[0]), sown["intermediates"]["transformer"], started.variables["params"]["transformer"]


def of_image(weights, image, positions, use_cls):
    return tokens(weights, image, positions, use_cls=use_cls, gelu="gelu")


@pytest.mark.fault(
    promise="An image model that becomes a Model 2 gives its own features on a still clip",
    provoked="a real ViT-S with both initialisations of the tubelets",
    seen="the image model's feature of each frame",
    trials=2,
)
@pytest.mark.parametrize("tubelet", ["central_frame", pytest.param("average", marks=pytest.mark.slow)])
def test_model_2_gives_each_frame_the_image_models_feature(vits14, tubelet):
    path, weights = vits14
    image, _, sown, params = features_of(path, 2, tubelet=tubelet)
    expected = of_image(weights, image, params["spatial_encoder"]["position"], use_cls=True)
    for frame in np.asarray(sown["frames"][0][0]):
        np.testing.assert_allclose(frame, expected[0], atol=TOLERANCE)


@pytest.mark.fault(
    promise="An image model that becomes a Model 3 gives its own features on a still clip",
    provoked="a real ViT-S with both initialisations of the tubelets",
    seen="the image model's tokens of each frame",
    trials=2,
)
@pytest.mark.slow
@pytest.mark.parametrize("tubelet", ["central_frame", "average"])
def test_model_3_gives_each_frame_the_image_models_tokens(vits14, tubelet):
    path, weights = vits14
    image, _, sown, params = features_of(path, 3, tubelet=tubelet)
    positions = np.concatenate([np.zeros((1, 384)), params["encoder"]["position"][0]])
    expected = of_image(weights, image, positions, use_cls=False)
    for frame in np.asarray(sown["tokens"][0][0]):
        np.testing.assert_allclose(frame, expected, atol=TOLERANCE)


@pytest.mark.parametrize("tubelet", ["central_frame", pytest.param("average", marks=pytest.mark.slow)])
def test_model_1_of_one_time_gives_the_image_models_feature(vits14, tubelet):
    path, weights = vits14
    image, features, _, params = features_of(path, 1, times=1, tubelet=tubelet)
    np.testing.assert_allclose(features, of_image(weights, image, params["encoder"]["position"], use_cls=True)[0], atol=TOLERANCE)


@pytest.mark.fault(
    promise="An image model that becomes a Model 1 gives its own features on a still clip of any length",
    provoked="a real ViT-S",
    seen="the mean of the image model's tokens",
    trials=1,
)
def test_model_1_without_cls_gives_the_image_models_mean_at_any_number_of_times(vits14):
    path, weights = vits14
    image, features, _, params = features_of(path, 1, times=2, pool="mean")
    positions = np.concatenate([np.zeros((1, 384)), params["encoder"]["position"][:49]])
    np.testing.assert_allclose(features, of_image(weights, image, positions, use_cls=False).mean(axis=0), atol=TOLERANCE)


@pytest.mark.slow
def test_model_1_with_cls_and_model_4_differ_over_several_times_as_they_must(vits14):
    path, weights = vits14
    image, features, _, params = features_of(path, 1, times=2)
    expected = of_image(weights, image, params["encoder"]["position"][:50], use_cls=True)[0]
    assert np.abs(features - expected).max() > 10 * TOLERANCE
    image, features, _, params = features_of(path, 4, times=2)
    positions = np.concatenate([np.zeros((1, 384)), params["encoder"]["position"][0]])
    assert np.abs(features - of_image(weights, image, positions, use_cls=False).mean(axis=0)).max() > 10 * TOLERANCE


@pytest.mark.slow
def test_at_224_pixels_the_positions_are_the_ones_the_source_holds_for_it(vits14):
    path, weights = vits14
    image, features, _, _ = features_of(path, 1, times=1, pixels=224)
    expected = of_image(weights, image, weights["Transformer/posembed_input/pos_embedding_16x16"][0], use_cls=True)[0]
    np.testing.assert_allclose(features, expected, atol=TOLERANCE)


def test_a_random_tubelet_and_a_zero_start_are_what_they_say(tmp_path):
    np.savez(tmp_path / "vit.npz", **random_vit())
    config = ViViTConfig(
        factorisation=NAMES[3], hidden_size=8, num_layers=2, num_heads=2, mlp_dim=16, tubelet=(3, 4, 4), clip=(6, 12, 12), num_classes=2
    )
    for method, zero in (("zero_output", False), ("zero", True)):
        init = InitConfig(source=str(tmp_path / "vit.npz"), tubelet="random", temporal_attention=method)
        params = initialise(config, init, 0).variables["params"]
        temporal = params["transformer"]["encoder"]["block_01"]["temporal_attention"]
        assert not temporal["out"]["kernel"].any()
        assert temporal["query"]["kernel"].any() != zero
        assert np.count_nonzero(params["tokenizer"]["kernel"]) == params["tokenizer"]["kernel"].size
    copied = initialise(config, InitConfig(source=str(tmp_path / "vit.npz"), temporal_attention="copy"), 0)
    block = copied.variables["params"]["transformer"]["encoder"]["block_00"]
    jax.tree.map(np.testing.assert_array_equal, block["temporal_attention"], block["spatial_attention"])


def test_zero_output_starts_as_zero_does_and_then_trains(tmp_path):
    np.savez(tmp_path / "vit.npz", **random_vit())
    config = ViViTConfig(factorisation=NAMES[3], hidden_size=8, num_layers=2, num_heads=2, mlp_dim=16, tubelet=(2, 4, 4), clip=(4, 12, 12))
    video = np.random.default_rng(0).normal(size=(1, 4, 12, 12, 3)).astype(np.float32)
    outputs, gradients = [], []
    for method in ("zero_output", "zero"):
        started = initialise(config, InitConfig(source=str(tmp_path / "vit.npz"), temporal_attention=method), 0)

        def loss(params):
            return (ViViT(config).apply({"params": params}, video) ** 2).sum()

        outputs.append(jax.jit(ViViT(config).apply)(started.variables, video))
        gradient = jax.jit(jax.grad(loss))(started.variables["params"])
        gradients.append(float(np.abs(gradient["transformer"]["encoder"]["block_00"]["temporal_attention"]["out"]["kernel"]).max()))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert gradients[0] > 1e-4
    assert gradients[1] == 0
