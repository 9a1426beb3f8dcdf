"""Scores a model on a split of a data set, by the average of several views of each video.

Example:
  vivit evaluate --workdir runs/digits
  vivit evaluate --workdir runs/digits --split val --views 4x3 --checkpoint 200
  vivit evaluate --model runs/digits/model --name motion_digits --data_dir data --split test --views 4x3 --out scores.json
  vivit evaluate --workdir runs/epic --split val --submission epic test.zip --sls 2,3,3

A run's own test is written to evaluation.json. Anything else (another split, other views, another data set, another step) is written to a
separate file beside it, such as evaluation-val-4x3.json, and report.html shows them all. A split without labels, such as the test split of
Epic-Kitchens, can be predicted (--submission, --out FILE.csv), but not scored.
"""

import argparse
import dataclasses
import pathlib
import re
import typing

from rich.table import Table

from vivit_jax import console
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.atomic import check_place
from vivit_jax.commands.arguments import add_dataset, add_views, output_file, positive, refuse_unused
from vivit_jax.errors import UserError
from vivit_jax.files import real_path
from vivit_jax.heads import top5_is_informative
from vivit_jax.places import RUN, kind_of
from vivit_jax.training.config import AVERAGES

if typing.TYPE_CHECKING:
    from vivit_jax.inference.evaluate import Unscored
    from vivit_jax.inference.label_spaces import Agreement
    from vivit_jax.inference.scores import Names
    from vivit_jax.runs.evaluations import EvaluationPlan
    from vivit_jax.training.evaluation import Evaluation

