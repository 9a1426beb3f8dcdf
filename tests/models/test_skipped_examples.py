"""Stochastic depth that computes nothing for the examples it drops, against the NumPy reference and against dropping what was computed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from vivits import ATTENTIONS, SMALL, random_parameters, random_video

from vivit_jax.errors import UserError
from vivit_jax.models.families import create_model
from vivit_jax.models.vivit.stochastic_depth import kept_examples, rates_of

EXAMPLES = 6
KEPT = (6, 4, 2)  # of the examples, at the rates 0, 0.3 and 0.6 of three layers
SKIPPING = {"stochastic_depth": 0.6, "stochastic_depth_skips": True}


def step(model, monkeypatch, params, video):
    """The logits of a training step, and its draws of the examples that are kept, (parts, examples of a part), in their order."""
    draw, draws = jax.random.permutation, []

    def record(*arguments, **options):
        draws.append(draw(*arguments, **options))
        return draws[-1]

    def recorded(params):
        return model.apply({"params": params}, video, train=True, rngs={"dropout": jax.random.key(0)}), draws

    with monkeypatch.context() as patched:
        patched.setattr(jax.random, "permutation", record)
        return jax.device_get(jax.jit(recorded)(params))


def residuals(model):
    """(encoder, layer, residual) of every residual that leaves examples out, from the bottom to the top: none does in the first layer."""
    encoders = ("spatial_encoder", "temporal_encoder") if model == "factorised_encoder" else ("encoder",)
    return [(encoder, layer, name) for encoder in encoders for layer in (1, 2) for name in (*ATTENTIONS[model], "mlp")]


@pytest.mark.parametrize(
    ("model", "rescale"),
    [
        ("spatio_temporal_attention", True),
        pytest.param("spatio_temporal_attention", False, marks=pytest.mark.slow),
        pytest.param("factorised_encoder", True, marks=pytest.mark.slow),
        pytest.param("factorised_self_attention", True, marks=pytest.mark.slow),
        pytest.param("factorised_dot_product_attention", False, marks=pytest.mark.slow),
    ],
)
def test_a_step_equals_the_numpy_reference_given_the_same_draws(model, rescale, monkeypatch):
    vivit = create_model(**SMALL, temporal_layers=3, factorisation=model, **SKIPPING, stochastic_depth_rescale=rescale)
    params, video = random_parameters(vivit), random_video(vivit, batch=EXAMPLES)
    actual, draws = step(vivit, monkeypatch, params, video)
    factors = {}
    for (encoder, layer, residual), draw in zip(residuals(model), draws, strict=True):
        assert draw.sum() == KEPT[layer]
        axes = (1, 1) if model == "spatio_temporal_attention" or encoder == "temporal_encoder" else (1, 1, 1)
        factors[f"{encoder}/{layer}/{residual}/depth"] = draw.reshape(EXAMPLES, *axes) * (EXAMPLES / KEPT[layer] if rescale else 1.0)
    assert len({draw.tobytes() for draw in draws}) > 1
    expected = reference.forward(jax.tree.map(np.float64, params), video, vivit.config.to_dict() | {"factors": factors})
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("remat", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["kept", "remat"])
def test_gradients_are_those_of_residuals_computed_and_dropped(remat, monkeypatch):
    vivit = create_model(**SMALL | {"num_layers": 2}, factorisation="factorised_dot_product_attention", **SKIPPING)
    params, video = random_parameters(vivit), random_video(vivit, batch=EXAMPLES)

    def gradients(**options):
        model = vivit.clone(config=dataclasses.replace(vivit.config, **options))
        rngs = {"dropout": jax.random.key(0)}
        return jax.jit(jax.grad(lambda params: (model.apply({"params": params}, video, train=True, rngs=rngs) ** 2).sum()))(params)

    actual = gradients(remat=remat)
    kept = iter([np.ones(EXAMPLES)] * 2 + step(vivit, monkeypatch, params, video)[1])
    monkeypatch.setattr(jax.random, "bernoulli", lambda key, rate, shape: jnp.asarray(next(kept)).reshape(shape))
    expected = gradients(stochastic_depth_skips=False)
    assert not list(kept)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max() + 1e-6), actual, expected)


def test_each_device_keeps_the_same_number_of_its_own_examples():
    [kept] = kept_examples([0.5], 12, parts=2)
    x = jnp.arange(12.0)[:, None]
    taken = kept.take(x, kept.draw(jax.random.key(0))).ravel()
    assert (taken[:3] < 6).all()
    assert (taken[3:] >= 6).all()
    assert len(set(taken.tolist())) == 6


def test_the_number_kept_is_nearest_to_the_rate_which_is_linear_in_depth():
    kept = kept_examples(rates_of(0.3, 12), 64, parts=2)
    expected = [round(32 * (1 - 0.3 * layer / 11)) for layer in range(12)]
    assert [32 if each is None else each.kept for each in kept] == expected
    assert kept_examples(rates_of(0.0, 12), 64, parts=2) == [None] * 12


def test_rescaled_residuals_keep_their_expectation():
    """Over many steps the mean of a residual of every example is the residual."""
    [*_, kept] = kept_examples([0.0, 0.4], 5, parts=1)
    x = jnp.arange(1.0, 6.0)[:, None, None]

    def step(key):
        subset = kept.draw(key)
        return kept.put(kept.take(x, subset) / kept.share, jnp.zeros_like(x), subset)

    drawn = jax.vmap(step)(jax.random.split(jax.random.key(0), 4096))[..., 0, 0]
    assert (np.count_nonzero(drawn, axis=1) == 3).all()
    np.testing.assert_allclose(drawn.mean(axis=0), x.ravel(), atol=5 * float(drawn.std(axis=0).max()) / 64)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_too_small_to_leave_an_example_out_is_refused(batch):
    vivit = create_model(**SMALL, stochastic_depth=0.1, stochastic_depth_skips=True)
    video = random_video(vivit, batch=batch)
    train = jax.jit(lambda params: vivit.apply({"params": params}, video, train=True, rngs={"dropout": jax.random.key(0)}))
    with pytest.raises(UserError, match=rf"stochastic_depth 0\.1 drops none of the {batch} examples.*stochastic_depth_skips to false"):
        train(random_parameters(vivit))


def test_scanned_layers_which_are_all_alike_are_refused():
    with pytest.raises(UserError, match=r"set model\.scan_layers to false"):
        create_model(**SMALL, stochastic_depth=0.3, stochastic_depth_skips=True, scan_layers=True)
