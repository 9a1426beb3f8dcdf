"""Where metrics go: `metrics.jsonl`, TensorBoard, Weights & Biases. One that fails warns once, and never stops a run or makes it wait.

The first two write at once, in the thread of the loop, where an error is caught. (tensorboardX's `SummaryWriter` has a thread and a queue;
when the disk is full the thread dies, and the loop would wait for room in the queue for ever.) Weights & Biases talks to another process,
so it gets a thread here, and rows that it does not take in time are left out.
"""

import contextlib
import errno
import json
import math
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import jax

from vivit_jax import console
from vivit_jax.atomic import write_atomically
from vivit_jax.config import Experiment, to_dict
from vivit_jax.files import read_bytes
from vivit_jax.runs.progress import RunProgress
from vivit_jax.runs.record import METRICS

# For a writer in its own thread: how many rows may wait for it, and how long the end of a run waits.
ROWS_WAITING, CLOSE_SECONDS = 10_000, 30.0


class Writer(Protocol):
    """Takes rows of metrics."""

    def write(self, step: int, row: dict[str, float]) -> None:
        """Records the metrics of a step."""

    def close(self) -> None:
        """Writes out what is buffered."""


class Writers:
    """Several writers, none of which can raise."""

    def __init__(self, writers: dict[str, Callable[[], Writer]]) -> None:
        self._failed: set[str] = set()
        self._writers: dict[str, Writer] = {}
        for name, make in writers.items():
            self._guard(name, lambda name=name, make=make: self._writers.update({name: make()}))

    def write(self, step: int, row: dict[str, float]) -> None:
        """Gives a row to each writer."""
        for name, writer in self._writers.items():
            self._guard(name, lambda writer=writer: writer.write(step, row))

    def close(self) -> None:
        """Closes each writer."""
        for name, writer in self._writers.items():
            self._guard(name, writer.close)

    def _guard(self, name: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:
            if name not in self._failed:
                console.warn(f"metrics do not reach {name}, training continues: {type(error).__name__}: {error}")
            self._failed.add(name)


class JsonLines:
    """Writes each row as a line of JSON.

    A resumed run first drops the rows that it will write again: those past the step it resumes from, and those of an evaluation that its
    checkpoint does not include.

    Args:
      path: the file.
      step: the step that the run resumes from.
      evaluated: the last step whose evaluation the checkpoint includes; None is `step`.
      rows: how many rows were written before the checkpoint was, if that is known: it warns if there are fewer.
    """

    def __init__(self, path: Path, step: int, evaluated: int | None = None, rows: int = 0) -> None:
        self._path = path
        evaluated = step if evaluated is None else evaluated
        exists = path.exists()
        if step and not exists:
            console.warn(f"{path} is gone: it begins anew, with the rows after step {step}")
        lines = read_bytes(path).decode(errors="replace").splitlines() if exists else []
        kept = [number for number, line in enumerate(lines) if _is_kept(_row(line), step, evaluated)]
        last = max(kept, default=0)
        damaged = [n for n, line in enumerate(lines) if _row(line) is None and (n < last or _is_kept(_begun(line), step, evaluated))]
        if damaged:
            console.warn(
                f"{path} is damaged: {console.counted(len(damaged), 'line')}, from line {damaged[0] + 1} on, cannot be read: dropped"
            )
        elif exists and len(kept) < rows:
            console.warn(f"{path} has {len(kept)} of the {rows} rows that were written up to step {step}: the others are lost")
        write_atomically(path, "".join(f"{lines[number]}\n" for number in kept))

    def write(self, step: int, row: dict[str, float]) -> None:
        """Appends a row; NaN and infinity, which JSON does not have, become null."""
        finite = {key: value if math.isfinite(value) else None for key, value in row.items()}
        line = (json.dumps({"step": step} | finite) + "\n").encode()
        with self._path.open("ab", buffering=0) as file:
            end = file.tell()
            if file.write(line) < len(line):  # a full disk takes a part: the next row must not be glued to it
                file.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def close(self) -> None:
        """Does nothing, as nothing is buffered."""


class TensorBoard:
    """Writes TensorBoard events into the work directory."""

    def __init__(self, directory: Path, step: int) -> None:
        with _passing_over("torch"):  # tensorboardX imports it where it is installed, for seconds, and needs it for other things
            from tensorboardX.event_file_writer import EventsWriter
            from tensorboardX.proto.event_pb2 import Event, SessionLog

        directory.mkdir(parents=True, exist_ok=True)
        self._events: EventsWriter | None = EventsWriter(str(directory / "events"))
        if step:  # TensorBoard then forgets what an earlier part of the run wrote past it
            self._add(Event(wall_time=time.time(), step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def write(self, step: int, row: dict[str, float]) -> None:
        """Adds a scalar for each key."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for key, value in row.items():
            self._add(Event(wall_time=time.time(), step=step, summary=scalar(key, value)))

    def close(self) -> None:
        """Closes the file."""
        if self._events:
            self._events.close()

    def _add(self, event: Any) -> None:
        """Writes an event through to the file. After a failure no more are written, as readers stop at a torn event."""
        if self._events is None:
            return
        try:
            self._events.write_event(event)
            self._events._py_recordio_writer._writer.flush()
        except OSError:
            with contextlib.suppress(OSError):
                self._events.close()
            self._events = None
            raise


class WeightsAndBiases:
    """Logs to a run of a Weights & Biases project, the same one when resumed."""

    def __init__(self, project: str, name: str, workdir: Path, config: dict) -> None:
        import wandb

        self._run = wandb.init(project=project, name=name, dir=str(workdir), config=config, id=f"{name}-{workdir.name}", resume="allow")

    def write(self, step: int, row: dict[str, float]) -> None:
        """Logs the row."""
        self._run.log(row, step=step)

    def close(self) -> None:
        """Ends the run."""
        self._run.finish()


class Detached:
    """Runs a writer in its own thread, fed by a bounded queue, so that one that hangs never holds up the loop.

    Args:
      make: makes the writer; called in the thread of the caller.
    """

    def __init__(self, make: Callable[[], Writer]) -> None:
        self._writer = make()
        self._rows: queue.Queue = queue.Queue(ROWS_WAITING)
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def write(self, step: int, row: dict[str, float]) -> None:
        """Hands over a row; raises the error of an earlier one, or `queue.Full` if too many wait."""
        if self._failure:
            raise self._failure
        self._rows.put_nowait((step, row))

    def close(self) -> None:
        """Waits up to CLOSE_SECONDS for each of two things: room in the queue, and the thread's end."""
        self._rows.put(None, timeout=CLOSE_SECONDS)
        self._thread.join(timeout=CLOSE_SECONDS)
        if self._thread.is_alive():
            raise TimeoutError(f"it did not take the last rows within {CLOSE_SECONDS:.0f} s")
        if self._failure:
            raise self._failure

    def _run(self) -> None:
        try:
            while (item := self._rows.get()) is not None:
                self._writer.write(*item)
            self._writer.close()
        except Exception as error:
            self._failure = error


def make_writers(experiment: Experiment, directory: Path, progress: RunProgress) -> Writers:
    """The writers that the experiment asks for; none on hosts other than the first.

    Args:
      experiment: says which writers.
      directory: the work directory.
      progress: how far the run has come.
    """
    if jax.process_index() != 0:
        return Writers({})
    writers = {METRICS: lambda: JsonLines(directory / METRICS, progress.step, progress.evaluated, progress.rows)}
    if experiment.training.tensorboard:
        writers["TensorBoard"] = lambda: TensorBoard(directory, progress.step)
    if project := experiment.training.wandb:
        writers["Weights & Biases"] = lambda: Detached(lambda: WeightsAndBiases(project, experiment.name, directory, to_dict(experiment)))
    return Writers(writers)


@contextlib.contextmanager
def _passing_over(package: str) -> Iterator[None]:
    """While this is open, a package that was not imported before counts as not installed."""
    sys.modules.setdefault(package, None)
    try:
        yield
    finally:
        if sys.modules[package] is None:
            del sys.modules[package]


def _row(line: str) -> dict | None:
    """The row of metrics that a line holds, if it does."""
    try:
        row = json.loads(line)
        return row if isinstance(row["step"], int) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _begun(line: str) -> dict | None:
    """The step, and one of the names, of a line that was cut off after them."""
    begun = re.match(r'\{"step": (\d+), "([a-z]+/)', line)
    return {"step": int(begun[1]), begun[2]: None} if begun else None


def _is_kept(row: dict | None, step: int, evaluated: int) -> bool:
    if row is None or any(key.startswith("test/") for key in row):
        return False
    return row["step"] <= (evaluated if any(key.startswith("val/") for key in row) else step)
