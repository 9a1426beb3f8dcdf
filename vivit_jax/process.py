"""A command's process from its first line on: how a signal ends it, and where its output goes.

It imports nothing heavy, so that `begin` runs before anything slow. While modules are imported there is nothing to clean up, and a signal
ends the process at once. While a command runs a signal raises an exception, so that half-made files are removed. Either way one line says
so, and the exit code is 130 for Ctrl-C (SIGINT), 129 for a terminal that is gone (SIGHUP) and 143 for SIGTERM. Training handles signals
itself, see `vivit_jax.runs.stopping`.
"""

import atexit
import contextlib
import gc
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import NoReturn

LAST_WORDS = {signal.SIGINT: "interrupted", signal.SIGHUP: "hung up", signal.SIGTERM: "terminated"}

# How long a command has to clean up after a signal. Python handles signals only between its own instructions, so not while XLA compiles.
GRACE_SECONDS = 5.0

# After which a signal is sent again whose exception was lost.
AGAIN_SECONDS = 0.05

# New objects after which to look for cyclic garbage; Python's own threshold is 700, or 2,000. The first look comes late: importing
# libraries makes some 200,000 objects, and the first trace of a model hardly fewer.
COLLECT_FIRST_AFTER, COLLECT_AFTER = 600_000, 50_000

_program = "vivit"
_owner: int | None = None
_raises = _interruptible = False
_said = False
_wake: int | None = None


class Terminated(BaseException):
    """Raised for SIGTERM and SIGHUP, as KeyboardInterrupt is for SIGINT."""

    def __init__(self, number: signal.Signals = signal.SIGTERM) -> None:
        super().__init__(number)
        self.number = number


def begin(program: str) -> None:
    """Takes charge of the process's signals and streams; a second call changes nothing but the name.

    Args:
      program: what the last line begins with.
    """
    global _program, _owner
    _program = program
    if _owner is not None:
        return
    _owner = os.getpid()
    collect_seldom()
    handle(LAST_WORDS, _on_signal)
    _open_streams()


def handle(numbers: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]) -> dict:
    """Sets the handler of signals, but for a SIGHUP that is ignored, as under nohup; returns those that were set before."""
    heard = [number for number in numbers if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heard}


def collect_seldom() -> None:
    """Looks for cyclic garbage less often than Python does by default, and not at all among what was imported, or is left at the end.

    Importing JAX makes hundreds of thousands of objects and next to no garbage: going through them again and again, and several times at
    exit, took half a second of each command.
    """
    gc.set_threshold(COLLECT_FIRST_AFTER, *gc.get_threshold()[1:])
    gc.callbacks.append(_put_aside)
    atexit.register(gc.freeze)  # registered first, so called last


def _put_aside(phase: str, _: dict) -> None:
    """Puts aside what the first collection has left, which are libraries: no later one goes through them."""
    first, *older = gc.get_threshold()
    if phase == "stop" and first == COLLECT_FIRST_AFTER:
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER, *older)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Makes the first signal raise KeyboardInterrupt or Terminated. A second ends the process, as do GRACE_SECONDS without effect."""
    global _raises, _interruptible
    if _owner is None:
        yield
        return
    _watch()
    _raises = _interruptible = True
    try:
        yield
    finally:
        _raises = _interruptible = False


def sent_again(kind: type[BaseException]) -> bool:
    """Sends a signal again whose exception was raised where nobody can catch it, as in a callback of the garbage collector.

    Returns:
      Whether an exception of this kind is that of a signal.
    """
    global _raises
    number = {KeyboardInterrupt: signal.SIGINT, Terminated: signal.SIGTERM}.get(kind)
    if number is None or os.getpid() != _owner:
        return False
    _raises = _interruptible
    again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()
    return True


def finish(code: int) -> int:
    """Returns the exit code of a command that ends. If it failed and threads are left, exits at once: one of them may hang in a read.

    After Ctrl-C it also exits here: if that came while source code in a string was executed, which is how dataclasses are made, the
    interpreter of `python -m` would end itself by SIGINT, whatever its exit code.
    """
    hanging = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    interrupted = code == 128 + signal.SIGINT
    if interrupted and not hanging:
        atexit._run_exitfuncs()
    if interrupted or (code and hanging):
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    return code


def ended_by(number: signal.Signals) -> int:
    """Prints once that a signal ended the process; returns the exit code that shells give for it."""
    global _said
    if not _said:
        _said = True
        with contextlib.suppress(OSError):  # the terminal may be what is gone
            print(f"{_program}: {LAST_WORDS[number]}", file=sys.stderr, flush=True)
    return 128 + number


def flush_output() -> None:
    """Flushes standard output, or discards it if nobody reads it: else the interpreter would try again at exit, with a traceback."""
    try:
        sys.stdout.flush()
    except OSError:
        if _owner is not None:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)


def _on_signal(number: int, frame: FrameType | None) -> None:
    global _raises
    if os.getpid() != _owner:  # a forked child, whose parent speaks
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    elif _raises and not _importing(frame):
        _raises = False
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(signal.Signals(number))
    else:
        _leave(number)


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported. An exception in the middle of that may end in native code that knows none, and crash."""
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def _leave(number: int) -> NoReturn:
    """Ends the process without flushing buffers or joining threads, which may hang."""
    if not _said:
        with contextlib.suppress(OSError):
            os.write(2, f"{_program}: {LAST_WORDS[signal.Signals(number)]}\n".encode())
    os._exit(128 + number)


def _watch() -> None:
    """Starts a thread that a signal wakes, and that ends the process if the main thread does not do so in time."""
    global _wake
    if _wake is not None or threading.current_thread() is not threading.main_thread():
        return
    read, _wake = os.pipe()
    os.set_blocking(_wake, False)
    signal.set_wakeup_fd(_wake, warn_on_full_buffer=False)
    threading.Thread(target=_end_late, args=(read,), name="signals", daemon=True).start()


def _end_late(read: int) -> None:
    while woken := os.read(read, 1):
        if woken[0] in LAST_WORDS:
            select.select([], [], [], GRACE_SECONDS)
            _leave(woken[0])


def _open_streams() -> None:
    """Opens closed standard streams onto /dev/null, lest a file take their number, and escapes characters that a stream cannot encode."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # not a text file of Python's own
            stream.reconfigure(errors="backslashreplace")
