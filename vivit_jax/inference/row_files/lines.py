"""Rows as lines of text, csv or JSON, and back: each format says how a row is spelt, and reads a file up to its last whole line."""

import csv
import io
import json
import typing
from collections.abc import Iterable, Iterator, Sequence

from vivit_jax.inference.rows import Row

ANY_NAME = "surrogateescape"  # a file's name need not be UTF-8: its bytes are written as they are


class WholeLines(Iterator[str]):
    """The lines of a file, each read when it is asked for; what comes after the last line break is left out.

    Attributes:
      end: the position in the file, in bytes, where the line given last ends.
    """

    def __init__(self, file: typing.BinaryIO) -> None:
        self.end = 0
        self._file = file

    def __next__(self) -> str:
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise StopIteration
        self.end += len(line)
        return line.decode(errors=ANY_NAME)


class LineFormat(typing.Protocol):
    """A format of rows as lines."""

    header: bytes

    def encode(self, rows: Sequence[Row]) -> bytes:
        """The lines of rows."""

    def decode(self, lines: WholeLines) -> Iterator[Row | None]:
        """The rows of lines, each read when it is asked for; None for a header."""


class CsvLines:
    """Comma-separated values under a header. All values are read as text.

    Attributes:
      header: the line of titles.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self.header = _csv([columns])

    def encode(self, rows: Sequence[Row]) -> bytes:
        """The lines of rows."""
        return _csv([row.values() for row in rows])

    def decode(self, lines: WholeLines) -> Iterator[Row | None]:
        """The rows of lines.

        Raises:
          ValueError: for a line in the middle of the file that has other columns.
        """
        for cells in csv.reader(lines):
            if len(cells) != len(self._columns):
                if next(lines, None) is not None:
                    raise ValueError(cells)
                return  # a line break in a name, and cut off after it
            yield None if tuple(cells) == self._columns else dict(zip(self._columns, cells, strict=True))


class JsonLines:
    """One JSON object a line, and no header."""

    header = b""

    def encode(self, rows: Sequence[Row]) -> bytes:
        """The lines of rows."""
        return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode(errors=ANY_NAME)

    def decode(self, lines: WholeLines) -> Iterator[Row]:
        """The rows of lines."""
        for line in lines:
            yield json.loads(line)


def _csv(rows: Sequence[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors=ANY_NAME)
