"""What every layout yields: labelled clips, and the checks that hold for all of them."""

import dataclasses
import hashlib
import pathlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from vivit_jax.errors import UserError

Label = str | tuple[str, ...] | Mapping[str, str]
"""A class name; those of a clip that may have several or none; or one for each head."""

Generated = Callable[[], tuple[np.ndarray, Fraction]]
"""Makes frames, uint8 (t, h, w, 3), and their rate; picklable."""

SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class Clip:
    """One labelled piece of video.

    Attributes:
      name: unique in its split, for people: the path below the source.
      split: such as `train`.
      label: class name, or those of a clip that may have several or none, or one for each head.
      source: the video's file, or a function that makes it.
      start: seconds into the video where the clip begins.
      end: seconds into the video where it ends; None is its end.
    """

    name: str
    split: str
    label: Label
    source: pathlib.Path | Generated
    start: float = 0.0
    end: float | None = None


@dataclasses.dataclass(frozen=True)
class Annotations:
    """What a layout found.

    Attributes:
      clips: in the order they will be stored.
      labels: class names in the order of their numbers, or those of each head.
      remarks: what a person should know, one line each (files left aside, defaults taken).
    """

    clips: Sequence[Clip]
    labels: tuple[str, ...] | Mapping[str, tuple[str, ...]]
    remarks: tuple[str, ...] = ()

    @property
    def multi_label(self) -> bool:
        """Whether a clip may have several classes, or none."""
        return any(isinstance(clip.label, tuple) for clip in self.clips)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits: the usual three in their order, then others by name."""
        found = {clip.split for clip in self.clips}
        return tuple(split for split in SPLITS if split in found) + tuple(sorted(found - set(SPLITS)))


def class_names(label: str | tuple[str, ...]) -> tuple[str, ...]:
    """The classes of a clip with one or several."""
    return label if isinstance(label, tuple) else (label,)


def sorted_labels(names: set[str]) -> tuple[str, ...]:
    """Class names in order: as numbers if all of them are, else by name."""
    return tuple(sorted(names, key=int if all(name.isdecimal() for name in names) else str))


def inside(root: pathlib.Path, path: str | pathlib.Path) -> pathlib.Path:
    """`path` below `root`; refused if it is missing, leads out of `root` (by `..`, an absolute path or a symlink), or has no UTF-8 name.

    Raises:
      UserError: naming the path.
    """
    shown = repr(str(path)) if not is_utf8(str(path)) else str(path)
    if not is_utf8(str(path)):
        raise UserError(f"{shown}: the name is not UTF-8; rename the file")
    joined = root / path
    if ".." in pathlib.PurePath(path).parts or not joined.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{shown}: leads out of {root}; give files below it")
    if not joined.is_file():
        raise UserError(f"{shown}: {'not a file' if joined.exists() else 'no such file'} in {root}")
    return joined


def is_utf8(text: str) -> bool:
    """Whether a name from the file system was valid UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check(annotations: Annotations) -> None:
    """Refuses what no data set should have: no clips, a clip twice, a video in two splits, a class without training clips.

    Raises:
      UserError: naming the offender.
    """
    if not annotations.clips:
        raise UserError("there are no videos")
    _check_unique(annotations.clips)
    _check_splits_disjoint([clip for clip in annotations.clips if isinstance(clip.source, pathlib.Path)])
    if "train" in annotations.splits:
        _check_trained(annotations)


def _check_unique(clips: Sequence[Clip]) -> None:
    seen = {}
    for clip in clips:
        key = (clip.source, clip.start, clip.end)
        if isinstance(clip.source, pathlib.Path) and key in seen:
            raise UserError(f"{clip.name}: listed twice (in {seen[key]} and {clip.split}); keep one line")
        seen[key] = clip.split


def _check_splits_disjoint(clips: Sequence[Clip]) -> None:
    """No content in two splits: equal files are found by size first, so that few need be read."""
    by_size = defaultdict(dict)
    for clip in clips:
        by_size[clip.source.stat().st_size].setdefault(clip.source, clip)
        first = by_size[clip.source.stat().st_size][clip.source]
        if first.split != clip.split:
            raise UserError(f"{clip.source.name}: the same video is in {first.split} and {clip.split}; keep it in one")
    for same_size in by_size.values():
        if len({clip.split for clip in same_size.values()}) > 1:
            _check_contents_disjoint(same_size.values())


def _check_contents_disjoint(clips: Sequence[Clip]) -> None:
    by_content = {}
    for clip in clips:
        with clip.source.open("rb") as file:
            first = by_content.setdefault(hashlib.file_digest(file, "sha256").digest(), clip)
        if first.split != clip.split:
            raise UserError(f"the same video is in two splits: {first.name} ({first.split}) and {clip.name} ({clip.split}); keep one")


def _check_trained(annotations: Annotations) -> None:
    heads = annotations.labels if isinstance(annotations.labels, Mapping) else {"": annotations.labels}
    for head, names in heads.items():
        of_clips = (clip.label[head] if head else clip.label for clip in annotations.clips if clip.split == "train")
        trained = {name for label in of_clips for name in class_names(label)}
        missing = [name for name in names if name not in trained]
        if missing:
            raise UserError(f"no training video of {head or 'class'} {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}")
