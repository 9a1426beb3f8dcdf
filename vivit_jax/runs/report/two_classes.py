"""ROC and precision-recall curves, where a head has two classes."""

from collections.abc import Sequence

import numpy as np

from vivit_jax.runs.pages.charts import Axis, Chart, Series, chart
from vivit_jax.runs.pages.page import cut
from vivit_jax.runs.report.predictions import HeadPrediction

LETTERS = 40  # of the class's name in a title
POINTS = 400  # of a curve; of a longer one every so many thresholds are left out


def thresholds(predictions: Sequence[HeadPrediction], labels: Sequence[str], name: str) -> str:
    """Both curves of the second class; nothing where there are not two classes, examples of both, and probabilities of each.

    Args:
      predictions: the head's, one for each example.
      labels: its classes.
      name: begins the ids of the charts on the page.
    """
    if len(labels) != 2 or not all(labels[1] in one.probabilities for one in predictions):
        return ""
    present = np.array([labels[1] in one.labels for one in predictions])
    if present.all() or not present.any():
        return ""
    scores = np.array([one.probabilities[labels[1]] for one in predictions])
    return chart(_roc(present, scores, labels[1]), f"{name}-roc") + chart(_precision(present, scores, labels[1]), f"{name}-pr")


def _roc(present: np.ndarray, scores: np.ndarray, label: str) -> Chart:
    from sklearn.metrics import roc_auc_score, roc_curve  # takes a while to import

    wrong, right, at = _some(*roc_curve(present, scores))
    series = Series("", wrong.tolist(), right.tolist(), beside=_beside(at), dots=False)
    return Chart(
        f"ROC of {cut(label, LETTERS)}: AUC {roc_auc_score(present, scores):.3f}",
        Axis("false positive rate", share=True),
        Axis("true positive rate", share=True),
        [series],
        diagonal=(0.0, 1.0),
        note="The dotted line is chance.",
    )


def _precision(present: np.ndarray, scores: np.ndarray, label: str) -> Chart:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    precision, recall, at = precision_recall_curve(present, scores)
    recall, precision, at = _some(recall[::-1], precision[::-1], np.append(at, np.inf)[::-1])
    series = Series("", recall.tolist(), precision.tolist(), beside=_beside(at), steps=True, dots=False)
    chance = float(present.mean())
    return Chart(
        f"Precision and recall of {cut(label, LETTERS)}: AP {average_precision_score(present, scores):.3f}",
        Axis("recall", share=True),
        Axis("precision", share=True),
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
