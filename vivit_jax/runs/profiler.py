"""Traces some steps with jax's profiler, for TensorBoard to show beside the run's metrics."""

from pathlib import Path

import jax

from vivit_jax import console


class Profiler:
    """Traces the steps of a window. If that fails it warns, and the run goes on.

    A run that resumes inside the window traces the rest of it, except its own first step, which compiles; one that resumes past it traces
    nothing.

    Args:
      window: the first and the last step; None traces none.
      directory: the folder of the run's TensorBoard events; the trace is written to `plugins/profile` in it.
      done: steps that the run has done before.
    """

    def __init__(self, window: tuple[int, int] | None, directory: Path, done: int) -> None:
        self._directory = directory
        self._first, self._last = window or (0, 0)
        self._tracing = False
        if window and done >= self._last:
            console.warn(f"nothing is profiled: the run is at step {done}, training.profile_steps end at {self._last}")
        if done >= self._first:
            self._first = min(done + 2, max(done + 1, self._last))

    def begins(self, step: int) -> bool:
        """Whether to `start` before this step."""
        return step == self._first <= self._last

    def ends(self, step: int) -> bool:
        """Whether to `stop` after this step."""
        return self._tracing and step == self._last

    def start(self) -> None:
        """Starts the trace."""
        try:
            jax.profiler.start_trace(self._directory)
            self._tracing = True
        except Exception as error:
            console.warn(f"steps are not profiled, training continues: {type(error).__name__}: {error}")

    def stop(self) -> None:
        """Ends and writes the trace, if one was started."""
        if not self._tracing:
            return
        self._tracing = False
        try:
            jax.profiler.stop_trace()
            console.say(f"profile of steps {self._first} to {self._last}: tensorboard --logdir {self._directory}")
        except Exception as error:
            console.warn(f"the profile is not written, training continues: {type(error).__name__}: {error}")
