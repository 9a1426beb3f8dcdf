"""Where the time of training goes."""

import collections
import contextlib
import dataclasses
import time
from collections.abc import Iterator

# What a lap adds to a row of metrics. It depends on the machine's mood; all other keys are the same in every run of one config.
TIMING_KEYS = ("train/clips_per_second", "train/data_wait", "train/device_wait", "train/host_time")


@dataclasses.dataclass(frozen=True)
class Lap:
    """A stretch of training. The three shares of its time, in 0..1, sum to 1.

    Attributes:
      clips_per_second: clips of the steps that ended in it.
      data: waiting for a batch.
      device: waiting for the result of a step; near 1 is what an accelerator at work looks like.
      host: everything else: Python, dispatching steps, writing metrics. What a CPU computes of a step while it is dispatched is here too.
    """

    clips_per_second: float
    data: float
    device: float
    host: float

    def row(self) -> dict[str, float]:
        """As metrics."""
        return dict(zip(TIMING_KEYS, dataclasses.astuple(self), strict=True))


class Clock:
    """Time spent training, without the first step with its compilation, and without what happens while it is stopped.

    Attributes:
      waited: seconds waited so far for `data` and for `device`, the first step's included.
      started: whether the first step is done.
    """

    def __init__(self) -> None:
        self.waited: collections.Counter[str] = collections.Counter()
        self.started = False
        self._restart()

    @property
    def clips_per_second(self) -> float:
        """Since the last lap."""
        return self._clips / self._seconds()

    def count(self, clips: int) -> None:
        """Counts the clips of a step that is done."""
        if self.started:
            self._clips += clips
        else:
            self.started = True
            self._restart()

    def lap(self) -> Lap:
        """What came since the last lap."""
        seconds = self._seconds()
        data, device = (min((self.waited[what] - self._before[what]) / seconds, 1.0) for what in ("data", "device"))
        lap = Lap(self.clips_per_second, data, device, max(0.0, 1.0 - data - device))
        self._restart()
        return lap

    @contextlib.contextmanager
    def waiting_for(self, what: str) -> Iterator[None]:
        """Counts the time as waiting for `data` or `device`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.waited[what] += time.perf_counter() - start

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Leaves out what happens meanwhile."""
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    def _seconds(self) -> float:
        return max(time.perf_counter() - self._start, 1e-9)

    def _restart(self) -> None:
        self._start, self._before, self._clips = time.perf_counter(), self.waited.copy(), 0
