"""A list of videos: a table with a header, or Kinetics-style lines of path and label."""

import csv
import dataclasses
import io
import os
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

from vivit_jax.data.layouts.base import (
    Annotations,
    Clip,
    Label,
    MissingFileError,
    Reading,
    class_names,
    locate,
    sorted_labels,
    tolerated,
)
from vivit_jax.data.layouts.checks import groups_in_several_splits
from vivit_jax.data.layouts.times import number, seconds
from vivit_jax.data.splits import canonical
from vivit_jax.errors import UserError

COLUMNS_SHOWN = 20  # of a header, in an error

# What a column may be called: the first name of each is ours. A header may have one of them.
COLUMNS = {
    "path": ("path", "file", "filepath", "file_path", "filename", "file_name", "video_path", "video"),
    "label": ("label", "labels", "class", "class_name", "category"),
    "split": ("split", "subset"),
    "start": ("start", "start_time", "time_start", "start_sec", "start_secs", "start_second", "start_seconds", "start_timestamp"),
    "end": ("end", "end_time", "time_end", "end_sec", "end_secs", "end_second", "end_seconds", "stop_timestamp", "end_timestamp"),
    "start_frame": ("start_frame", "frame_start", "first_frame"),
    "stop_frame": ("stop_frame", "end_frame", "frame_end", "frame_stop", "last_frame"),
}
BY_TIME, BY_FRAMES = ("start", "end"), ("start_frame", "stop_frame")
DOCUMENTED = {"path", "file", "label", "labels", "split", "start", "end", "start_frame", "stop_frame"}
LAST_NUMBER = 10**9  # of a frame
SHOWN = 10  # missing files named in an error
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}


@dataclasses.dataclass(frozen=True)
class Table:
    """A list as it was read.

    Attributes:
      source: its file.
      columns: the column names in the header.
      taken: maps a key of `COLUMNS` to the column that was found for it. With heads, `label` is not among the keys.
      rows: line numbers and cells.
      comma: whether numbers may have a decimal comma, because commas do not separate the cells.
      heads: the columns that each hold a label; empty if there is a single label.
    """

    source: pathlib.Path
    columns: Sequence[str]
    taken: Mapping[str, str]
    rows: Sequence[tuple[int, Sequence[str]]]
    comma: bool
    heads: tuple[str, ...] = ()


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Reads the list `source`; paths are relative to its folder, or to `reading.root`.

    Two forms, told apart by the first line:

    - a header that names `path` or `file`, `label` or `labels`, and optionally `split`, `start` and `end` (seconds, or [hh:]mm:ss.ff), or
      `start_frame` and `stop_frame` (numbers of frames; `reading.first_frame` and `reading.stop_frame_included` say how they are meant).
      Other usual spellings, see `COLUMNS`, are taken and named, and columns that are not used are named too. Several that would do, such
      as two that name files, are refused, unless they name the same classes twice, as by number and word. Under `labels` stand all
      classes of a video, with `;` or `|` between them, or none. With `reading.heads` each of those columns is a label of its own;
    - no header: `path label` or `path,label` on each line.

    Cells are separated by commas, semicolons or tabs. Without a split, all clips are `train`. Labels that are all whole numbers are ordered
    as numbers. Files that are missing are told all at once; as many as `reading.tolerate` allows become clips, which are refused by name
    when they are read.

    Raises:
      UserError: naming the file and line.
    """
    text, remarks = _text(source)
    table = _table(source, text, reading)
    try:
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
    return Annotations(clips, _labels(clips, table.heads), (*remarks, *_remarks(table, reading)))


def _labels(clips: Sequence[Clip], heads: Sequence[str]) -> tuple[str, ...] | dict[str, tuple[str, ...]]:
    if heads:
        return {head: sorted_labels({clip.label[head] for clip in clips}) for head in heads}
    return sorted_labels({name for clip in clips for name in class_names(clip.label)})


def _text(source: pathlib.Path) -> tuple[str, list[str]]:
    """The list's text, and a remark where its encoding had to be guessed."""
    if not source.is_file():
        raise UserError(f"{source}: a folder; give the list in it, or another layout" if source.is_dir() else f"{source}: no such file")
    content = source.read_bytes()
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
        remarks = [f"{source.name} was read as UTF-16"] if utf16 else []
    except UnicodeDecodeError as error:
        try:
            text = content.decode("cp1252" if not utf16 else "utf-16")
        except UnicodeDecodeError:
            raise UserError(f"{source}: not UTF-8 at byte {error.start}; save the list as UTF-8") from None
        remarks = [f"{source.name} is not UTF-8 (at byte {error.start}) and was read as Windows-1252: check the names"]
    if "\0" in text:
        raise UserError(f"{source}: not a text file (it holds zero bytes); save the list as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n"), remarks


