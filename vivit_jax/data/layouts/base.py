"""What every layout takes and yields: how a source is read, and its labelled clips."""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from vivit_jax.data.splits import USUAL
from vivit_jax.data.times import plain_number
from vivit_jax.errors import UserError
from vivit_jax.files import real_path
from vivit_jax.heads import Labels

Label = str | None | tuple[str, ...] | Mapping[str, str | None]
"""A class name; a tuple of class names, for a clip that may have several or none; or a class name for each head. None if not known."""

OF_SYSTEMS = {"__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information"}
"""Folders that macOS, Synology, Linux and Windows leave beside files."""

Generated = Callable[[], tuple[Iterable[np.ndarray], Fraction] | bytes]
"""A picklable function that makes frames, each uint8 (h, w, 3), and their rate in frames a second; or the bytes of a video file."""


class MissingFileError(UserError):
    """A listed file is not there, or is no file."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a source is read.

    Attributes:
      root: the folder that a list's relative paths start from; None is the list's own folder.
      within: for a list that is not trusted, the folder that all its files must lie in once links are followed; None allows any folder.
      split: whether clips will be assigned to splits; the source must then have none of its own.
      group: the list's column that tells which clips must stay in one split; None if there is no such column.
      annotations: files of labels, or folders of such files, that lie apart from the videos; empty if they lie beside the videos.
      heads: the list's columns that each hold a label; empty if a clip has a single label.
      split_number: which of several published splits is taken, from 1.
      fps: the rate, in frames a second, of videos that lie as image files; None if it is not known.
      shared_videos: whether segments of one video may be in several splits.
      first_frame: the number that a list of segments by frame numbers gives a video's first frame.
      stop_frame_included: whether a segment's last frame is the one that such a list ends it with, and not the one before.
      tolerate: how many files of a list may be missing: a number, or if below 1 a share of its lines.
    """

    root: pathlib.Path | None = None
    within: pathlib.Path | None = None
    split: bool = False
    group: str | None = None
    annotations: tuple[pathlib.Path, ...] = ()
    heads: tuple[str, ...] = ()
    split_number: int = 1
    fps: float | None = None
    shared_videos: bool = False
    first_frame: int = 0
    stop_frame_included: bool = False
    tolerate: float = 0


@dataclasses.dataclass(frozen=True)
class Clip:
    """One labelled piece of video.

    Attributes:
      name: unique in its split, for people: the path below the source.
      split: such as `train`.
      label: see `Label`.
      source: the video's file, or a function that makes it.
      start: seconds into the video where the clip begins, or the number of its first frame; see `by_frames`.
      end: seconds into the video where the clip ends, or the number of the frame after its last; None is the end of the video.
      group: names the clip's origin, such as a person; clips of one group should be in one split. None if the origin is not known.
      lossless: whether frames that `source` makes are stored without loss, because they are measurements and not pictures for the eye.
      by_frames: whether `start` and `end` number frames, from 0 in the order shown, and are no times.
    """

    name: str
    split: str
    label: Label
    source: pathlib.Path | Generated
    start: float = 0.0
    end: float | None = None
    group: str | None = None
    lossless: bool = False
    by_frames: bool = False


@dataclasses.dataclass(frozen=True)
class Annotations:
    """What a layout found.

    Attributes:
      clips: the clips in the order in which they will be stored.
      labels: class names in the order of their numbers; with several heads, such a tuple for each head.
      remarks: what a person should know, one line each (files skipped, defaults used).
      published: whether the list is the publisher's own, whose classes are all kept though some have no video here, and whose clips are
        taken as they are.
      missing: clips that are listed but whose videos were not found, as (split, name).
    """

    clips: Sequence[Clip]
    labels: Labels
    remarks: tuple[str, ...] = ()
    published: bool = False
    missing: tuple[tuple[str, str], ...] = ()

    @property
    def multi_label(self) -> bool:
        """Whether a clip may have several classes, or none."""
        return any(isinstance(clip.label, tuple) for clip in self.clips)

    @property
    def unlabelled(self) -> tuple[str, ...]:
        """Splits with clips whose classes are not known."""
        return tuple(split for split in self.splits if any(clip.split == split and not is_known(clip.label) for clip in self.clips))

    @functools.cached_property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits: the usual three in their order, then others by name."""
        found = {clip.split for clip in self.clips}
        return tuple(split for split in USUAL if split in found) + tuple(sorted(found - set(USUAL)))


def files_read_by(source: object) -> Iterator[pathlib.Path]:
    """The files and folders that a clip's source reads: itself, or those among the arguments of a function that makes the video."""
    if isinstance(source, pathlib.Path):
        yield source
    elif isinstance(source, functools.partial):
        yield from files_read_by(source.args)
    elif isinstance(source, tuple):
        for part in source:
            yield from files_read_by(part)