CLASSES_SHOWN = 40
CHALLENGES = ("epic", "ssv2")
TABLES = (".csv", ".parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit evaluate`."""
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--workdir", metavar="DIR", help="a run: scores its model on its data set")
    subject.add_argument("--model", metavar="DIR", help="a model directory: scores it on the data set --name")
    parser.add_argument("--checkpoint", type=positive, metavar="STEP", help="with --workdir: use the parameters after this step")
    add_dataset(parser)
    parser.add_argument("--split", help="split to evaluate (default: the run's test split, or test)")
    add_views(parser, default=None, otherwise="the run's, or 4x3")
    parser.add_argument(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help="also average each view mirrored (default: as the run, or no)",
    )
    parser.add_argument("--average", choices=AVERAGES, help="what is averaged over the views of a video (default: as in training)")
    parser.add_argument("--batch_size", type=positive, default=8, metavar="N", help="videos at once (default: 8)")
    parser.add_argument("--labels", metavar="FILE", help="names of the model's classes, one a line or as JSON, instead of its own")
    parser.add_argument(
        "--out",
        type=output_file,
        metavar="FILE",
        help="file for the scores (default: evaluation.json, or a file named by split and views if this is not the run's own test); "
        "a .csv or .parquet gets the predictions, and the scores go to their default file",
    )
    parser.add_argument(
        "--submission",
        nargs=2,
        metavar=("CHALLENGE", "FILE"),
        help=f"also write the file for a challenge's server: {' or '.join(CHALLENGES)}, such as --submission epic test.zip",
    )
    parser.add_argument("--sls", type=_levels, metavar="PT,TL,TD", help="for --submission epic: the model's levels of supervision, 0 to 5")


def run(arguments: argparse.Namespace) -> None:
    """Evaluates, writes the scores and prints them.

    Raises:
      UserError: for a model, data set, split or file that does not exist or does not fit.
      OSError: for a place that the scores cannot be written to, before anything is computed.
    """
    from vivit_jax.training.devices.compilation import use_usual_cache

    if arguments.sls and not (arguments.submission and arguments.submission[0] == "epic"):
        raise UserError("--sls is for --submission epic FILE.zip: leave it out, or name the file to write")
    tell_of_unused_gpu()
    use_usual_cache()
    planned = _planned(arguments)
    if planned.split_pass.dataset.without_labels(planned.split_pass.split):
        _predict(arguments, planned)
    else:
        _score(arguments, planned)


def _predict(arguments: argparse.Namespace, planned: "EvaluationPlan") -> None:
    """Predicts a split without labels, for a submission or a table."""
    from vivit_jax.inference.evaluate import predict_split

    _check_for_prediction(arguments, planned.split_pass.split)
    agreement = _agreement(arguments, planned)
    said, names = predict_split(planned.split_pass, agreement.labels)
    _keep_predictions(arguments, said, names)
    _submit(arguments, planned, said, names)


def _score(arguments: argparse.Namespace, planned: "EvaluationPlan") -> None:
    """Scores a split, and writes the scores, maybe a submission too, and a run's report."""
    from vivit_jax.inference.evaluate import score_split
    from vivit_jax.runs.report.write import write_report

    if arguments.model or planned.out == arguments.out:
        _refuse_test_of_a_run(planned.out)
    check_place(planned.out)
    agreement = _agreement(arguments, planned)
    if arguments.model and planned.out != arguments.out and planned.out.exists():  # of another model, perhaps
        console.warn(f"{planned.out} is in this folder already and will be replaced: --out FILE.json keeps it")
    said, names = score_split(planned.split_pass, agreement.labels)
    _keep(arguments, planned, said, names, agreement.origin)
    _submit(arguments, planned, said, names)
    if arguments.workdir and planned.out.parent == pathlib.Path(arguments.workdir):
        console.say(f"report written to {write_report(arguments.workdir)}")


def _agreement(arguments: argparse.Namespace, planned: "EvaluationPlan") -> "Agreement":
    """How the classes of the model are those of the data set, and of the challenge if there is one; refused where they are not."""
    from vivit_jax.inference.label_spaces import agree
    from vivit_jax.inference.submissions import check_submission

    split_pass = planned.split_pass
    if arguments.submission:
        check_submission(arguments.submission[0], split_pass.dataset.labels, arguments.sls)
    return agree(split_pass.pretrained, split_pass.dataset, from_file=bool(arguments.labels))


def _planned(arguments: argparse.Namespace) -> "EvaluationPlan":
    """What the options ask for, with the class names of --labels and the file of --out."""
    from vivit_jax.inference.label_spaces import with_labels
    from vivit_jax.runs.evaluations import EvaluationRequest, plan_for_model, plan_for_run

    wanted = EvaluationRequest(
        name=arguments.name,
        data_dir=arguments.data_dir,
        split=arguments.split,
        views=arguments.views,
        flip=arguments.flip,
        average=arguments.average,
        step=arguments.checkpoint,
        relabelled=bool(arguments.labels),
    )
    planned = plan_for_run(arguments.workdir, wanted) if arguments.workdir else plan_for_model(arguments.model, wanted)
    split_pass = dataclasses.replace(planned.split_pass, batch_size=arguments.batch_size)
    if arguments.labels:
        split_pass = dataclasses.replace(split_pass, pretrained=with_labels(split_pass.pretrained, pathlib.Path(arguments.labels)))
    out = planned.out if _is_table(arguments.out) else arguments.out or planned.out
    return dataclasses.replace(planned, split_pass=split_pass, out=out)


def _refuse_test_of_a_run(out: pathlib.Path) -> None:
    """Refuses to put other scores in the place of a run's own test, which every command takes for that run's."""
    from vivit_jax.runs.record import EVALUATION

    folder = real_path(out).parent
    if out.name == EVALUATION and kind_of(folder) == RUN:
        raise UserError(f"{out} is the place of the test of the run in {folder}: give --out another file")


def _check_for_prediction(arguments: argparse.Namespace, split: str) -> None:
    """Refuses to score a split without labels."""
    if not (arguments.submission or _is_table(arguments.out)):
        raise UserError(
            f"split {split} has no labels to score by: give --submission CHALLENGE FILE, or --out FILE.csv to predict it, or "
            "another --split"
        )
    if not _is_table(arguments.out):
        refuse_unused(arguments, ("out",), "for a split without labels, which has no scores, only predictions as .csv or .parquet")


def _keep(arguments: argparse.Namespace, planned: "EvaluationPlan", evaluation: "Evaluation", names: "Names", labels_from: str) -> None:
    """Writes the scores, and prints them."""
    from vivit_jax.inference.prediction_tables import write_table
    from vivit_jax.inference.scores import to_record, write_record

    record = to_record(evaluation, planned.conditions(labels_from), names)
    write_record(record, planned.out)
    _print(evaluation, planned, record)
    if record.get("refused"):
        console.say(f"{record['refused']} clips of {planned.split_pass.split} were refused by `vivit prepare` and are not counted")
    if _is_table(arguments.out):
        write_table(record, arguments.out)
        console.say(f"predictions written to {arguments.out}")


def _keep_predictions(arguments: argparse.Namespace, said: "Unscored", names: "Names") -> None:
    """Writes what the model says of videos without labels to the table of --out."""
    from vivit_jax.inference.prediction_tables import table_without_labels, write_rows

    if not arguments.out:
        return
    videos = [names[index] for index in said.index.tolist()]
    write_rows(*table_without_labels(videos, said.probabilities, said.labels), arguments.out)
    console.say(f"predictions written to {arguments.out}")


def _submit(arguments: argparse.Namespace, planned: "EvaluationPlan", said: "Evaluation | Unscored", names: "Names") -> None:
    from vivit_jax.inference.submissions import Submission, write_submission

    if not arguments.submission:
        return
    challenge, file = arguments.submission
    write_submission(challenge, Submission(said, planned.split_pass.dataset.labels, names, arguments.sls), pathlib.Path(file))
    console.say(f"submission of {said.examples:,} videos written to {file}")


def _is_table(path: pathlib.Path | None) -> bool:
    return path is not None and path.suffix.lower() in TABLES


def _levels(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[0-5],[0-5],[0-5]", text):
        raise argparse.ArgumentTypeError(f"must be three levels from 0 to 5, as in 2,3,3, got {text!r}")
    return tuple(int(part) for part in text.split(","))


def _print(evaluation: "Evaluation", planned: "EvaluationPlan", record: dict) -> None:
    metric = "average_precision" if evaluation.multi_label else "top1"
    for head, scores in evaluation.heads.items():
        counted = [(label, row) for label, row in scores.to_dict()["per_class"].items() if row["examples"]]
        shown = counted if len(counted) <= CLASSES_SHOWN else sorted(counted, key=lambda entry: entry[1][metric])[:CLASSES_SHOWN]
        table = Table(console.verbatim(head) or "class", box=None)
        for title in ("examples", "average precision") if evaluation.multi_label else ("examples", "right", "top-1"):
            table.add_column(title, justify="right")
        for label, row in shown:
            right = [] if evaluation.multi_label else [str(round(row[metric] * row["examples"]))]
            table.add_row(console.verbatim(label), str(row["examples"]), *right, f"{row[metric]:.4f}")
        console.show(table)
        if len(shown) < len(counted):
            console.say(f"(the {len(shown)} worst of {len(counted)} classes)")
    split_pass = planned.split_pass
    mirrored = ", each mirrored too," if split_pass.flip else ""
    views = f"{split_pass.views[0]}x{split_pass.views[1]} views{mirrored} of {record['gmac_view']:.4g} GMAC"
    tells = top5_is_informative(scores.labels for scores in evaluation.heads.values())
    shown = [(name, value) for name, value in list(evaluation.summary().items())[1:] if name != "top5" or tells]
    shown += [(name, record[name]) for name in ("clip_top1", "clip_top5") if name in record and (name != "clip_top5" or tells)]
    others = "".join(f", {name} {value:.4f}" for name, value in shown)
    of_step = f", model of step {planned.step}" if planned.step is not None else ""
    console.say(
        f"{split_pass.dataset.name} {split_pass.split}: {evaluation.headline}{others}, {views}{of_step}",
        style="bold",
    )
    console.say(f"scores written to {planned.out}")
