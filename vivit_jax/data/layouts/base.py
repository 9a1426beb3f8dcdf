"""What every layout yields: labelled clips, and the checks that hold for all of them."""

import dataclasses
import os
import pathlib
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from vivit_jax.data.splits import USUAL
from vivit_jax.data.splits import check_name as check_split
from vivit_jax.errors import UserError
from vivit_jax.files import sha256

Label = str | tuple[str, ...] | Mapping[str, str]
"""A class name; those of a clip that may have several or none; or one for each head."""

Generated = Callable[[], tuple[Iterable[np.ndarray], Fraction]]
"""Makes frames, each uint8 (h, w, 3), and their rate; picklable."""


END_BYTES = 4096


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a source is read.

    Attributes:
      root: the folder that relative paths of a list are below; None is the list's own.
      within: for a list that is not trusted, the folder that all its files must lie in, whatever links lead there; None is anywhere.
      split: whether the clips are to be given splits, so that the source must have none.
      group: the list's column that tells which clips must stay together; None is none.
      annotations: files of labels, or folders of them, that lie apart from the videos; none is beside them.
      heads: the list's columns that are a label each; none is one label.
      split_number: which of several published splits is taken, from 1.
      fps: frames a second of frames that lie as image files; None is not known.
      shared_videos: whether segments of one video may be in several splits.
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
      group: clips of one group are of one origin, and should be in one split; None where that is not known.
      lossless: whether what `source` makes is stored without loss, as measurements are, and not as pictures for the eye.
    """

    name: str
    split: str
    label: Label
    source: pathlib.Path | Generated
    start: float = 0.0
    end: float | None = None
    group: str | None = None
    lossless: bool = False


@dataclasses.dataclass(frozen=True)
class Annotations:
    """What a layout found.

    Attributes:
      clips: in the order they will be stored.
      labels: class names in the order of their numbers, or those of each head.
      remarks: what a person should know, one line each (files left aside, defaults taken).
      published: whether the list is the publisher's own, whose classes are all kept though some have no video here, and whose clips are
        taken as they are.
      missing: clips that are listed and not there, as (split, name).
    """

    clips: Sequence[Clip]
    labels: tuple[str, ...] | Mapping[str, tuple[str, ...]]
    remarks: tuple[str, ...] = ()
    published: bool = False
    missing: tuple[tuple[str, str], ...] = ()

    @property
    def multi_label(self) -> bool:
        """Whether a clip may have several classes, or none."""
        return any(isinstance(clip.label, tuple) for clip in self.clips)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits: the usual three in their order, then others by name."""
        found = {clip.split for clip in self.clips}
        return tuple(split for split in USUAL if split in found) + tuple(sorted(found - set(USUAL)))


def class_names(label: str | tuple[str, ...]) -> tuple[str, ...]:
    """The classes of a clip with one or several."""
    return label if isinstance(label, tuple) else (label,)


def sorted_labels(names: set[str]) -> tuple[str, ...]:
    """Class names in order: as numbers if all of them are, else by name."""
    return tuple(sorted(names, key=(lambda name: (int(name), name)) if all(name.isdecimal() for name in names) else str))


def locate(folder: pathlib.Path, path: str | pathlib.Path, within: pathlib.Path | None = None) -> pathlib.Path:
    """The file `path`, relative to `folder` unless it is absolute.

    Args:
      folder: of relative paths.
      path: as the source gives it.
      within: the folder that it must lie in once all links are followed; None is anywhere.

    Raises:
      UserError: naming the path, if it is missing, no file, outside, or has no UTF-8 name.
    """
    if not is_utf8(str(path)):
        raise UserError(f"{str(path)!r}: the name is not UTF-8; rename the file")
    joined = folder / path
    if within is not None and not _resolved(joined).is_relative_to(_resolved(within)):
        raise UserError(f"{path}: leads out of {within}, which --within allows alone")
    problem = _problem(joined)
    if problem:
        raise UserError(f"{path}: {problem}{'' if joined.is_absolute() and str(joined) == str(path) else f' in {folder}'}")
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


def _resolved(path: pathlib.Path) -> pathlib.Path:
    """`path` with its links followed, as far as they can be."""
    return pathlib.Path(os.path.realpath(path))


