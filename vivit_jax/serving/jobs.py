"""The queue in front of the models: jobs run one at a time, in order, and only so many may wait."""

import asyncio
import collections
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

REMEMBERED = 20  # jobs whose time tells how long the next will take


class QueueFullError(Exception):
    """There is no room for another job.

    Attributes:
      seconds: when to come back.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"the server is busy: try again in {seconds} s")
        self.seconds = seconds


class JobQueue:
    """Jobs for the one thread that runs the models. All methods belong to the event loop's thread."""

    def __init__(self, waiting: int) -> None:
        self._room = waiting + 1
        self._held = 0
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="models")
        self._seconds = collections.deque([1.0], maxlen=REMEMBERED)

    @property
    def held(self) -> int:
        """Requests that hold a place: those that upload, wait, or run."""
        return self._held

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Holds a place in the queue, from before the upload to after the answer.

        Raises:
          QueueFullError: if none is free.
        """
        if self._held >= self._room:
            mean = sum(self._seconds) / len(self._seconds)
            raise QueueFullError(min(120, max(1, math.ceil(self._held * mean))))
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    async def run(self, job: Callable[[], Result], wanted: Callable[[], Awaitable[bool]]) -> Result | None:
        """Runs a job when its turn comes, unless nobody waits for its answer any more: then None.

        Args:
          job: what to do, in the models' thread.
          wanted: asked when the turn has come.
        """
        async with self._turn:
            if not await wanted():
                return None
            started = time.monotonic()
            try:
                # A caller that goes away meanwhile does not stop the thread, so the next job waits until it is done.
                return await _to_its_end(asyncio.get_running_loop().run_in_executor(self._thread, job))
            finally:
                self._seconds.append(time.monotonic() - started)

    def close(self) -> None:
        """Takes no more jobs; the one that runs is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)


async def _to_its_end(future: asyncio.Future[Result]) -> Result:
    """Awaits a future even if the task that awaits it is cancelled, and passes the cancellation on afterwards."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
