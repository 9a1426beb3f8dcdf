"""Worker processes that may hang or crash, as decoders of unknown files do: results come in order, and each failure names its item.

Workers are fresh interpreters on a socket, not forks, so that they inherit no threads, and import nothing of the caller's main module.
"""

import collections
import contextlib
import dataclasses
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import typing
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait

import cv2
import psutil

from vivit_jax.errors import UserError

T = typing.TypeVar("T")

LOOK_AHEAD = 4  # items a worker may be ahead of the oldest unfinished one, which bounds the results held
START = (
    "import sys; sys.path[:] = {path!r}; from vivit_jax.process import collect_seldom; collect_seldom(); "
    "from vivit_jax.data.workers import serve; serve({socket}, {memory})"
)


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why an item has no result: what its error said, or how its worker ended."""

    reason: str


class Killed(Failure):
    """An item's process was killed by another, as the system does where memory runs out: this says nothing against the item."""


def available_cpus() -> int:
    """The number of CPUs that this process may use; all of the machine's if the system does not tell, as on macOS."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def map_in_order(
    function: Callable[[T], object], items: Iterable[T], *, workers: int, seconds: float, memory: int | None = None
) -> Iterator[tuple[T, object | Failure]]:
    """Applies `function` to each item in one of `workers` processes; once more to an item whose process was killed from outside.

    Args:
      function: a module's function, or a partial of one; it, the items and the results are pickled.
      items: what to apply it to; drawn as needed.
      workers: number of processes.
      seconds: wall-clock time after which a worker is killed and its item has failed.
      memory: bytes of address space that a worker may take beyond what it starts with; None sets no limit.

    Yields:
      Each item with its result or `Failure`, in the order of `items` whatever their number.
    """
    queue, done, retried = enumerate(items), {}, set()
    waiting = collections.deque()  # tasks handed out, oldest first
    pool = [_Worker(function, memory) for _ in range(workers)]
    try:
        while True:
            idle = [number for number, worker in enumerate(pool) if worker.task is None]
            for number, task in zip(idle[: LOOK_AHEAD * workers - len(waiting)], queue, strict=False):
                waiting.append(task)
                pool[number] = pool[number].give(task, seconds)
            if not waiting:
                return
            for position, result in _collect([worker for worker in pool if worker.task is not None]).items():
                if isinstance(result, Killed) and position not in retried:
                    retried.add(position)
                    number = next(number for number, worker in enumerate(pool) if worker.task is None)
                    pool[number] = pool[number].give((position, dict(waiting)[position]), seconds)
                else:
                    done[position] = result
            while waiting and waiting[0][0] in done:
                position, item = waiting.popleft()
                yield item, done.pop(position)
    finally:
        for worker in pool:
            worker.kill()


class Streams:
    """Results that come one after another from one worker process, which works on the next while the last is used.

    The process outlives an item, so that many short ones do not each wait for it to start. A context manager: leaving it ends the process.
    """

    def __init__(
        self, function: Callable[[T], Iterable[object]], *, seconds: float, memory: int | None = None, standard_input: bool = False
    ) -> None:
        """Starts the process.

        Args:
          function: a module's function, or a partial of one; it, the items and the results are pickled.
          seconds: wall-clock time for each result, after which the process is killed and its item has failed.
          memory: bytes of address space that the process may take beyond what it starts with; None sets no limit.
          standard_input: whether the process reads this process's standard input.
        """
        self._seconds = seconds
        self._worker = _Worker(_OneByOne(function), memory, standard_input)

    def __enter__(self) -> "Streams":
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.kill()

    def of(self, item: T) -> Iterator[object | Failure]:
        """The results of `function(item)` in order. If it fails, the last is the `Failure`. Close one iterator before you draw the next."""
        self._worker = self._worker.give((0, item), self._seconds)
        try:
            while True:
                part = self._next()
                if isinstance(part, Failure):
                    yield part
                    return
                if part is None:
                    return
                self._worker = self._worker.give((0, None), self._seconds)
                yield part
        finally:
            if self._worker.task is not None:
                self._worker.kill()

    def _next(self) -> object | Failure | None:
        results = {}
        while not results:
            results = _collect([self._worker])
        return results[0]


class _OneByOne:
    """Runs in a worker: begins a new iterable when it is given an item, and gives its next result each time; None at its end."""

    def __init__(self, function: Callable[[T], Iterable[object]]) -> None:
        self._function, self._results = function, iter(())

    def __call__(self, item: T | None) -> object | None:
        if item is not None:
            self._results = iter(self._function(item))
        return next(self._results, None)


def serve(descriptor: int, memory: int | None) -> None:
    """Runs in a worker: receives a function, then applies it to each item that it receives, until the other side hangs up."""
    cv2.setNumThreads(0)
    threading.Thread(target=_end_with, args=(descriptor,), daemon=True).start()
    if memory is not None:
        limit, most = psutil.Process().memory_info().vms + memory, resource.getrlimit(resource.RLIMIT_AS)[1]
        if most != resource.RLIM_INFINITY:  # as batch systems and `ulimit -v` set it; it can only be lowered
            limit = min(limit, most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with Connection(descriptor) as connection:
        try:
            function = connection.recv()
            while True:
                connection.send(_apply(function, connection.recv()))
        except (EOFError, ConnectionError):
            return


def _end_with(descriptor: int) -> None:
    """Ends this process when the other side of its socket is gone, as after `kill -9`: a decoder that hangs would else stay for ever."""
    hang_up = select.poll()
    hang_up.register(descriptor, 0)  # no event is asked for, so only the end of the connection is told
    hang_up.poll()
    os._exit(1)


def _apply(function: Callable, item: object) -> object:
    try:
        return function(item)
    except UserError as error:
        return Failure(str(error))
    except MemoryError:
        return Failure("reading it takes more memory than the limit")
    except Exception as error:  # libraries raise anything for a strange file; only that file fails
        return Failure(f"an unexpected error while reading it ({type(error).__name__}: {error})")


class _Worker:
    """One process and the task it works on."""

    def __init__(self, function: Callable, memory: int | None, standard_input: bool = False) -> None:
        self.task = None
        self._function, self._memory, self._standard_input = function, memory, standard_input
        self._deadline = 0.0
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-c", START.format(path=sys.path, socket=theirs.fileno(), memory=memory)]
            # A session of its own: Ctrl-C reaches the parent alone, which then ends its workers.
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=None if standard_input else subprocess.DEVNULL,
                start_new_session=True,
            )
        self.connection = Connection(ours.detach())
        self._send(function)

    def give(self, task: tuple[int, object], seconds: float) -> "_Worker":
        """Hands over a task; returns the worker that has it, a new one if this one has died."""
        worker = self if self._process.poll() is None else _Worker(self._function, self._memory, self._standard_input)
        worker.task, worker._deadline = task, time.monotonic() + seconds
        worker._send(task[1])
        return worker

    def _send(self, value: object) -> None:
        with contextlib.suppress(ConnectionError):  # the process has died: its task fails by that, when it is taken
            self.connection.send(value)

    @property
    def seconds_left(self) -> float:
        """Seconds until the current task is overdue."""
        return max(0.0, self._deadline - time.monotonic())

    def take(self) -> tuple[int, object]:
        """The finished, failed or overdue task's position and result."""
        position, self.task = self.task[0], None
        try:
            if not self.connection.poll():
                self.kill()
                return position, Failure("took too long and was stopped")
            result = self.connection.recv()
        except (EOFError, ConnectionError):
            code = self._process.wait()
            if code == -signal.SIGKILL:
                return position, Killed("the process that read it was killed (SIGKILL), as the system does where memory runs out")
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            return position, Failure(f"the process that read it died ({how})")
        return position, result

    def kill(self) -> None:
        """Ends the process at once."""
        self.connection.close()
        self._process.kill()
        self._process.wait()


def _collect(busy: list[_Worker]) -> dict[int, object]:
    """Waits until a worker is finished or overdue; the results, by position."""
    ready = wait([worker.connection for worker in busy], timeout=min(worker.seconds_left for worker in busy))
    return dict(worker.take() for worker in busy if worker.connection in ready or not worker.seconds_left)
