"""Prints for a person who watches a command: lines, and progress bars where there is a terminal.

With several hosts only the first prints; the others are muted.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from vivit_jax.errors import printable

Item = TypeVar("Item")

FILE_WIDTH = 120  # of tables in a log file, in characters

# Where there is no terminal for a bar, work that takes this many seconds is told in lines, each after twice the time of the one before.
FIRST_LINE, LAST_DOUBLING = 30.0, 1800.0


_muted = False
_live: list["_Bar"] = []  # the bars on the terminal: lines go above them
_closed: Callable[[], None] | None = None
_outlasts = False
_beside_results = False


def mute() -> None:
    """Silences this process, because another host prints for it."""
    global _muted
    _muted = True


def when_closed(action: Callable[[], None] | None) -> None:
    """If the reader of the output goes away, calls `action` once instead of ending the process; None undoes that."""
    global _closed
    _closed = action


@contextlib.contextmanager
def outlasting_readers() -> Iterator[None]:
    """For work that makes files: if the reader of the output goes away, as `head` does, the work is done, and then the process ends.

    Raises:
      SystemExit: at the end, with code 1, if the reader went away; any other loss of the output is an error at once, as it is elsewhere.
    """
    global _outlasts
    gone: list[bool] = []
    when_closed(lambda: gone.append(True))
    _outlasts = True
    try:
        yield
    finally:
        when_closed(None)
        _outlasts = False
    if gone:
        raise SystemExit(1)


@contextlib.contextmanager
def beside_results() -> Iterator[None]:
    """Prints to standard error, for a command whose standard output is read by a program."""
    global _beside_results
    _beside_results = True
    try:
        yield
    finally:
        _beside_results = False


def verbatim(text: str) -> str:
    """Text from outside, such as a name, for a line, a table or a bar: no bracket in it is markup, no character controls the terminal."""
    return escape(printable(text))


def say(text: str, *, style: str = "") -> None:
    """Prints a line, escaping characters that could control the terminal."""
    if not _muted:
        _print(_console(), verbatim(text), style=style, soft_wrap=True)


def warn(text: str) -> None:
    """Prints a line that stands out, beginning with `warning:`."""
    say(f"warning: {text}", style="bold yellow")


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun.

    >>> print(counted(1, "file"), counted(1200, "video"), counted(2, "class", "classes"), sep=", ")
    1 file, 1,200 videos, 2 classes
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def first_of(names: Sequence[str], most: int = 5) -> str:
    """The first names of a list, with dots where there are more.

    >>> print(first_of(["a", "b", "c"]), first_of(["a", "b", "c"], 2), sep="; ")
    a, b, c; a, b, ...
    """
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def show(table: Table, *, file_width: int | None = None) -> None:
    """Prints a table, in which a cell that is too long goes on in the next line: a cut name could not be told from its neighbours.

    Args:
      table: what to print.
      file_width: for a wide table, the characters of a line in a log file, where it then has no trailing spaces; None is FILE_WIDTH.
    """
    if _muted:
        return
    for column in table.columns:
        column.overflow = "fold"
    console = _console()
    if console.is_terminal:
        _print(console, table)
        return
    console.width = file_width or FILE_WIDTH
    if file_width is None:
        _print(console, table)
        return
    with console.capture() as printed:
        console.print(table, highlight=False)
    _print(console, "\n".join(line.rstrip() for line in printed.get().splitlines()), markup=False, emoji=False, soft_wrap=True)


def progress_bar(*, shown: bool = True, stderr: bool = False) -> Progress:
    """A bar with the progress, the time left and a task's `note`; in a log file a line now and then.

    `stderr` is for commands whose results go to standard output.
    """
    console = Console(stderr=True) if stderr else _console()
    return _Bar(
        shown and not _muted and not console.is_terminal,
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal and not _muted),
    )


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Shows what is under way, and for how many seconds, where its length is not known and there is a terminal without a bar."""
    console = _console()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    disable = _muted or bool(_live) or not console.is_terminal
    with _Bar(False, *columns, console=console, transient=True, disable=disable) as bar:
        bar.add_task(verbatim(what), total=None)
        yield


def tracked(items: Iterable[Item], title: str, total: int | None, *, shown: bool = True) -> Iterator[Item]:
    """Yields the items under a `progress_bar`, which is a new line of the bar already on the terminal, if there is one."""
    with contextlib.nullcontext(_live[-1]) if _live and shown else progress_bar(shown=shown) as bar:
        task = bar.add_task(title, total=total, note="")
        try:
            for item in items:
                yield item
                bar.advance(task)
        finally:
            bar.remove_task(task)


class _Bar(Progress):
    """A progress bar that `say` prints above while it is on the terminal.

    Args:
      logged: whether to print lines in place of it.
      columns: as for `rich.progress.Progress`, and so are the options.
    """

    def __init__(self, logged: bool, *columns: ProgressColumn, **options: object) -> None:
        super().__init__(*columns, **options)
        self._logged, self._began, self._next = logged, monotonic(), FIRST_LINE

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        elapsed = monotonic() - self._began
        if self._logged and elapsed >= self._next:
            self._next = elapsed + min(elapsed, LAST_DOUBLING)
            task = self.tasks[self.task_ids.index(task_id)]
            of_total = "" if task.total is None else f" of {task.total:,.0f}"
            said = f"{task.description}: {task.completed:,.0f}{of_total} after {elapsed:.0f} s"
            # The note is markup already, as the bar on a terminal shows it.
            _print(self.console, escape(said) + (f", {task.fields['note']}" if task.fields["note"] else ""), soft_wrap=True)

    def start(self) -> None:
        super().start()
        if not self.disable:
            _live.append(self)

    def stop(self) -> None:
        if self in _live:
            _live.remove(self)
        with contextlib.suppress(OSError):  # the terminal is gone: its signal ends the command, and this error would hide the signal
            super().stop()


class _Console(Console):
    def on_broken_pipe(self) -> None:
        _lose_output()


def _console() -> Console:
    if _live:
        return _live[-1].console
    return Console(stderr=True) if _beside_results else _Console(file=sys.stdout)


def _print(console: Console, what: object, **options: object) -> None:
    try:
        console.print(what, highlight=False, **options)
    except OSError as error:
        if _closed is None or _outlasts:
            raise
        if error.errno == errno.EIO:  # the terminal is gone; any other error, such as a full disk under the log, is no reason to stop a run
            _lose_output()


def _lose_output() -> None:
    """Sends further output to /dev/null, as nobody reads it any more."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
    if _closed is None:
        raise SystemExit(1)
    _closed()
