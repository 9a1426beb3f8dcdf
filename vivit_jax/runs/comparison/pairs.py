"""Two runs against each other: how far apart, and whether by more than chance."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from vivit_jax.runs.comparison.scores import Scores
from vivit_jax.statistics import agreement, significance
from vivit_jax.statistics.bootstrap import interval, p_value

TESTS = {
    "mcnemar": "McNemar's exact test",
    "mcnemar_of_groups": "McNemar's exact test with groups exchanged whole",
    "bootstrap": "paired bootstrap",
}


@dataclasses.dataclass(frozen=True)
class Pair:
    """Run `a` against run `b`. A run is right about a video if all its heads are.

    Attributes:
      a: name of the first run.
      b: name of the second run.
      difference: the score of `a` less that of `b`.
      low: lower end of its interval, by the paired bootstrap.
      high: upper end.
      both: videos that both are right about.
      only_a: videos that `a` alone is right about.
      only_b: videos that `b` alone is right about.
      neither: the rest.
      test: the test that `p` comes from, one of `TESTS`.
      p: two-sided probability of a difference at least this large by chance.
      p_holm: `p` corrected by Holm's method for all the pairs that are tested.
      mcnemar_p: p of McNemar's exact test over single videos; None if videos may have several classes.
      bootstrap_p: p of the paired bootstrap.
      agreement: share of videos for which both predict the same, right or wrong.
      kappa: Cohen's kappa of the predictions; None if both always predict one and the same class.
    """

    a: str
    b: str
    difference: float
    low: float
    high: float
    both: int
    only_a: int
    only_b: int
    neither: int
    test: str
    p: float
    p_holm: float
    mcnemar_p: float | None
    bootstrap_p: float
    agreement: float
    kappa: float | None


def compare_pairs(scores: Scores, names: Sequence[tuple[str, str]]) -> list[Pair]:
    """Tests the pairs of runs with these names, as one family of tests."""
    pairs = [_pair(scores, a, b) for a, b in names]
    corrected = significance.holm([pair.p for pair in pairs])
    return [dataclasses.replace(pair, p_holm=p) for pair, p in zip(pairs, corrected, strict=True)]


def _pair(scores: Scores, a: str, b: str) -> Pair:
    predictions, units = scores.predictions, scores.units.number
    right_a, right_b = predictions.right(a), predictions.right(b)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    differences = scores.samples[a] - scores.samples[b]
    low, high = interval(differences)
    bootstrap_p = p_value(differences)
    mcnemar_p = None if predictions.multi_label else significance.mcnemar(only_a, only_b)
    test, p = ("bootstrap", bootstrap_p) if mcnemar_p is None else ("mcnemar", mcnemar_p)
    if mcnemar_p is not None and units.max() + 1 < len(units):
        leads = np.bincount(units, right_a.astype(int) - right_b.astype(int)).astype(int)
        test, p = "mcnemar_of_groups", significance.mcnemar_of_groups(leads)
    classes = predictions.joint_class(a), predictions.joint_class(b)
    return Pair(
        a=a,
        b=b,
        difference=scores.score[a] - scores.score[b],
        low=low,
        high=high,
        both=int((right_a & right_b).sum()),
        only_a=only_a,
        only_b=only_b,
        neither=int((~right_a & ~right_b).sum()),
        test=test,
        p=p,
        p_holm=p,
        mcnemar_p=mcnemar_p,
        bootstrap_p=bootstrap_p,
        agreement=agreement.equal_share(*classes),
        kappa=agreement.kappa(*classes),
    )
