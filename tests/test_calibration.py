"""Intervals of shares and calibration against direct computations."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve

from vivit_jax.statistics.calibration import BINS, calibration
from vivit_jax.statistics.proportions import wilson

Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution


@pytest.mark.parametrize(("hits", "of"), [(0, 5), (5, 5), (1, 1), (52, 69), (180, 201), (3, 1000)])
def test_an_interval_holds_the_shares_that_a_score_test_does_not_refuse(hits, of):
    share, (low, high) = hits / of, wilson(hits, of)

    def score(true):
        return (share - true) ** 2 * of - Z**2 * true * (1 - true)

    assert low == pytest.approx(0 if hits == 0 else brentq(score, 1e-12, share - 1e-9), abs=1e-9)
    assert high == pytest.approx(1 if hits == of else brentq(score, share + 1e-9, 1 - 1e-12), abs=1e-9)


@pytest.mark.parametrize(("hits", "of"), [(0, 5), (5, 5), (52, 69), (3, 1000)])
def test_an_interval_is_that_of_scipy(hits, of):
    theirs = binomtest(hits, of).proportion_ci(0.95, method="wilson")
    assert wilson(hits, of) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def drawn(count, seed=0, overconfident=0.0):
    """Probabilities, and whether predictions with them are right: as often as they say, or less."""
    generator = np.random.default_rng(seed)
    probability = generator.beta(4, 2, count)
    return probability, generator.random(count) < probability - overconfident


@pytest.mark.parametrize("count", [1, 7, 500])
def test_the_error_is_that_of_a_loop_over_the_predictions(count):
    probability, right = drawn(count, overconfident=0.1)
    bins = {}
    for value, hit in zip(probability, right, strict=True):
        bins.setdefault(min(int(np.ceil(value * BINS)) - 1, BINS - 1), []).append((value, hit))
    error = sum(abs(sum(value for value, _ in bin) - sum(hit for _, hit in bin)) for bin in bins.values()) / count
    found = calibration(probability, right)
    assert found.error == pytest.approx(error, abs=1e-12)
    accuracy, mean = calibration_curve(right, probability, n_bins=BINS)
    assert found.accuracy == pytest.approx(accuracy)
    assert found.probability == pytest.approx(mean)
    assert found.counts.sum() == count
    assert ((found.edges[:, 0] <= found.probability) & (found.probability <= found.edges[:, 1])).all()


def test_certain_and_impossible_predictions_have_bins():
    found = calibration(np.array([0.0, 1.0, 1.0]), np.array([False, True, False]))
    assert (found.counts.tolist(), found.right.tolist(), found.error) == ([1, 2], [0, 1], pytest.approx(1 / 3))


@pytest.mark.parametrize("count", [200, 3000])
def test_the_error_by_chance_is_that_of_models_that_are_calibrated(count):
    probability, _ = drawn(count)
    generator = np.random.default_rng(1)
    errors = [calibration(probability, generator.random(count) < probability).error for _ in range(300)]
    assert calibration(probability, drawn(count)[1]).by_chance == pytest.approx(np.mean(errors), rel=0.08)
