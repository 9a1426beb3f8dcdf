"""The files that an evaluation writes: `evaluation.json`, and its predictions as csv."""

import csv
import dataclasses
import io
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vivit_jax import extras
from vivit_jax.errors import UserError
from vivit_jax.files import write_atomically
from vivit_jax.preprocess import Views
from vivit_jax.training.evaluation import Evaluation

Names = Mapping[int, str]


def check_finite(evaluation: Evaluation, names: Names) -> None:
    """Refuses the scores of a model that gives NaN or infinity.

    Raises:
      UserError: naming the first video whose logits are not all finite.
    """
    for logits in evaluation.logits.values():
        wrong = np.flatnonzero(~np.isfinite(logits).all(axis=-1))
        if len(wrong):
            index = int(evaluation.index[wrong[0]])
            raise UserError(
                f"the model gives NaN or infinity for {len(wrong)} of {evaluation.examples} videos, the first is "
                f"{names.get(index, f'number {index}')}: its weights or its dtype are at fault, and there is no score"
            )


@dataclasses.dataclass(frozen=True)
class Conditions:
    """What a model was scored on, and how it saw that.

    Attributes:
      name: name of the data set.
      split: name of its split.
      views: (temporal, spatial) views of each video.
      flip: whether each view was also scored mirrored.
      average: what was averaged over the views, `logits` or `probabilities`.
      step: the training step of the model; None if unknown.
      labels_from: where the names of the model's classes come from.
      refused: clips of the split that `vivit prepare` could not store.
    """

    name: str
    split: str
    views: Views
    flip: bool = False
    average: str = "logits"
    step: int | None = None
    labels_from: str = "model"
    refused: int = 0

    def to_dict(self) -> dict:
        """As `evaluation.json` has them after the scores: `flip`, `average` and `refused` only where they are not the default."""
        return {
            "temporal_views": self.views[0],
            "spatial_views": self.views[1],
            **({"flip": True} if self.flip else {}),
            **({"average": self.average} if self.average != "logits" else {}),
            "labels_from": self.labels_from,
            **({"refused": self.refused} if self.refused else {}),
        }


def to_record(evaluation: Evaluation, conditions: Conditions, names: Names | None = None) -> dict:
    """An evaluation as `evaluation.json` has it.

    Besides the scores and the conditions it holds `predictions`, one for each example: its `index` in the split, the `video`'s name, the
    names of its `label` (a list where it may have several) and of the most probable class, that class's probability, and the
    `probabilities` of all classes by name. For several heads, each of the four is by head.

    Args:
      evaluation: the scores.
      conditions: what was scored, and how.
      names: names of the videos, by index.

    Raises:
      UserError: for a model that gives NaN or infinity.
    """
    names = names or {}
    check_finite(evaluation, names)
    of_what = {"name": conditions.name, "split": conditions.split, "step": conditions.step}
    return of_what | evaluation.to_dict() | conditions.to_dict() | {"predictions": predictions(evaluation, names)}


def predictions(evaluation: Evaluation, names: Names) -> list[dict]:
    """What the model said of each example, in the order of their indices; see `to_record`."""
    heads = {head: _of_head(evaluation, head) for head in evaluation.heads}
    rows = []
    for i, index in enumerate(evaluation.index.tolist()):
        said = {head: values[i] for head, values in heads.items()}
        facts = said[""] if "" in said else {key: {head: row[key] for head, row in said.items()} for key in next(iter(said.values()))}
        rows.append({"index": index, "video": names.get(index, f"number {index}"), **facts})
    return rows


def write_record(record: dict, path: pathlib.Path) -> None:
    """Writes `evaluation.json`, or a file like it, with one prediction a line, so that they can be read and compared as text.

    Raises:
      ValueError: for NaN or infinity, which JSON has no name for.
    """
    rows = [f"    {_json(row)}" for row in record["predictions"]]
    fields = [f"  {_json(key)}: {_indented(value)}" for key, value in record.items() if key != "predictions"]
    fields.append('  "predictions": [\n' + ",\n".join(rows) + "\n  ]")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "{\n" + ",\n".join(fields) + "\n}\n")


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
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, contents)


