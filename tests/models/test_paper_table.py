"""The models are those of the paper: parameters and arithmetic of its Table 2, as counted on the original code."""

import pytest

from vivit_jax.analysis.complexity import count_arithmetic, count_parameters
from vivit_jax.models.vivit.config import ViViTConfig

# (factorisation, options, parameters in millions, multiply-accumulates of a view in 1e9)
PAPER = {
    "model 1": ("spatio_temporal_attention", {}, 88.954, 455.21),
    "model 2": ("factorised_encoder", {}, 115.063, 284.38),
    "model 3": ("factorised_self_attention", {}, 117.319, 372.32),
    "model 4": ("factorised_dot_product_attention", {}, 88.952, 277.13),
    "model 2, frames averaged": ("factorised_encoder", {"temporal_layers": 0}, 86.696, 283.89),
    "model 2-L, 24 temporal layers": ("factorised_encoder", {"size": "L", "temporal_layers": 24}, 606.8, 995.2),
    "model 2-L, 4 temporal layers": ("factorised_encoder", {"size": "L", "temporal_layers": 4}, 354.9, 990.9),
}


@pytest.mark.parametrize("row", PAPER)
def test_parameters_and_arithmetic_are_the_originals(row):
    factorisation, options, millions, gmac = PAPER[row]
    options = {"size": "B", "tubelet": (2, 16, 16), "clip": (32, 224, 224), "num_classes": 400} | options
    config = ViViTConfig(factorisation=factorisation, **options)
    digits = 3 if options["size"] == "B" else 1
    assert round(count_parameters(config) / 1e6, digits) == millions
    assert count_arithmetic(config).multiply_accumulates / 1e9 == pytest.approx(gmac, rel=0.005)
