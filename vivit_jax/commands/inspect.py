"""Describes a config, a run, a model directory or a data set, without training or running anything.

Example:
  vivit inspect configs/motion_digits.py --batch batch.png
  vivit inspect runs/digits
  vivit inspect runs/digits/model
  vivit inspect --name motion_digits --data_dir data --sheet clips.png
  vivit inspect --name my_videos --data_dir data --originals my_videos
  vivit inspect --keys warmup

What it shows:
  a config    parameters by group, multiply-accumulates (MAC) for a view, memory
              to train; with --batch, a picture of the first training batch as
              the model sees it, augmented and mixed
  a model     parameters by group, multiply-accumulates for a view, preprocessing
  a run       its config as above, and its checkpoints, every byte verified; the
              exit code is 2 if one is damaged
  a data set  counts by split and class, durations, and a contact sheet; every
              record verified, and with --originals the files it was made of; the
              exit code is 2 if one is damaged or has changed
  --keys      what a config may set, with type, default and meaning

A view is one crop of one clip of a video.
"""

import argparse
import io
import pathlib
import shlex
import typing
from collections.abc import Sequence

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vivit_jax import console
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.atomic import write_output
from vivit_jax.commands.arguments import add_dataset, output_file, refuse_overrides, refuse_unused
from vivit_jax.errors import UserError

if typing.TYPE_CHECKING:
    from PIL import Image

    from vivit_jax.config import Experiment
    from vivit_jax.data.dataset import VideoDataset
    from vivit_jax.keys import Key
    from vivit_jax.models.families import ModelConfig
    from vivit_jax.runs.record import RunRecord

TAKES_CONFIG = True

