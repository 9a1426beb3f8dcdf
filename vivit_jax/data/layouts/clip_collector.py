"""Collects the clips that the lists of a published set name, each with its video, and reports what is missing."""

import functools
import pathlib
from collections import Counter, defaultdict
from fractions import Fraction

from vivit_jax.console import first_of
from vivit_jax.data.layouts.base import Annotations, Clip, Label
from vivit_jax.data.layouts.image_sequences import segment
from vivit_jax.data.layouts.published import Publication, plain_folder, shared_folders
from vivit_jax.data.splits import canonical
from vivit_jax.errors import UserError
from vivit_jax.heads import Labels

SHOWN = 3  # names in a remark; `missing.csv` in the data set lists them all


class ClipCollector:
    """Collects the clips of a published set line by line."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._labels: dict[tuple[str, str], Label] = {}  # of each clip listed, by (split, name)
        self._found: list[tuple[Clip, pathlib.Path]] = []  # clips with their videos
        self._missing: list[tuple[str, str]] = []  # clips whose videos were not found, as (split, name)
        self._repeated = 0  # lines that list a clip again
        self._disputed: list[str] = []  # names of clips that are listed again with another label

    @property
    def clips(self) -> list[Clip]:
        """The clips whose videos were found."""
        return [clip for clip, _ in self._found]

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
        if (split, name) in self._labels:
            self._repeated += 1
            self._disputed += [name] if self._labels[split, name] != label else []
            return
        self._labels[split, name] = label
        if video is None:
            self._missing.append((split, name))
            return
        source = video
        if video.is_dir():
            fps = fps or self._publication.fps
            if fps is None:
                raise UserError(f"{video}: image files have no frame rate: give one, as in --fps 30")
            source = functools.partial(segment, video, start, end, fps)
        self._found.append((Clip(name, split, label, source, start, end, group), video))

    def annotations(self, labels: Labels, *remarks: str) -> Annotations:
        """What was collected, with the segments of one video next to each other.

        Raises:
          UserError: if none of the listed videos was found, there are no classes, or there is a rate and no folder of frames.
        """
        self._leave_to_others()
        self._check(has_classes=bool(labels))
        lines = list(remarks)
        for split, count in Counter(split for split, _ in self._missing).items():
            names = [name for other, name in self._missing if other == split]
            total = count + sum(clip.split == split for clip in self.clips)
            lines.append(f"{count} of {total} {split} videos are missing, listed in missing.csv: {first_of(names, SHOWN)}")
        if self._repeated:
            lines.append(f"{self._repeated} lines list a clip again and were left aside")
        if self._disputed:
            lines.append(
                f"warning: {len(self._disputed)} of them with another label, of which the first counts: {first_of(self._disputed)}"
            )
        ordered = sorted(self._found, key=lambda pair: (str(pair[1]), pair[0].start))
        return Annotations([clip for clip, _ in ordered], labels, tuple(lines), published=True, missing=tuple(self._missing))

    def _check(self, *, has_classes: bool) -> None:
        publication = self._publication
        if not self._found and self._missing:
            frames = ", or if they are the folders of image files there, give their rate by --fps"
            raise UserError(
                f"none of the {len(self._missing)} listed videos is below {publication.videos}, such as {self._missing[0][1]}: name their "
                f"folder by --root{frames if publication.has_unread_frames else ''}"
            )
        if publication.fps is not None and all(isinstance(clip.source, pathlib.Path) for clip in self.clips):
            raise UserError("--fps is for videos that are folders of image files, and none of those listed is one: leave it out")
        if self._found and not has_classes:
            raise UserError(f"the lists of {publication.videos} name no classes: give those of a split with labels too")

    def _leave_to_others(self) -> None:
        """Counts a clip as missing if the only video of its name belongs to another line, from another folder or split.

        `walk/001.mp4` is not found in `run/001.mp4` where the list has videos of both; and if both are listed and there is one `001.mp4`
        in no such folder, nobody knows whose it is.
        """
        listed, claims, lost = {_folder(name) for _, name in self._labels}, defaultdict(list), set()
        for clip, video in self._found:
            if clip.end is None:
                claims[video].append(clip)
        for video, clips in claims.items():
            own = self._owners(video, clips, listed)
            lost |= {(clip.split, clip.name) for clip in clips} - {(clip.split, clip.name) for clip in own}
        self._missing += [(clip.split, clip.name) for clip in self.clips if (clip.split, clip.name) in lost]
        self._found = [(clip, video) for clip, video in self._found if (clip.split, clip.name) not in lost]

    def _owners(self, video: pathlib.Path, clips: list[Clip], listed: set[str]) -> list[Clip]:
        """The clips, of those whose names lead to a video, that it belongs to; `listed` are the folders that the lists name."""
        inside = video.relative_to(self._publication.videos) if video.is_relative_to(self._publication.videos) else video
        parent, splits = plain_folder(video.parent.name), {canonical(part) for part in inside.parent.parts}
        own = [clip for clip in clips if _folder(clip.name) in ("", parent) or parent not in listed]
        if len({clip.name for clip in own}) > 1:
            fits = {clip.name: _fit(video, clip.name) for clip in own}
            best = [name for name, fit in fits.items() if fit == max(fits.values())]
            own = [clip for clip in own if best == [clip.name]]
        return [clip for clip in own if clip.split in splits] or own


def _fit(video: pathlib.Path, name: str) -> tuple[int, bool]:
    path = pathlib.PurePosixPath(name)
    return shared_folders(video, path), video.name == path.name


def _folder(name: str) -> str:
    """The folder that a list names a video in, as `plain_folder` has it; empty if it names none."""
    return plain_folder(pathlib.PurePosixPath(name).parent.name)
