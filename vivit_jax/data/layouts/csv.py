"""A list of videos: a table with a header, or Kinetics-style lines of path and label."""

import csv
import math
import pathlib
import re
from collections.abc import Iterator, Sequence

from vivit_jax.data.layouts.base import Annotations, Clip, class_names, inside, sorted_labels
from vivit_jax.errors import UserError

PATH_COLUMNS = ("path", "file")
LABEL_COLUMNS = ("label", "labels")


def read(source: pathlib.Path) -> Annotations:
    """Reads the list `source`; paths are relative to its folder.

    Two forms, told apart by the first line:

    - a header that names `path` or `file`, `label` or `labels`, and optionally `split`, `start` and `end` (seconds); other columns are
      ignored. Under `labels` stand all classes of a video, with `;` or `|` between them, or none;
    - no header: `path label` or `path,label` on each line.

    Without a split, all clips are `train`. Labels that are all whole numbers are ordered as numbers.

    Raises:
      UserError: naming the file and line.
    """
    rows = list(_rows(source))
    if not rows:
        raise UserError(f"{source}: the list is empty")
    header = [cell.strip().lower() for cell in rows[0][1]]
    if any(column in header for column in PATH_COLUMNS) and any(column in header for column in LABEL_COLUMNS):
        columns, rows = header, rows[1:]
    elif len(rows[0][1]) == 2 and not {*LABEL_COLUMNS, *PATH_COLUMNS} & set(header):
        columns = ["path", "label"]
    else:
        raise UserError(f"{source} line 1: a header must name path (or file) and label (or labels), got {', '.join(header)}")
    if all(column in columns for column in LABEL_COLUMNS):
        raise UserError(f"{source} line 1: a header must name label or labels, got both")
    clips = [_clip(source, line, _cells(source, line, columns, row)) for line, row in rows]
    names = {name for clip in clips for name in class_names(clip.label)}
    remarks = () if "split" in columns else (f"{source.name} names no split: all {len(clips)} videos are train",)
    return Annotations(clips, sorted_labels(names), remarks)


def _rows(source: pathlib.Path) -> Iterator[tuple[int, Sequence[str]]]:
    """Line numbers and cells of the lines that are not blank, separated by commas if the first line has one, else at the last space."""
    if not source.is_file():
        raise UserError(f"{source}: no such file")
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{source}: not UTF-8 at byte {error.start}; save the list as UTF-8") from None
    lines = text.splitlines()
    commas = "," in next((line for line in lines if line.strip()), "")
    for number, row in enumerate(csv.reader(lines) if commas else (line.rsplit(maxsplit=1) for line in lines), start=1):
        if any(cell.strip() for cell in row):
            yield number, row


def _cells(source: pathlib.Path, line: int, columns: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    if len(row) != len(columns):
        raise UserError(f"{source} line {line}: expected {len(columns)} columns ({', '.join(columns)}), got {len(row)}")
    return {column: cell.strip() for column, cell in zip(columns, row, strict=True)}


def _clip(source: pathlib.Path, line: int, cells: dict[str, str]) -> Clip:
    path = next(cells[column] for column in PATH_COLUMNS if column in cells)
    split = cells.get("split", "train")
    label = cells["label"] if "label" in cells else tuple(sorted({name.strip() for name in re.split("[;|]", cells["labels"])} - {""}))
    for what, value in (("path", path), ("label", label), ("split", split)):
        if value == "":
            raise UserError(f"{source} line {line}: the {what} is empty")
    start = _seconds(source, line, "start", cells.get("start")) or 0.0
    end = _seconds(source, line, "end", cells.get("end"))
    if end is not None and end <= start:
        raise UserError(f"{source} line {line}: end {end:g} is not after start {start:g}")
    name = path if not start and end is None else f"{path}@{start:g}-{'' if end is None else f'{end:g}'}"
    try:
        return Clip(name, split, label, inside(source.parent, path), start, end)
    except UserError as error:
        raise UserError(f"{source} line {line}: {error}") from None


def _seconds(source: pathlib.Path, line: int, column: str, cell: str | None) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise UserError(f"{source} line {line}: {column} must be seconds of at least 0, got {cell!r}")
    return value