def is_known(label: Label) -> bool:
    """Whether a clip's classes are known."""
    return label is not None and not (isinstance(label, Mapping) and None in label.values())


def class_names(label: str | tuple[str, ...]) -> tuple[str, ...]:
    """The classes of a clip, as a tuple even if it has only one."""
    return label if isinstance(label, tuple) else (label,)


def tolerated(tolerate: float, total: int) -> int:
    """How many of `total` a tolerance allows: a number, or if below 1 a share of them."""
    return int(tolerate * total) if tolerate < 1 else int(tolerate)


def sorted_labels(names: set[str]) -> tuple[str, ...]:
    """Class names in order: as numbers if all of them are, such as `10` or the `10.0` that a spreadsheet makes of it, else by name."""
    numbers = {name: _number(name) for name in names}
    return tuple(sorted(names, key=str if None in numbers.values() else lambda name: (numbers[name], name)))


def _number(name: str) -> float | None:
    if name.isdecimal():
        return int(name)
    return float(name) if re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", name, re.ASCII) else None


def locate(folder: pathlib.Path, path: str | pathlib.Path, within: pathlib.Path | None = None) -> pathlib.Path:
    """The file `path`, relative to `folder` unless it is absolute.

    Args:
      folder: what a relative path starts from.
      path: the path as the source gives it.
      within: the folder that it must lie in once all links are followed; None allows any folder.

    Raises:
      MissingFileError: naming the path, if it is missing or is not a file.
      UserError: naming the path, if it lies outside `within`, or has a name that is not UTF-8.
    """
    if not is_utf8(str(path)):
        raise UserError(f"{str(path)!r}: the name is not UTF-8; rename the file")
    joined = folder / path
    if within is not None and not real_path(joined).is_relative_to(real_path(within)):
        raise UserError(f"{path}: leads out of {within}, the only folder that --within allows")
    problem = _problem(joined)
    if problem:
        raise MissingFileError(f"{path}: {problem}{'' if joined.is_absolute() and str(joined) == str(path) else f' in {folder}'}")
    return joined


def _problem(path: pathlib.Path) -> str | None:
    try:
        if path.is_file():
            return None
        if path.is_symlink() and not path.exists():
            return "a link that leads nowhere"
        return "not a file" if path.exists() else "no such file"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)


def too_few_frames(frames: int, start: float = 0.0, end: float | None = None, length: float = 0.0) -> str:
    """Says why a clip of fewer than two frames is refused.

    Args:
      frames: the number of its frames.
      start: seconds into the video where it begins.
      end: seconds into the video where it ends; None is the end of the video.
      length: seconds of the whole video.
    """
    counted = f"{frames} frame{'s' if frames != 1 else ''}"
    if not start and end is None:
        return f"it has {counted}, which is not a video"
    until = "its end" if end is None else f"{plain_number(end)} s"
    return f"it ends at {length:.2f} s, and from {plain_number(start)} s to {until} it has {counted}"


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is not the user's, or is not meant to be seen: `.DS_Store`, `._clip.mp4`, `__MACOSX`."""
    return name.startswith(".") or name in OF_SYSTEMS


def is_utf8(text: str) -> bool:
    """Whether a name from the file system was valid UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
