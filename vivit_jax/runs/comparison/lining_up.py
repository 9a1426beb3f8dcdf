"""Lines up the predictions of several runs video by video, and refuses runs with other videos, labels or classes."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from vivit_jax.console import counted, first_of, warn
from vivit_jax.data.splits import canonical
from vivit_jax.errors import UserError
from vivit_jax.runs.comparison.contenders import Contender
from vivit_jax.runs.comparison.lineup import Answers, Lineup

SHOWN = 3  # videos or classes that an error names


def line_up(contenders: Sequence[Contender]) -> Lineup:
    """Puts the predictions of all contenders in the order of the first one's videos.

    Raises:
      UserError: if their splits, videos, labels or classes differ.
    """
    rows = [_by_video(contender) for contender in contenders]
    first, reference = contenders[0], rows[0]
    for contender, predictions in zip(contenders[1:], rows[1:], strict=True):
        _check_same_split(first, contender)
        _check_same_kind(first, reference, contender, predictions)
        _check_same_videos(first, reference, contender, predictions)
        _check_same_labels(first, reference, contender, predictions)
    _warn_of_views(contenders)
    classes = {head: _classes(contenders, rows, head) for head in _heads(first)}
    numbers = {head: {name: number for number, name in enumerate(names)} for head, names in classes.items()}
    multi_label = _is_multi_label(first)
    label = {head: _labels(reference, head, numbers[head], multi_label) for head in classes}
    if multi_label and not label[""].any():
        raise UserError(f"none of the {len(reference)} videos has a class, so mean average precision is not defined")
    return Lineup(
        dataset=first.evaluation.get("name", ""),
        split=first.evaluation["split"],
        videos=tuple(reference),
        index=np.array([row["index"] for row in reference.values()]),
        classes=classes,
        multi_label=multi_label,
        label=label,
        answers={
            contender.name: _answers(contender, [predictions[video] for video in reference], numbers)
            for contender, predictions in zip(contenders, rows, strict=True)
        },
    )


def _heads(contender: Contender) -> list[str]:
    return list(contender.evaluation.get("heads") or [""])


def _is_multi_label(contender: Contender) -> bool:
    return "mAP" in contender.evaluation


def _of(row: Mapping, key: str, head: str) -> object:
    return row[key][head] if head else row[key]


def _by_video(contender: Contender) -> dict[str, Mapping]:
    """A contender's predictions by the video's name, each of the form that `scores.predictions` gives it."""
    rows = contender.evaluation.get("predictions") or []
    if not rows or not all(_is_whole(row, _heads(contender)) for row in rows):
        raise UserError(
            f"{contender.file} lacks the names, labels or probabilities of its videos, as those of earlier versions do: evaluate again"
        )
    counts = Counter(row["video"] for row in rows)
    return {row["video"] if counts[row["video"]] == 1 else f"{row['video']} (number {row['index']})": row for row in rows}


def _is_whole(row: Mapping, heads: Sequence[str]) -> bool:
    try:
        return isinstance(row["video"], str) and all(
            isinstance(_of(row, "prediction", head), str)
            and _are_names(_of(row, "label", head))
            and _are_probabilities(_of(row, "probabilities", head), str(_of(row, "prediction", head)))
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


def _check_same_split(first: Contender, other: Contender) -> None:
    splits = first.evaluation["split"], other.evaluation["split"]
    if canonical(splits[0]) != canonical(splits[1]):
        raise UserError(
            f"{first.name} was evaluated on split {splits[0]} and {other.name} on {splits[1]}: --split takes the evaluations of one"
        )


def _check_same_kind(first: Contender, reference: Mapping, other: Contender, rows: Mapping) -> None:
    heads = _heads(first), _heads(other)
    if set(heads[0]) != set(heads[1]):
        raise UserError(f"{first.name} has {_named(heads[0])} and {other.name} has {_named(heads[1])}: compare runs with the same heads")
    lists = [isinstance(_of(next(iter(predictions.values())), "label", heads[0][0]), list) for predictions in (reference, rows)]
    if lists[0] != lists[1] or _is_multi_label(first) != _is_multi_label(other):
        one, several = (other, first) if _is_multi_label(first) else (first, other)
        raise UserError(f"{one.name} was trained for one class a video and {several.name} for several: their scores cannot be compared")


def _check_same_videos(first: Contender, reference: Mapping, other: Contender, rows: Mapping) -> None:
    lacking = [(other, first, [video for video in reference if video not in rows]), (first, other, [v for v in rows if v not in reference])]
    told = [
        f"{one.name} lacks {counted(len(missing), 'video')} of {whole.name} ({first_of(missing, SHOWN)})"
        for one, whole, missing in lacking
        if missing
    ]
    if told:
        raise UserError(
            f"{' and '.join(told)}; {first.name} has {len(reference)} in all and {other.name} {len(rows)}: "
            "evaluate them on the same videos of the same data set"
        )


def _check_same_labels(first: Contender, reference: Mapping, other: Contender, rows: Mapping) -> None:
    heads = _heads(first)
    wrong = [video for video in reference if any(_told(reference[video], head) != _told(rows[video], head) for head in heads)]
    if wrong:
        labels = [" and ".join(_told(predictions[wrong[0]], head) for head in heads) for predictions in (reference, rows)]
        raise UserError(
            f"{len(wrong)} of the {len(reference)} videos have other labels in {other.name} than in {first.name} "
            f"({first_of(wrong, SHOWN)}): "
            f"{wrong[0]} is {labels[1]!r} there and {labels[0]!r} here"
        )


def _told(row: Mapping, head: str) -> str:
    label = _of(row, "label", head)
    return ";".join(sorted(label)) if isinstance(label, list) else label


def _warn_of_views(contenders: Sequence[Contender]) -> None:
    seen = {contender.name: contender.seen for contender in contenders if contender.seen}
    if len(set(seen.values())) > 1:
        told = "; ".join(f"{name} {views}" for name, views in seen.items())
        warn(f"the runs were evaluated with different views ({told}): evaluate them alike, or see --views")
    names = {contender.evaluation.get("name") for contender in contenders}
    if len(names) > 1:
        warn(f"the data sets have different names ({', '.join(sorted(map(str, names)))}); their videos and labels are the same, by name")


def _classes(contenders: Sequence[Contender], rows: Sequence[Mapping], head: str) -> tuple[str, ...]:
    """The classes of a head in the order of the first contender's."""
    found = [tuple(_of(next(iter(predictions.values())), "probabilities", head)) for predictions in rows]
    for contender, names in zip(contenders[1:], found[1:], strict=True):
        if different := sorted(set(names) ^ set(found[0])):
            raise UserError(
                f"{contender.name} and {contenders[0].name} do not know the same classes{f' of {head}' if head else ''}: "
                f"{len(different)} are of one alone ({first_of(different, SHOWN)})"
            )
    return found[0]


