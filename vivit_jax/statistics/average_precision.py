"""Mean average precision of many bootstrap draws at once: videos are sorted once for each class, and a draw weights them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from vivit_jax.statistics.bootstrap import Statistic


def mean_average_precision(scores: Sequence[Float[np.ndarray, "n classes"]], present: Bool[np.ndarray, "n classes"]) -> Statistic:
    """Makes a statistic: the mean over the classes that a draw has videos of; NaN if it has none.

    Args:
      scores: those of each run; equal ones count as one threshold, as in scikit-learn.
      present: which classes each video has.
    """
    sorted_once = [[_Ranking(of_run[:, i], present[:, i]) for i in range(present.shape[1]) if present[:, i].any()] for of_run in scores]

    def statistic(drawn: Int[np.ndarray, "b n"]) -> Float[np.ndarray, "b k"]:
        drawn = drawn.astype(np.float64)
        return np.stack([_mean([ranking.average_precision(drawn) for ranking in of_run]) for of_run in sorted_once], axis=1)

    return statistic


class _Ranking:
    """The videos in the order of one class's scores, the highest first."""

    def __init__(self, scores: Float[np.ndarray, " n"], present: Bool[np.ndarray, " n"]) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked = scores[self._order]
        self._ends = np.searchsorted(-ranked, -ranked, side="right") - 1  # the last video of each threshold
        self._present = present[self._order]

    def average_precision(self, drawn: Float[np.ndarray, "b n"]) -> Float[np.ndarray, " b"]:
        """The average precision of each draw; NaN if it has no video of the class."""
        drawn = drawn[:, self._order]
        hits = drawn * self._present
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = (np.cumsum(hits, axis=1) / np.cumsum(drawn, axis=1))[:, self._ends]
            return np.where(hits > 0, hits * precision, 0).sum(axis=1) / hits.sum(axis=1)


def _mean(values: Sequence[Float[np.ndarray, " b"]]) -> Float[np.ndarray, " b"]:
    stacked = np.stack(values)
    known = ~np.isnan(stacked)
    with np.errstate(invalid="ignore"):
        return np.where(known, stacked, 0).sum(axis=0) / known.sum(axis=0)
