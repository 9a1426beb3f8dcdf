"""Scores of a set of predictions, exact, in NumPy and scikit-learn."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int


def is_better(name: str, score: float, than: float) -> bool:
    """Whether one score of a name (`top1`, `loss`) is better than another; any is better than NaN."""
    return (math.isnan(than) and not math.isnan(score)) or (score < than if name == "loss" else score > than)


class Shares:
    """The shares of all `examples` that the counts `hits` and `hits5` of a dataclass are."""

    @property
    def top1(self) -> float:
        """Share of examples that are right, in 0..1."""
        return self.hits / self.examples

    @property
    def top5(self) -> float:
        """Share of examples with a label among the five most probable classes, in 0..1."""
        return self.hits5 / self.examples


@dataclasses.dataclass(frozen=True)
class Scores(Shares):
    """Scores of one head over a set of examples.

    Attributes:
      examples: the number of examples.
      hits: how many of them have the most probable class as their label.
      hits5: how many of them have a label among the five most probable classes.
      loss: mean cross-entropy.
      aucs: the area under the ROC curve of each class against all others; NaN where the examples all have the class, or none has.
      labels: names of the classes.
    """

    examples: int
    hits: int
    hits5: int
    loss: float
    aucs: Float[np.ndarray, " classes"]
    labels: tuple[str, ...]

    @property
    def auc(self) -> float | None:
        """Mean of `aucs` over the classes that have one; of two classes, which share theirs, that one. None where no class has one."""
        return _mean(self.aucs)


@dataclasses.dataclass(frozen=True)
class SingleLabelScores(Scores):
    """Scores where each example has one label.

    Attributes:
      confusion: (label, prediction) counts.
    """

    METRICS: ClassVar = ("top1", "top5", "loss", "mean_class", "auc")
    OF_TWO_CLASSES: ClassVar = ("f1",)

    confusion: Int[np.ndarray, "classes classes"]

    @property
    def mean_class(self) -> float:
        """Mean of the classes' top-1, over the classes that have examples."""
        counts = self.confusion.sum(axis=1)
        return float(np.mean(np.diag(self.confusion)[counts > 0] / counts[counts > 0]))

    @property
    def f1(self) -> float | None:
        """The F1 score of the second of two classes; None where no example has or is predicted to have that class.

        None for any other number of classes.
        """
        if len(self.labels) != 2 or not (either := self.confusion.sum() - self.confusion[0, 0]):
            return None
        return float(2 * self.confusion[1, 1] / (either + self.confusion[1, 1]))

    @property
    def headline(self) -> str:
        """The first score to look at, with its denominator."""
        return f"top1 {self.top1:.4f} ({self.hits} of {self.examples})"

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        per_class = {
            label: {"examples": int(row.sum()), "top1": float(row[i] / row.sum()) if row.sum() else None, "auc": _or_none(self.aucs[i])}
            for i, (label, row) in enumerate(zip(self.labels, self.confusion, strict=True))
        }
        names = self.METRICS + (self.OF_TWO_CLASSES if len(self.labels) == 2 else ())
        scores = {name: getattr(self, name) for name in names}
        return scores | {"hits": self.hits, "per_class": per_class, "confusion": self.confusion.tolist()}


@dataclasses.dataclass(frozen=True)
class MultiLabelScores(Scores):
    """Scores where an example may have several labels or none: it is a hit if the most probable class is one of them.

    Attributes:
      positives: how many examples have each class.
      average_precisions: each class's average precision; NaN where no example has it.
    """

    METRICS: ClassVar = ("mAP", "top1", "top5", "loss", "auc")

    positives: Int[np.ndarray, " classes"]
    average_precisions: Float[np.ndarray, " classes"]

    @property
    def mAP(self) -> float | None:  # noqa: N802 (its name everywhere)
        """Mean of the average precision over the classes that have examples; None where none has."""
        return _mean(self.average_precisions)

    @property
    def headline(self) -> str:
        """The first score to look at, with its denominator."""
        classes = int((self.positives > 0).sum())
        return f"mAP {np.nan if self.mAP is None else self.mAP:.4f} (of {classes} classes in {self.examples})"

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        columns = zip(self.labels, self.positives, self.average_precisions, self.aucs, strict=True)
        per_class = {
            label: {"examples": int(count), "average_precision": _or_none(precision), "auc": _or_none(auc)}
            for label, count, precision, auc in columns
        }
        return {name: getattr(self, name) for name in self.METRICS} | {"hits": self.hits, "per_class": per_class}


@dataclasses.dataclass(frozen=True)
class ClipScores:
    """Scores of one head over the views of all examples, each view by itself: the "clip hits" of Karpathy et al. 2014, Table 1.

    Attributes:
      clips: the number of views.
      hits: how many of them have a label of their example as the most probable class.
      hits5: how many of them have one among the five most probable classes.
    """

    clips: int
    hits: int
    hits5: int

    def to_dict(self) -> dict:
        """Plain values for JSON: shares in 0..1."""
        return {"clip_top1": self.hits / self.clips, "clip_top5": self.hits5 / self.clips}


def score_clips(best: Int[np.ndarray, "b v k"], label: Int[np.ndarray, " b"] | Int[np.ndarray, "b classes"]) -> ClipScores:
    """Scores of views by their most probable classes; `label` is as for `score` or for `score_multi_label`."""
    several = label.ndim == 2
    right = np.take_along_axis(label.astype(bool)[:, None, :], best, axis=2) if several else best == label[:, None, None]
    return ClipScores(right[..., 0].size, int(right[..., 0].sum()), int(right.any(axis=2).sum()))