def _labels(rows: Mapping[str, Mapping], head: str, numbers: Mapping[str, int], multi_label: bool) -> np.ndarray:
    try:
        if not multi_label:
            return np.array([numbers[_of(row, "label", head)] for row in rows.values()])
        present = np.zeros((len(rows), len(numbers)), bool)
        for i, row in enumerate(rows.values()):
            present[i, [numbers[name] for name in _of(row, "label", head)]] = True
        return present
    except (KeyError, TypeError) as error:
        raise UserError(f"the label {error} of a video is none of the classes that have probabilities: evaluate again") from None


def _answers(contender: Contender, rows: Sequence[Mapping], numbers: Mapping[str, Mapping[str, int]]) -> Answers:
    predicted, probabilities = {}, {}
    for head, number in numbers.items():
        try:
            values = [[_of(row, "probabilities", head)[name] for name in number] for row in rows]
            predicted[head] = np.array([number[_of(row, "prediction", head)] for row in rows])
        except KeyError as error:
            raise UserError(f"{contender.file}: not every video has a probability of {error}: it was changed; evaluate again") from None
        probabilities[head] = np.array(values, np.float64)
    return Answers(predicted, probabilities)


def _named(heads: Sequence[str]) -> str:
    return "one head without a name" if list(heads) == [""] else f"heads {', '.join(sorted(heads))}"
