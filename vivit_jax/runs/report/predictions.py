"""What a model said of each example, by head, from an `evaluation.json`: anyone may have written it, and earlier versions wrote less."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any


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
    """An example, and what each head said of it.

    Attributes:
      index: its number in the split.
      said: what each head says, by its name; a single head has the empty name.
    """

    index: int
    said: Mapping[str, HeadPrediction]

    @property
    def right(self) -> bool:
        """Whether every head is right."""
        return all(said.right for said in self.said.values())

    @property
    def probability(self) -> float:
        """The probability of what all heads predict together: the product of theirs."""
        return math.prod(said.probability for said in self.said.values())


def heads_of(evaluation: dict) -> dict[str, dict]:
    """The scores by head."""
    return evaluation.get("heads") or {"": evaluation}


def examples_of(evaluation: dict) -> list[Example]:
    """The examples of an evaluation; none if it does not tell what was said of each, in numbers that can be probabilities."""
    heads = {head: tuple(scores["per_class"]) for head, scores in heads_of(evaluation).items()}
    try:
        return [_example(row, heads) for row in evaluation.get("predictions", [])]
    except (LookupError, TypeError, ValueError, AttributeError):
        return []


def _example(row: dict, heads: Mapping[str, tuple[str, ...]]) -> Example:
    return Example(row["index"], {head: _said(_of_head(row, head), classes) for head, classes in heads.items()})


def _of_head(row: dict, head: str) -> dict[str, Any]:
    """A row's facts on one head, which has its own entry in each of them unless it is the only head and has no name."""
    facts = {"probabilities": {}} | row
    return {key: facts[key][head] if head and facts[key] else facts[key] for key in ("label", "prediction", "probability", "probabilities")}


def _said(facts: dict[str, Any], classes: tuple[str, ...]) -> HeadPrediction:
    for value in facts["probabilities"].values():
        _probability(value)
    labels = facts["label"] if isinstance(facts["label"], list) else [facts["label"]]
    return HeadPrediction(
        labels=tuple(_name(label, classes) for label in labels),
        prediction=_name(facts["prediction"], classes),
        probability=_probability(facts["probability"]),
        probabilities=facts["probabilities"],
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
