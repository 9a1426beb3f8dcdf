"""Where the time of training goes."""

import collections
import contextlib
import dataclasses
import time
from collections.abc import Iterator

# The keys that a lap adds to a row of metrics. They vary from run to run; all other keys are the same in every run of one config.
TIMING_KEYS = ("train/clips_per_second", "train/data_wait", "train/device_wait", "train/host_time")


@dataclasses.dataclass(frozen=True)
class Lap:
    """A stretch of training. The three shares of its time, in 0..1, sum to 1.

    Attributes:
      clips_per_second: clips of the steps that ended in it, by its time.
      data: share spent waiting for a batch.
      device: share spent waiting for the result of a step; it is near 1 if an accelerator is kept busy.
      host: share of everything else: Python, dispatching steps, writing metrics, and what a CPU computes of a step while it is dispatched.
    """

    clips_per_second: float
    data: float
    device: float
    host: float

    def row(self) -> dict[str, float]:
        """The lap as metrics."""
        return dict(zip(TIMING_KEYS, dataclasses.astuple(self), strict=True))


class Clock:
    """Measures time spent training, without the first step, which compiles, and without the time while the clock is stopped.

    Attributes:
      waited: seconds waited so far for `data` and for `device`, including those of the first step.
      started: whether the first step is done.
    """

    def __init__(self) -> None:
        self.waited: collections.Counter[str] = collections.Counter()
        self.started = False
        self._restart()

    @property
    def clips_per_second(self) -> float:
        """Clips a second since the last lap."""
        return self._clips / self._seconds()

    def count(self, clips: int) -> None:
        """Counts the clips of a step that is done."""
        if self.started:
            self._clips += clips
        else:
            self.started = True
            self._restart()

    def lap(self, following: int = 0) -> Lap:
        """Returns the lap since the last call, and begins the next.

        Args:
          following: clips of steps that are done as well and are counted after this lap, when several were waited for at once: the time
            since the last call is then shared among all their clips.
        """
        share = self._clips / (self._clips + following) if following else 1.0
        seconds, clips = self._seconds(), self._clips / share
        waited = {what: self.waited[what] - self._before[what] for what in ("data", "device")}
        data, device = (min(of / seconds, 1.0) for of in waited.values())
        lap = Lap(clips / seconds, data, device, max(0.0, 1.0 - data - device))
        self._start, self._clips = self._start + seconds * share, 0
        self._before.update({what: of * share for what, of in waited.items()})
        return lap

    @contextlib.contextmanager
    def waiting_for(self, what: str) -> Iterator[None]:
        """Counts the time inside as waiting for `what`: `data` or `device`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.waited[what] += time.perf_counter() - start

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Leaves out the time inside."""
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    def _seconds(self) -> float:
        return max(time.perf_counter() - self._start, 1e-9)

    def _restart(self) -> None:
        self._start, self._before, self._clips = time.perf_counter(), self.waited.copy(), 0
