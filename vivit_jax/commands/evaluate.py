"""Scores a model on a split of a data set: every example once, several views of each, exact counts.

Example:
  vivit evaluate --workdir runs/digits
  vivit evaluate --workdir runs/digits --split val --views 4x3 --checkpoint 200
  vivit evaluate --model runs/digits/model --name motion_digits --data_dir data --split test --views 4x3 --out scores.json

Of a run, its own test goes to evaluation.json; anything else (another split, other views, another data set, another step) goes to a file of
its own beside it, such as evaluation-val-4x3.json, and report.html shows them all.
"""

import argparse
import dataclasses
import pathlib

from rich.markup import escape
from rich.table import Table

from vivit_jax import console
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.commands.arguments import add_dataset, add_views, positive
from vivit_jax.data.config import DataConfig
from vivit_jax.data.dataset import VideoDataset, ensure_dataset
from vivit_jax.errors import UserError, printable
from vivit_jax.inference.evaluate import scored
from vivit_jax.inference.label_spaces import ASSUMED, agree, with_labels
from vivit_jax.inference.scores import to_record, write_csv, write_record
from vivit_jax.models.families import build
from vivit_jax.preprocess import Views
from vivit_jax.runs import record as runs
from vivit_jax.runs.report import write_report
from vivit_jax.runs.restore import model_variables
from vivit_jax.training.config import ParallelConfig
from vivit_jax.training.evaluation import Evaluation
from vivit_jax.weights import Pretrained, from_pretrained

CLASSES_SHOWN = 40


@dataclasses.dataclass(frozen=True)
class _Subject:
    """What is evaluated on what.

    Attributes:
      pretrained: the model.
      step: of the run that it is of; None where nothing tells.
      dataset: what it is scored on.
      split: of it, by the data set's own name.
      views: of each video.
      flip: whether each of them mirrored counts too.
      out: where the scores go.
      data: readers and temporal order.
      parallel: the devices.
    """

    pretrained: Pretrained
    step: int | None
    dataset: VideoDataset
    split: str
    views: Views
    flip: bool
    out: pathlib.Path
    data: DataConfig
    parallel: ParallelConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `vivit evaluate`."""
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--workdir", metavar="DIR", help="a run: its model, on its data set")
    subject.add_argument("--model", metavar="DIR", help="a model directory, on the data set --name")
    parser.add_argument("--checkpoint", type=positive, metavar="STEP", help="with --workdir: the parameters after this step")
    add_dataset(parser)
    parser.add_argument("--split", help="split to evaluate (default: that of the run, or test)")
    add_views(parser, default=None, otherwise="4x3, or that of the run")
    parser.add_argument(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help="average the logits of each view mirrored too (default: no, or that of the run)",
    )
    parser.add_argument("--batch_size", type=positive, default=8, metavar="N", help="videos at once (default 8)")
    parser.add_argument("--labels", metavar="FILE", help="names of the model's classes, one a line or as JSON, in place of its own")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="where the scores go (default: evaluation.json, or a file named by split and views where it is not the run's own test); "
        "a .csv gets the predictions, beside the scores in their usual place",
    )


def run(arguments: argparse.Namespace) -> None:
    """Evaluates, writes the scores and prints them.

    Raises:
      UserError: for anything that is not there or does not fit.
    """
    tell_of_unused_gpu()
    subject = _of_run(arguments) if arguments.workdir else _of_model(arguments)
    pretrained = with_labels(subject.pretrained, pathlib.Path(arguments.labels)) if arguments.labels else subject.pretrained
    agreement = agree(pretrained, subject.dataset, from_file=bool(arguments.labels))
    if agreement.origin == ASSUMED:
        console.warn(
            f"the model's classes have no names: they are taken for those of data set {subject.dataset.name}, in its order; if that is "
            "not the order it was trained with, the scores are wrong: --labels FILE names them"
        )
    evaluation, names = scored(
        pretrained,
        subject.dataset,
        subject.split,
        agreement,
        subject.views,
        arguments.batch_size,
        subject.data,
        subject.parallel,
        flip=subject.flip,
    )
    record = to_record(
        evaluation,
        name=subject.dataset.name,
        split=subject.split,
        views=subject.views,
        flip=subject.flip,
        names=names,
        step=subject.step,
        labels_from=agreement.origin,
    )
    write_record(record, subject.out)
    _print(evaluation, subject)
    if arguments.out and _is_csv(arguments.out):
        write_csv(record, pathlib.Path(arguments.out))
        console.say(f"predictions written to {arguments.out}")
    if arguments.workdir and subject.out.parent == pathlib.Path(arguments.workdir):
        console.say(f"report written to {write_report(arguments.workdir)}")


def _of_run(arguments: argparse.Namespace) -> _Subject:
    of_run = runs.open_run(arguments.workdir)
    own = of_run.experiment.data
    data = dataclasses.replace(own, name=arguments.name or own.name, data_dir=arguments.data_dir or own.data_dir)
    dataset = ensure_dataset(data.name, data.data_dir)
    wanted = arguments.split or own.test_split or "test"
    asked, split = of_run.experiment.evaluation, dataset.resolve(wanted)
    views, flip = arguments.views or asked.test_views, asked.test_flip if arguments.flip is None else arguments.flip
    its_own = (
        data == own
        and arguments.checkpoint is None
        and not arguments.labels
        and split == dataset.resolve(own.test_split or wanted)
        and (tuple(views), flip) == (tuple(asked.test_views), asked.test_flip)
    )
    name = "evaluation.json" if its_own else _file_name(data.name if data != own else None, split, views, flip, arguments.checkpoint)
    pretrained = _after(of_run, arguments.checkpoint, dataset) if arguments.checkpoint else from_pretrained(str(of_run.model))
    return _Subject(
        pretrained=pretrained,
        step=arguments.checkpoint or runs.step_of(pretrained),
        dataset=dataset,
        split=split,
        views=views,
        flip=flip,
        out=_out(arguments.out, of_run.path / name),
        data=data,
        parallel=of_run.experiment.parallel,
    )


def _of_model(arguments: argparse.Namespace) -> _Subject:
    if not arguments.name:
        raise UserError("--model needs --name, the data set to evaluate on (and --data_dir, where it lies)")
    if arguments.checkpoint:
        raise UserError("--checkpoint is for --workdir: a model directory has no checkpoints")
    pretrained = from_pretrained(arguments.model)
    dataset = ensure_dataset(arguments.name, arguments.data_dir)
    return _Subject(
        pretrained=pretrained,
        step=runs.step_of(pretrained),
        dataset=dataset,
        split=dataset.resolve(arguments.split or "test"),
        views=arguments.views or (4, 3),
        flip=bool(arguments.flip),
        out=_out(arguments.out, pathlib.Path("evaluation.json")),
        data=DataConfig(name=arguments.name, data_dir=arguments.data_dir),
        parallel=ParallelConfig(),
    )


def _after(of_run: runs.Run, step: int, dataset: VideoDataset) -> Pretrained:
    """The run's model with the parameters after a step; its classes are the data set's where no model has been written yet."""
    variables = model_variables(of_run.path, step)
    if of_run.model.exists():
        return dataclasses.replace(from_pretrained(str(of_run.model)), variables=variables)
    experiment = of_run.experiment
    return Pretrained(build(experiment.model), variables, experiment.preprocess, dataset.labels, experiment.multi_label)


def _file_name(dataset: str | None, split: str, views: Views, flip: bool, step: int | None) -> str:
    """`evaluation-SPLIT-VIEWS.json`, with the data set and the step in it where they are not the run's own."""
    seen = f"{views[0]}x{views[1]}{'-flip' if flip else ''}"
    parts = ["evaluation", *([dataset] if dataset else []), split, seen, *([f"step{step}"] if step else [])]
    return "-".join(parts) + ".json"


