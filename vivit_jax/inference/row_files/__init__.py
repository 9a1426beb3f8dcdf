"""Files of predictions, written row by row while the predictions are made.

An interruption leaves csv and jsonl whole, and the next command goes on with them; a parquet file appears when all is done.
"""

import pathlib

from vivit_jax import extras
from vivit_jax.errors import UserError
from vivit_jax.inference.row_files.base import Made, RowFile
from vivit_jax.inference.row_files.parquet import ParquetRows
from vivit_jax.inference.row_files.text import TextRows
from vivit_jax.inference.rows import RowsOfModel

__all__ = ["Made", "RowFile", "check_suffix", "open_rows"]


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
        return ParquetRows(path, table, made, overwrite)
    return TextRows(path, table, made, every, overwrite)


def check_suffix(path: pathlib.Path) -> None:
    """Raises `UserError` for a file that rows cannot be written to: another format, or one that needs what is not installed."""
    if path.suffix.lower() not in (".csv", ".jsonl", ".parquet"):
        raise UserError(f"--out must end in .csv, .jsonl or .parquet, got {path}")
    if path.suffix.lower() == ".parquet":
        missing = f"a .parquet file needs the extra parquet: {extras.install('parquet')}, or give a .csv file"
        extras.check_import("pyarrow.parquet", missing)
