"""The four factorisations against the NumPy reference, and against each other in their compiled forms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from vivits import random_parameters, random_video

from vivit_jax.errors import UserError
from vivit_jax.models.families import create_model
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.models.vivit.model import ViViT

SMALL = {"hidden_size": 24, "num_layers": 3, "num_heads": 4, "mlp_dim": 40, "tubelet": (2, 4, 6), "clip": (6, 12, 18), "num_classes": 5}

CASES = {
    "joint, cls": {"factorisation": "spatio_temporal_attention"},
    "joint, mean": {"factorisation": "spatio_temporal_attention", "pool": "mean"},
    "joint, mean then norm": {"factorisation": "spatio_temporal_attention", "pool": "mean_then_norm"},
    "joint, uniform frames": {"factorisation": "spatio_temporal_attention", "tokenizer": "frames"},
    "encoder, cls": {"factorisation": "factorised_encoder", "temporal_layers": 2},
    "encoder, max": {"factorisation": "factorised_encoder", "temporal_layers": 1, "pool": "max"},
    "encoder, spatial only": {"factorisation": "factorised_encoder", "temporal_layers": 0},
    "self-attention, space then time": {"factorisation": "factorised_self_attention"},
    "self-attention, time then space": {"factorisation": "factorised_self_attention", "attention_order": "time_space"},
    "self-attention, more times than places": {"factorisation": "factorised_self_attention", "clip": (12, 4, 12)},
    "dot product": {"factorisation": "factorised_dot_product_attention"},
    "dot product, more times than places": {"factorisation": "factorised_dot_product_attention", "clip": (12, 4, 12)},
    "dot product, sum, erf": {"factorisation": "factorised_dot_product_attention", "pool": "sum", "activation": "gelu"},
}


@pytest.mark.parametrize("case", CASES)
def test_logits_equal_the_numpy_reference(case):
    model = create_model(**SMALL | CASES[case])
    params, video = random_parameters(model), random_video(model)
    expected = reference.forward(jax.tree.map(np.float64, params), video, model.config.to_dict())
    actual = jax.jit(model.apply)({"params": params}, video)
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("case", ["self-attention, time then space", "dot product"])
def test_gradients_are_the_slope_of_the_numpy_reference(case):
    """Along random directions, by central differences in float64. Every parameter moves the loss about as much as any other."""
    model = create_model(**SMALL | {"num_layers": 1, "temporal_layers": 1, "clip": (4, 8, 12)} | CASES[case])
    params, video = random_parameters(model), random_video(model, batch=1)
    weights = np.random.default_rng(2).normal(size=(1, 5))
    gradients = jax.jit(jax.grad(lambda params: (model.apply({"params": params}, video) * weights).sum()))(params)
    exact, rng, step = jax.tree.map(np.float64, params), np.random.default_rng(3), 1e-5
    for _ in range(3):
        directions = jax.tree.map(lambda gradient: rng.normal(size=gradient.shape) / max(np.linalg.norm(gradient), 0.1), gradients)

        def loss_after(step: float, directions: dict = directions) -> float:
            moved = jax.tree.map(lambda parameter, direction: parameter + step * direction, exact, directions)
            return (reference.forward(moved, video, model.config.to_dict()) * weights).sum()

        slope = (loss_after(step) - loss_after(-step)) / (2 * step)
        along = sum(jax.tree.leaves(jax.tree.map(lambda gradient, direction: (gradient * direction).sum(), gradients, directions)))
        np.testing.assert_allclose(along, slope, atol=1e-4)


@pytest.mark.fault(
    promise="Scanned and rematerialised layers have the values and gradients of unrolled and kept ones",
    provoked="two models, with and without remat",
    seen="the loss within 1e-5, gradients within 2e-3",
    trials=4,
)
@pytest.mark.parametrize("factorisation", [pytest.param("spatio_temporal_attention", marks=pytest.mark.slow), "factorised_self_attention"])
@pytest.mark.parametrize("remat", [pytest.param(False, marks=pytest.mark.slow), True])
def test_scanned_and_rematerialised_layers_compute_the_same_with_the_same_gradients(factorisation, remat):
    plain = create_model(**SMALL, factorisation=factorisation)
    scanned = ViViT(dataclasses.replace(plain.config, scan_layers=True, remat=remat))
    params, video = random_parameters(plain), random_video(plain)
    stacked = jax.tree.map(lambda leaf: leaf, params)
    encoder = dict(stacked["transformer"]["encoder"])
    blocks = [encoder.pop(f"block_{layer:02d}") for layer in range(plain.config.num_layers)]
    encoder["blocks"] = jax.tree.map(lambda *leaves: np.stack(leaves), *blocks)
    stacked["transformer"] = stacked["transformer"] | {"encoder": encoder}

    def loss(model, params):
        return jnp.sum(model.apply({"params": params}, video) ** 2)

    value, gradient = jax.jit(jax.value_and_grad(lambda p: loss(plain, p)))(params)
    scanned_value, scanned_gradient = jax.jit(jax.value_and_grad(lambda p: loss(scanned, p)))(stacked)
    np.testing.assert_allclose(scanned_value, value, rtol=1e-5)
    last = jax.tree.map(lambda leaf: leaf[-1], scanned_gradient["transformer"]["encoder"]["blocks"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3), last, gradient["transformer"]["encoder"]["block_02"])


def test_stochastic_depth_draws_for_each_example_by_the_rate_of_its_layer():
    """Rates are 0, 0.45 and 0.9 over three layers of two residuals, so an example keeps all six with probability (0.55 * 0.1)^2 = 0.003.

    With the two lower layers' residuals made zero, only the top layer's two count: all examples that lose both are equal, 0.9^2 of them.
    """
    model = create_model(**SMALL, factorisation="factorised_dot_product_attention", stochastic_depth=0.9)
    params, video = random_parameters(model), np.repeat(random_video(model, batch=1), 512, axis=0)
    train = jax.jit(lambda params, key: model.apply({"params": params}, video, train=True, rngs={"dropout": key}))
    evaluate = jax.jit(lambda params: model.apply({"params": params}, video))

    def drawn(params, seed=3):
        return np.asarray(train(params, jax.random.key(seed)))

    np.testing.assert_array_equal(drawn(params), drawn(params))
    assert (drawn(params) != drawn(params, seed=4)).any()
    kept = np.asarray(evaluate(params))
    assert np.isclose(drawn(params), kept, rtol=1e-4, atol=1e-4).all(axis=1).sum() <= 8  # 1.5 of 512 are expected

    encoder = params["transformer"]["encoder"]
    top = {name: jax.tree.map(np.zeros_like, encoder[name]) if name in ("block_00", "block_01") else encoder[name] for name in encoder}
    without = {name: jax.tree.map(np.zeros_like, top[name]) if name == "block_02" else top[name] for name in top}
    top, without = ({**params, "transformer": {**params["transformer"], "encoder": encoder}} for encoder in (top, without))
    nothing = np.asarray(evaluate(without))
    lost = np.isclose(drawn(top), nothing, rtol=1e-4, atol=1e-4).all(axis=1).mean()
    assert abs(lost - 0.9**2) < 5 * np.sqrt(0.81 * 0.19 / 512)


def test_rescaled_stochastic_depth_keeps_the_expectation():
    model = create_model(
        hidden_size=8, num_layers=2, num_heads=2, mlp_dim=8, tubelet=(2, 4, 4), clip=(2, 4, 4), num_classes=None,
        factorisation="factorised_dot_product_attention", stochastic_depth=0.5, stochastic_depth_rescale=True,
    )  # fmt: skip
    params = random_parameters(model)
    params = jax.tree.map(lambda leaf: leaf * 0.02, params)
    # One tiny last layer makes the features linear in its residuals, so that their mean is the deterministic value.
    params["transformer"]["encoder"]["norm"] = {"scale": np.ones(8, np.float32), "bias": np.zeros(8, np.float32)}
    params["tokenizer"]["bias"] = np.arange(8, dtype=np.float32)
    video = np.repeat(random_video(model, batch=1), 4096, axis=0)
    expected = jax.jit(model.apply)({"params": params}, video[:1])[0]
    drawn = jax.jit(lambda: model.apply({"params": params}, video, train=True, rngs={"dropout": jax.random.key(0)}))()
    assert drawn.std(axis=0).max() > 1e-5
    np.testing.assert_allclose(drawn.mean(axis=0), expected, atol=4 * float(drawn.std(axis=0).max()) / 64)


@pytest.mark.fault(
    promise="Logits in bfloat16 stay near those in float32",
    provoked="the same model in both",
    seen="within two per cent",
    trials=1,
)
def test_bfloat16_stays_within_two_percent_of_float32():
    model = create_model(**SMALL, factorisation="factorised_encoder")
    half = create_model(**SMALL, factorisation="factorised_encoder", dtype="bfloat16")
    params, video = jax.tree.map(lambda leaf: leaf * 0.5, random_parameters(model)), random_video(model, batch=8)
    full = jax.jit(model.apply)({"params": params}, video)
    drift = np.abs(jax.jit(half.apply)({"params": params}, video) - full).max() / np.abs(full).max()
    assert 0 < drift < 0.02


@pytest.mark.parametrize("case", ["joint, cls", pytest.param("encoder, cls", marks=pytest.mark.slow)])
def test_what_the_head_does_not_ask_for_changes_nothing(case):
    """Whoever looks at the tokens has all of them computed, and the same logits."""
    model = create_model(**SMALL | CASES[case])
    params, video = random_parameters(model), random_video(model)
    alone = model.apply({"params": params}, video)
    logits, sown = model.apply({"params": params}, video, mutable=["intermediates"])
    np.testing.assert_allclose(alone, logits, rtol=1e-5, atol=1e-6 * np.abs(logits).max())
    tokens = jax.tree.leaves(sown["intermediates"]["transformer"]["tokens"])[0]
    assert tokens.shape[-2] > 1


def test_several_heads_give_logits_by_name():
    model = create_model(**SMALL | {"num_classes": {"verb": 3, "noun": 4}})
    logits = model.apply({"params": random_parameters(model)}, random_video(model))
    assert {name: value.shape for name, value in logits.items()} == {"verb": (2, 3), "noun": (2, 4)}


@pytest.mark.fault(
    promise="A video of a wrong shape or type is refused",
    provoked="integers, another T, no batch, one channel",
    seen="the shape that was expected and the one that came",
    trials=4,
)
@pytest.mark.parametrize(
    ("video", "message"),
    [
        (np.zeros((2, 6, 12, 18, 3), np.uint8), "must be floating point"),
        (np.zeros((2, 5, 12, 18, 3), np.float32), r"\(b, 6, 12, 18, 3\), got \(2, 5, 12, 18, 3\)"),
        (np.zeros((6, 12, 18, 3), np.float32), "must have shape"),
        (np.zeros((2, 6, 12, 18, 1), np.float32), "must have shape"),
    ],
)
def test_a_wrong_video_is_refused_with_what_was_expected(video, message):
    model = create_model(**SMALL)
    with pytest.raises(UserError, match=message):
        model.apply({"params": random_parameters(model)}, video)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"siz": "B"}, "did you mean 'size'"),
        ({"num_classes": {"a/b": 3}}, "by a text without /, got 'a/b'"),  # would be two parts of a parameter's path
        ({"num_classes": {"verb": 3, "": 4}}, "by a text without /, got ''"),  # could be saved, and not be loaded
        ({"num_classes": {1: 3}}, "by a text without /, got 1"),  # would be '1' once saved
        ({"factorisation": "factorized_encoder"}, "did you mean 'factorised_encoder'"),
        ({"clip": (7, 12, 18)}, r"\(7, 12, 18\) is not divisible by model.tubelet \(2, 4, 6\) along t"),
        ({"num_heads": 5}, "hidden_size 24 is not divisible by model.num_heads 5"),
        ({"num_heads": 3, "factorisation": "factorised_dot_product_attention"}, "must be even, got 3"),
        ({"pool": "token", "factorisation": "factorised_self_attention"}, "set model.pool to mean"),
        ({"attention_dropout": 0.1, "attention": "chunked"}, "needs model.attention xla or auto, got chunked"),
        ({"attention": "cudnn"}, "cudnn computes in 16 bits only: set model.dtype to bfloat16"),
        ({"attention": "fa3"}, "fa3 computes in 16 bits only: set model.dtype to bfloat16"),
        ({"dropout": 1.5}, r"dropout must be in \[0, 1\), got 1.5"),
        ({"num_classes": 0}, "num_classes must be a whole number of at least 1, got 0"),
        ({"num_classes": {}}, "num_classes must name a head"),
        ({"tubelet": 4}, r"model.tubelet must be \(int, int, int\), got 4"),
        ({"hidden_size": None}, "give a model.size"),
    ],
)
def test_an_impossible_model_is_refused_with_its_values(options, message):
    with pytest.raises(UserError, match=message):
        create_model(**SMALL | options)


def test_a_config_survives_json():
    config = ViViTConfig(**SMALL | {"num_classes": {"verb": 3, "noun": 4}}, factorisation="factorised_encoder")
    assert ViViTConfig(**config.to_dict()) == config
    assert hash(ViViTConfig(**config.to_dict())) == hash(config)


@pytest.mark.fault(
    promise="Pixels that are not normalised are refused",
    provoked="values up to 255",
    seen="`must be normalised, such as to [-1, 1]`, and what came",
    trials=1,
)
def test_pixels_that_are_not_normalised_are_refused():
    model = create_model(hidden_size=8, num_layers=1, num_heads=2, mlp_dim=8, tubelet=(1, 4, 4), clip=(1, 4, 4), num_classes=2)
    with pytest.raises(UserError, match=r"must be normalised, such as to \[-1, 1\] .*, got values up to 255"):
        model.init(jax.random.key(0), jnp.full((1, 1, 4, 4, 3), 255.0))