def table(record: dict) -> tuple[list[str], list[list]]:
    """The titles and rows of a record's predictions: a video, its label, the prediction, its probability, and that of each class.

    Several labels are joined by `;`. With several heads there is a column of each kind for each head, such as `HEAD.label`, `HEAD.CLASS`.
    """
    heads = record.get("heads") or {"": record}
    titles = {head: f"{head}." if head else "" for head in heads}
    facts = ("label", "prediction", "probability")
    columns = ["video"]
    columns += [f"{titles[head]}{fact}" for head in heads for fact in facts]
    columns += [f"{titles[head]}{label}" for head, scores in heads.items() for label in scores["per_class"]]
    rows = []
    for row in record["predictions"]:
        by_head = [{key: row[key][head] if head else row[key] for key in (*facts, "probabilities")} for head in heads]
        cells = [cell for said in by_head for cell in (_joined(said["label"]), said["prediction"], said["probability"])]
        rows.append([row["video"], *cells, *(value for said in by_head for value in said["probabilities"].values())])
    return columns, rows


def table_without_labels(
    videos: Sequence[str], probabilities: Mapping[str, np.ndarray], labels: Mapping[str, Sequence[str]]
) -> tuple[list[str], list[list]]:
    """As `table`, of videos whose classes are not known: the columns of labels are left out.

    Args:
      videos: their names.
      probabilities: float (videos, classes) by head.
      labels: the names of the classes by head.
    """
    columns, cells = ["video"], [[video] for video in videos]
    for head, names in labels.items():
        columns += [f"{head}.{fact}" if head else fact for fact in ("prediction", "probability")]
        for row, values in zip(cells, probabilities[head], strict=True):
            row += [names[int(values.argmax())], _rounded(values.max())]
    for head, names in labels.items():
        columns += [f"{head}.{name}" if head else name for name in names]
        for row, values in zip(cells, probabilities[head], strict=True):
            row += map(_rounded, values)
    return columns, cells


def _csv(columns: list[str], rows: list[list]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([columns, *rows])
    return text.getvalue()


def _parquet(columns: list[str], rows: list[list]) -> bytes:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise UserError(f"a .parquet file needs the extra parquet: {extras.install('parquet')}, or name a .csv file") from None
    contents = io.BytesIO()
    cells = [pyarrow.array(list(column)) for column in zip(*rows, strict=True)]
    parquet.write_table(pyarrow.Table.from_arrays(cells, names=columns), contents)
    return contents.getvalue()


TABLES = {".csv": _csv, ".parquet": _parquet}


def _of_head(evaluation: Evaluation, head: str) -> list[dict]:
    labels, label = evaluation.heads[head].labels, evaluation.label[head]
    probabilities = evaluation.probabilities[head]
    rows = []
    for i, values in enumerate(probabilities):
        truth = [labels[number] for number in np.flatnonzero(label[i])] if evaluation.multi_label else labels[label[i]]
        said = {name: _rounded(value) for name, value in zip(labels, values, strict=True)}
        best = labels[int(evaluation.logits[head][i].argmax())]
        rows.append({"label": truth, "prediction": best, "probability": said[best], "probabilities": said})
    return rows


def _joined(label: str | list[str]) -> str:
    return ";".join(label) if isinstance(label, list) else label


def _rounded(value: float) -> float:
    """A probability to the digits that float32 has; near 1, to as many of what is missing: else videos would tie that the model ranks."""
    missing = 1 - value
    if 0 < missing < 0.1:
        return round(float(value), 6 - math.floor(math.log10(missing)))
    return float(f"{value:.7g}")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _indented(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).replace("\n", "\n  ")
