"""The metrics of steps in flight. They arrive a few steps late, and become rows of metrics, the note of the progress bar and a check."""

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.progress import Progress

from vivit_jax import console
from vivit_jax.data.workers import available_cpus
from vivit_jax.runs.clock import Clock, Lap
from vivit_jax.runs.plan import Plan
from vivit_jax.runs.progress import RunProgress
from vivit_jax.runs.run import Run
from vivit_jax.runs.stopping import Interruption
from vivit_jax.training.step import checked_names

# A run warns, and names the keys to raise, once it has spent this share of its time, and this many seconds, waiting for data.
SHARE_WORTH_TELLING, SECONDS_WORTH_TELLING = 0.3, 10.0


class NotFiniteError(Exception):
    """A step computed infinity or NaN.

    Attributes:
      step: the step.
      names: what is not finite, as `checked_names` calls it; never empty.
    """

    def __init__(self, step: int, names: Sequence[str]) -> None:
        super().__init__(f"step {step}: {', '.join(names)}")
        self.step, self.names = step, names


class InFlight:
    """The metrics of steps that were dispatched and have not been taken in yet, oldest first.

    Args:
      run: the run that takes the steps.
      plan: says after which steps a row is due.
      progress: how far the run has come; it adds up the metrics between two rows.
      write: writes a row of metrics: called with its step and the row.
      interruption: is told that there is something to save once the first step has arrived.
      bar: shows the progress.

    Attributes:
      clock: the time since the first step.
    """

    def __init__(
        self,
        run: Run,
        plan: Plan,
        progress: RunProgress,
        write: Callable[[int, dict[str, float]], None],
        interruption: Interruption,
        bar: Progress,
    ) -> None:
        self.clock = Clock()
        self._run, self._plan, self._sums, self._write, self._interruption = run, plan, progress.sums, write, interruption
        self._checked = checked_names(run.variables["params"])
        self._pending: collections.deque[tuple[int, Any]] = collections.deque()
        self._bar, self._task = bar, bar.add_task(run.experiment.name, total=plan.total, completed=progress.step, note="")
        self._told_of_waiting = False

    def add(self, step: int, metrics: Any) -> None:
        """Adds the metrics of the step just dispatched, which are still being computed on the devices."""
        self._pending.append((step, metrics))

    def settle(self, but: int = 0) -> None:
        """Waits for the metrics of all steps but the newest `but`, takes them in, and writes the rows that are due.

        Raises:
          NotFiniteError: if a step was not finite; its row is written all the same.
        """
        done = [self._pending.popleft() for _ in range(len(self._pending) - but)]
        with self.clock.waiting_for("device"):
            arrived = [(step, self._run.executor.metrics(on_device)) for step, on_device in done]
        for following, (step, metrics) in zip(reversed(range(len(arrived))), arrived, strict=True):
            self._take_in(step, metrics, following)

    def _take_in(self, step: int, metrics: Mapping[str, Any], following: int) -> None:
        self._interruption.unsaved = True
        self.clock.count(self._run.experiment.training.batch_size)
        note = f"loss {metrics['loss']:.3f}  lr {metrics['learning_rate']:.2e}  {self.clock.clips_per_second:.0f} clips/s"
        self._bar.update(self._task, completed=step, note=note)
        self._sums.add(metrics)
        not_finite = [name for name, finite in zip(self._checked, metrics["finite"], strict=True) if not finite]
        if self._plan.logs(step) or not_finite:
            self._log(step, following)
        if not_finite:
            raise NotFiniteError(step, not_finite)

    def _log(self, step: int, following: int) -> None:
        """Writes the row of a step; of `following` steps the metrics have arrived as well."""
        row = self._sums.row()
        lap = self.clock.lap(following * self._run.experiment.training.batch_size)
        self._write(step, row | lap.row())
        if not self._bar.console.is_terminal:
            rate = f"  {lap.clips_per_second:.1f} clips/s" if lap.clips_per_second else ""  # of the first step none is measured
            console.say(f"step {step}/{self._plan.total}  loss {row['train/loss']:.4f}{rate}")
        self._tell_of_waiting(lap)

    def _tell_of_waiting(self, lap: Lap) -> None:
        """Warns once if reading is the bottleneck."""
        if lap.data > SHARE_WORTH_TELLING and self.clock.waited["data"] > SECONDS_WORTH_TELLING and not self._told_of_waiting:
            self._told_of_waiting = True
            console.warn(
                f"training waits for data {lap.data:.0%} of the time: raise data.processes or data.readers (this machine has "
                f"{available_cpus()} CPUs), or data.cache_gigabytes, which keeps the frames of a small set in memory"
            )
