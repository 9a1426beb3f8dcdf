"""`clips.csv`, the list of what a data set was made of: for each clip its origin with the SHA-256, and its length or why it was refused."""

import csv
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from vivit_jax.data.layouts.base import Clip
from vivit_jax.data.layouts.image_sequences import video_of
from vivit_jax.data.preparation.place import CLIPS
from vivit_jax.data.preparation.transcode import Facts
from vivit_jax.data.preparation_report import reported
from vivit_jax.errors import UserError
from vivit_jax.files import check_file

COLUMNS = (
    *("split", "name", "group", "source", "sha256", "start", "end"),
    *("duration", "frames", "fps", "width", "height", "bytes", "changed", "refused"),
)


class Listing:
    """Writes the list as clips are stored or refused, so that it takes no memory."""

    def __init__(self, file: TextIO, root: pathlib.Path | None) -> None:
        """Begins a list.

        Args:
          file: where to.
          root: the folder that sources are told relative to, as far as they lie in it; None if there is none.
        """
        self._root = root
        self._rows = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        self._rows.writeheader()

    def stored(self, clip: Clip, facts: Facts) -> None:
        """Lists a stored clip."""
        row = {field: getattr(facts, field) for field in ("frames", "width", "height", "bytes")}
        row |= {"sha256": facts.origin, "changed": ", ".join(facts.changes)}
        self._rows.writerow(self._of(clip) | row | {"fps": f"{float(facts.fps):.6g}", "duration": f"{facts.duration:.6g}"})

    def refused(self, clip: Clip, reason: str) -> None:
        """Lists a clip that was left out."""
        self._rows.writerow(self._of(clip) | {"refused": reason})

    def _of(self, clip: Clip) -> dict:
        unit = "frame " if clip.by_frames else ""
        segment = {"start": f"{unit}{clip.start}" if clip.start else "", "end": "" if clip.end is None else f"{unit}{clip.end}"}
        source = self._relative(video_of(clip.source))
        return {"split": clip.split, "name": clip.name, "group": clip.group or "", "source": source} | segment

    def _relative(self, video: pathlib.Path | None) -> str:
        if video is None:
            return ""
        inside = self._root is not None and video.is_relative_to(self._root)
        return (video.relative_to(self._root) if inside else video).as_posix()


def clips_of(folder: pathlib.Path, names: Sequence[tuple[str, str]]) -> list[Mapping[str, str]]:
    """The rows of a data set's list; of a set that has none, those of `names` (split and name of each clip) and the groups known.

    Raises:
      UserError: if the file is not a list of ours, or lacks one of `names`.
    """
    if rows := list(read(folder)):
        listed = {(row["split"], row["name"]) for row in rows}
        if lost := next((name for name in names if name not in listed), None):
            raise UserError(f"{folder / CLIPS} is damaged: it does not list {'/'.join(lost)}")
        return rows
    groups = reported(folder, "groups", dict) or {}
    return [{"split": split, "name": name, "group": groups.get(name, "")} for split, name in names]


def column_called(name: str | None, folder: pathlib.Path) -> str | None:
    """The column of the list that a person means: `group` is also known by the name that was given to `vivit prepare --group`."""
    return "group" if name is not None and name == reported(folder, "group_column", str) else name


def unlabelled_in(folder: pathlib.Path) -> frozenset[str]:
    """The splits of a data set whose clips' classes are not known."""
    return frozenset(split for split in reported(folder, "unlabelled", list) or () if isinstance(split, str))


def short_side_below(resize: int, folder: pathlib.Path) -> int | None:
    """The short side in pixels that videos of a data set were scaled down to, if it is below `resize`; None also if nothing tells."""
    side = reported(folder, "short_side", int)
    if side is None or side >= resize:
        return None
    sizes = ((int(row["width"]), int(row["height"])) for row in read(folder) if row["width"].isdecimal() and row["height"].isdecimal())
    return side if any(min(size) == side for size in sizes) else None


def read(folder: pathlib.Path) -> Iterator[Mapping[str, str]]:
    """The rows of a data set's list, one for each clip, by the names of `COLUMNS`; none if an older `vivit prepare` made it.

    Raises:
      UserError: if the file is not a list of ours.
    """
    path = folder / CLIPS
    if not path.exists():
        return
    try:
        check_file(path)
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if tuple(rows.fieldnames or ()) != COLUMNS:
                raise UserError(f"{path} is not what `vivit prepare` wrote: its columns are {', '.join(rows.fieldnames or ()) or 'none'}")
            for row in rows:
                if None in row or None in row.values():
                    raise UserError(f"{path} is damaged: line {rows.line_num} has not as many cells as the header")
                yield row
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not what `vivit prepare` wrote: {error}") from None
