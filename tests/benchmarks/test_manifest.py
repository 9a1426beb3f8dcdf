"""`benchmarks/manifest.py`: a real checkpoint of a small model is saved, hashed and checked."""

import math

import manifest
import pytest


def test_the_figures_are_of_a_whole_state():
    figures = manifest.measure("Ti", every=10)
    config = manifest.make_config("vivit", {"size": "Ti", "num_classes": 400})
    parameters = sum(map(math.prod, manifest.parameter_shapes(config).values()))
    assert figures["gigabytes"] > 0.7 * 3 * 4 * parameters / 1e9  # random bits do not compress, but for their exponents
    assert 0 < figures["seconds the step waits"] < figures["seconds in all"]
    assert figures["per cent of the steps between"] == pytest.approx(
        100 * figures["seconds to hash and write"] / (10 * manifest.STEP_SECONDS)
    )
