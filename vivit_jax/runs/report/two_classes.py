"""ROC and precision-recall curves, where a head has two classes."""

from collections.abc import Sequence

import numpy as np

from vivit_jax.runs.pages.charts import Axis, Chart, Series, chart
from vivit_jax.runs.pages.page import cut
from vivit_jax.runs.report.predictions import Said

LETTERS = 40  # of the class's name in a title
POINTS = 400  # of a curve; of a longer one every so many thresholds are left out
WHOLE = (0.0, 1.0)


def thresholds(said: Sequence[Said], labels: Sequence[str], *, multi_label: bool, name: str) -> str:
    """Both curves of the second class; nothing where there are not two classes, examples of both, and probabilities of each.

    Args:
      said: what the head said of each example.
      labels: its classes.
      multi_label: whether an example may have several of them, and their probabilities need not add up to 1.
      name: begins the ids of the charts on the page.
    """
    if len(labels) != 2 or not all(labels[1] in one.probabilities for one in said):
        return ""
    present = np.array([labels[1] in one.labels for one in said])
    if present.all() or not present.any():
        return ""
    ranking = _Ranking(said, labels, multi_label=multi_label)
    return chart(_roc(present, ranking, labels[1]), f"{name}-roc") + chart(_precision(present, ranking, labels[1]), f"{name}-pr")


class _Ranking:
    """The examples by the probability of the second class.

    An evaluation holds seven digits of a probability, so those that are nearly 1 are equal in it. Of two classes that exclude each other
    the probability of the first then still tells them apart.

    Attributes:
      ranks: (n,) the rank of each example from 0, the same for examples that nothing tells apart.
    """

    def __init__(self, said: Sequence[Said], labels: Sequence[str], *, multi_label: bool) -> None:
        second = [one.probabilities[labels[1]] for one in said]
        first = [0.0 if multi_label else -one.probabilities.get(labels[0], 0.0) for one in said]
        pairs, ranks = np.unique(np.stack([second, first], axis=1), axis=0, return_inverse=True)
        self.ranks = ranks.reshape(-1)
        self._probabilities = pairs[:, 0]

    def probabilities(self, ranks: np.ndarray) -> np.ndarray:
        """The probability of the second class at each rank; infinity at infinity, which is above all."""
        finite = np.isfinite(ranks)
        return np.where(finite, self._probabilities[np.where(finite, ranks, 0).astype(int)], np.inf)


def _roc(present: np.ndarray, ranking: _Ranking, label: str) -> Chart:
    from sklearn.metrics import roc_auc_score, roc_curve  # takes a while to import

    wrong, right, at = _some(*roc_curve(present, ranking.ranks))
    series = Series("", wrong.tolist(), right.tolist(), beside=_beside(ranking.probabilities(at)), dots=False)
    return Chart(
        f"ROC of {cut(label, LETTERS)}: AUC {roc_auc_score(present, ranking.ranks):.3f}",
        Axis("false positive rate", share=True, range=WHOLE),
        Axis("true positive rate", share=True, range=WHOLE),
        [series],
        diagonal=(0.0, 1.0),
        note="The dotted line is chance.",
    )


def _precision(present: np.ndarray, ranking: _Ranking, label: str) -> Chart:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    precision, recall, at = precision_recall_curve(present, ranking.ranks)
    recall, precision, at = _some(recall[::-1], precision[::-1], np.append(at, np.inf)[::-1])
    series = Series("", recall.tolist(), precision.tolist(), beside=_beside(ranking.probabilities(at)), steps=True, dots=False)
    chance = float(present.mean())
    return Chart(
        f"Precision and recall of {cut(label, LETTERS)}: AP {average_precision_score(present, ranking.ranks):.3f}",
        Axis("recall", share=True, range=WHOLE),
        Axis("precision", share=True, range=WHOLE),
        [series],
        diagonal=(chance, chance),
        note=f"The dotted line is chance, the {chance:.1%} of the examples that are {cut(label, LETTERS)}.",
    )


def _some(*values: np.ndarray) -> list[np.ndarray]:
    """At most POINTS of the points, the first and the last among them."""
    count = len(values[0])
    kept = np.linspace(0, count - 1, min(count, POINTS)).round().astype(int)
    return [array[kept] for array in values]


def _beside(at: np.ndarray) -> dict[str, list[str]]:
    return {"threshold": [f"{value:.3f}" if np.isfinite(value) else "above all" for value in at]}
