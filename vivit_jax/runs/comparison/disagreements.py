"""The videos that two runs disagree on: one is right about them and the other wrong."""

import dataclasses

import numpy as np

from vivit_jax.runs.comparison.result import Comparison

SHOWN = 6  # videos of one run against another
SHOWN_IN_ALL = 120


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """The videos that one run gets right and another wrong.

    Attributes:
      right: name of the run that is right.
      wrong: name of the run that is wrong.
      count: how many videos there are.
      videos: numbers of some of them; those first on which the two are furthest apart.
    """

    right: str
    wrong: str
    count: int
    videos: list[int]


def disagreements(comparison: Comparison) -> list[tuple[Disagreement, Disagreement]]:
    """The disagreements, both ways, of every pair that has any, the surest differences first; with many pairs, few videos of each."""
    pairs = sorted(comparison.pairs, key=lambda pair: pair.p_holm)
    shown = max(1, min(SHOWN, SHOWN_IN_ALL // (2 * len(pairs))))
    both = [(_between(comparison, pair.a, pair.b, shown), _between(comparison, pair.b, pair.a, shown)) for pair in pairs]
    return [(a, b) for a, b in both if a.count or b.count]


def _between(comparison: Comparison, right: str, wrong: str, shown: int) -> Disagreement:
    predictions = comparison.predictions
    found = np.flatnonzero(predictions.right(right) & ~predictions.right(wrong))
    gap = (predictions.probability_of_label(right) - predictions.probability_of_label(wrong))[found]
    furthest = found[np.argsort(-gap, kind="stable")[:shown]]
    return Disagreement(right, wrong, len(found), furthest.tolist())
