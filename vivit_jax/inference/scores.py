"""The record of an evaluation, `evaluation.json`: scores, the conditions they were measured under, and every prediction."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from vivit_jax.atomic import write_output
from vivit_jax.files import sealed
from vivit_jax.inference.digits import float32_digits
from vivit_jax.inference.finite import check_outputs
from vivit_jax.preprocess import Views
from vivit_jax.training.evaluation import Evaluation

Names = Mapping[int, str]


def check_finite(evaluation: Evaluation, names: Names) -> None:
    """Refuses the scores of a model that gives NaN or infinity.

    Raises:
      UserError: naming the first video whose logits are not all finite.
    """
    for logits in evaluation.logits.values():
        check_outputs(logits, lambda row: _name_of(names, int(evaluation.index[row])), so=", and there is no score")


@dataclasses.dataclass(frozen=True)
class Conditions:
    """The conditions of an evaluation: the videos, and how the model saw them.

    Attributes:
      name: name of the data set.
      split: name of its split.
      views: (temporal, spatial) views of each video.
      flip: whether each view was also scored mirrored.
      average: what was averaged over the views, `logits` or `probabilities`.
      gmac_view: 10^9 multiply-accumulates of the model for one view; None if unknown.
      step: the training step of the model; None if unknown.
      labels_from: where the names of the model's classes come from.
      refused: clips of the split that `vivit prepare` could not store.
    """

    name: str
    split: str
    views: Views
    flip: bool = False
    average: str = "logits"
    gmac_view: float | None = None
    step: int | None = None
    labels_from: str = "model"
    refused: int = 0

    def to_dict(self) -> dict:
        """The fields of `evaluation.json` after the scores: `flip`, `average` and `refused` only where they are not the default."""
        return {
            "temporal_views": self.views[0],
            "spatial_views": self.views[1],
            **({"flip": True} if self.flip else {}),
            **({"average": self.average} if self.average != "logits" else {}),
            **({"gmac_view": self.gmac_view} if self.gmac_view is not None else {}),
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


def heads_of(record: Mapping) -> dict[str, dict]:
    """The scores of each head in a record; those of a single head under the empty name."""
    return record.get("heads") or {"": record}


def of_head(prediction: Mapping, key: str, head: str) -> Any:
    """What one of the `predictions` of a record says under `key` of a head; a single head has the empty name."""
    return prediction[key][head] if head else prediction[key]


def predictions(evaluation: Evaluation, names: Names) -> list[dict]:
    """The predictions for each example, in the order of their indices; see `to_record`."""
    heads = {head: _of_head(evaluation, head) for head in evaluation.heads}
    rows = []
    for i, index in enumerate(evaluation.index.tolist()):
        said = {head: values[i] for head, values in heads.items()}
        facts = said[""] if "" in said else {key: {head: row[key] for head, row in said.items()} for key in next(iter(said.values()))}
        rows.append({"index": index, "video": _name_of(names, index), **facts})
    return rows


def write_record(record: dict, path: pathlib.Path) -> None:
    """Writes `evaluation.json`, or a file like it, with one prediction a line, so that they can be read and compared as text,
    and the SHA-256 of what all of it says, by which a reader can tell damage.

    Raises:
      ValueError: for NaN or infinity, which JSON has no name for.
    """
    record = sealed(record)
    rows = [f"    {_json(row)}" for row in record["predictions"]]
    fields = [f"  {_json(key)}: {_indented(value)}" for key, value in record.items() if key != "predictions"]
    fields.append('  "predictions": [\n' + ",\n".join(rows) + "\n  ]")
    write_output(path, "{\n" + ",\n".join(fields) + "\n}\n")


def _of_head(evaluation: Evaluation, head: str) -> list[dict]:
    labels, label = evaluation.heads[head].labels, evaluation.label[head]
    probabilities = evaluation.probabilities[head]
    rows = []
    for i, values in enumerate(probabilities):
        truth = [labels[number] for number in np.flatnonzero(label[i])] if evaluation.multi_label else labels[label[i]]
        said = {name: float32_digits(value) for name, value in zip(labels, values, strict=True)}
        best = labels[int(evaluation.logits[head][i].argmax())]
        rows.append({"label": truth, "prediction": best, "probability": said[best], "probabilities": said})
    return rows


def _name_of(names: Names, index: int) -> str:
    return names.get(index, f"number {index}")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _indented(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).replace("\n", "\n  ")