def _table(source: pathlib.Path, text: str, reading: Reading) -> Table:
    first = next((line for line in text.split("\n") if line.strip()), None)
    if first is None:
        raise UserError(f"{source}: the list is empty")
    try:
        delimiter = _delimiter(first, reading)
    except csv.Error as error:
        raise UserError(f"{source}: its first line cannot be read ({error})") from None
    rows = list(_rows(source, text, delimiter))
    if not rows:
        raise UserError(f"{source}: the list is empty")
    number, cells = rows[0]
    header = [cell.strip().lower() for cell in cells]
    taken, heads = _taken(header, reading), _heads(reading)
    if "path" in taken and ("label" in taken or heads):
        _check_header(source, number, header, taken, reading)
        _check_rivals(source, number, header, taken, rows[1:], reading)
        return Table(source, header, taken, rows[1:], delimiter != ",", heads)
    if len(cells) == 2 and not taken and not heads:
        if reading.group:
            raise UserError(f"{source} has no header, so no column {reading.group} to group by")
        return Table(source, ["path", "label"], {"path": "path", "label": "label"}, rows, delimiter != ",")
    found = _named([" ".join(cell.split()) for cell in header])
    several = "; where several columns are a label each, name them by --heads" if "path" in taken and not heads else ""
    raise UserError(f"{source} line {number}: a header must name path (or file) and label (or labels), got {found}{several}")


def _delimiter(line: str, reading: Reading) -> str | None:
    """What separates the cells of a list with this first line: a delimiter that makes it a header, else the first it has, else None for
    the last space."""
    cells = {delimiter: next(csv.reader([line], delimiter=delimiter), []) for delimiter in DELIMITERS if delimiter in line}
    for delimiter, row in cells.items():
        header = [cell.strip().lower() for cell in row]
        taken = _taken(header, reading)
        if "path" in taken and ("label" in taken or {*_heads(reading)} & {*header}):
            return delimiter
    if ";" in cells and len(cells) == 1 and len(line.rsplit(maxsplit=1)) == 2 and len(cells[";"]) != 2:
        return None  # a path with a semicolon, and a label
    return next(iter(cells), None)


def _rows(source: pathlib.Path, text: str, delimiter: str | None) -> Iterator[tuple[int, Sequence[str]]]:
    """Line numbers and cells of the lines that are not blank."""
    if delimiter is None:
        yield from ((number, line.rsplit(maxsplit=1)) for number, line in enumerate(text.split("\n"), start=1) if line.strip())
        return
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    line = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{source} line {line}: cannot be read as a table ({error}); is a quote left open?") from None


def _taken(header: Sequence[str], reading: Reading) -> dict[str, str]:
    """Maps each key of `COLUMNS` that the header has to its name there."""
    columns = {what: names for what, names in COLUMNS.items() if not (what == "label" and reading.heads)}
    found = {what: next((name for name in names if name in header), None) for what, names in columns.items()}
    found = {what: name for what, name in found.items() if name is not None}
    by_frames = {*BY_FRAMES} <= found.keys() and not {*BY_TIME} & found.keys()  # times come first, and one number is no segment
    return {what: name for what, name in found.items() if by_frames or what not in BY_FRAMES}


def _heads(reading: Reading) -> tuple[str, ...]:
    return tuple(head.lower() for head in reading.heads)


def _named(header: Sequence[str]) -> str:
    """The columns, as far as a line has room for them."""
    return ", ".join(header[:COLUMNS_SHOWN]) + (f" and {len(header) - COLUMNS_SHOWN:,} more" if header[COLUMNS_SHOWN:] else "")


def _check_header(source: pathlib.Path, line: int, header: Sequence[str], taken: Mapping[str, str], reading: Reading) -> None:
    heads = _heads(reading)
    unknown = next((head for head in heads if head not in header), None)
    if unknown is not None:
        raise UserError(f"{source} has no column {unknown!r} to be a head: it has {_named(header)}")
    unfit = next((head for head in heads if not re.fullmatch(r"[a-z][a-z0-9_]*", head)), None)
    if unfit is not None or len({*heads}) < len(heads) or {*heads} & {*taken.values()}:
        raise UserError(f"--heads must be columns of lower-case letters, digits and _, each once and nothing else, got {', '.join(heads)}")
    if "label" in header and "labels" in header and not heads:
        raise UserError(f"{source} line {line}: a header must name label or labels, got both")
    group = (reading.group or "").strip().lower()
    twice = next((name for name in (*taken.values(), *heads, group) if header.count(name) > 1), None)
    if twice:
        raise UserError(f"{source} line {line}: the header names {twice} twice")
    if not {*BY_FRAMES} <= taken.keys() and (reading.first_frame or reading.stop_frame_included):
        raise UserError(
            f"{source} has no segments by frame numbers, in columns start_frame and stop_frame and without times: leave --first_frame and "
            "--stop_frame_included out"
        )
    if group and group not in header:
        raise UserError(f"{source} has no column {reading.group} to group by: it has {', '.join(header)}")


