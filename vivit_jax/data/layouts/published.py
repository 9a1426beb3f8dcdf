"""What the layouts of published sets share: finding the publisher's lists and the videos wherever they lie, and reporting what is missing.

Videos are files; with `--fps` they may also be folders of image files, as many extract them, called like the videos.
Lists and videos may lie together, below SOURCE, or apart: SOURCE is a list and `--root` the videos, or SOURCE the videos and
`--annotations` the lists. Videos are known by their names, so that it does not matter in which folders a downloader has put them.
"""

import dataclasses
import fnmatch
import functools
import itertools
import os
import pathlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from fractions import Fraction

from vivit_jax.console import first_of
from vivit_jax.data.layouts.base import Annotations, Clip, Label, Reading, is_hidden, locate
from vivit_jax.data.layouts.frames import images_in, is_image, rate, segment
from vivit_jax.data.layouts.published_lists import PACKED, text_of
from vivit_jax.data.splits import canonical
from vivit_jax.data.video.reader import SUFFIXES
from vivit_jax.errors import UserError

SHOWN = 3  # names in a remark; `missing.csv` in the data set lists them all
UNSCORED = "{} has no labels: split {} is to be predicted, by `vivit evaluate` with --submission or --out FILE.csv, and cannot be scored"
REPLACEMENT = "replacement_for_corrupted"  # begins the name of a folder of videos that go before those of the same name elsewhere


class Publication:
    """A published set on disk.

    Attributes:
      videos: the folder that holds the videos, at any depth.
      named: the lists that were given as files, and not by their folder.
      fps: frames a second of videos that are folders of image files; None if it is not given.
      takes_frames: whether folders of image files are videos, because their rate is known.
    """

    def __init__(self, source: pathlib.Path, reading: Reading) -> None:
        """Raises `UserError` if `source` or one of `reading.annotations` does not exist."""
        missing = next((path for path in (source, *reading.annotations) if not path.exists()), None)
        if missing:
            raise UserError(f"{missing}: no such file or folder")
        self.videos = reading.root or (source if source.is_dir() else source.parent)
        self._lists = reading.annotations if source.is_dir() else (source, *reading.annotations)
        self._lists = self._lists or (source,)
        self.named = tuple(path for path in self._lists if path.is_file())
        self.fps = rate(reading.fps)
        self.takes_frames = self.fps is not None
        self._within = reading.within

    @functools.cached_property
    def _files(self) -> list[pathlib.Path]:
        """The files given as lists, and the files in the folders given that are no videos and no images."""
        found = dict.fromkeys(self.named)
        for folder in self._lists:
            if folder.is_dir():
                found |= dict.fromkeys(path for path in walk(folder) if path.suffix.lower() not in SUFFIXES and not is_image(path.name))
        return list(found)

    @functools.cached_property
    def _by_name(self) -> tuple[Mapping[str, list[pathlib.Path]], Mapping[str, list[pathlib.Path]]]:
        """Maps names without suffix to the videos of that name, and names to folders of images, as paths relative to `videos`.

        A link that leads nowhere is no video.
        """
        files, folders, last = defaultdict(list), defaultdict(list), None
        for path in walk(self.videos):
            if path.suffix.lower() in SUFFIXES and (path.exists() or not path.is_symlink()):
                files[path.stem].append(path.relative_to(self.videos))
            elif path.parent != last and is_image(path.name):
                last = path.parent
                folders[_stem(last)].append(last.relative_to(self.videos))
        return files, folders

    @property
    def has_unread_frames(self) -> bool:
        """Whether there are folders of image files, which would be videos if a rate were given."""
        return not self.takes_frames and bool(self._by_name[1])

    def files(self, *patterns: str) -> list[pathlib.Path]:
        """Lists whose names match one of `patterns`, in the order of the patterns; case does not matter, nor does `.gz` after a name."""
        named = [(path, path.name.lower().removesuffix(PACKED)) for path in self._files]
        found = [path for pattern in patterns for path, name in named if fnmatch.fnmatchcase(name, pattern.lower())]
        return list(dict.fromkeys(found))

    def lists(self, *patterns: str) -> list[pathlib.Path]:
        """`files`, but one of each name.

        Raises:
          UserError: if there are two of one name that say something else.
        """
        found: dict[str, pathlib.Path] = {}
        for path in self.files(*patterns):
            first = found.setdefault(path.name.lower().removesuffix(PACKED), path)
            if first != path and text_of(first) != text_of(path):
                raise UserError(f"{first} and {path} differ: give the right one, or its folder, by --annotations")
        return list(found.values())

    def file(self, *patterns: str) -> pathlib.Path | None:
        """The first list that matches one of `patterns`, or None. Raises as `lists` does."""
        return next(iter(self.lists(*patterns)), None)

    def by_split(self, patterns: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, pathlib.Path]]:
        """The splits that have a list, each with it, given what the list of each may be called."""
        found = ((split, self.file(*names)) for split, names in patterns.items())
        yield from ((split, path) for split, path in found if path)

    def needed(self, *patterns: str) -> pathlib.Path:
        """The first list that matches one of `patterns`.

        Raises:
          UserError: if there is none, naming where it was searched for, or as `file` does.
        """
        found = self.file(*patterns)
        if found is None:
            places = ", ".join(str(path) for path in self._lists)
            raise UserError(f"no {' or '.join(patterns)} in {places}: name the publisher's file, or its folder, by --annotations")
        return found

    def video(self, *names: str, split: str = "") -> pathlib.Path | None:
        """The video with the first of `names` that exists, or None.

        Args:
          names: as a list has them, with folders and suffix or without.
          split: of several videos with that name, the one in a folder of this split is preferred.

        Raises:
          UserError: if it lies outside `--within`.
        """
        for name in names:
            path = pathlib.PurePosixPath(name)
            if path.is_absolute() and os.path.isfile(path):  # noqa: PTH113 (pathlib raises for names that are too long)
                return locate(self.videos, name, self._within)
            for candidates, locate_one in zip(self._by_name, (self._file, self._folder), strict=True):
                if found := candidates.get(_stem(path)):
                    return locate_one(min(found, key=functools.partial(_distance, name=path, split=split)))
        return None

    def _file(self, found: pathlib.Path) -> pathlib.Path:
        return locate(self.videos, found, self._within)

    def _folder(self, found: pathlib.Path) -> pathlib.Path | None:
        """A folder of frames, if such are videos."""
        if not self.takes_frames:
            return None
        if self._within is not None:
            for image in images_in(self.videos / found):
                locate(self.videos, image.relative_to(self.videos), self._within)
        return self.videos / found