PICTURES = (".png", ".jpg", ".webp")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit inspect`."""
    parser.add_argument("subject", nargs="?", metavar="CONFIG.py[:ARG] | RUN | MODEL_DIR", help="an experiment, a run or a model directory")
    add_dataset(parser)
    parser.add_argument("--sheet", type=output_file, metavar="FILE.png", help="file for a data set's contact sheet (default: NAME.png)")
    parser.add_argument("--originals", metavar="DIR", help="with --name: the folder that the set was made of, to compare its files too")
    parser.add_argument(
        "--keys",
        nargs="?",
        const="",
        metavar="PATTERN",
        help="list the keys of an experiment whose names contain PATTERN, or match it if it has * or ?; --config.model.family=NAME lists "
        "the keys for that family of models",
    )
    parser.add_argument(
        "--batch", type=output_file, metavar="FILE.png", help="with a config: draw its first training batch, augmented, into this file"
    )


def run(arguments: argparse.Namespace) -> None:
    """Prints the description.

    Raises:
      UserError: for a subject that does not exist, or a run with a damaged checkpoint.
    """
    from vivit_jax.analysis.first_batch import first_batch_sheet
    from vivit_jax.config_file import read_config
    from vivit_jax.data.dataset import open_dataset
    from vivit_jax.data.preparation.place import local_folder
    from vivit_jax.keys import experiment_keys
    from vivit_jax.models.families import DEFAULT

    _check(arguments)
    if arguments.keys is not None:
        _print_keys(experiment_keys(arguments.keys, family=arguments.overrides.get("model.family", DEFAULT)))
    elif arguments.name:
        originals = None if arguments.originals is None else local_folder(arguments.originals, "--originals")
        sheet = pathlib.Path(arguments.sheet or f"{arguments.name}.png")
        _inspect_dataset(open_dataset(arguments.name, arguments.data_dir), sheet, originals)
    elif pathlib.Path(arguments.subject).is_dir():
        _inspect_folder(arguments.subject)
    else:
        experiment = read_config(arguments.subject, arguments.overrides)
        _describe_experiment(experiment)
        if arguments.batch:
            tell_of_unused_gpu()
            _save(first_batch_sheet(experiment), arguments.batch)


def _check(arguments: argparse.Namespace) -> None:
    """Refuses options that do not go together, or that what is described has no use for."""
    of_dataset = ("sheet", "originals")
    if arguments.keys is not None:
        refuse_unused(arguments, ("name", "data_dir", *of_dataset, "batch"), "with --keys")
        if arguments.subject is not None or set(arguments.overrides) - {"model.family"}:
            raise UserError("--keys lists the keys of any config: give nothing beside it but --config.model.family=NAME")
        return
    if (arguments.subject is None) == (arguments.name is None):
        raise UserError("give either a config, a run or a model directory, or --name of a data set")
    if arguments.name is None:
        refuse_unused(arguments, of_dataset, "without --name, a data set")
        if arguments.batch:
            refuse_unused(arguments, ("data_dir",), "for a config, which has --config.data.data_dir")
    for picture in filter(None, (arguments.sheet, arguments.batch)):
        if pathlib.Path(picture).suffix.lower() not in PICTURES:
            raise UserError(f"a picture must be a {', '.join(PICTURES[:-1])} or {PICTURES[-1]} file, got {picture}")
    if arguments.name or pathlib.Path(arguments.subject).is_dir():
        refuse_unused(arguments, ("batch",), "without a config")
        refuse_overrides(arguments, "without a config")


def _inspect_folder(subject: str) -> None:
    """Describes a model directory or a run.

    Raises:
      UserError: for any other folder, naming what it is.
    """
    from vivit_jax.places import DATA_SET, described, kind_of
    from vivit_jax.runs.record import open_run
    from vivit_jax.weights.model_dir import load_model_dir
    from vivit_jax.weights.model_json import is_model_dir

    folder = pathlib.Path(subject).absolute()
    if kind_of(folder) == DATA_SET:
        raise UserError(f"{subject} is a data set: vivit inspect --name {folder.name} --data_dir {shlex.quote(str(folder.parent))}")
    if is_model_dir(subject):
        pretrained = load_model_dir(subject)
        _describe_model(pretrained.model.config)
        _print_table("preprocess", [(name, str(value)) for name, value in pretrained.preprocess.to_dict().items()])
    elif (folder / "config.json").exists():
        _inspect_run(open_run(subject))
    else:
        raise UserError(
            f"{subject} is neither a run, nor a model directory, nor a prepared data set; "
            f"{described(folder) or '`vivit prepare` makes a data set of a folder of videos'}"
        )


def _print_keys(keys: "Sequence[Key]") -> None:
    table = Table(box=None, show_header=False, padding=(0, 0, 1, 0))
    for key in keys:
        default = f", default {key.default}" if key.default else ""
        heading = Text(f"--config.{key.name}  {key.type}{default}", style="bold")
        table.add_row(Group(heading, Padding(Text(key.meaning), (0, 0, 0, 4))))
    console.show(table, file_width=console.FILE_WIDTH)


def _describe_experiment(experiment: "Experiment") -> None:
    from vivit_jax.analysis.training_memory import trained_parameters, training_bytes

    _describe_model(experiment.model)
    with console.waiting("counting the memory to train"):
        trained, frozen = trained_parameters(experiment)
        memory = [(name, f"{size / 1e9:.3g}") for name, size in training_bytes(experiment).items()]
    if frozen:
        console.say(f"trained: {trained:,} parameters; {frozen:,} are frozen")
    _print_table("memory to train on one device, GB", memory)


def _inspect_run(run: "RunRecord") -> None:
    """Describes a run and verifies its checkpoints.

    Raises:
      UserError: after the table, if one of them is damaged.
    """
    from vivit_jax.runs.restore import verify

    _describe_experiment(run.experiment)
    with console.waiting("verifying the checkpoints"):
        steps = verify(run.path)
    if not steps:
        console.say(f"{run.path} has no checkpoints")
        return
    table = Table("checkpoint", "verified", box=None)
    for title in ("MB", "evaluated at", ""):
        table.add_column(title, justify="right")
    for saved in steps:
        evaluated = "-" if not saved.evaluated else str(saved.evaluated)
        verdict = "whole" if saved.whole else console.verbatim(f"damaged: {saved.damage}")
        table.add_row(str(saved.step), verdict, f"{saved.bytes / 1e6:.1f}", evaluated, "best" if saved.best else "")
    console.show(table)
    damaged = [str(saved.step) for saved in steps if not saved.whole]
    if damaged:
        raise UserError(f"{len(damaged)} of {len(steps)} checkpoints of {run.path} are damaged: {', '.join(damaged)}")


def _describe_model(config: "ModelConfig") -> None:
    from vivit_jax.analysis import complexity
    from vivit_jax.analysis.parameter_table import parameter_table
    from vivit_jax.models.families import family_of

    with console.waiting("counting parameters and arithmetic"):
        groups, arithmetic = complexity.parameter_groups(config), complexity.count_arithmetic(config)
    total = sum(group.parameters for group in groups)
    console.show(parameter_table(groups, tensors=True))
    if config.num_classes is None:
        console.say("(without a head: the data set gives the classes)")
    family = family_of(config)
    console.say(
        f"{' x '.join(map(str, config.clip))} clip, {' x '.join(map(str, family.cells(config).shape))} {family.features}: "
        f"{arithmetic.gmac:.4g} GMAC a view, {total / 1e6:.4g} M parameters, {4 * total / 1e9:.2g} GB in float32",
        style="bold",
    )


def _print_table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    table = Table(title, "", box=None)
    for name, value in rows:
        table.add_row(console.verbatim(name), console.verbatim(value))
    console.show(table)


def _inspect_dataset(dataset: "VideoDataset", sheet: pathlib.Path, originals: pathlib.Path | None) -> None:
    """Describes a data set and verifies it.

    Raises:
      UserError: at the end, if it or its originals are not what they were.
    """
    import numpy as np

    from vivit_jax.data.summary import dataset_sheet, summarise
    from vivit_jax.data.verification import SHOWN, verify_dataset

    splits = {split: summarise(dataset, split) for split in dataset.splits}
    classes = sorted(set().union(*(summary.counts for summary in splits.values())))
    table = Table("class", box=None)
    for split in splits:
        table.add_column(split, justify="right")
    for name in classes:
        table.add_row(console.verbatim(name), *(str(summary.counts[name]) for summary in splits.values()))
    table.add_row("all", *(str(len(summary.seconds)) for summary in splits.values()), style="bold")
    console.show(table)
    for split, summary in splits.items():
        seconds = summary.seconds
        shortest, median, longest = (f"{value:.2f}" for value in (seconds.min(), np.median(seconds), seconds.max()))
        spread = f"{shortest} s each" if shortest == longest else f"{shortest} to {longest} s each, median {median} s"
        slowest, fastest = (f"{rate:.4g}" for rate in (summary.rates.min(), summary.rates.max()))
        rates = slowest if slowest == fastest else f"{slowest} to {fastest}"
        console.say(f"{split}: {seconds.sum():.0f} s of video, {spread}, {rates} frames a second")
    _save(dataset_sheet(dataset), sheet)
    verdict = verify_dataset(dataset, splits, originals)
    for line in verdict.checked:
        console.say(line)
    if verdict.faults:
        more = f" (and {len(verdict.faults) - SHOWN} more)" if len(verdict.faults) > SHOWN else ""
        raise UserError(f"{dataset.path} has changed since it was made: {'; '.join(verdict.faults[:SHOWN])}{more}")


def _save(sheet: "Image.Image", path: pathlib.Path) -> None:
    picture = io.BytesIO()
    sheet.save(picture, {".jpg": "jpeg"}.get(path.suffix.lower(), path.suffix[1:]))
    write_output(path, picture.getvalue())
    console.say(f"{path}: {sheet.width}x{sheet.height} pixels")
