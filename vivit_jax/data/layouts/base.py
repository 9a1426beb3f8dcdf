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
"""A class name; a tuple of class names, for a clip that may have several or none; or a class name for each head."""

Generated = Callable[[], tuple[Iterable[np.ndarray], Fraction]]
"""A picklable function that makes frames, each uint8 (h, w, 3), and their rate in frames a second."""

END_BYTES = 4096  # read at each end of files of equal size, before their whole contents are compared


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
      label: see `Label`.
      source: the video's file, or a function that makes it.
      start: seconds into the video where the clip begins.
      end: seconds into the video where the clip ends; None is the end of the video.
      group: names the clip's origin, such as a person; clips of one group should be in one split. None if the origin is not known.
      lossless: whether frames that `source` makes are stored without loss, because they are measurements and not pictures for the eye.
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
      labels: class names in the order of their numbers; with several heads, such a tuple for each head.
      remarks: what a person should know, one line each (files skipped, defaults used).
      published: whether the list is the publisher's own, whose classes are all kept though some have no video here, and whose clips are
        taken as they are.
      missing: clips that are listed but whose videos were not found, as (split, name).
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
    """The classes of a clip, as a tuple even if it has only one."""
    return label if isinstance(label, tuple) else (label,)


def sorted_labels(names: set[str]) -> tuple[str, ...]:
    """Class names in order: as numbers if all of them are, else by name."""
    return tuple(sorted(names, key=(lambda name: (int(name), name)) if all(name.isdecimal() for name in names) else str))


def locate(folder: pathlib.Path, path: str | pathlib.Path, within: pathlib.Path | None = None) -> pathlib.Path:
    """The file `path`, relative to `folder` unless it is absolute.

    Args:
      folder: what a relative path starts from.
      path: as the source gives it.
      within: the folder that it must lie in once all links are followed; None allows any folder.

    Raises:
      UserError: naming the path, if it is missing, is not a file, lies outside `within`, or has a name that is not UTF-8.
    """
    if not is_utf8(str(path)):
        raise UserError(f"{str(path)!r}: the name is not UTF-8; rename the file")
    joined = folder / path
    if within is not None and not _resolved(joined).is_relative_to(_resolved(within)):
        raise UserError(f"{path}: leads out of {within}, the only folder that --within allows")
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
    are too much alike. In a published list, copies of a video and classes without clips are reported and not refused.

    Args:
      annotations: the clips and classes of the data set.
      shared_videos: whether segments of one file may be in several splits.

    Returns:
      What was reported, one line each.

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
    """Refuses splits whose names no config or command could ask for, and names that differ only in case.

    Raises:
      UserError: naming them.
    """
    seen = {}
    for split in splits:
        check_split(split)
        if seen.setdefault(split.casefold(), split) != split:
            raise UserError(f"the splits {seen[split.casefold()]!r} and {split!r} are likely one: give them one name")


def groups_in_several_splits(clips: Sequence[Clip]) -> list[str]:
    """Groups whose clips are in more than one split, so that test clips resemble training clips and the score is too high."""
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
    """Maps each path to a name that files of equal contents share.

    A file is read whole only if another has the same size and the same ends.
    """
    resolved = {path: _resolved(path) for path in paths}
    alike = _several(_several([set(resolved.values())], _size), _ends)
    digests = {path: _content(path) for same in alike for path in sorted(same)}
    return {path: digests.get(real, str(real)) for path, real in resolved.items()}


def _several(sets: Iterable[set[pathlib.Path]], key: Callable[[pathlib.Path], object]) -> Iterator[set[pathlib.Path]]:
    """Divides each set by `key`, and yields the parts that have more than one path."""
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
    """Bytes, or -1 if the file is missing, which is reported when it is read."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _ends(path: pathlib.Path) -> bytes:
    """The first and last bytes, in which most different videos of equal size differ; empty if the file cannot be read."""
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
    """Refuses, or for a published list reports, videos of equal contents in two splits."""
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
