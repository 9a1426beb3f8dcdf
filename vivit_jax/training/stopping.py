"""The ways a run ends before its last step, and their exit codes.

143 (128 + SIGTERM) says: interrupted by SIGTERM or SIGINT, and the same command goes on where the run was. 1 says: it cannot go on as it
is, for the reason that was printed. The newest whole checkpoint is intact either way.
"""

import os
import signal
import threading
from types import TracebackType

from vivit_jax import console

EXIT_STOPPED = 1
EXIT_INTERRUPTED = 128 + signal.SIGTERM

NOTHING_TO_SAVE = "interrupted before there was anything to save"

# How long the main thread has to act on a signal before the run is left while it compiles.
PATIENCE_SECONDS = 1.0


class Stopped(Exception):  # noqa: N818 (not every end is an error)
    """The run ends here; the message is what the person is told."""

    exit_code = EXIT_STOPPED


class Interrupted(Stopped):
    """The run was asked to end by a signal."""

    exit_code = EXIT_INTERRUPTED


class Interruption:
    """Turns SIGTERM and SIGINT into a request that the loop looks at between steps; a second signal changes nothing.

    Python acts on a signal only between two of its own instructions, so not while XLA compiles. As long as there is nothing to save
    (`unsaved` is False) a thread that the signal wakes ends the process instead.

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

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is not threading.main_thread():
            return self
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._previous = {number: signal.signal(number, self._request) for number in (signal.SIGTERM, signal.SIGINT)}
        self._previous_fd = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name="interruption", daemon=True).start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if not self._previous:
            return
        signal.set_wakeup_fd(self._previous_fd)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._left.set()
        os.close(self._write)

    def _request(self, number: int, frame: object) -> None:
        self.requested = True

    def _watch(self) -> None:
        while os.read(self._read, 1):
            if not self._left.wait(PATIENCE_SECONDS) and not self.unsaved:
                console.say(f"{NOTHING_TO_SAVE}; {self._resume}")
                os._exit(EXIT_INTERRUPTED)
        os.close(self._read)