def _check_rivals(
    source: pathlib.Path,
    line: int,
    header: Sequence[str],
    taken: Mapping[str, str],
    rows: Sequence[tuple[int, Sequence[str]]],
    reading: Reading,
) -> None:
    """Refuses a header with several columns for one thing.

    Let through are columns that are called like paths and hold none, and two names for each class, such as a number and a word.
    """
    root = reading.root or source.parent
    for what, name in taken.items():
        rivals = [column for column in header if column in COLUMNS[what] and column != name]
        if what == "path":
            rivals = [rival for rival in rivals if _holds_files(rows, header.index(rival), root)]
        if what == "label":
            rivals = [rival for rival in rivals if not _pair_up(rows, header.index(name), header.index(rival))]
        if rivals:
            several = ", ".join((name, *rivals))
            raise UserError(f"{source} line {line}: several columns may be the {what}: {several}; leave one of them, or rename the others")


def _holds_files(rows: Sequence[tuple[int, Sequence[str]]], column: int, root: pathlib.Path) -> bool:
    """Whether a column names files, as far as its first hundred cells tell."""
    cells = (row[column].strip() for _, row in rows[:100] if len(row) > column)
    return any(cell and os.path.isfile(root / cell) for cell in cells)  # noqa: PTH113 (pathlib raises for names that are too long)


def _pair_up(rows: Sequence[tuple[int, Sequence[str]]], one: int, other: int) -> bool:
    """Whether each value of one column stands beside one value of the other, and the other way round."""
    pairs = {(row[one].strip(), row[other].strip()) for _, row in rows if len(row) > max(one, other)}
    return len(pairs) == len({value for value, _ in pairs}) == len({value for _, value in pairs})


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
    missing: list[str] = []
    clips = [_clip(table, line, row, reading, missing) for line, row in table.rows]
    allowed = tolerated(reading.tolerate, len(clips))
    if len(missing) <= allowed:
        return clips
    if len(missing) == 1:
        raise UserError(f"{table.source} {missing[0]} (mend the list, or leave it out by --tolerate 1)")
    way_out = f"mend the list, or leave them out by --tolerate {len(missing)}"
    if len(missing) == len(clips):
        way_out = f"relative paths begin in {reading.root or table.source.parent}; --root DIR names another folder"
    more = f"; and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    listed = f"{'; '.join(missing[:SHOWN])}{more}"
    raise UserError(f"{table.source}: {len(missing)} of {len(clips)} files are missing, {allowed} tolerated ({way_out}): {listed}")


def _clip(table: Table, line: int, row: Sequence[str], reading: Reading, missing: list[str]) -> Clip:
    """The clip of a line; if its file is not there, that is added to `missing`."""
    where = f"{table.source} line {line}"
    if len(row) != len(table.columns):
        raise UserError(f"{where}: expected {len(table.columns)} columns ({', '.join(table.columns)}), got {len(row)}")
    by_name = {column: cell.strip() for column, cell in zip(table.columns, row, strict=True)}
    cells = {what: by_name[name] for what, name in table.taken.items()}
    group = by_name[reading.group.strip().lower()] if reading.group else None
    for what, value in (("path", cells["path"]), ("split", cells.get("split")), (reading.group, group)):
        if value == "":
            raise UserError(f"{where}: the {what} is empty")
    label = _label(where, table, cells, by_name)
    by_frames = {*BY_FRAMES} <= cells.keys()
    start, end = _frames(where, cells, reading) if by_frames else _times(where, cells, comma=table.comma)
    try:
        path, file = _file(table.source, cells["path"], reading)
    except MissingFileError as error:
        missing.append(f"line {line}: {error}")
        path, file = cells["path"], (reading.root or table.source.parent) / cells["path"]
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    name = path if not start and end is None else f"{path}@{'frame' * by_frames}{number(start)}-{'' if end is None else number(end)}"
    return Clip(name, canonical(cells.get("split", "train")), label, file, start, end, group, by_frames=by_frames)


def _times(where: str, cells: Mapping[str, str], *, comma: bool) -> tuple[float, float | None]:
    start = seconds(where, "start", cells.get("start"), comma=comma) or 0.0
    end = seconds(where, "end", cells.get("end"), comma=comma)
    if end is not None and end <= start:
        raise UserError(f"{where}: end {number(end)} is not after start {number(start)}")
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


def _label(where: str, table: Table, cells: Mapping[str, str], by_name: Mapping[str, str]) -> Label:
    if table.heads:
        empty = next((head for head in table.heads if not by_name[head]), None)
        if empty:
            raise UserError(f"{where}: the {empty} is empty")
        return {head: by_name[head] for head in table.heads}
    cell = cells["label"]
    if table.taken["label"] == "labels":
        return tuple(sorted({name.strip() for name in re.split("[;|]", cell)} - {""}))
    if not cell:
        raise UserError(f"{where}: the label is empty")
    return cell


def _file(source: pathlib.Path, path: str, reading: Reading) -> tuple[str, pathlib.Path]:
    """The path and its file; backslashes in the path are read as slashes if only that file exists."""
    root = reading.root or source.parent
    try:
        return path, locate(root, path, reading.within)
    except UserError as error:
        if "\\" not in path:
            raise
        slashes = path.replace("\\", "/")
        try:
            return slashes, locate(root, slashes, reading.within)
        except UserError:
            raise type(error)(f"{error}; nor is there {slashes}") from None