def _stem(path: pathlib.PurePath) -> str:
    """A video's name without its suffix, if it has one; some name a folder of frames like the file."""
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def _distance(found: pathlib.Path, name: pathlib.PurePath, split: str) -> tuple:
    """Sorts videos of one name: first those that replace broken ones, then those in the folders asked for, then those of the split."""
    return not is_replacement(found), -_shared(found, name), split not in map(canonical, found.parent.parts), found


def _shared(found: pathlib.PurePath, name: pathlib.PurePath) -> int:
    """How many of the folders that a list names a video in, from the last one up, are those that it was found in."""
    pairs = zip(map(_alike, reversed(found.parent.parts)), map(_alike, reversed(name.parent.parts)), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def is_replacement(video: pathlib.Path) -> bool:
    """Whether a video lies in its publisher's folder of replacements for broken ones."""
    return any(part.startswith(REPLACEMENT) for part in video.parent.parts)


def _alike(folder: str) -> str:
    """A folder's name as far as downloaders keep it: they write `_` for a blank, and some change its case."""
    return folder.replace("_", " ").casefold()


def walk(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """The files below a folder, sorted, without hidden ones; links to folders are followed, and each folder is entered once."""
    seen = set()
    for base, folders, names in os.walk(folder, followlinks=True):
        here = os.stat(base)  # noqa: PTH116 (a name from os.walk)
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from (pathlib.Path(base, name) for name in sorted(names) if not is_hidden(name))


@dataclasses.dataclass
class Gathered:
    """Collects the clips of a list.

    Attributes:
      fps: frames a second of videos that are folders of image files.
      clips: those whose video was found.
      missing: those whose video was not, as (split, name).
      again: how many lines listed a clip that was listed before.
      disputed: names of those that had another label before.
    """

    fps: Fraction | None = None
    clips: list[Clip] = dataclasses.field(default_factory=list)
    missing: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    again: int = 0
    disputed: list[str] = dataclasses.field(default_factory=list)
    _seen: dict[tuple[str, str], Label] = dataclasses.field(default_factory=dict)
    _videos: list[pathlib.Path] = dataclasses.field(default_factory=list)  # of each clip

    def add(
        self,
        name: str,
        split: str,
        label: Label,
        video: pathlib.Path | None,
        *,
        start: float = 0.0,
        end: float | None = None,
        group: str | None = None,
        fps: Fraction | None = None,
    ) -> None:
        """Adds a listed clip, as missing if `video` is None. A clip that was listed before is only counted.

        Args:
          name: unique in its split.
          split: such as `train`.
          label: see `Label`.
          video: its file, or its folder of frames.
          start: as in `Clip`, in seconds.
          end: as in `Clip`, in seconds.
          group: as in `Clip`.
          fps: frames a second of a folder of frames; None is those of all.

        Raises:
          UserError: for a folder of frames whose rate is not known.
        """
        if (split, name) in self._seen:
            self.again += 1
            self.disputed += [name] * (self._seen[split, name] != label)
            return
        self._seen[split, name] = label
        if video is None:
            self.missing.append((split, name))
            return
        source = video
        if video.is_dir():
            if (fps or self.fps) is None:
                raise UserError(f"{video}: image files have no frame rate: give one, as in --fps 30")
            source = functools.partial(segment, video, start, end, fps or self.fps)
        self._videos.append(video)
        self.clips.append(Clip(name, split, label, source, start, end, group))

    def annotations(self, labels: tuple[str, ...] | Mapping[str, tuple[str, ...]], publication: Publication, *remarks: str) -> Annotations:
        """What was collected, with the segments of one video next to each other.

        Raises:
          UserError: if none of the listed videos was found, there are no classes, or there is a rate and no folder of frames.
        """
        self._leave_to_others(publication.videos)
        self._check(publication, has_classes=bool(labels))
        told = list(remarks)
        for split, count in Counter(split for split, _ in self.missing).items():
            names = [name for other, name in self.missing if other == split]
            total = count + sum(clip.split == split for clip in self.clips)
            told.append(f"{count} of {total} {split} videos are missing, listed in missing.csv: {first_of(names, SHOWN)}")
        if self.again:
            told.append(f"{self.again} lines list a clip again and were left aside")
        if self.disputed:
            told.append(f"warning: {len(self.disputed)} of them with another label, of which the first counts: {first_of(self.disputed)}")
        order = sorted(range(len(self.clips)), key=lambda index: (str(self._videos[index]), self.clips[index].start))
        clips = [self.clips[index] for index in order]
        return Annotations(clips, labels, tuple(told), published=True, missing=tuple(self.missing))

    def _check(self, publication: Publication, *, has_classes: bool) -> None:
        if not self.clips and self.missing:
            frames = ", or if they are the folders of image files there, give their rate by --fps"
            raise UserError(
                f"none of the {len(self.missing)} listed videos is below {publication.videos}, such as {self.missing[0][1]}: name their "
                f"folder by --root{frames if publication.has_unread_frames else ''}"
            )
        if self.fps is not None and all(isinstance(clip.source, pathlib.Path) for clip in self.clips):
            raise UserError("--fps is for videos that are folders of image files, and none of those listed is one: leave it out")
        if self.clips and not has_classes:
            raise UserError(f"the lists of {publication.videos} name no classes: give those of a split with labels too")

    def _leave_to_others(self, videos: pathlib.Path) -> None:
        """Counts a clip as missing if the only video of its name belongs to another line, from another folder or split.

        `walk/001.mp4` is not found in `run/001.mp4` where the list has videos of both; and if both are listed and there is one `001.mp4`
        in no such folder, nobody knows whose it is.
        """
        listed = {_folder(clip.name) for clip in self.clips} | {_folder(name) for _, name in self.missing}
        claims, lost = defaultdict(list), set()
        for clip, video in zip(self.clips, self._videos, strict=True):
            if clip.end is None:
                claims[video].append(clip)
        for video, clips in claims.items():
            inside = video.relative_to(videos) if video.is_relative_to(videos) else video
            parent, splits = _alike(video.parent.name), {canonical(part) for part in inside.parent.parts}
            own = [clip for clip in clips if _folder(clip.name) in ("", parent) or parent not in listed]
            if len({clip.name for clip in own}) > 1:
                fits = {clip.name: _fit(video, clip.name) for clip in own}
                best = [name for name, fit in fits.items() if fit == max(fits.values())]
                own = [clip for clip in own if best == [clip.name]]
            if any(clip.split in splits for clip in own):
                own = [clip for clip in own if clip.split in splits]
            lost |= {id(clip) for clip in clips} - {id(clip) for clip in own}
        self.missing += [(clip.split, clip.name) for clip in self.clips if id(clip) in lost]
        kept = [index for index, clip in enumerate(self.clips) if id(clip) not in lost]
        self.clips, self._videos = [self.clips[index] for index in kept], [self._videos[index] for index in kept]


def _fit(video: pathlib.Path, name: str) -> tuple[int, bool]:
    path = pathlib.PurePosixPath(name)
    return _shared(video, path), video.name == path.name


def _folder(name: str) -> str:
    """The folder that a list names a video in, as `_alike` reads it; empty if it names none."""
    return _alike(pathlib.PurePosixPath(name).parent.name)
