"""What a prepared data set holds: counts, durations, and a contact sheet."""

import collections
import dataclasses
from collections.abc import Mapping

import numpy as np
from PIL import Image

from vivit_jax import console
from vivit_jax.data.dataset import VideoDataset
from vivit_jax.data.folds import split_and_folds
from vivit_jax.data.preparation.outcome import NO_LABEL
from vivit_jax.data.preparation_report import reported
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.drawing import SHEET_FRAMES, contact_sheet

SHEET_ROWS = 24


@dataclasses.dataclass(frozen=True)
class SplitSummary:
    """What a split holds.

    Attributes:
      counts: the number of examples of each class. An example with several classes counts for each of them. With several heads the key is
        the classes of all heads, joined by ` / `.
      seconds: durations of its videos in seconds, float64 (examples,).
      frames: how many frames each video has, by name.
      rates: frames a second of its videos, float64 (examples,).
    """

    counts: collections.Counter
    seconds: np.ndarray
    frames: Mapping[str, int]
    rates: np.ndarray


def summarise(dataset: VideoDataset, split: str) -> SplitSummary:
    """Reads every record of a split, and counts its classes and durations."""
    source = dataset.any_source(split)
    counts, frames, seconds, rates = collections.Counter(), {}, np.zeros(len(source)), np.zeros(len(source))
    for i in console.tracked(range(len(source)), f"reading {split}", len(source)):
        record = source[i]
        counts.update(class_names(dataset, record["label"]))
        seconds[i], rates[i] = record["duration"], record["fps"]
        frames[record["name"]] = record["frames"]
    return SplitSummary(counts, seconds, frames, rates)


def dataset_sheet(dataset: VideoDataset) -> Image.Image:
    """A contact sheet with the first clip of each class in the first split, at most `SHEET_ROWS` classes."""
    split = next(iter(dataset.splits))
    source = dataset.any_source(split)
    shown: dict[str, dict] = {}
    for i in range(len(source)):
        record = source[i]
        shown.setdefault(label_text(dataset, record["label"]), record)
        if len(shown) == min(SHEET_ROWS, _class_count(dataset)):
            break
    rows = sorted(shown.items())
    return contact_sheet([_some_frames(record) for _, record in rows], [label for label, _ in rows])


def _some_frames(record: dict) -> np.ndarray:
    count = int(record["frames"])
    return decode_frames(record["video"], np.linspace(0, count - 1, min(SHEET_FRAMES, count)).round().astype(int))


def refused_clips(dataset: VideoDataset, split: str) -> int:
    """How many clips of a split, or of the splits in an expression, were refused when the data set was prepared; 0 if nothing says."""
    try:
        of_splits = [row[0] for row in reported(dataset.path, "refused", list) or ()]
    except (LookupError, TypeError):
        return 0
    names = {part.partition("[")[0] for part in split_and_folds(dataset.resolve(split))[0].split("+")}
    return sum("all" in names or name in names for name in of_splits)


def label_text(dataset: VideoDataset, label: object) -> str:
    """The classes of an example, as one text."""
    return ", ".join(class_names(dataset, label))


def class_names(dataset: VideoDataset, label: object) -> list[str]:
    """The classes of an example; with several heads, one text that joins the class of each head."""
    if np.min(list(label.values()) if isinstance(label, Mapping) else label) < 0:
        return [NO_LABEL]
    if isinstance(dataset.labels, Mapping):
        return [" / ".join(dataset.labels[head][int(label[head])] for head in dataset.labels)]
    return [dataset.labels[i] for i in (np.flatnonzero(label) if dataset.multi_label else [int(label)])]


def _class_count(dataset: VideoDataset) -> int:
    return SHEET_ROWS if isinstance(dataset.labels, Mapping) else len(dataset.labels)
