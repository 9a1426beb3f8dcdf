"""Puts the predictions of several runs into one order of videos and classes, and refuses runs with other videos, labels or classes."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from vivit_jax.console import counted, first_of, warn
from vivit_jax.data.splits import canonical
from vivit_jax.errors import UserError
from vivit_jax.inference.scores import of_head
from vivit_jax.runs.comparison.contenders import Contender
from vivit_jax.runs.comparison.predictions import AlignedPredictions, RunPredictions

SHOWN = 3  # videos or classes that an error names


@dataclasses.dataclass(frozen=True)
class _Rows:
    """The predictions of one contender by the video's name, each of the form that `scores.predictions` gives it."""

    contender: Contender
    by_video: Mapping[str, Mapping]

    @property
    def name(self) -> str:
        return self.contender.name

    @property
    def split(self) -> str:
        return self.contender.evaluation["split"]

    @property
    def heads(self) -> list[str]:
        return self.contender.heads

    @property
    def multi_label(self) -> bool:
        return "mAP" in self.contender.evaluation

    @property
    def first_row(self) -> Mapping:
        return next(iter(self.by_video.values()))


def align(contenders: Sequence[Contender]) -> AlignedPredictions:
    """The predictions of all contenders, in the order of the first one's videos and classes.

    Raises:
      UserError: if their splits, videos, labels or classes differ.
    """
    first, *others = runs = [_Rows(contender, _by_video(contender)) for contender in contenders]
    for other in others:
        _check_same_split(first, other)
        _check_same_kind(first, other)
        _check_same_videos(first, other)
        _check_same_labels(first, other)
    _warn_of_views(contenders)
    classes = {head: _classes(runs, head) for head in first.heads}
    numbers = {head: {name: number for number, name in enumerate(names)} for head, names in classes.items()}
    label = {head: _labels(first, head, numbers[head]) for head in classes}
    if first.multi_label and not label[""].any():
        raise UserError(f"none of the {len(first.by_video)} videos has a class, so mean average precision is not defined")
    return AlignedPredictions(
        dataset=first.contender.evaluation.get("name", ""),
        split=first.split,
        videos=tuple(first.by_video),
        index=np.array([row["index"] for row in first.by_video.values()]),
        classes=classes,
        multi_label=first.multi_label,
        label=label,
        by_run={run.name: _predictions(run, list(first.by_video), numbers) for run in runs},
    )


def _by_video(contender: Contender) -> dict[str, Mapping]:
    rows = contender.evaluation.get("predictions") or []
    if not rows or not all(_is_whole(row, contender.heads) for row in rows):
        raise UserError(
            f"{contender.file} lacks the names, labels or probabilities of its videos, as those of earlier versions do: evaluate again"
        )
    counts = Counter(row["video"] for row in rows)
    return {row["video"] if counts[row["video"]] == 1 else f"{row['video']} (number {row['index']})": row for row in rows}


def _is_whole(row: Mapping, heads: Sequence[str]) -> bool:
    try:
        return isinstance(row["video"], str) and all(
            isinstance(of_head(row, "prediction", head), str)
            and _are_names(of_head(row, "label", head))
            and _are_probabilities(of_head(row, "probabilities", head), of_head(row, "prediction", head))
            for head in heads
        )
    except (KeyError, TypeError):
        return False


def _are_names(label: object) -> bool:
    return isinstance(label, str) or (isinstance(label, list) and all(isinstance(name, str) for name in label))


def _are_probabilities(values: object, predicted: str) -> bool:
    return (
        isinstance(values, dict)
        and predicted in values
        and all(isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1 for value in values.values())
    )


def _check_same_split(first: _Rows, other: _Rows) -> None:
    if canonical(first.split) != canonical(other.split):
        raise UserError(
            f"{first.name} was evaluated on split {first.split} and {other.name} on {other.split}: --split takes the evaluations of one"
        )


def _check_same_kind(first: _Rows, other: _Rows) -> None:
    if set(first.heads) != set(other.heads):
        raise UserError(
            f"{first.name} has {_named(first.heads)} and {other.name} has {_named(other.heads)}: compare runs with the same heads"
        )
    lists = [isinstance(of_head(run.first_row, "label", first.heads[0]), list) for run in (first, other)]
    if lists[0] != lists[1] or first.multi_label != other.multi_label:
        one, several = (other, first) if first.multi_label else (first, other)
        raise UserError(f"{one.name} was trained for one class a video and {several.name} for several: their scores cannot be compared")