def is_utf8(text: str) -> bool:
    """Whether a name from the file system was valid UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check(annotations: Annotations, *, shared_videos: bool = False) -> tuple[str, ...]:
    """Refuses what no data set should have: no clips, a clip twice, a video in two splits, a class without training clips, names that
    cannot be kept apart. Of a published list, copies of a video and classes without clips are told instead.

    Args:
      annotations: of the data set.
      shared_videos: whether segments of one file may be in several splits.

    Returns:
      What was told, one line each.

    Raises:
      UserError: naming the offender.
    """
    if not annotations.clips:
        raise UserError("there are no videos")
    check_splits(annotations.splits)
    for names in _by_head(annotations).values():
        check_class_names(names)
    if not annotations.published:
        _check_unique(annotations.clips)
    _check_names(annotations.clips)
    told = _check_splits_disjoint(annotations, shared_videos=shared_videos)
    return (*told, *(_check_trained(annotations) if "train" in annotations.splits else ()))


def check_splits(splits: Sequence[str]) -> None:
    """Refuses splits whose names cannot be asked for, or differ in case alone.

    Raises:
      UserError: naming them.
    """
    seen = {}
    for split in splits:
        check_split(split)
        if seen.setdefault(split.casefold(), split) != split:
            raise UserError(f"the splits {seen[split.casefold()]!r} and {split!r} are likely one: give them one name")


def groups_in_several_splits(clips: Sequence[Clip]) -> list[str]:
    """Groups whose clips are in more than one split, so that a score there tells less than it seems to."""
    splits = defaultdict(set)
    for clip in clips:
        if clip.group is not None:
            splits[clip.group].add(clip.split)
    return sorted(group for group, found in splits.items() if len(found) > 1)


def check_class_names(names: Sequence[str]) -> None:
    """Refuses class names that hold line breaks or the like, and pairs that a person would take for one.

    Raises:
      UserError: naming them.
    """
    seen = {}
    for name in names:
        if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name) or not name.strip():
            raise UserError(
                f"a class is named {name!r}: a name needs a letter, and may hold no line breaks, tabs or other control characters"
            )
        key = unicodedata.normalize("NFKC", name).strip().casefold()
        first = seen.setdefault(str(int(key)) if key.isdecimal() else key, name)
        if first != name:
            raise UserError(f"the classes {first!r} and {name!r} are likely one: give them one name, or names that differ in more")


def content_groups(paths: Sequence[pathlib.Path]) -> dict[pathlib.Path, str]:
    """By path, a name that files of equal contents share. Of files of equal size the ends are read, and only of those alike the rest."""
    resolved = {path: _resolved(path) for path in paths}
    alike = _several(_several([set(resolved.values())], _size), _ends)
    digests = {path: _content(path) for same in alike for path in sorted(same)}
    return {path: digests.get(real, str(real)) for path, real in resolved.items()}


def _several(sets: Iterable[set[pathlib.Path]], key: Callable[[pathlib.Path], object]) -> Iterator[set[pathlib.Path]]:
    """What of each set has one key, if it is more than one."""
    for paths in sets:
        by_key = defaultdict(set)
        for path in paths:
            by_key[key(path)].add(path)
        yield from (same for same in by_key.values() if len(same) > 1)


def _by_head(annotations: Annotations) -> Mapping[str, tuple[str, ...]]:
    return annotations.labels if isinstance(annotations.labels, Mapping) else {"": annotations.labels}


def _check_unique(clips: Sequence[Clip]) -> None:
    seen = {}
    for clip in clips:
        if not isinstance(clip.source, pathlib.Path):
            continue
        first = seen.setdefault((_resolved(clip.source), clip.start, clip.end), clip)
        if first is not clip:
            raise UserError(_twice(first, clip))


def _check_names(clips: Sequence[Clip]) -> None:
    names = set()
    for clip in clips:
        if (clip.split, clip.name) in names:
            raise UserError(f"{clip.name}: two videos or segments of {clip.split} have this name")
        names.add((clip.split, clip.name))


def _twice(first: Clip, clip: Clip) -> str:
    place = (
        f"in {first.split} and {clip.split}" if first.name == clip.name else f"as {first.name} in {first.split} and here in {clip.split}"
    )
    if first.label == clip.label or first.split != clip.split:
        return f"{clip.name}: listed twice ({place}); keep one line"
    both = ";".join(dict.fromkeys([*class_names(first.label), *class_names(clip.label)]))
    return f"{clip.name}: listed twice with other labels; for several labels name the column `labels` and write {both!r} on one line"


def _size(path: pathlib.Path) -> int:
    """Bytes, or -1 of a file that is not there, which is told when it is read."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _ends(path: pathlib.Path) -> bytes:
    """The first and last bytes, in which videos of one size differ; nothing of a file that cannot be read."""
    try:
        with path.open("rb") as file:
            first = file.read(END_BYTES)
            file.seek(max(0, file.seek(0, os.SEEK_END) - END_BYTES))
            return first + file.read()
    except OSError:
        return b""


def _content(path: pathlib.Path) -> str:
    try:
        return sha256(path)
    except OSError:
        return str(path)


def _check_splits_disjoint(annotations: Annotations, *, shared_videos: bool) -> list[str]:
    """No content in two splits."""
    clips = [clip for clip in annotations.clips if isinstance(clip.source, pathlib.Path)]
    if len({clip.split for clip in clips}) < 2:
        return []
    contents, seen, copies = content_groups([clip.source for clip in clips]), {}, []
    for clip in clips:
        first = seen.setdefault(contents[clip.source], clip)
        if first.split == clip.split:
            continue
        if first.source == clip.source:
            if not shared_videos:
                raise UserError(
                    f"{clip.source.name}: the same video is in {first.split} and {clip.split}; keep it in one, or let its segments be in "
                    "both by --allow_shared_videos"
                )
        elif annotations.published:
            copies.append(f"{first.name} ({first.split}) and {clip.name} ({clip.split})")
        else:
            raise UserError(f"the same video is in two splits: {first.name} ({first.split}) and {clip.name} ({clip.split}); keep one")
    return [f"warning: {len(copies)} videos are in two splits, as published: {', '.join(copies[:5])}"] if copies else []


def _check_trained(annotations: Annotations) -> Iterator[str]:
    for head, names in _by_head(annotations).items():
        of_clips = (clip.label[head] if head else clip.label for clip in annotations.clips if clip.split == "train")
        trained = {name for label in of_clips for name in class_names(label)}
        missing = [name for name in names if name not in trained]
        if missing and annotations.published:
            yield f"{len(missing)} of {len(names)} {f'{head} ' if head else ''}classes have no training video here"
        elif missing:
            raise UserError(f"no training video of {head or 'class'} {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}")
