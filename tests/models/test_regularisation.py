"""Dropout and stochastic depth (Huang et al. 2016) in training, against the NumPy reference given the same draws."""

import jax
import numpy as np
import pytest
import reference
from vivits import ATTENTIONS, SMALL, random_parameters, random_video

from vivit_jax.models.families import create_model

DROPOUT, DEPTH = 0.3, 0.6


def factors_of(draws, model, rescale):
    """What each draw multiplies activations by, by the name of its place; the model draws from the bottom to the top."""
    draws, factors = iter(draws), {}
    encoders = {"spatial_encoder": 3, "temporal_encoder": 2} if model == "factorised_encoder" else {"encoder": 3}
    for encoder, layers in encoders.items():
        factors[f"{encoder}/position"] = next(draws) / (1 - DROPOUT)
        for layer in range(layers):
            rate = DEPTH * layer / (layers - 1)
            for residual in (*ATTENTIONS[model], "mlp"):
                at = f"{encoder}/{layer}/{residual}"
                if residual == "mlp":
                    factors[f"{at[:-4]}/mlp/hidden"] = next(draws) / (1 - DROPOUT)
                factors[f"{at}/dropout"] = next(draws) / (1 - DROPOUT)
                factors[f"{at}/depth"] = next(draws) / (1 - rate if rescale else 1.0)
    assert not list(draws)
    return factors


@pytest.mark.parametrize("rescale", [pytest.param(False, marks=pytest.mark.slow), True], ids=["kept", "rescaled"])
@pytest.mark.parametrize(
    "model", [each if each == "factorised_dot_product_attention" else pytest.param(each, marks=pytest.mark.slow) for each in ATTENTIONS]
)
def test_training_equals_the_numpy_reference_given_the_same_draws(model, rescale, monkeypatch):
    regularised = {"dropout": DROPOUT, "stochastic_depth": DEPTH, "stochastic_depth_rescale": rescale}
    vivit = create_model(**SMALL, temporal_layers=2, factorisation=model, **regularised)
    params, video = random_parameters(vivit), random_video(vivit, batch=5)
    draw, draws = jax.random.bernoulli, []

    def recorded(*arguments, **options):
        draws.append(draw(*arguments, **options))
        return draws[-1]

    monkeypatch.setattr(jax.random, "bernoulli", recorded)
    actual = vivit.apply({"params": params}, video, train=True, rngs={"dropout": jax.random.key(0)})
    factors = factors_of([np.asarray(x, np.float64) for x in draws], model, rescale)
    depths = np.concatenate([x.ravel() for name, x in factors.items() if name.endswith("depth")])
    assert (depths == 0).any()
    assert (depths != 0).any()
    expected = reference.forward(jax.tree.map(np.float64, params), video, vivit.config.to_dict() | {"factors": factors})
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())
    assert not np.allclose(actual, vivit.apply({"params": params}, video), rtol=1e-2)
