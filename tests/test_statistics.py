"""Intervals, tests and agreement against direct computations, SciPy and scikit-learn."""

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, cohen_kappa_score

from vivit_jax.statistics.agreement import equal_share, kappa
from vivit_jax.statistics.average_precision import mean_average_precision
from vivit_jax.statistics.bootstrap import accuracy, bootstrap, interval, p_value
from vivit_jax.statistics.significance import holm, mcnemar, mcnemar_of_groups

RNG = np.random.default_rng(3)
RIGHT = (RNG.random((150, 2)) < (0.7, 0.6)).astype(float)


def test_an_interval_over_videos_is_that_of_scipy_and_of_the_binomial():
    low, high = interval(bootstrap(accuracy(RIGHT), np.arange(150))[:, 0])
    theirs = stats.bootstrap((RIGHT[:, 0],), np.mean, n_resamples=9999, method="percentile", random_state=1).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.011)
    exact = stats.binom(150, RIGHT[:, 0].mean()).ppf([0.025, 0.975]) / 150  # what the bootstrap of a share converges to
    assert (low, high) == pytest.approx(tuple(exact), abs=0.011)


def test_groups_are_drawn_whole_as_a_loop_does():
    units = np.repeat(np.arange(30), 5)
    samples = bootstrap(accuracy(RIGHT), units, resamples=4000)
    generator = np.random.default_rng(9)
    by_hand = []
    for _ in range(4000):
        videos = np.concatenate([np.flatnonzero(units == group) for group in generator.integers(0, 30, 30)])
        by_hand.append(RIGHT[videos].mean(axis=0))
    assert samples.mean(axis=0) == pytest.approx(np.mean(by_hand, axis=0), abs=0.005)
    assert samples.std(axis=0) == pytest.approx(np.std(by_hand, axis=0), rel=0.06)
    assert interval(samples[:, 0]) == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975], axis=0)[:, 0]), abs=0.012)


def test_groups_of_uneven_size_give_the_share_of_all_their_videos():
    units = np.array([0, 1, 1, 1])
    samples = bootstrap(accuracy(np.array([[1.0], [0.0], [0.0], [0.0]])), units, resamples=500)
    assert set(samples[:, 0].tolist()) == {0.0, 0.25, 1.0}


def test_videos_of_one_flight_that_are_alike_widen_the_interval():
    alike = np.repeat(RIGHT[:30], 5, axis=0)
    alone = interval(bootstrap(accuracy(alike), np.arange(150))[:, 0])
    whole = interval(bootstrap(accuracy(alike), np.repeat(np.arange(30), 5))[:, 0])
    assert (whole[1] - whole[0]) / (alone[1] - alone[0]) == pytest.approx(5**0.5, rel=0.15)


def test_the_same_seed_draws_the_same_and_all_scores_are_of_the_same_draws():
    first, again, other = (bootstrap(accuracy(RIGHT), np.arange(150), resamples=200, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    twice = bootstrap(accuracy(RIGHT[:, [0, 0]]), np.arange(150), resamples=200)
    assert np.array_equal(twice[:, 0], twice[:, 1])


def test_average_precision_of_a_draw_is_scikit_learns_of_the_videos_drawn():
    scores, present = RNG.random((40, 3)).round(1), RNG.random((40, 3)) < 0.2  # with ties
    drawn = RNG.multinomial(40, np.full(40, 1 / 40), 20)
    ours = mean_average_precision([scores], present)(drawn)[:, 0]
    for row, value in zip(drawn, ours, strict=True):
        videos = np.repeat(np.arange(40), row)
        known = [i for i in range(3) if present[videos, i].any()]
        assert value == pytest.approx(np.mean([average_precision_score(present[videos, i], scores[videos, i]) for i in known]))


def test_p_of_a_bootstrap_is_two_sided_and_never_0():
    assert p_value(np.full(999, 0.1)) == pytest.approx(2 / 1000)
    assert p_value(np.zeros(999)) == 1
    assert p_value(np.r_[np.full(100, -0.1), np.full(899, 0.1)]) == pytest.approx(2 * 101 / 1000)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (5, 0), (10, 3), (3, 10), (59, 6), (7, 7)])
def test_mcnemars_test_is_the_binomial(only_a, only_b):
    by_hand = sum(stats.binom.pmf(k, only_a + only_b, 0.5) for k in range(min(only_a, only_b) + 1))
    assert mcnemar(only_a, only_b) == pytest.approx(min(1.0, 2 * by_hand))


def test_mcnemars_test_of_groups_goes_through_all_signs():
    leads = np.array([3, -1, 2, 0, 1, -4, 2])
    sums = np.array([np.dot(signs, leads) for signs in itertools.product((-1, 1), repeat=len(leads))])
    assert mcnemar_of_groups(leads) == pytest.approx((np.abs(sums) >= abs(leads.sum())).mean())
    assert mcnemar_of_groups(np.array([1] * 9 + [-1] * 2 + [0] * 5)) == pytest.approx(mcnemar(9, 2))
    assert mcnemar_of_groups(np.zeros(4, int)) == 1


def test_holms_correction_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]


def test_agreement_is_scikit_learns():
    a, b = RNG.integers(0, 4, 60), RNG.integers(0, 4, 60)
    b[:30] = a[:30]
    assert equal_share(a, b) == (a == b).mean()
    assert kappa(a, b) == pytest.approx(cohen_kappa_score(a, b))
    assert kappa(a, a) == 1
    assert kappa(np.zeros(5, int), np.zeros(5, int)) is None
