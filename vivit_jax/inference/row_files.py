"""Files of predictions, written row by row while the predictions are made.

An interruption leaves csv and jsonl whole, and the next command goes on with them; a parquet file appears when all is done.
"""

import abc
import contextlib
import csv
import io
import json
import os
import pathlib
import typing
from collections.abc import Iterator, Mapping, Sequence

from vivit_jax import extras
from vivit_jax.errors import UserError, printable
from vivit_jax.files import lock, read_json, write_atomically, writing
from vivit_jax.inference.rows import Row, RowsOfModel

ROW_GROUP = 10_000  # rows of a parquet file's group
UNKNOWN_END = "perhaps not read to its end"
ANY_NAME = "surrogateescape"  # a file's name need not be UTF-8: its bytes are written as they are

Made = Mapping[str, object]
"""How the rows come to be, as plain JSON values."""


class RowFile(abc.ABC):
    """A file of rows. A context manager, which closes it.

    Attributes:
      path: where it is.
    """

    path: pathlib.Path

    @abc.abstractmethod
    def add(self, rows: Sequence[Row]) -> None:
        """Adds all rows of one or more windows of a video."""

    @abc.abstractmethod
    def end(self, video: str, error: str | None = None) -> None:
        """Says that there are no more rows of a video, and if so why it was not read to its end."""

    @abc.abstractmethod
    def first(self, video: str) -> int | None:
        """The number of a video's first window whose rows are not there yet; None if there are no more to come."""

    def __enter__(self) -> typing.Self:
        return self

    @abc.abstractmethod
    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Closes the file; `kind` is that of the exception that ends the work before it is done."""


def open_rows(path: pathlib.Path, table: RowsOfModel, made: Made, *, every: float | None, overwrite: bool = False) -> RowFile:
    """Opens a file for rows, or makes one.

    Args:
      path: ends in .csv, .jsonl or .parquet; its folder is made.
      table: the columns, and how many rows a window has.
      made: how the rows come to be; a file is gone on with only where all of it is the same.
      every: seconds from window to window; None for rows of whole videos.
      overwrite: begin anew, whatever is there.

    Raises:
      UserError: for another suffix, a file that is there and not of these rows, or one that another process writes.
    """
    check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".parquet":
        return _Parquet(path, table, made, overwrite)
    return _Growing(path, table, made, every, overwrite)


def check_suffix(path: pathlib.Path) -> None:
    """Raises `UserError` for a file that rows cannot be written to: another format, or one that needs what is not installed."""
    if path.suffix.lower() not in (".csv", ".jsonl", ".parquet"):
        raise UserError(f"--out must end in .csv, .jsonl or .parquet, got {path}")
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise UserError(f"a .parquet file needs the extra parquet: {extras.install('parquet')}, or give a .csv file") from None


class _Growing(RowFile):
    """A csv or jsonl file, complete to the last line at any time. `FILE.json` beside it says how its rows come to be, and what failed."""

    def __init__(self, path: pathlib.Path, table: RowsOfModel, made: Made, every: float | None, overwrite: bool) -> None:
        self.path, self._table, self._every = path, table, every
        self._record, self._made = path.with_name(f"{path.name}.json"), json.loads(json.dumps(made))
        self._is_csv = path.suffix.lower() == ".csv"
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
                told = f"{self.path} holds a line that is no row of these: it was changed"
                raise UserError(f"{told}; give another --out, or --overwrite to begin anew") from None
        self._file.truncate(end)
        self._file.seek(end)
        self._write_record()
        if self._is_csv and not end:
            self._file.write(_csv_lines([self._table.columns]))

    def _check_same(self) -> None:
        try:
            found = read_json(self._record)
            made, self._failed = dict(found["made"]), dict(found["failed"])
        except (OSError, ValueError, KeyError, TypeError):
            told = f"{self.path} is there already, and {self._record.name} beside it does not say how to go on with it"
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
        for row, end in self._rows():
            if row is None:  # the header
                kept = end
                continue
            count = count + 1 if window == (row["video"], row["start"]) else 1
            window = row["video"], row["start"]
            if count == self._table.rows_a_window:
                kept = end
                last = row["video"]
                self._next[last] = _number(float(row["start"]), self._every) + 1 if self._every else 1
        if last is not None and self._every:  # until a command has read it on, which need not be this one
            self._failed.setdefault(last, UNKNOWN_END)
        return kept

    def _rows(self) -> Iterator[tuple[dict | None, int]]:
        """Each whole row, with the position in the file where it ends; None for the header of a csv file."""
        self._file.seek(0)
        ends = [0]
        lines = _whole_lines(io.BufferedReader(io.FileIO(self._file.fileno(), closefd=False)), ends)
        columns = self._table.columns
        if not self._is_csv:
            for line in lines:
                yield json.loads(line), ends[0]
            return
        for cells in csv.reader(lines):
            if len(cells) != len(columns):
                if next(lines, None) is not None:
                    raise ValueError(cells)
                return  # a line break in a name, and cut off after it
            yield (None if tuple(cells) == columns else dict(zip(columns, cells, strict=True))), ends[0]

    def _write_record(self) -> None:
        write_atomically(self._record, json.dumps({"made": self._made, "failed": self._failed}, indent=2) + "\n")

    def add(self, rows: Sequence[Row]) -> None:
        lines = _csv_lines([row.values() for row in rows]) if self._is_csv else _json_lines(rows)
        with writing(self.path):
            while lines:
                lines = lines[self._file.write(lines) :]

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


class _Parquet(RowFile):
    """A parquet file, written beside its place and moved there at the end: until then the place is empty, or has what was there."""

    def __init__(self, path: pathlib.Path, table: RowsOfModel, made: Made, overwrite: bool) -> None:
        import pyarrow
        import pyarrow.parquet

        if path.exists() and not overwrite:
            raise UserError(f"{path} is there already: give another --out, or --overwrite to replace it")
        types = {"start": pyarrow.float64(), "end": pyarrow.float64(), "probability": pyarrow.float32()}
        fields = [(column, types.get(column, pyarrow.string())) for column in table.columns]
        self._schema = pyarrow.schema(fields, metadata={"vivit": json.dumps(made)})
        self.path, self._temporary = path, path.with_name(f".{path.name}.{os.getpid()}")
        self._waiting: list[Row] = []
        self._table, self._writer = pyarrow.Table, None
        with self._cleaned():
            self._sink = self._temporary.open("wb")  # and not the library's own file, whose errors have no number
            self._writer = pyarrow.parquet.ParquetWriter(self._sink, self._schema)

    @contextlib.contextmanager
    def _cleaned(self) -> Iterator[None]:
        """After an error removes what is written so far, and tells one of the system as one about the file."""
        try:
            with writing(self.path):
                yield
        except BaseException:
            self._discard()
            raise

    def _discard(self) -> None:
        self._temporary.unlink(missing_ok=True)
        if self._writer:
            self._writer.is_open = False  # or it writes the end of the file when it is collected

    def add(self, rows: Sequence[Row]) -> None:
        self._waiting += [{**row, "video": printable(row["video"])} for row in rows]  # strings of parquet are UTF-8
        if len(self._waiting) >= ROW_GROUP:
            self._write()

    def end(self, video: str, error: str | None = None) -> None:
        pass

    def first(self, video: str) -> int | None:
        return 0

    def _write(self) -> None:
        with self._cleaned():
            self._writer.write_table(self._table.from_pylist(self._waiting, schema=self._schema))
        self._waiting = []

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._sink, self._cleaned():
            if kind is not None:
                self._discard()
                return
            self._write()
            self._writer.close()
            self._sink.close()
            self._temporary.replace(self.path)


def _whole_lines(file: typing.BinaryIO, ends: list[int]) -> Iterator[str]:
    """The lines that end, each when it is asked for; `ends[0]` is where the last one given ends."""
    for line in file:
        if not line.endswith(b"\n"):
            return
        ends[0] += len(line)
        yield line.decode(errors=ANY_NAME)


def _csv_lines(rows: Sequence[typing.Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors=ANY_NAME)


def _json_lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode(errors=ANY_NAME)