def score(logits: Float[np.ndarray, "b classes"], label: Int[np.ndarray, " b"], labels: Sequence[str]) -> SingleLabelScores:
    """Scores of a head whose classes are named `labels`, where each example has one."""
    classes = logits.shape[1]
    ranked, log_probability = _ranked(logits), log_softmax(logits)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (label, ranked[:, 0]), 1)
    return SingleLabelScores(
        examples=len(label),
        hits=int((ranked[:, 0] == label).sum()),
        hits5=int((ranked[:, :5] == label[:, None]).any(axis=1).sum()),
        loss=float(0 - log_probability[np.arange(len(label)), label].mean()),  # not the negative, which may be -0
        aucs=_roc_aucs(_log_odds(logits, log_probability), label[:, None] == np.arange(classes)),
        labels=tuple(labels),
        confusion=confusion,
    )


def score_multi_label(
    logits: Float[np.ndarray, "b classes"], label: Int[np.ndarray, "b classes"], labels: Sequence[str]
) -> MultiLabelScores:
    """Scores of a head whose classes are named `labels`, of which an example may have several or none."""
    present, logits = label.astype(bool), logits.astype(np.float64)
    right = np.take_along_axis(present, _ranked(logits)[:, :5], axis=1)
    return MultiLabelScores(
        examples=len(label),
        hits=int(right[:, 0].sum()),
        hits5=int(right.any(axis=1).sum()),
        loss=float(np.logaddexp(0, np.where(present, -logits, logits)).mean()),
        aucs=_roc_aucs(logits, present),
        labels=tuple(labels),
        positives=present.sum(axis=0),
        average_precisions=_average_precisions(logits, present),
    )


def joint_hits(logits: Mapping[str, np.ndarray], label: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Counts, for several heads, the examples whose combination of labels is the most probable, and is among the five most probable.

    The probability of a combination is the product of the heads' (Sec. 4.1, the action score of Epic-Kitchens). The five best combinations
    are made of each head's five best classes.
    """
    examples = len(next(iter(label.values())))
    total, right = np.zeros((examples, 1)), np.ones((examples, 1), bool)
    for name, values in logits.items():
        log_probability = log_softmax(values)
        best = _ranked(values)[:, :5]
        scores = np.take_along_axis(log_probability, best, axis=1)
        total = (total[:, :, None] + scores[:, None, :]).reshape(examples, -1)
        right = (right[:, :, None] & (best == label[name][:, None])[:, None, :]).reshape(examples, -1)
    ranked = np.take_along_axis(right, _ranked(total), axis=1)
    return int(ranked[:, 0].sum()), int(ranked[:, :5].any(axis=1).sum())


def log_softmax(logits: Float[np.ndarray, "b classes"]) -> Float[np.ndarray, "b classes"]:
    """Log-probabilities in float64, so that sums over large sets are exact to the digits that are printed."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def sigmoid(logits: Float[np.ndarray, "b classes"]) -> Float[np.ndarray, "b classes"]:
    """Probabilities of each class by itself, in float64."""
    return np.exp(-np.logaddexp(0, -logits.astype(np.float64)))


def _ranked(scores: Float[np.ndarray, "b n"]) -> Int[np.ndarray, "b n"]:
    return np.argsort(-scores, axis=1, kind="stable")


def _log_odds(logits: Float[np.ndarray, "b classes"], log_probability: Float[np.ndarray, "b classes"]) -> Float[np.ndarray, "b classes"]:
    """log(p / (1 - p)) of each class. It ranks examples as the probability p does, but does not tie where p is rounded to 1."""
    rows, best = np.arange(len(logits)), logits.argmax(axis=1)
    others = logits.astype(np.float64)
    others[rows, best] = -np.inf
    second = others.max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):  # of the only class of a head
        odds = log_probability - np.log1p(-np.exp(log_probability))
        odds[rows, best] = logits[rows, best] - second - np.log(np.exp(others - second[:, None]).sum(axis=1))
    return odds


def _roc_aucs(scores: Float[np.ndarray, "b classes"], present: Bool[np.ndarray, "b classes"]) -> Float[np.ndarray, " classes"]:
    defined = present.any(axis=0) & ~present.all(axis=0) & np.isfinite(scores).all(axis=0)
    return np.array([_roc_auc(scores[:, i], present[:, i]) if defined[i] else np.nan for i in range(present.shape[1])])


def _roc_auc(scores: Float[np.ndarray, " b"], present: Bool[np.ndarray, " b"]) -> float:
    """Mann and Whitney's form: the share of pairs, of an example with the class and one without, in which the first scores higher.

    Ties count half. scikit-learn takes a second to import, and ten times as long for it.
    """
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    positive, negative = int(present.sum()), int((~present).sum())
    return (ranks[present].sum() - positive * (positive + 1) / 2) / (positive * negative)


def _average_precisions(scores: Float[np.ndarray, "b classes"], present: Bool[np.ndarray, "b classes"]) -> Float[np.ndarray, " classes"]:
    from sklearn.metrics import average_precision_score  # takes a while to import

    defined = present.any(axis=0) & np.isfinite(scores).all(axis=0)
    return np.array([average_precision_score(present[:, i], scores[:, i]) if defined[i] else np.nan for i in range(present.shape[1])])


def _mean(values: Float[np.ndarray, " classes"]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
