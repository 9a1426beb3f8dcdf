"""The table of a list of videos: its encoding, separators, header and rows, and which column is what."""

import contextlib
import csv
import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping, Sequence

from vivit_jax.data.layouts import csv_hints
from vivit_jax.data.layouts.base import Reading
from vivit_jax.data.layouts.lists import numbered_rows
from vivit_jax.errors import UserError

COLUMNS_SHOWN = 20  # of a header, in an error
SEARCHED = 100  # lines in which a header that is not the first line is looked for

# Suffixes of files that are no lists, with what to do about it.
NO_LISTS = {
    (".xlsx", ".xls", ".ods", ".numbers"): "a spreadsheet; save its table as CSV",
    (".json", ".jsonl"): "JSON; expected a table, with a line for each video",
    (".parquet", ".feather", ".pkl", ".pickle", ".h5", ".npz"): "a binary table; write it as CSV",
}

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


def text_of(source: pathlib.Path) -> tuple[str, list[str]]:
    """The list's text without its comments, and remarks on those and on an encoding that had to be guessed."""
    if not source.is_file():
        raise UserError(f"{source}: a folder; give the list in it, or another layout" if source.is_dir() else f"{source}: no such file")
    is_none = next((why for suffixes, why in NO_LISTS.items() if source.suffix.lower() in suffixes), None)
    if is_none:
        raise UserError(f"{source}: {is_none}")
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
    text, comments = csv_hints.without_comments(text.replace("\r\n", "\n").replace("\r", "\n"))
    return text, remarks + comments


def table_of(source: pathlib.Path, text: str, reading: Reading) -> Table:
    """The table that a list's text is, with a header or of lines `path label`.

    Raises:
      UserError: for what is no such table, naming the line.
    """
    first = next((line for line in text.split("\n") if line.strip()), None)
    if first is None:
        raise UserError(f"{source}: the list is empty")
    try:
        delimiter = _delimiter(first, reading)
    except csv.Error as error:
        raise UserError(f"{source}: its first line cannot be read ({error})") from None
    if delimiter is None:
        rows = [(line, cells.rsplit(maxsplit=1)) for line, cells in enumerate(text.split("\n"), start=1) if cells.strip()]
    else:
        rows = list(numbered_rows(source, text, delimiter))
    if not rows:
        raise UserError(f"{source}: the list is empty")
    number, cells = rows[0]
    header = [cell.strip().lower() for cell in cells]
    taken, heads = _taken(header, reading), _heads(reading)
    if "path" in taken and ("label" in taken or heads):
        table = Table(source, header, taken, rows[1:], delimiter != ",", heads)
        _check_header(table, number, reading)
        _check_rivals(table, number, reading)
        return table
    later = _later_header(text, reading)
    if later:
        raise UserError(f"{source} line {later}: the header is here, below other lines: put it first, or begin each line above it with #")
    if len(cells) == 2 and not taken and not heads:
        if reading.group:
            raise UserError(f"{source} has no header, so no column {reading.group} to group by")
        return Table(source, ["path", "label"], {"path": "path", "label": "label"}, rows, delimiter != ",")
    found = _named([" ".join(cell.split()) for cell in header])
    hint = csv_hints.of_header(
        header, COLUMNS, [what for what in ("path", "label") if what not in taken and not (what == "label" and heads)]
    )
    several = "; where labels stand under other names, name their columns by --heads" if "path" in taken and not heads and not hint else ""
    raise UserError(f"{source} line {number}: a header must name path (or file) and label (or labels), got {found}{hint}{several}")


def _later_header(text: str, reading: Reading) -> int | None:
    """The number of the first line that is a header, of those that are looked at."""
    for number, line in enumerate(text.split("\n", SEARCHED)[:SEARCHED], start=1):
        with contextlib.suppress(csv.Error):
            if _header_delimiter(line, reading):
                return number
    return None


def _header_delimiter(line: str, reading: Reading) -> str | None:
    """The delimiter that makes a line a header; None if none does."""
    for delimiter, row in _split(line).items():
        header = [cell.strip().lower() for cell in row]
        taken = _taken(header, reading)
        if "path" in taken and ("label" in taken or {*_heads(reading)} & {*header}):
            return delimiter
    return None


def _split(line: str) -> dict[str, list[str]]:
    """The cells of a line by each delimiter in it."""
    return {delimiter: next(csv.reader([line], delimiter=delimiter), []) for delimiter in DELIMITERS if delimiter in line}


def _delimiter(line: str, reading: Reading) -> str | None:
    """What separates the cells of a list with this first line: a delimiter that makes it a header, else the first it has, else None for
    the last space."""
    of_header = _header_delimiter(line, reading)
    if of_header:
        return of_header
    cells = _split(line)
    if ";" in cells and len(cells) == 1 and len(line.rsplit(maxsplit=1)) == 2 and len(cells[";"]) != 2:
        return None  # a path with a semicolon, and a label
    return next(iter(cells), None)


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


def _check_header(table: Table, line: int, reading: Reading) -> None:
    """Refuses a header that lacks what is asked for, or names something twice; `line` is its number."""
    source, header, taken, heads = table.source, table.columns, table.taken, table.heads
    unknown = next((head for head in heads if head not in header), None)
    if unknown is not None:
        raise UserError(f"{source} has no column {unknown!r} for a head: it has {_named(header)}")
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


def _check_rivals(table: Table, line: int, reading: Reading) -> None:
    """Refuses a header, on `line`, with several columns for one thing.

    Let through are columns that are called like paths and hold none, and two names for each class, such as a number and a word.
    """
    root = reading.root or table.source.parent
    for what, name in table.taken.items():
        rivals = [column for column in table.columns if column in COLUMNS[what] and column != name]
        if what == "path":
            rivals = [rival for rival in rivals if _holds_files(table.rows, table.columns.index(rival), root)]
        if what == "label":
            rivals = [rival for rival in rivals if not _pair_up(table.rows, table.columns.index(name), table.columns.index(rival))]
        if rivals:
            several = ", ".join((name, *rivals))
            raise UserError(
                f"{table.source} line {line}: several columns may be the {what}: {several}; leave one of them, or rename the others"
            )


def _holds_files(rows: Sequence[tuple[int, Sequence[str]]], column: int, root: pathlib.Path) -> bool:
    """Whether a column names files, as far as its first hundred cells tell."""
    cells = (row[column].strip() for _, row in rows[:100] if len(row) > column)
    return any(cell and os.path.isfile(root / cell) for cell in cells)  # noqa: PTH113 (pathlib raises for names that are too long)


def _pair_up(rows: Sequence[tuple[int, Sequence[str]]], one: int, other: int) -> bool:
    """Whether each value of one column stands beside one value of the other, and the other way round."""
    pairs = {(row[one].strip(), row[other].strip()) for _, row in rows if len(row) > max(one, other)}
    return len(pairs) == len({value for value, _ in pairs}) == len({value for _, value in pairs})
