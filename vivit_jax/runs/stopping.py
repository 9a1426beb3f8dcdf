"""The ways a run ends before its last step, and their exit codes.

143 (128 + SIGTERM) means: interrupted by a signal, or by the loss of the output's reader; the same command goes on where the run was.
1 means: the run cannot go on as it is, for the reason printed. The newest whole checkpoint is intact either way.
"""

import contextlib
import os
import signal
import sys
import threading
from types import TracebackType
from typing import NoReturn

import jax
import psutil

from vivit_jax import console, process
from vivit_jax.errors import Stopped

EXIT_INTERRUPTED = 128 + signal.SIGTERM

# Terminals send SIGINT and SIGHUP; Slurm warns with SIGUSR1 if `sbatch --signal=USR1@60` asks for it, and ends jobs with SIGTERM.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)

NOTHING_TO_SAVE = "interrupted before there was anything to save"

# How long the main thread has to act on a signal before a run with nothing to save is ended. A second signal counts after this time.
PATIENCE_SECONDS = 1.0
LAST_WORDS_SECONDS = 1.0


class Refused(Stopped):
    """The run cannot go on from its work directory, however often the same command is given."""


class Interrupted(Stopped):
    """The run was asked to end by a signal."""

    exit_code = EXIT_INTERRUPTED


class Interruption:
    """Turns the first of `SIGNALS`, or the loss of the output's reader, into a request that the loop looks at between steps.

    A second signal ends the process at once. Python handles signals only between its own instructions, so not while XLA compiles: as long
    as there is nothing to save (`unsaved` is False) a thread that the signal wakes ends the process instead.

    Args:
      resume: a sentence that says how to go on, for the last words.

    Attributes:
      requested: whether a signal came.
      unsaved: whether steps would be lost by leaving at once.
    """

    def __init__(self, resume: str) -> None:
        self.requested = False
        self.unsaved = False
        self._resume = resume
        self._left = threading.Event()
        self._previous: dict = {}

    def check(self) -> None:
        """Raises Interrupted if a signal came."""
        if self.requested:
            raise Interrupted("interrupted" if self.unsaved else NOTHING_TO_SAVE)

    def check_alone(self) -> None:
        """As `check`, in a run of one process; several leave together, which they agree on between steps."""
        if jax.process_count() == 1:
            self.check()

    def request(self) -> None:
        """Requests the end, as a first signal does."""
        self.requested = True
        if self._previous:
            os.write(self._write, bytes([signal.SIGTERM]))

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is not threading.main_thread():
            return self
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._previous = process.handle(SIGNALS, self._on_signal)
        self._previous_fd = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name="interruption", daemon=True).start()
        console.when_closed(self.request)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if not self._previous:
            return
        console.when_closed(None)
        signal.set_wakeup_fd(self._previous_fd)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
        self._left.set()
        os.close(self._write)

    def _on_signal(self, number: int, frame: object) -> None:
        self.requested = True

    def _watch(self) -> None:
        again = False
        while woken := os.read(self._read, 1):
            if woken[0] not in SIGNALS:
                continue
            if again and not self._left.is_set():
                leave_at_once(EXIT_INTERRUPTED, f"ended at once by a second signal, the newest whole checkpoint is kept; {self._resume}")
            again = True
            if not self._left.wait(PATIENCE_SECONDS) and not self.unsaved:
                leave_at_once(EXIT_INTERRUPTED, f"{NOTHING_TO_SAVE}; {self._resume}")
        os.close(self._read)


def leave_at_once(code: int, last_words: str = "") -> NoReturn:
    """Ends the process and those it started, without waiting for its threads, which may hang in a read.

    One that it started outlives it for a moment: Python's resource tracker, which removes what they all leave in shared memory.

    The last words are printed if possible: the main thread may hold the output while it waits for a reader that is stopped.
    """
    speaker = threading.Thread(target=_say_last, args=(last_words,), daemon=True)
    speaker.start()
    speaker.join(timeout=LAST_WORDS_SECONDS)
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any("multiprocessing.resource_tracker" in argument for argument in child.cmdline()):
                child.resume()
            else:
                child.kill()
    os._exit(code)


def _say_last(text: str) -> None:
    if text:
        console.say(text)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
