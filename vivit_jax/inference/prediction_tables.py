"""The predictions of an evaluation as a table, csv or parquet: a row a video."""

import csv
import io
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from vivit_jax import extras
from vivit_jax.atomic import write_output
from vivit_jax.inference.digits import float32_digits
from vivit_jax.inference.scores import heads_of, of_head


def write_table(record: dict, path: pathlib.Path) -> None:
    """Writes the predictions of a record as csv or parquet, by the file's ending. See `table`.

    Raises:
      UserError: for parquet without the library that writes it.
    """
    write_rows(*table(record), path)


def write_rows(columns: list[str], rows: list[list], path: pathlib.Path) -> None:
    """Writes a table as csv or parquet, by the file's ending.

    Raises:
      UserError: for parquet without the library that writes it.
    """
    contents = TABLES[path.suffix.lower()](columns, rows)
    write_output(path, contents)


def table(record: dict) -> tuple[list[str], list[list]]:
    """The titles and rows of a record's predictions: a video, its label, the prediction, its probability, and that of each class.

    Several labels are joined by `;`. With several heads there is a column of each kind for each head, such as `HEAD.label`, `HEAD.CLASS`.
    """
    heads = heads_of(record)
    titles = {head: f"{head}." if head else "" for head in heads}
    facts = ("label", "prediction", "probability")
    columns = ["video"]
    columns += [f"{titles[head]}{fact}" for head in heads for fact in facts]
    columns += [f"{titles[head]}{label}" for head, scores in heads.items() for label in scores["per_class"]]
    rows = []
    for row in record["predictions"]:
        cells = [_joined(of_head(row, fact, head)) for head in heads for fact in facts]
        rows.append([row["video"], *cells, *(value for head in heads for value in of_head(row, "probabilities", head).values())])
    return columns, rows


def table_without_labels(
    videos: Sequence[str], probabilities: Mapping[str, np.ndarray], labels: Mapping[str, Sequence[str]]
) -> tuple[list[str], list[list]]:
    """The table for videos whose classes are not known: as `table` gives it, without the columns of labels.

    Args:
      videos: their names.
      probabilities: float (videos, classes) by head.
      labels: the names of the classes by head.
    """
    columns, cells = ["video"], [[video] for video in videos]
    for head, names in labels.items():
        columns += [f"{head}.{fact}" if head else fact for fact in ("prediction", "probability")]
        for row, values in zip(cells, probabilities[head], strict=True):
            row += [names[int(values.argmax())], float32_digits(values.max())]
    for head, names in labels.items():
        columns += [f"{head}.{name}" if head else name for name in names]
        for row, values in zip(cells, probabilities[head], strict=True):
            row += map(float32_digits, values)
    return columns, cells


def _csv(columns: list[str], rows: list[list]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([columns, *rows])
    return text.getvalue()


def _parquet(columns: list[str], rows: list[list]) -> bytes:
    extras.check_import("pyarrow", f"a .parquet file needs the extra parquet: {extras.install('parquet')}, or name a .csv file")
    import pyarrow
    from pyarrow import parquet

    contents = io.BytesIO()
    cells = [pyarrow.array(list(column)) for column in zip(*rows, strict=True)]
    parquet.write_table(pyarrow.Table.from_arrays(cells, names=columns), contents)
    return contents.getvalue()


TABLES = {".csv": _csv, ".parquet": _parquet}


def _joined(fact: str | float | list[str]) -> str | float:
    return ";".join(fact) if isinstance(fact, list) else fact
