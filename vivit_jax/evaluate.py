"""Scores a model on a split of a data set: every example once, several views of each, exact counts.

Example:
  vivit evaluate --workdir runs/digits --views 4x3
  vivit evaluate --model runs/digits/model --name motion_digits --data_dir data --split test --views 4x3 --out scores.json
"""

import argparse
import dataclasses
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vivit_jax import runs
from vivit_jax.arguments import Views, add_dataset, add_views, positive
from vivit_jax.data.config import DataConfig
from vivit_jax.data.dataset import VideoDataset, ensure_dataset
from vivit_jax.data.pipeline import evaluation_batches
from vivit_jax.errors import UserError
from vivit_jax.files import write_atomically
from vivit_jax.models.config import by_head
from vivit_jax.report import write_report
from vivit_jax.training.config import ParallelConfig
from vivit_jax.training.evaluation import Evaluation, Labels
from vivit_jax.training.evaluation import evaluate as score
from vivit_jax.weights import Pretrained, from_pretrained
from vivit_jax.weights.model_dir import default_labels

CLASSES_SHOWN = 40


@dataclasses.dataclass(frozen=True)
class _Subject:
    """What is evaluated on what."""

    model: str
    data: DataConfig
    split: str
    views: Views
    out: pathlib.Path
    parallel: ParallelConfig


def evaluate(
    pretrained: Pretrained,
    dataset: VideoDataset,
    split: str,
    *,
    views: Views = (4, 3),
    batch_size: int = 8,
    data: DataConfig | None = None,
    parallel: ParallelConfig | None = None,
    progress: bool = True,
) -> Evaluation:
    """Scores a model on a split.

    Args:
      pretrained: the model.
      dataset: its classes must all be the model's, by name, in any order.
      split: such as `test`.
      views: (temporal clips, spatial crops) of each video, whose logits are averaged.
      batch_size: videos at once.
      data: readers and temporal order; what the model was trained with as to stride, size and range is the model's own.
      parallel: the devices.
      progress: show a progress bar.

    Raises:
      UserError: for a split that is not there, or labels that are not the model's.
    """
    if dataset.multi_label and not pretrained.multi_label:
        raise UserError(
            f"the videos of {dataset.name} may have several classes, and the model was trained for one: use one of loss sigmoid"
        )
    labels = _agreed_labels(pretrained, dataset)
    batches = evaluation_batches(dataset, split, pretrained.preprocess, data or DataConfig(), views=views, batch_size=batch_size)
    batches = _Relabelled(batches, _numbers(labels, dataset.labels), {head: len(names) for head, names in by_head(labels).items()})
    return score(
        pretrained.model,
        pretrained.variables,
        pretrained.preprocess,
        batches,
        parallel=parallel or ParallelConfig(),
        labels=labels,
        multi_label=pretrained.multi_label,
        progress=progress,
    )


def to_record(evaluation: Evaluation, *, name: str, split: str, views: Views) -> dict:
    """An evaluation as `evaluation.json` has it.

    Besides the scores it holds `predictions`, one for each example: its `index` in the split, the numbers of its label (a list where it
    may have several) and of the most probable class, and that class's probability (for several heads, each of the three by head).
    """
    return {
        "name": name,
        "split": split,
        **evaluation.to_dict(),
        "temporal_views": views[0],
        "spatial_views": views[1],
        "predictions": _predictions(evaluation),
    }


