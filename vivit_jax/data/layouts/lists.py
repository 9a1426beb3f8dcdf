"""Reads lists of videos: text, lines, tables and JSON, each entry with its place, which errors name."""

import csv
import gzip
import io
import json
import pathlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vivit_jax.data.layouts import csv_hints
from vivit_jax.errors import UserError, in_one_line

DELIMITERS = ",;\t"
PACKED = ".gz"
LONGEST = 1 << 30  # bytes of a list once it is unpacked


def text_of(path: pathlib.Path) -> str:
    """A list's text, whose lines end in `\\n`. It may be packed by gzip.

    Raises:
      UserError: if it cannot be read, or is not UTF-8.
    """
    try:
        text = _unpacked(path).decode("utf-8-sig")
    except OSError as error:
        raise UserError(in_one_line(error)) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; save the list as UTF-8") from None
    if "\0" in text:
        raise UserError(f"{path}: not a text file (it holds zero bytes); save the list as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _unpacked(path: pathlib.Path) -> bytes:
    if not path.name.lower().endswith(PACKED):
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            content = file.read(LONGEST + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be unpacked ({in_one_line(error)})") from None
    if len(content) > LONGEST:
        raise UserError(f"{path}: unpacked, the list is longer than {LONGEST:,} bytes")
    return content


def lines_of(path: pathlib.Path) -> Iterator[tuple[str, str]]:
    """The lines that are not blank, each with `FILE line N` before it, which errors name."""
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if line.strip():
            yield f"{path} line {number}", line.strip()


def cells_of(path: pathlib.Path, delimiter: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """The rows of a table that are not blank, their cells stripped, each after `FILE line N`.

    Args:
      path: the table.
      delimiter: what separates its cells; None is a comma, or what the first line has in place of commas, a semicolon or a tab.

    Raises:
      UserError: for a table that cannot be read.
    """
    text = text_of(path)
    first = text.lstrip("\n").partition("\n")[0]
    delimiter = delimiter or next((mark for mark in DELIMITERS if mark in first), ",")
    for line, row in numbered_rows(path, text, delimiter):
        yield f"{path} line {line}", [cell.strip() for cell in row]


def numbered_rows(path: pathlib.Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of the table `text` that are not blank, each with the number of its first line; `path` is for errors.

    Raises:
      UserError: for a table that cannot be read.
    """
    reader, line = csv.reader(io.StringIO(text), delimiter=delimiter), 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path} line {line}: cannot be read as a table ({error}); is a quote left open?") from None


def header_of(path: pathlib.Path) -> list[str]:
    """The names of a table's columns; empty for a file that holds nothing."""
    return [cell.strip() for cell in next(cells_of(path), ("", []))[1]]


def rows_of(path: pathlib.Path, *columns: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a table with a header, by column, each after `FILE line N`.

    Raises:
      UserError: for a table that cannot be read, lacks one of `columns` or has it twice, or has a row that is not as long as its header.
    """
    rows = cells_of(path)
    _, header = next(rows, (None, []))
    if not header:
        raise UserError(f"{path}: the list is empty; expected a header with {', '.join(columns)}")
    lacking = [column for column in columns if column not in header]
    if lacking:
        hint = csv_hints.of_header(header, {column: (column,) for column in columns}, lacking)
        raise UserError(f"{path}: expected a header with {', '.join(columns)}, found no {', '.join(lacking)}{hint}")
    twice = next((column for column in columns if header.count(column) > 1), None)
    if twice:
        raise UserError(f"{path}: the header names {twice} twice")
    for where, cells in rows:
        if len(cells) != len(header):
            hint = csv_hints.of_row(header, cells, commas=True)
            raise UserError(f"{where}: expected {len(header)} cells, as the header has, got {len(cells)}{hint}")
        yield where, dict(zip(header, cells, strict=True))


def json_of(path: pathlib.Path, kind: type) -> Any:
    """The contents of a JSON file.

    Raises:
      UserError: if it is not JSON, or its contents are not a `kind`: list or dict.
    """
    try:
        contents = json.loads(text_of(path))
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({in_one_line(error)})") from None
    if not isinstance(contents, kind):
        raise UserError(f"{path}: expected a JSON {'list' if kind is list else 'object'}")
    return contents


def entries_of(path: pathlib.Path, *keys: str) -> Iterator[tuple[str, dict]]:
    """The objects of a JSON file that is a list of them, each after `FILE entry N`.

    Raises:
      UserError: if it is anything else, or an object lacks one of `keys`.
    """
    for number, entry in enumerate(json_of(path, list), start=1):
        lacking = [key for key in keys if key not in entry] if isinstance(entry, dict) else ["object"]
        if lacking:
            raise UserError(f"{path} entry {number}: expected an object with {', '.join(keys)}, found no {', '.join(lacking)}")
        yield f"{path} entry {number}", entry


def whole_number(where: str, what: str, cell: object, most: int | None = None) -> int:
    """A whole number of at least 0, and below `most` if that is given.

    Raises:
      UserError: for anything else.
    """
    text = str(cell)
    if not (text.isascii() and text.isdecimal() and len(text) < 10) or (most is not None and int(text) >= most):
        below = "" if most is None else f" in 0..{most - 1}"
        raise UserError(f"{where}: {what} must be a whole number{below}, got {text[:50]!r}")
    return int(text)


def in_order(path: pathlib.Path, numbers: Mapping[str, int], first: int = 0) -> tuple[str, ...]:
    """Class names in the order of their numbers.

    Raises:
      UserError: if these are not those from `first` on, each once.
    """
    if sorted(numbers.values()) != list(range(first, first + len(numbers))):
        raise UserError(f"{path}: the classes must be numbered from {first} to {first + len(numbers) - 1}")
    return tuple(sorted(numbers, key=numbers.get))


def known_class(where: str, name: str, labels: Sequence[str] | Mapping[str, int]) -> str:
    """`name` itself, if it is a class.

    Raises:
      UserError: if it is none.
    """
    if name not in labels:
        raise UserError(f"{where}: {name[:100]!r} is not one of the {len(labels)} classes")
    return name
