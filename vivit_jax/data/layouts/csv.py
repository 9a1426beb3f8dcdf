"""A list of videos: a table with a header, or Kinetics-style lines of path and label."""

import csv
import dataclasses
import io
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

from vivit_jax.data.layouts.base import Annotations, Clip, Label, Reading, class_names, locate, sorted_labels
from vivit_jax.data.layouts.checks import groups_in_several_splits
from vivit_jax.data.layouts.times import number, seconds
from vivit_jax.data.splits import canonical
from vivit_jax.errors import UserError

# What a column may be called: the first name of each is ours, and the first that a header has is taken.
COLUMNS = {
    "path": ("path", "file", "filepath", "file_path", "filename", "file_name", "video_path", "video"),
    "label": ("label", "labels", "class", "class_name", "category"),
    "split": ("split", "subset"),
    "start": ("start", "start_time", "time_start", "start_sec", "start_secs", "start_second", "start_seconds"),
    "end": ("end", "end_time", "time_end", "end_sec", "end_secs", "end_second", "end_seconds"),
}
DOCUMENTED = {"path", "file", "label", "labels", "split", "start", "end"}
FRAMES = (("start_frame", "frame_start", "first_frame"), ("end_frame", "stop_frame", "frame_end", "last_frame"))
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

    - a header that names `path` or `file`, `label` or `labels`, and optionally `split`, `start` and `end` (seconds, or [hh:]mm:ss.ff).
      Other usual spellings, see `COLUMNS`, are taken and named, and columns that are not used are named too. Under `labels` stand all
      classes of a video, with `;` or `|` between them, or none. With `reading.heads` each of those columns is a label of its own;
    - no header: `path label` or `path,label` on each line.

    Cells are separated by commas, semicolons or tabs. Without a split, all clips are `train`. Labels that are all whole numbers are ordered
    as numbers.

    Raises:
      UserError: naming the file and line.
    """
    text, remarks = _text(source)
    table = _table(source, text, reading)
    try:
        clips = [_clip(table, line, row, reading) for line, row in table.rows]
    except UserError as error:
        raise UserError("; ".join([str(error), *remarks])) from None
    if reading.split and "split" in table.taken:
        raise UserError(f"{source} has splits already, in its column {table.taken['split']}: leave --split or the column out")
    if "split" not in table.taken and not reading.split:
        remarks.append(f"{source.name} names no split: all {len(clips)} videos are train")
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
        raise UserError(f"{source}: no such file")
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
        return Table(source, header, taken, rows[1:], delimiter != ",", heads)
    if len(cells) == 2 and not taken and not heads:
        if reading.group:
            raise UserError(f"{source} has no header, so no column {reading.group} to group by")
        return Table(source, ["path", "label"], {"path": "path", "label": "label"}, rows, delimiter != ",")
    found = ", ".join(" ".join(cell.split()) for cell in header)
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
    return {what: name for what, name in found.items() if name is not None}


def _heads(reading: Reading) -> tuple[str, ...]:
    return tuple(head.lower() for head in reading.heads)


def _check_header(source: pathlib.Path, line: int, header: Sequence[str], taken: Mapping[str, str], reading: Reading) -> None:
    heads = _heads(reading)
    unknown = next((head for head in heads if head not in header), None)
    if unknown is not None:
        raise UserError(f"{source} has no column {unknown!r} to be a head: it has {', '.join(header)}")
    unfit = next((head for head in heads if not re.fullmatch(r"[a-z][a-z0-9_]*", head)), None)
    if unfit is not None or len({*heads}) < len(heads) or {*heads} & {*taken.values()}:
        raise UserError(f"--heads must be columns of lower-case letters, digits and _, each once and nothing else, got {', '.join(heads)}")
    if "label" in header and "labels" in header and not heads:
        raise UserError(f"{source} line {line}: a header must name label or labels, got both")
    twice = next((name for name in taken.values() if header.count(name) > 1), None)
    if twice:
        raise UserError(f"{source} line {line}: the header names {twice} twice")
    if all(any(name in header for name in names) for names in FRAMES) and not {"start", "end"} & taken.keys():
        raise UserError(
            f"{source} line {line}: segments by frame numbers are not read, since lists differ in where they count from and whether the "
            "last frame is part: give start and end in seconds, or leave these columns out to store whole videos"
        )
    if reading.group and reading.group.strip().lower() not in header:
        raise UserError(f"{source} has no column {reading.group} to group by: it has {', '.join(header)}")


def _remarks(table: Table, reading: Reading) -> Iterator[str]:
    """Tells which columns were used under another name, which were not used, and which splits were renamed."""
    meant = [f"{name} as {what}" for what, name in table.taken.items() if name not in DOCUMENTED]
    if meant:
        yield f"columns taken: {', '.join(meant)}"
    used = {*table.taken.values(), *table.heads, (reading.group or "").strip().lower()}
    unused = [name or "(no name)" for name in table.columns if name not in used]
    if unused:
        yield f"columns not used: {', '.join(unused)}"
    if "split" in table.taken:
        position = table.columns.index(table.taken["split"])
        for name in dict.fromkeys(row[position].strip() for _, row in table.rows):
            if canonical(name) != name:
                yield f"split {name} is stored as {canonical(name)}"


def _clip(table: Table, line: int, row: Sequence[str], reading: Reading) -> Clip:
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
    start = seconds(where, "start", cells.get("start"), comma=table.comma) or 0.0
    end = seconds(where, "end", cells.get("end"), comma=table.comma)
    if end is not None and end <= start:
        raise UserError(f"{where}: end {number(end)} is not after start {number(start)}")
    try:
        path, file = _file(table.source, cells["path"], reading)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    name = path if not start and end is None else f"{path}@{number(start)}-{'' if end is None else number(end)}"
    return Clip(name, canonical(cells.get("split", "train")), label, file, start, end, group)


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
            raise UserError(f"{error}; nor is there {slashes}") from None
