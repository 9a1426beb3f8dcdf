"""A list of videos: a table with a header, or Kinetics-style lines of path and label."""

import contextlib
import dataclasses
import pathlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from vivit_jax.data.layouts import csv_hints
from vivit_jax.data.layouts.base import (
    Annotations,
    Clip,
    Label,
    MissingFileError,
    Reading,
    class_names,
    is_known,
    locate,
    sorted_labels,
    tolerated,
)
from vivit_jax.data.layouts.checks import groups_in_several_splits
from vivit_jax.data.layouts.csv_tables import BY_FRAMES, DOCUMENTED, Table, table_of, text_of
from vivit_jax.data.layouts.published import UNSCORED
from vivit_jax.data.splits import canonical
from vivit_jax.data.times import plain_number, seconds
from vivit_jax.data.video.reader import SUFFIXES
from vivit_jax.errors import UserError
from vivit_jax.heads import Labels

LABELLED = ("train", "val")  # splits that are of no use without labels
LAST_NUMBER = 10**9  # of a frame
SHOWN = 10  # missing files named in an error


@dataclasses.dataclass(frozen=True)
class Missing:
    """A line whose file is not there."""

    line: int
    path: str
    error: MissingFileError


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Reads the list `source`; paths are relative to its folder, or to `reading.root`.

    Two forms, told apart by the first line:

    - a header that names `path` or `file`, `label` or `labels`, and optionally `split`, `start` and `end` (seconds, or [hh:]mm:ss.ff), or
      `start_frame` and `stop_frame` (numbers of frames; `reading.first_frame` and `reading.stop_frame_included` say how they are meant).
      Other usual spellings, see `csv_tables.COLUMNS`, are taken and named, and columns that are not used are named too. Several that
      would do, such as two that name files, are refused, unless they name the same classes twice, as by number and word. Under `labels`
      stand all classes of a video, with `;` or `|` between them, or none. With `reading.heads` each of those columns is a label of its
      own. In a split other than train and val, all labels may be empty: it is to be predicted and not scored;
    - no header: `path label` or `path,label` on each line.

    Cells are separated by commas, semicolons or tabs. Without a split, all clips are `train`. Labels that are all whole numbers are ordered
    as numbers. Files that are missing are told all at once; as many as `reading.tolerate` allows become clips, which are refused by name
    when they are read.

    Raises:
      UserError: naming the file and line.
    """
    text, remarks = text_of(source)
    try:
        table = table_of(source, text, reading)
        clips = _clips(table, reading)
    except UserError as error:
        raise UserError("; ".join([str(error), *remarks])) from None
    if reading.split and "split" in table.taken:
        raise UserError(f"{source} has splits already, in its column {table.taken['split']}: leave --split or the column out")
    if "split" not in table.taken and not reading.split:
        remarks.append(f"{source.name} names no split: all {len(clips)} videos are train; --split 70,15,15 would make val and test")
    torn = groups_in_several_splits(clips)
    if torn:
        remarks.append(f"warning: {len(torn)} groups of column {reading.group} are in several splits: {', '.join(torn[:10])}")
    annotations = Annotations(clips, _labels(clips, table.heads), (*remarks, *_remarks(table, reading)))
    unscored = [UNSCORED.format(source.name, split) for split in annotations.unlabelled]
    return dataclasses.replace(annotations, remarks=(*annotations.remarks, *unscored))


def _labels(clips: Sequence[Clip], heads: Sequence[str]) -> Labels:
    if heads:
        return {head: sorted_labels({clip.label[head] for clip in clips} - {None}) for head in heads}
    return sorted_labels({name for clip in clips for name in class_names(clip.label)} - {None})


def _remarks(table: Table, reading: Reading) -> Iterator[str]:
    """Tells which columns were used under another name, which were not used, and which splits were renamed."""
    meant = [f"{name} as {what}" for what, name in table.taken.items() if name not in DOCUMENTED]
    if meant:
        yield f"columns taken: {', '.join(meant)}"
    if {*BY_FRAMES} <= table.taken.keys() and not (reading.first_frame or reading.stop_frame_included):
        start, stop = (table.taken[what] for what in BY_FRAMES)
        yield (
            f"warning: {start} is taken to count from 0, and {stop} to be the first frame after a segment: --first_frame 1 and "
            "--stop_frame_included say otherwise"
        )
    used = {*table.taken.values(), *table.heads, (reading.group or "").strip().lower()} - {""}
    unused = [name or "(no name)" for name in table.columns if name not in used]
    if unused:
        yield f"columns not used: {', '.join(unused)}"
    if "split" in table.taken:
        position = table.columns.index(table.taken["split"])
        for name in dict.fromkeys(row[position].strip() for _, row in table.rows):
            if canonical(name) != name:
                yield f"split {name} is stored as {canonical(name)}"


def _clips(table: Table, reading: Reading) -> list[Clip]:
    read = [_clip(table, line, row, reading) for line, row in table.rows]
    clips, missing = [clip for clip, _ in read], [gone for _, gone in read if gone]
    _check_unlabelled(table, clips)
    allowed = tolerated(reading.tolerate, len(clips))
    if len(missing) <= allowed:
        return clips
    described = [_described(gone, reading.root or table.source.parent) for gone in missing[:SHOWN]]
    if len(missing) == 1:
        raise UserError(f"{table.source} {described[0]} (correct the list, or leave it out by --tolerate 1)")
    way_out = f"correct the list, or leave them out by --tolerate {len(missing)}"
    if len(missing) == len(clips):
        root = reading.root or table.source.parent
        way_out = f"relative paths begin in {root}; --root DIR names another folder"
        if all(isinstance(clip.label, str) and clip.label.lower().endswith(SUFFIXES) for clip in clips):
            way_out = "the labels are names of videos: exchange the columns of paths and labels"
    more = f"; and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    listed = f"{'; '.join(described)}{more}"
    raise UserError(f"{table.source}: {len(missing)} of {len(clips)} files are missing, {allowed} tolerated ({way_out}): {listed}")


def _described(gone: Missing, root: pathlib.Path) -> str:
    return f"line {gone.line}: {gone.error}{csv_hints.of_file(root, gone.path)}"


def _check_unlabelled(table: Table, clips: Sequence[Clip]) -> None:
    """Refuses a split of which some clips have labels, which could then neither be learnt from nor scored."""
    lines = defaultdict(lambda: ([], []))
    for (line, _), clip in zip(table.rows, clips, strict=True):
        lines[clip.split][is_known(clip.label)].append(line)
    for split, (unlabelled, labelled) in lines.items():
        if unlabelled and labelled:
            raise UserError(
                f"{table.source} line {unlabelled[0]}: the label is empty, as on {len(unlabelled)} of "
                f"{len(unlabelled) + len(labelled)} lines of {split}: give {split} all of its labels, or none, to be predicted"
            )


def _clip(table: Table, line: int, row: Sequence[str], reading: Reading) -> tuple[Clip, Missing | None]:
    """The clip of a line, and what is missing if its file is not there."""
    where = f"{table.source} line {line}"
    if len(row) != len(table.columns):
        hint = csv_hints.of_row(table.columns, row, commas=not table.comma)
        raise UserError(f"{where}: expected {len(table.columns)} columns ({', '.join(table.columns)}), got {len(row)}{hint}")
    if [cell.strip().lower() for cell in row] == [*table.columns]:
        raise UserError(f"{where}: this line repeats the header: remove it")
    by_name = {column: cell.strip() for column, cell in zip(table.columns, row, strict=True)}
    cells = {what: by_name[name] for what, name in table.taken.items()}
    group = by_name[reading.group.strip().lower()] if reading.group else None
    for what, value in (("path", cells["path"]), ("split", cells.get("split")), (reading.group, group)):
        if value == "":
            raise UserError(f"{where}: the {what} is empty")
    split = canonical(cells.get("split", "train"))
    label = _label(where, table, cells, by_name, may_be_empty=split not in LABELLED)
    by_frames = {*BY_FRAMES} <= cells.keys()
    start, end = _frames(where, cells, reading) if by_frames else _times(where, cells, comma=table.comma)
    missing = None
    try:
        path, file = _file(table.source, cells["path"], reading)
    except MissingFileError as error:
        missing = Missing(line, cells["path"], error)
        path, file = cells["path"], (reading.root or table.source.parent) / cells["path"]
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    segment = f"@{'frame' * by_frames}{plain_number(start)}-{'' if end is None else plain_number(end)}"
    name = path if not start and end is None else path + segment
    return Clip(name, split, label, file, start, end, group, by_frames=by_frames), missing


def _times(where: str, cells: Mapping[str, str], *, comma: bool) -> tuple[float, float | None]:
    start = seconds(where, "start", cells.get("start"), comma=comma) or 0.0
    end = seconds(where, "end", cells.get("end"), comma=comma)
    if end is not None and end <= start:
        raise UserError(f"{where}: end {plain_number(end)} is not after start {plain_number(start)}")
    return start, end


def _frames(where: str, cells: Mapping[str, str], reading: Reading) -> tuple[int, int | None]:
    """The number of the first frame, from 0, and that of the frame after the last."""
    start, stop = (_frame(where, what, cells[what]) for what in BY_FRAMES)
    start = reading.first_frame if start is None else start
    if start < reading.first_frame:
        raise UserError(f"{where}: start_frame {start} comes before the first frame, which is number {reading.first_frame}")
    begin, end = start - reading.first_frame, None if stop is None else stop - reading.first_frame + reading.stop_frame_included
    if end is not None and end <= begin:
        raise UserError(f"{where}: stop_frame {stop} is not after start_frame {start}")
    return begin, end


def _frame(where: str, what: str, cell: str) -> int | None:
    if not cell:
        return None
    if not re.fullmatch(r"\d{1,10}(\.0*)?", cell, re.ASCII) or float(cell) > LAST_NUMBER:
        raise UserError(f"{where}: {what} must be the number of a frame, got {cell!r}")
    return int(float(cell))


def _label(where: str, table: Table, cells: Mapping[str, str], by_name: Mapping[str, str], *, may_be_empty: bool) -> Label:
    found = {head: by_name[head] for head in table.heads} or {"label": cells["label"]}
    if not table.heads and table.taken["label"] == "labels":
        return tuple(sorted({name.strip() for name in re.split("[;|]", found["label"])} - {""}))
    empty = next((what for what, name in found.items() if not name), None)
    if empty and not may_be_empty:
        raise UserError(f"{where}: the {empty} is empty")
    known = {what: name or None for what, name in found.items()}
    return known if table.heads else known["label"]


def _file(source: pathlib.Path, path: str, reading: Reading) -> tuple[str, pathlib.Path]:
    """The path and its file; where there is none, another spelling of the path whose file is there."""
    root = reading.root or source.parent
    try:
        return path, locate(root, path, reading.within)
    except UserError as error:
        for other in csv_hints.spellings(path):
            with contextlib.suppress(UserError):
                return other, locate(root, other, reading.within)
        if "\\" not in path:
            raise
        slashes = path.replace("\\", "/")
        raise type(error)(f"{error}; nor is there {slashes}") from None
