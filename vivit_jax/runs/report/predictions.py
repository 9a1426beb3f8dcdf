"""The predictions in an `evaluation.json` for each example, by head: anyone may have written it, and earlier versions wrote less."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from vivit_jax.inference.scores import heads_of, of_head


@dataclasses.dataclass(frozen=True)
class HeadPrediction:
    """The prediction of one head for one example.

    Attributes:
      labels: the names of the example's classes.
      prediction: the name of the most probable class.
      probability: that class's probability, in 0..1.
      probabilities: the probabilities of all classes, by name; empty where they are not known.
    """

    labels: tuple[str, ...]
    prediction: str
    probability: float
    probabilities: Mapping[str, float]

    @property
    def right(self) -> bool:
        """Whether the example has the predicted class."""
        return self.prediction in self.labels


@dataclasses.dataclass(frozen=True)
class Example:
    """An example, and the prediction of each head for it.

    Attributes:
      index: its number in the split.
      by_head: the predictions by the head's name; a single head has the empty name.
    """

    index: int
    by_head: Mapping[str, HeadPrediction]

    @property
    def right(self) -> bool:
        """Whether every head is right."""
        return all(one.right for one in self.by_head.values())

    @property
    def probability(self) -> float:
        """The probability of what all heads predict together: the product of theirs."""
        return math.prod(one.probability for one in self.by_head.values())


def examples_of(evaluation: dict) -> list[Example]:
    """The examples of an evaluation; none if it does not tell the prediction for each, in numbers that can be probabilities."""
    heads = {head: tuple(scores["per_class"]) for head, scores in heads_of(evaluation).items()}
    try:
        return [_example(row, heads) for row in evaluation.get("predictions", [])]
    except (LookupError, TypeError, ValueError, AttributeError):
        return []


def _example(row: dict, heads: Mapping[str, tuple[str, ...]]) -> Example:
    return Example(row["index"], {head: _prediction(row, head, classes) for head, classes in heads.items()})


def _prediction(row: dict, head: str, classes: tuple[str, ...]) -> HeadPrediction:
    label, probabilities = of_head(row, "label", head), of_head(row, "probabilities", head) if row.get("probabilities") else {}
    for value in probabilities.values():
        _probability(value)
    return HeadPrediction(
        labels=tuple(_name(one, classes) for one in (label if isinstance(label, list) else [label])),
        prediction=_name(of_head(row, "prediction", head), classes),
        probability=_probability(of_head(row, "probability", head)),
        probabilities=probabilities,
    )


def _name(label: Any, classes: tuple[str, ...]) -> str:
    """The name of a class, which earlier versions wrote as its number."""
    if isinstance(label, str):
        return label
    return classes[label] if label < len(classes) else str(label)


def _probability(value: Any) -> float:
    if not 0 <= value <= 1:  # nor is NaN
        raise ValueError(value)
    return float(value)