def _out(given: str | None, usual: pathlib.Path) -> pathlib.Path:
    return usual if given is None or _is_csv(given) else pathlib.Path(given)


def _is_csv(path: str) -> bool:
    return path.lower().endswith(".csv")


def _print(evaluation: Evaluation, subject: _Subject) -> None:
    metric = "average_precision" if evaluation.multi_label else "top1"
    for head, scores in evaluation.heads.items():
        counted = [(label, row) for label, row in scores.to_dict()["per_class"].items() if row["examples"]]
        shown = counted if len(counted) <= CLASSES_SHOWN else sorted(counted, key=lambda entry: entry[1][metric])[:CLASSES_SHOWN]
        table = Table(escape(printable(head)) or "class", box=None)
        for title in ("examples", "average precision") if evaluation.multi_label else ("examples", "right", "top-1"):
            table.add_column(title, justify="right")
        for label, row in shown:
            right = [] if evaluation.multi_label else [str(round(row[metric] * row["examples"]))]
            table.add_row(escape(printable(label)), str(row["examples"]), *right, f"{row[metric]:.4f}")
        console.show(table)
        if len(shown) < len(counted):
            console.say(f"(the {len(shown)} worst of {len(counted)} classes)")
    views = f"{subject.views[0]}x{subject.views[1]} views{', each mirrored too' if subject.flip else ''}"
    others = "".join(f", {name} {value:.4f}" for name, value in list(evaluation.summary().items())[1:])
    of_step = f", model of step {subject.step}" if subject.step is not None else ""
    console.say(
        f"{subject.dataset.name} {subject.split}: {evaluation.headline}{others}, {views}{of_step}",
        style="bold",
    )
    console.say(f"scores written to {subject.out}")
