"""The predictions of several runs on the same videos, side by side."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclasses.dataclass(frozen=True)
class RunPredictions:
    """The predictions of one run.

    Attributes:
      predicted: (n,) the most probable class, by head.
      probabilities: (n, classes) by head.
    """

    predicted: Mapping[str, Int[np.ndarray, " n"]]
    probabilities: Mapping[str, Float[np.ndarray, "n classes"]]


@dataclasses.dataclass(frozen=True)
class AlignedPredictions:
    """The predictions of several runs on the same n videos, in one order of videos and classes.

    Attributes:
      dataset: name of the data set, as the first run has it.
      split: name of its split.
      videos: names of the videos, in the order of the first run's evaluation.
      index: (n,) numbers of the videos in the split.
      classes: class names by head; a single head has the empty name.
      multi_label: whether a video may have several classes, or none.
      label: the class of each video, (n,), by head; if a video may have several, whether it has each class, (n, classes).
      by_run: the predictions of each run by its name.
    """

    dataset: str
    split: str
    videos: tuple[str, ...]
    index: Int[np.ndarray, " n"]
    classes: Mapping[str, tuple[str, ...]]
    multi_label: bool
    label: Mapping[str, np.ndarray]
    by_run: Mapping[str, RunPredictions]

    def right(self, name: str, head: str | None = None) -> Bool[np.ndarray, " n"]:
        """Which videos a run is right about, by one head, or with None by all heads at once."""
        predicted = self.by_run[name].predicted
        by_head = {one: _right(predicted[one], label) for one, label in self.label.items() if head in (None, one)}
        return np.all(list(by_head.values()), axis=0)

    def joint_class(self, name: str) -> Int[np.ndarray, " n"]:
        """The classes that a run predicts with all heads, as one number for each combination."""
        number = np.zeros(len(self.videos), np.int64)
        for head, predicted in self.by_run[name].predicted.items():
            number = number * len(self.classes[head]) + predicted
        return number

    def probability_of_label(self, name: str) -> Float[np.ndarray, " n"]:
        """The probability that a run gives to the label: the product over heads; with several classes a video, the least of them."""
        probabilities = self.by_run[name].probabilities
        if self.multi_label:
            return np.where(self.label[""], probabilities[""], 1).min(axis=1)
        rows = np.arange(len(self.videos))
        return np.prod([probabilities[head][rows, label] for head, label in self.label.items()], axis=0)

    def with_average(self, name: str, members: Sequence[str]) -> "AlignedPredictions":
        """These predictions and those of one more run, whose probabilities are the mean over its members."""
        probabilities = {head: np.mean([self.by_run[member].probabilities[head] for member in members], axis=0) for head in self.classes}
        predicted = {head: values.argmax(axis=1) for head, values in probabilities.items()}
        return dataclasses.replace(self, by_run={**self.by_run, name: RunPredictions(predicted, probabilities)})

    def labels_of(self, video: int) -> list[str]:
        """The names of a video's classes; with several heads, one for each."""
        if self.multi_label:
            return [self.classes[""][number] for number in np.flatnonzero(self.label[""][video])]
        return [self.classes[head][label[video]] for head, label in self.label.items()]

    def prediction_of(self, name: str, video: int) -> str:
        """The name of the class that a run predicts for a video; with several heads, of each."""
        return ", ".join(self.classes[head][predicted[video]] for head, predicted in self.by_run[name].predicted.items())


def _right(predicted: Int[np.ndarray, " n"], label: np.ndarray) -> Bool[np.ndarray, " n"]:
    return predicted == label if label.ndim == 1 else label[np.arange(len(label)), predicted]
