"""Measures clips a second: of a training step, of an inference step, or of reading a data set.

Example:
  vivit bench --config configs/motion_digits.py --mode train --sweep batch_size=16,32,64 --json bench.json
  vivit bench --config configs/motion_digits.py:1 --mode infer --sweep clip=8,16,32 --config.model.dtype=bfloat16
  vivit bench --model runs/digits/model --mode infer --batch_size 8
  vivit bench --config configs/motion_digits.py --mode data

The steps are those of `vivit train` and `vivit evaluate`, on random pixels and labels that already lie on the device. A step's time is the
median after a warm-up, and the rate of its matrix products is compared with that of one large product measured in the same run. The speed
of reading is the number of clips divided by the seconds (a mean, since batches come in bursts), and by the CPU seconds of this process and
its workers.
"""

import argparse
import dataclasses
import json
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from vivit_jax import console
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.atomic import write_output
from vivit_jax.commands.arguments import output_file, positive, refuse_overrides, refuse_unused
from vivit_jax.commands.config_arguments import add_config, experiment_of
from vivit_jax.errors import UserError, unknown_name

if typing.TYPE_CHECKING:
    from vivit_jax.analysis.ceiling import Ceiling
    from vivit_jax.analysis.throughput import Subject

# The number of classes where the config leaves it to the data set, which is not opened to time a step: that of Kinetics-400.
CLASSES = 400
MODES = ("train", "infer", "data")
MODEL_BATCH_SIZE = 8
TAKES_CONFIG = True

SWEPT = ("batch_size", "clip")

