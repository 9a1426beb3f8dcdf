"""Finds the lists and the videos of a published set wherever they lie. `ClipCollector` puts the two together.

Videos are files; with `--fps` they may also be folders of image files, as many extract them, called like the videos.
Lists and videos may lie together, below SOURCE, or apart: SOURCE is a list and `--root` the videos, or SOURCE the videos and
`--annotations` the lists. Videos are known by their names, so that it does not matter in which folders a downloader has put them.
"""

import fnmatch
import functools
import itertools
import os
import pathlib
from collections import defaultdict
from collections.abc import Iterator, Mapping

from vivit_jax.data.layouts.base import Reading, is_hidden, locate
from vivit_jax.data.layouts.image_sequences import images_in, is_image, rate
from vivit_jax.data.layouts.lists import PACKED, text_of
from vivit_jax.data.splits import canonical
from vivit_jax.data.video.reader import SUFFIXES
from vivit_jax.errors import UserError

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
          split: the split whose folder is preferred if several videos have that name.

        Raises:
          UserError: if it lies outside `--within`.
        """
        for name in names:
            path = pathlib.PurePosixPath(name)
            if path.is_absolute() and os.path.isfile(path):  # noqa: PTH113 (pathlib raises for names that are too long)
                return locate(self.videos, name, self._within)
            files, folders = self._by_name
            distance = functools.partial(_distance, name=path, split=split)
            if found := files.get(_stem(path)):
                return locate(self.videos, min(found, key=distance), self._within)
            if found := folders.get(_stem(path)):
                return self._folder(min(found, key=distance))
        return None

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
    return not is_replacement(found), -shared_folders(found, name), split not in map(canonical, found.parent.parts), found


def shared_folders(found: pathlib.PurePath, name: pathlib.PurePath) -> int:
    """How many of the folders that a list names a video in, from the last one up, are those that it was found in."""
    pairs = zip(map(plain_folder, reversed(found.parent.parts)), map(plain_folder, reversed(name.parent.parts)), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def is_replacement(video: pathlib.Path) -> bool:
    """Whether a video lies in its publisher's folder of replacements for broken ones."""
    return any(part.startswith(REPLACEMENT) for part in video.parent.parts)


def plain_folder(folder: str) -> str:
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
