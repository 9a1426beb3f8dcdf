"""Rows in a parquet file, which appears when all of them are made."""

# ruff: noqa: D102 (the methods of a file of rows are described in `RowFile`)

import contextlib
import json
import pathlib
from collections.abc import Iterator, Sequence

from vivit_jax.atomic import half_file
from vivit_jax.errors import UserError, printable
from vivit_jax.files import writing
from vivit_jax.inference.row_files.base import Made, RowFile
from vivit_jax.inference.rows import Row, RowsOfModel

ROW_GROUP = 10_000  # rows of a group, which are held in memory


class ParquetRows(RowFile):
    """A parquet file, written beside its place and moved there at the end: until then the place is empty, or has what was there."""

    def __init__(self, path: pathlib.Path, table: RowsOfModel, made: Made, overwrite: bool) -> None:
        import pyarrow
        import pyarrow.parquet

        if path.exists() and not overwrite:
            raise UserError(f"{path} is there already: give another --out, or --overwrite to replace it")
        numbers = ("start", "end", "probability")
        fields = [(column, pyarrow.float64() if column in numbers else pyarrow.string()) for column in table.columns]
        self._schema = pyarrow.schema(fields, metadata={"vivit": json.dumps(made)})
        self.path, self._temporary = path, half_file(path)
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