Sweep = tuple[str, tuple[int, ...]]
Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit bench`."""
    parser.add_argument(
        "--mode",
        choices=MODES,
        required=True,
        help="what to time: the training step, the inference step, or reading the data set",
    )
    add_config(parser)
    parser.add_argument("--model", metavar="DIR", help="model directory, instead of a config")
    parser.add_argument(
        "--batch_size", type=positive, metavar="N", help=f"clips a step (default: the config's, or {MODEL_BATCH_SIZE} with --model)"
    )
    parser.add_argument("--steps", type=positive, default=20, metavar="N", help="steps to time, after a warm-up (default: 20)")
    parser.add_argument(
        "--sweep", type=sweep, metavar="KEY=N,N,...", help="measure a row for each batch_size, or for each clip length in frames"
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the figures to this file")


def run(arguments: argparse.Namespace) -> None:
    """Measures, and prints a table.

    Raises:
      UserError: for options that do not go together, or a config that cannot run here.
    """
    import jax

    from vivit_jax.analysis.ceiling import matrix_ceiling
    from vivit_jax.analysis.environment import environment

    if (arguments.config is None) == (arguments.model is None):
        raise UserError("give either --config or --model")
    if arguments.model:
        refuse_overrides(arguments, "with --model, which reads no config")
    if arguments.sweep and arguments.sweep[0] == "batch_size":
        refuse_unused(arguments, ("batch_size",), "with --sweep batch_size")
    if arguments.mode == "data":
        report = {"environment": environment(), "rows": list(_data_rows(arguments))}
        columns = DATA_COLUMNS
    else:
        tell_of_unused_gpu()
        subjects = list(_swept(_subject(arguments), arguments.sweep))
        jax.config.update("jax_enable_compilation_cache", False)  # the seconds to compile are a figure
        with console.waiting("measuring"):
            ceiling = matrix_ceiling()
            rows = [_step_row(arguments.mode, subject, arguments.steps, ceiling) for subject in subjects]
        report = {"environment": environment(), "ceiling": dataclasses.asdict(ceiling), "rows": rows}
        columns = STEP_COLUMNS
    if arguments.json:  # before the table, whose reader may go away
        write_output(arguments.json, json.dumps(report, indent=2) + "\n")
    _print(report, columns)


def sweep(text: str) -> Sweep:
    """`batch_size=8,16` as ("batch_size", (8, 16)).

    Raises:
      argparse.ArgumentTypeError: for anything else.
    """
    key, _, values = text.partition("=")
    if key not in SWEPT:
        raise argparse.ArgumentTypeError(str(unknown_name("key of a sweep", key, SWEPT)))
    return key, tuple(positive(value) for value in values.split(","))


def _subject(arguments: argparse.Namespace) -> "Subject":
    from vivit_jax.analysis.throughput import Subject
    from vivit_jax.training.config import TrainingConfig

    if arguments.model:
        from vivit_jax.weights.model_dir import load_model_dir

        pretrained = load_model_dir(arguments.model)
        subject = Subject(
            pretrained.model.config,
            TrainingConfig(batch_size=MODEL_BATCH_SIZE),
            preprocess=pretrained.preprocess,
            variables=pretrained.variables,
        )
    else:
        experiment = experiment_of(arguments)
        model, training = experiment.model, experiment.training
        if model.num_classes is None:
            model = dataclasses.replace(model, num_classes=CLASSES)
        if arguments.mode == "infer":
            training = dataclasses.replace(training, batch_size=experiment.evaluation.batch_size or training.batch_size, accumulation=1)
        subject = Subject(
            model, training, experiment.augment, experiment.loss, experiment.optimizer, experiment.schedule, experiment.parallel
        )
    return _with_batch_size(subject, arguments.batch_size or subject.batch_size)


def _swept(subject: "Subject", swept: Sweep | None) -> "Iterator[Subject]":
    if swept is None:
        yield subject
        return
    key, values = swept
    if key == "clip" and subject.variables is not None:
        raise UserError("a model directory has positions for one clip length only: sweep clip with --config")
    for value in values:
        if key == "batch_size":
            yield _with_batch_size(subject, value)
        else:
            model = dataclasses.replace(subject.model, clip=(value, *subject.model.clip[1:]))
            yield dataclasses.replace(subject, model=model)


def _with_batch_size(subject: "Subject", batch_size: int) -> "Subject":
    return dataclasses.replace(subject, training=dataclasses.replace(subject.training, batch_size=batch_size))


def _step_row(mode: str, subject: "Subject", steps: int, ceiling: "Ceiling") -> Row:
    """The figures of one step. If it does not fit into memory the row says so, and the sweep goes on."""
    import jax

    from vivit_jax.analysis import throughput
    from vivit_jax.runs.memory import is_out_of_memory

    try:
        return throughput.measure(mode, subject, steps=steps).to_row(ceiling)
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return {"mode": mode, "batch_size": subject.batch_size, "clip": list(subject.model.clip), "error": "out of memory"}


def _data_rows(arguments: argparse.Namespace) -> Iterator[Row]:
    if arguments.model:
        raise UserError("--mode data reads the data set of a config: give --config instead of --model")
    if arguments.sweep and arguments.sweep[0] != "batch_size":
        raise UserError(f"--mode data sweeps batch_size only, got {arguments.sweep[0]}: leave out --sweep, or give --sweep batch_size=N,N")
    from vivit_jax.analysis.reading import measure_reading

    experiment = experiment_of(arguments)
    for batch_size in arguments.sweep[1] if arguments.sweep else [arguments.batch_size or experiment.training.batch_size]:
        yield measure_reading(experiment, batch_size, arguments.steps)


# Title and text of each column.
STEP_COLUMNS = {
    "batch": lambda row: str(row["batch_size"]),
    "clip": lambda row: "x".join(map(str, row["clip"])),
    "clips/s": lambda row: f"{row['clips_per_second']:.1f}",
    "ms": lambda row: f"{row['milliseconds']:.2f}",
    "TFLOP/s": lambda row: f"{row['tflops']:.3g}",
    "of ceiling": lambda row: f"{row['share_of_ceiling']:.1%}",
    "compile s": lambda row: f"{row['compile_seconds']:.1f}",
    "program GB": lambda row: _gigabytes(row["program_bytes"]),
    "peak GB": lambda row: _gigabytes(row["peak_bytes"]),
}
DATA_COLUMNS = {
    "batch": STEP_COLUMNS["batch"],
    "clip": STEP_COLUMNS["clip"],
    "readers": lambda row: str(row["readers"]),
    "processes": lambda row: str(row["processes"]),
    "clips/s": STEP_COLUMNS["clips/s"],
    "ms": STEP_COLUMNS["ms"],
    "CPUs busy": lambda row: f"{row['cpus_busy']:.2f}",
    "clips per CPU-second": lambda row: f"{row['clips_per_cpu_second']:.1f}",
}


def _print(report: Row, columns: dict[str, Any]) -> None:
    from vivit_jax.analysis.ceiling import Ceiling

    environment = report["environment"]
    table = Table(box=None)
    for title in columns:
        table.add_column(title, justify="right")
    for row in report["rows"]:
        table.add_row(*_cells(row, columns))
    console.show(table)
    if "ceiling" in report:
        console.say(f"ceiling of a device: {Ceiling(**report['ceiling'])}")
        if any(row.get("share_of_ceiling", 0) > 1 for row in report["rows"]):
            console.warn("a step was faster than the ceiling: something else used the device while it was measured; measure again")
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    console.say(f"{environment['devices']} x {environment['device']}, {environment['cpus']} CPUs; {versions}")


def _cells(row: Row, columns: dict[str, Any]) -> Sequence[str]:
    if "error" in row:
        return columns["batch"](row), columns["clip"](row), row["error"]
    return [text(row) for text in columns.values()]


def _gigabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e9:.2f}"
