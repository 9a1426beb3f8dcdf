"""What is counted of a set of predictions, exactly, in NumPy."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of one head over a set of examples.

    Attributes:
      examples: how many.
      hits: how many of them the most probable class is right for.
      hits5: how many of them have the label among the five most probable classes.
      loss: mean cross-entropy.
      confusion: (label, prediction) counts.
      labels: names of the classes.
    """

    examples: int
    hits: int
    hits5: int
    loss: float
    confusion: Int[np.ndarray, "classes classes"]
    labels: tuple[str, ...]

    @property
    def top1(self) -> float:
        """Share of examples that are right, in 0..1."""
        return self.hits / self.examples

    @property
    def top5(self) -> float:
        """Share of examples with the label among the five most probable classes, in 0..1."""
        return self.hits5 / self.examples

    @property
    def mean_class(self) -> float:
        """Mean over the classes that have examples of their top-1."""
        counts = self.confusion.sum(axis=1)
        return float(np.mean(np.diag(self.confusion)[counts > 0] / counts[counts > 0]))

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        per_class = {
            label: {"examples": int(row.sum()), "top1": float(row[i] / row.sum()) if row.sum() else None}
            for i, (label, row) in enumerate(zip(self.labels, self.confusion, strict=True))
        }
        return {
            "top1": self.top1,
            "top5": self.top5,
            "mean_class": self.mean_class,
            "loss": self.loss,
            "hits": self.hits,
            "per_class": per_class,
            "confusion": self.confusion.tolist(),
        }


def score(logits: Float[np.ndarray, "b classes"], label: Int[np.ndarray, " b"], labels: Sequence[str]) -> Scores:
    """Scores of a head whose classes are named `labels`."""
    classes = logits.shape[1]
    ranked = np.argsort(-logits, axis=1, kind="stable")
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (label, ranked[:, 0]), 1)
    return Scores(
        examples=len(label),
        hits=int((ranked[:, 0] == label).sum()),
        hits5=int((ranked[:, :5] == label[:, None]).any(axis=1).sum()),
        loss=float(-log_softmax(logits)[np.arange(len(label)), label].mean()),
        confusion=confusion,
        labels=tuple(labels),
    )


def joint_hits(logits: Mapping[str, np.ndarray], label: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Of several heads, examples whose combination of labels is the most probable, and among the five most probable.

    The probability of a combination is the product of the heads' (Sec. 4.1, the action score of Epic-Kitchens). Its five best combinations
    are made of each head's five best classes.
    """
    examples = len(next(iter(label.values())))
    total, right = np.zeros((examples, 1)), np.ones((examples, 1), bool)
    for name, values in logits.items():
        log_probability = log_softmax(values)
        best = np.argsort(-values, axis=1, kind="stable")[:, :5]
        scores = np.take_along_axis(log_probability, best, axis=1)
        total = (total[:, :, None] + scores[:, None, :]).reshape(examples, -1)
        right = (right[:, :, None] & (best == label[name][:, None])[:, None, :]).reshape(examples, -1)
    ranked = np.take_along_axis(right, np.argsort(-total, axis=1, kind="stable"), axis=1)
    return int(ranked[:, 0].sum()), int(ranked[:, :5].any(axis=1).sum())


def log_softmax(logits: Float[np.ndarray, "b classes"]) -> Float[np.ndarray, "b classes"]:
    """In float64, so that sums over large sets are exact to print."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
