"""Rows in a csv or jsonl file that is complete to its last line at any time, so that an interrupted command can go on with it."""

# ruff: noqa: D102 (the methods of a file of rows are described in `RowFile`)

import contextlib
import csv
import io
import json
import os
import pathlib
from collections.abc import Iterator, Sequence

from vivit_jax.atomic import write_atomically
from vivit_jax.errors import UserError
from vivit_jax.files import lock, read_json, writing
from vivit_jax.inference.row_files.base import Made, RowFile
from vivit_jax.inference.row_files.lines import CsvLines, JsonLines, LineFormat, WholeLines
from vivit_jax.inference.rows import Row, RowsOfModel

UNKNOWN_END = "perhaps not read to its end"


class TextRows(RowFile):
    """A csv or jsonl file, complete to the last line at any time. `FILE.json` beside it says how its rows come to be, and what failed."""

    def __init__(self, path: pathlib.Path, table: RowsOfModel, made: Made, every: float | None, overwrite: bool) -> None:
        self.path, self._table, self._every = path, table, every
        self._record, self._made = path.with_name(f"{path.name}.json"), json.loads(json.dumps(made))
        self._format: LineFormat = CsvLines(table.columns) if path.suffix.lower() == ".csv" else JsonLines()
        self._next: dict[str, int] = {}
        self._failed: dict[str, str] = {}
        if not path.exists() and self._record.exists() and not overwrite and not _is_record(self._record):
            raise UserError(f"{self._record} is of another kind, and would be written over: give another --out, or --overwrite")
        new = not os.path.lexists(path)
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        try:
            self._lock()
            new = new and not self._size()  # else another process has made it meanwhile
            with writing(path), self._unmade(new):
                self._begin(overwrite)
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        try:
            lock(self._file)
        except BlockingIOError:
            raise UserError(f"{self.path}: another process is writing it") from None

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    @contextlib.contextmanager
    def _unmade(self, new: bool) -> Iterator[None]:
        """Removes a new file after an error."""
        try:
            yield
        except BaseException:
            if new:
                self.path.unlink(missing_ok=True)
            raise

    def _begin(self, overwrite: bool) -> None:
        end = 0
        if not overwrite and self._size():
            self._check_same()
            try:
                end = self._kept()
            except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError, csv.Error):
                told = f"{self.path} holds a line that is not one of its rows: it was changed"
                raise UserError(f"{told}; give another --out, or --overwrite to begin anew") from None
        self._file.truncate(end)
        self._file.seek(end)
        self._write_record()
        if not end:
            self._file.write(self._format.header)

    def _check_same(self) -> None:
        try:
            found = read_json(self._record)
            made, self._failed = dict(found["made"]), dict(found["failed"])
        except (OSError, ValueError, KeyError, TypeError):
            told = f"{self.path} is there already, and {self._record.name} beside it does not say how to resume it"
            raise UserError(f"{told}: give another --out, or --overwrite to begin anew") from None
        for key in self._made | made:
            if made.get(key) != self._made.get(key):
                if key == "model_sha256":
                    raise UserError(f"{self.path} was begun with another model: give another --out, or --overwrite to begin anew")
                told = f"{self.path} was begun with {key} {json.dumps(made.get(key))}, not {json.dumps(self._made.get(key))}"
                raise UserError(f"{told}: give another --out, or --overwrite to begin anew")

    def _kept(self) -> int:
        """Reads what is done; returns where the rows of the last window with all its rows end."""
        kept, count, window, last = 0, 0, None, None
        self._file.seek(0)
        lines = WholeLines(io.BufferedReader(io.FileIO(self._file.fileno(), closefd=False)))
        for row in self._format.decode(lines):
            if row is None:  # the header
                kept = lines.end
                continue
            count = count + 1 if window == (row["video"], row["start"]) else 1
            window = row["video"], row["start"]
            if count == self._table.rows_a_window:
                kept = lines.end
                last = row["video"]
                self._next[last] = _number(float(row["start"]), self._every) + 1 if self._every else 1
        if last is not None and self._every:  # until a command has read it on, which need not be this one
            self._failed.setdefault(last, UNKNOWN_END)
        return kept

    def _write_record(self) -> None:
        write_atomically(self._record, json.dumps({"made": self._made, "failed": self._failed}, indent=2) + "\n")

    def add(self, rows: Sequence[Row]) -> None:
        left = self._format.encode(rows)
        with writing(self.path):
            while left:  # the file has no buffer, and may take a part at a time
                left = left[self._file.write(left) :]

    def end(self, video: str, error: str | None = None) -> None:
        if error is not None:
            self._failed[video] = error
        elif self._failed.pop(video, None) is None:
            return
        self._write_record()

    def first(self, video: str) -> int | None:
        return None if video in self._next and video not in self._failed else self._next.get(video, 0)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()


def _number(start: float, every: float) -> int:
    """The number of the window that begins at `start`."""
    if start < 0:
        raise ValueError(start)
    return round(start / every)


def _is_record(path: pathlib.Path) -> bool:
    """Whether a file says how rows come to be."""
    try:
        return "made" in read_json(path)
    except (OSError, ValueError, TypeError):
        return False
