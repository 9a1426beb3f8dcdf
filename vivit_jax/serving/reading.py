"""Reading uploads in a process of its own, which is kept from one upload to the next because starting it takes a second.

What a hostile file does, it does there: a process that hangs, crashes or eats memory is ended, its file is refused in one line, and the
next file finds a fresh process. So it does after any other surprise, and after `TASKS_A_PROCESS` readings in any case.
"""

import dataclasses
import functools
import pathlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from vivit_jax.data.video.container import Limits
from vivit_jax.data.video.reader import VideoInfo, probe
from vivit_jax.data.workers import Failure, map_in_order
from vivit_jax.errors import UserError, in_one_line
from vivit_jax.inference.views import decode_group
from vivit_jax.preprocess import Preprocess, Views

Result = TypeVar("Result")

TASKS_A_PROCESS = 500
NOTHING = int  # a task that is done at once


@dataclasses.dataclass(frozen=True)
class Upload:
    """A file that somebody sent.

    Attributes:
      path: the temporary file that holds it, which no answer may name.
      name: what its sender calls it, in one printable line.
    """

    path: pathlib.Path
    name: str


class Reader:
    """Reads uploads, one at a time, in a guarded process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._task: Callable[[], object] = NOTHING
        self._answers: Iterator | None = None
        self._done, self._closed = 0, False
        self._lock = threading.Lock()

    def reading(self, upload: Upload) -> "Reading":
        """One upload, to be read a few times."""
        return Reading(self, upload, self._limits)

    def start(self) -> None:
        """Starts the process, so that the first upload does not wait for it."""
        with self._lock:
            self._ask(NOTHING)

    def close(self) -> None:
        """Ends the process: at once, or when the task is done that another thread waits for."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            self._end()
            self._lock.release()

    def read(self, upload: Upload, task: Callable[[], Result]) -> Result:
        """Runs a task on an upload in the guarded process, and returns its result; a task is pickled, so made of functions of modules.

        Raises:
          UserError: naming the upload, if the task fails, or takes too long or too much memory.
        """
        with self._lock:
            result = self._ask(task)
            if isinstance(result, Failure) or self._done >= TASKS_A_PROCESS or self._closed:
                self._end()
        if isinstance(result, Failure):
            raise UserError(_reason(upload, result.reason))
        if isinstance(result, UserError):
            raise UserError(_reason(upload, str(result)))
        return result

    def _ask(self, task: Callable[[], object]) -> object:
        if self._answers is None:
            self._answers = map_in_order(_run, self._tasks(), workers=1, seconds=self._limits.seconds, memory=self._limits.memory)
        self._task = task
        self._done += 1
        return next(self._answers)[1]

    def _tasks(self) -> Iterator[Callable[[], object]]:
        """Yields the current task whenever `map_in_order` draws an item, which it does once the last result has been taken."""
        while True:
            yield self._task

    def _end(self) -> None:
        if self._answers is not None:
            self._answers.close()
        self._answers, self._done = None, 0


class Reading:
    """One upload as it is read for an answer. All its readings together may take the limit's seconds, and the last as many again."""

    def __init__(self, reader: Reader, upload: Upload, limits: Limits) -> None:
        self._reader, self._upload, self._limits = reader, upload, limits
        self._seconds = 0.0

    def probe(self) -> VideoInfo:
        """The video's size and times.

        Raises:
          UserError: naming the upload, if it is no video or over a limit.
        """
        return self._read(functools.partial(probe, self._upload.path, name=self._upload.name, limits=self._limits))

    def decode(self, group: range, preprocess: Preprocess, views: Views) -> np.ndarray:
        """Some of the video's views, uint8 (v, t, h, w, 3), as `decode_group` gives them; this is a `Decode`.

        Raises:
          UserError: naming the upload, if it cannot be read.
        """
        return self._read(functools.partial(decode_group, self._upload.path, group, preprocess, views))

    def _read(self, task: Callable[[], Result]) -> Result:
        if self._seconds > self._limits.seconds:
            raise UserError(f"{self._upload.name}: takes longer than {self._limits.seconds:g} s to read")
        started = time.monotonic()
        try:
            return self._reader.read(self._upload, task)
        finally:
            self._seconds += time.monotonic() - started


def _run(task: Callable[[], object]) -> object:
    """Runs in the guarded process: a file that is refused as it should be leaves nothing behind, so its error is an ordinary result."""
    try:
        return task()
    except UserError as error:
        return error


def _reason(upload: Upload, reason: str) -> str:
    """Why there is no result, in one line that begins with the upload's name and tells nothing of where it lies."""
    reason = in_one_line(reason).replace(str(upload.path), upload.name)
    return reason if reason.startswith(upload.name) else f"{upload.name}: {reason}"
