"""Where metrics go: `metrics.jsonl`, TensorBoard, Weights & Biases. One that fails is told of once and never stops a run."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import jax

from vivit_jax import console
from vivit_jax.config import Experiment, to_dict
from vivit_jax.errors import UserError
from vivit_jax.files import write_atomically


class Writer(Protocol):
    """Takes rows of metrics."""

    def write(self, step: int, row: dict[str, float]) -> None:
        """Records the metrics of a step."""

    def close(self) -> None:
        """Writes out what is held back."""


class Writers:
    """Several writers, none of which can raise."""

    def __init__(self, writers: dict[str, Callable[[], Writer]]) -> None:
        self._failed: set[str] = set()
        self._writers: dict[str, Writer] = {}
        for name, make in writers.items():
            self._guard(name, lambda name=name, make=make: self._writers.update({name: make()}))

    def write(self, step: int, row: dict[str, float]) -> None:
        """Gives a row to each."""
        for name, writer in self._writers.items():
            self._guard(name, lambda writer=writer: writer.write(step, row))

    def close(self) -> None:
        """Closes each."""
        for name, writer in self._writers.items():
            self._guard(name, writer.close)

    def _guard(self, name: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:
            if name not in self._failed:
                console.warn(f"metrics do not reach {name}, training goes on: {type(error).__name__}: {error}")
            self._failed.add(name)


class JsonLines:
    """One JSON object a row. A resumed run first drops the rows past the step it resumes from."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        rows = [line for line in path.read_text().splitlines() if _is_kept(line, step)] if path.exists() else []
        write_atomically(path, "".join(f"{row}\n" for row in rows))

    def write(self, step: int, row: dict[str, float]) -> None:
        """Appends a row; numbers that JSON has no name for are null."""
        finite = {key: value if math.isfinite(value) else None for key, value in row.items()}
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step} | finite) + "\n")

    def close(self) -> None:
        """Nothing is held back."""


class TensorBoard:
    """TensorBoard events beside the other files of the run."""

    def __init__(self, directory: Path, step: int) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(directory), purge_step=step + 1)
        self._events = self._writer.file_writer.event_writer

    def write(self, step: int, row: dict[str, float]) -> None:
        """Adds a scalar for each key."""
        for key, value in row.items():
            self._writer.add_scalar(key, value, step)

    def close(self) -> None:
        """Flushes the events."""
        try:
            self._writer.close()
        finally:  # tensorboardX closes once more when the interpreter ends, and there nobody would catch what fails
            self._events.close = lambda: None


class WeightsAndBiases:
    """A run of a Weights & Biases project, the same one when resumed."""

    def __init__(self, project: str, name: str, workdir: Path, config: dict) -> None:
        import wandb

        self._run = wandb.init(project=project, name=name, dir=str(workdir), config=config, id=f"{name}-{workdir.name}", resume="allow")

    def write(self, step: int, row: dict[str, float]) -> None:
        """Logs the row."""
        self._run.log(row, step=step)

    def close(self) -> None:
        """Ends the run."""
        self._run.finish()


def make_writers(experiment: Experiment, directory: Path, step: int) -> Writers:
    """The writers that the experiment asks for, in a work directory, for a run with `step` steps behind it; none but on the first host."""
    if jax.process_index() != 0:
        return Writers({})
    writers = {"metrics.jsonl": lambda: JsonLines(directory / "metrics.jsonl", step)}
    if experiment.training.tensorboard:
        writers["TensorBoard"] = lambda: TensorBoard(directory, step)
    if project := experiment.training.wandb:
        writers["Weights & Biases"] = lambda: WeightsAndBiases(project, experiment.name, directory, to_dict(experiment))
    return Writers(writers)


def check_wandb() -> None:
    """Refuses a config that logs to Weights & Biases where it is not installed.

    Raises:
      UserError: with how to install it.
    """
    try:
        import wandb  # noqa: F401
    except ImportError:
        raise UserError("training.wandb needs the extra wandb: pip install 'vivit_jax[wandb]', or set it to None") from None


def _is_kept(line: str, step: int) -> bool:
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return row["step"] <= step and not any(key.startswith("test/") for key in row)