def write_record(record: dict, path: pathlib.Path) -> None:
    """Writes `evaluation.json`, or a file like it; its predictions one a line."""
    predictions = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in record["predictions"])
    scores = json.dumps({key: value for key, value in record.items() if key != "predictions"}, indent=2, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, f'{scores.removesuffix("}").rstrip()},\n  "predictions": [\n{predictions}\n  ]\n}}\n')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `vivit evaluate`."""
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--workdir", metavar="DIR", help="a run: its model, on its data set")
    subject.add_argument("--model", metavar="DIR", help="a model directory, on the data set --name")
    add_dataset(parser)
    parser.add_argument("--split", help="split to evaluate (default: that of the run, or test)")
    add_views(parser, default=None, otherwise="4x3, or that of the run")
    parser.add_argument("--batch_size", type=positive, default=8, metavar="N", help="videos at once (default 8)")
    parser.add_argument("--out", metavar="FILE", help="where the scores go (default: evaluation.json, in the run's directory)")


def run(arguments: argparse.Namespace) -> None:
    """Evaluates, writes the scores and prints them.

    Raises:
      UserError: for anything that is not there or does not fit.
    """
    subject = _of_run(arguments) if arguments.workdir else _of_model(arguments)
    pretrained = from_pretrained(subject.model)
    dataset = ensure_dataset(subject.data.name, subject.data.data_dir)
    evaluation = evaluate(
        pretrained,
        dataset,
        subject.split,
        views=subject.views,
        batch_size=arguments.batch_size,
        data=subject.data,
        parallel=subject.parallel,
    )
    record = to_record(evaluation, name=subject.data.name, split=subject.split, views=subject.views)
    write_record(record, subject.out)
    _print(evaluation, subject)
    if arguments.workdir and not arguments.out:
        print(f"report written to {write_report(arguments.workdir)}")


def _of_run(arguments: argparse.Namespace) -> _Subject:
    of_run = runs.open_run(arguments.workdir)
    data = of_run.experiment.data
    data = dataclasses.replace(data, name=arguments.name or data.name, data_dir=arguments.data_dir or data.data_dir)
    return _Subject(
        model=str(of_run.model),
        data=data,
        split=arguments.split or data.test_split or "test",
        views=arguments.views or of_run.experiment.evaluation.test_views,
        out=pathlib.Path(arguments.out or of_run.path / "evaluation.json"),
        parallel=of_run.experiment.parallel,
    )


def _of_model(arguments: argparse.Namespace) -> _Subject:
    if not arguments.name:
        raise UserError("--model needs --name, the data set to evaluate on (and --data_dir, where it lies)")
    return _Subject(
        model=arguments.model,
        data=DataConfig(name=arguments.name, data_dir=arguments.data_dir),
        split=arguments.split or "test",
        views=arguments.views or (4, 3),
        out=pathlib.Path(arguments.out or "evaluation.json"),
        parallel=ParallelConfig(),
    )


def _agreed_labels(pretrained: Pretrained, dataset: VideoDataset) -> Labels:
    """The names of the model's classes; the data set's, where the model has none of its own.

    Raises:
      UserError: where the data set has a class that the model has not.
    """
    of_model, of_data = by_head(pretrained.labels), by_head(dataset.labels)
    if of_model.keys() != of_data.keys():
        raise UserError(f"the model has heads {_names(of_model)} and data set {dataset.name} has {_names(of_data)}: use a model of its own")
    unnamed = by_head(default_labels(pretrained.model.config))
    for head, names in of_data.items():
        if of_model[head] == unnamed[head] and len(names) == len(unnamed[head]):
            of_model[head] = names
        unknown = [name for name in names if name not in of_model[head]]
        if unknown:
            raise UserError(
                f"{len(unknown)} of the {len(names)} classes of data set {dataset.name} are not among the model's {len(of_model[head])}"
                f"{f' of head {head!r}' if head else ''}: the first is {unknown[0]!r}; the model's first is {of_model[head][0]!r}"
            )
    return of_model.get("", of_model)


def _numbers(of_model: Labels, of_data: Labels) -> dict[str, np.ndarray]:
    """By head, the model's number of each class of the data set."""
    model, data = by_head(of_model), by_head(of_data)
    return {head: np.array([model[head].index(name) for name in names], np.int32) for head, names in data.items()}


@dataclasses.dataclass(frozen=True)
class _Relabelled:
    """Batches with their labels in the model's numbers, of which each head has `classes`."""

    batches: Iterable[dict]
    numbers: Mapping[str, np.ndarray]
    classes: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict]:
        for batch in self.batches:
            label = batch["label"]
            renamed = {head: self._renamed(values, head) for head, values in by_head(label).items()}
            yield batch | {"label": renamed.get("", renamed)}

    def _renamed(self, label: np.ndarray, head: str) -> np.ndarray:
        if label.ndim == 1:
            return self.numbers[head][label]
        renamed = np.zeros((len(label), self.classes[head]), label.dtype)
        renamed[:, self.numbers[head]] = label
        return renamed


def _names(heads: Mapping) -> str:
    return ", ".join(sorted(heads)) if list(heads) != [""] else "one, without a name,"


def _predictions(evaluation: Evaluation) -> list[dict]:
    heads = list(evaluation.heads)
    label = {head: _numbers_of_present(values) if evaluation.multi_label else values for head, values in evaluation.label.items()}
    best = {head: evaluation.logits[head].argmax(-1) for head in heads}
    probability = {head: values.max(-1) for head, values in evaluation.probabilities.items()}

    def row(values: dict[str, np.ndarray], i: int) -> object:
        plain = {head: values[head][i].tolist() for head in heads}
        return plain.get("", plain)

    return [
        {"index": int(index), "label": row(label, i), "prediction": row(best, i), "probability": row(probability, i)}
        for i, index in enumerate(evaluation.index)
    ]


def _numbers_of_present(label: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(row) for row in label]


def _print(evaluation: Evaluation, subject: _Subject) -> None:
    console = Console(highlight=False)
    metric = "average_precision" if evaluation.multi_label else "top1"
    for head, scores in evaluation.heads.items():
        counted = [(label, row) for label, row in scores.to_dict()["per_class"].items() if row["examples"]]
        shown = counted if len(counted) <= CLASSES_SHOWN else sorted(counted, key=lambda entry: entry[1][metric])[:CLASSES_SHOWN]
        table = Table(head or "class", box=None)
        for title in ("examples", "average precision") if evaluation.multi_label else ("examples", "right", "top-1"):
            table.add_column(title, justify="right")
        for label, row in shown:
            right = [] if evaluation.multi_label else [str(round(row[metric] * row["examples"]))]
            table.add_row(escape(label), str(row["examples"]), *right, f"{row[metric]:.4f}")
        console.print(table)
        if len(shown) < len(counted):
            console.print(f"(the {len(shown)} worst of {len(counted)} classes)")
    temporal, spatial = subject.views
    others = "".join(f", {name} {value:.4f}" for name, value in list(evaluation.summary().items())[1:])
    console.print(
        f"{escape(subject.data.name)} {escape(subject.split)}: {evaluation.headline}{others}, {temporal}x{spatial} views",
        style="bold",
        soft_wrap=True,
    )
    console.print(f"scores written to {escape(str(subject.out))}", soft_wrap=True)