def _check_same_videos(first: _Rows, other: _Rows) -> None:
    lacking = [
        (one, whole, [video for video in whole.by_video if video not in one.by_video]) for one, whole in ((other, first), (first, other))
    ]
    told = [
        f"{one.name} lacks {counted(len(missing), 'video')} of {whole.name} ({first_of(missing, SHOWN)})"
        for one, whole, missing in lacking
        if missing
    ]
    if told:
        raise UserError(
            f"{' and '.join(told)}; {first.name} has {len(first.by_video)} in all and {other.name} {len(other.by_video)}: "
            "evaluate them on the same videos of the same data set"
        )


def _check_same_labels(first: _Rows, other: _Rows) -> None:
    heads = first.heads
    wrong = [video for video in first.by_video if _label_texts(first, video, heads) != _label_texts(other, video, heads)]
    if wrong:
        here, there = (" and ".join(_label_texts(run, wrong[0], heads)) for run in (first, other))
        raise UserError(
            f"{len(wrong)} of the {len(first.by_video)} videos have other labels in {other.name} than in {first.name} "
            f"({first_of(wrong, SHOWN)}): {wrong[0]} is {there!r} there and {here!r} here"
        )


def _label_texts(run: _Rows, video: str, heads: Sequence[str]) -> list[str]:
    """The label that a run has of a video for each head; several are sorted and joined by `;`."""
    labels = [of_head(run.by_video[video], "label", head) for head in heads]
    return [";".join(sorted(label)) if isinstance(label, list) else label for label in labels]


def _warn_of_views(contenders: Sequence[Contender]) -> None:
    seen = {contender.name: contender.seen for contender in contenders if contender.seen}
    if len(set(seen.values())) > 1:
        told = "; ".join(f"{name} {views}" for name, views in seen.items())
        warn(f"the runs were evaluated with different views ({told}): evaluate them alike, or see --views")
    names = {contender.evaluation.get("name") for contender in contenders}
    if len(names) > 1:
        warn(f"the data sets have different names ({', '.join(sorted(map(str, names)))}); their videos and labels are the same, by name")


def _classes(runs: Sequence[_Rows], head: str) -> tuple[str, ...]:
    """The classes of a head in the order of the first contender's."""
    first, *others = (tuple(of_head(run.first_row, "probabilities", head)) for run in runs)
    for run, names in zip(runs[1:], others, strict=True):
        if different := sorted(set(names) ^ set(first)):
            raise UserError(
                f"{run.name} and {runs[0].name} do not know the same classes{f' of {head}' if head else ''}: "
                f"{len(different)} are of one alone ({first_of(different, SHOWN)})"
            )
    return first


def _labels(run: _Rows, head: str, numbers: Mapping[str, int]) -> np.ndarray:
    labels = [of_head(row, "label", head) for row in run.by_video.values()]
    try:
        if not run.multi_label:
            return np.array([numbers[label] for label in labels])
        present = np.zeros((len(labels), len(numbers)), bool)
        for i, names in enumerate(labels):
            present[i, [numbers[name] for name in names]] = True
        return present
    except (KeyError, TypeError) as error:
        raise UserError(f"the label {error} of a video is none of the classes that have probabilities: evaluate again") from None


def _predictions(run: _Rows, videos: Sequence[str], numbers: Mapping[str, Mapping[str, int]]) -> RunPredictions:
    rows, predicted, probabilities = [run.by_video[video] for video in videos], {}, {}
    for head, number in numbers.items():
        try:
            values = [[of_head(row, "probabilities", head)[name] for name in number] for row in rows]
            predicted[head] = np.array([number[of_head(row, "prediction", head)] for row in rows])
        except KeyError as error:
            raise UserError(f"{run.contender.file}: not every video has a probability of {error}: it was changed; evaluate again") from None
        probabilities[head] = np.array(values, np.float64)
    return RunPredictions(predicted, probabilities)


def _named(heads: Sequence[str]) -> str:
    return "one head without a name" if list(heads) == [""] else f"heads {', '.join(sorted(heads))}"
