"""What a person sees while a command runs: lines, and progress bars where there is a terminal.

Of several hosts one speaks: the others are muted.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from vivit_jax.errors import printable

Item = TypeVar("Item")

FILE_WIDTH = 120  # of tables in a log file, in characters


_muted = False
_live: list["_Bar"] = []  # the bars on the terminal: lines go above them
_closed: Callable[[], None] | None = None


def mute() -> None:
    """Silences this process: another host speaks for it."""
    global _muted
    _muted = True


def when_closed(action: Callable[[], None] | None) -> None:
    """Has `action` called once where whoever reads the output goes away, in place of ending the process; None ends it again."""
    global _closed
    _closed = action


def say(text: str, *, style: str = "") -> None:
    """Prints a line, in which what could command a terminal is escaped."""
    if not _muted:
        _print(_console(), escape(printable(text)), style=style, soft_wrap=True)


def warn(text: str) -> None:
    """Prints a loud line."""
    say(f"warning: {text}", style="bold yellow")


def show(table: Table) -> None:
    """Prints a table, on one line a row in a log file."""
    if not _muted:
        console = _console()
        if not console.is_terminal:
            console.width = FILE_WIDTH
        _print(console, table)


def progress_bar(*, shown: bool = True) -> Progress:
    """A bar with what is done, the time left, and a task's `note`."""
    console = _console()
    return _Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal and not _muted),
    )


def tracked(items: Iterable[Item], title: str, total: int | None, *, shown: bool = True) -> Iterator[Item]:
    """The items, under a progress bar; where one is on the terminal, in a line of that."""
    with contextlib.nullcontext(_live[-1]) if _live and shown else progress_bar(shown=shown) as bar:
        task = bar.add_task(title, total=total, note="")
        try:
            for item in items:
                yield item
                bar.advance(task)
        finally:
            bar.remove_task(task)


class _Bar(Progress):
    """A bar above which lines are said while it is on the terminal."""

    def start(self) -> None:
        super().start()
        if not self.disable:
            _live.append(self)

    def stop(self) -> None:
        if self in _live:
            _live.remove(self)
        super().stop()


class _Console(Console):
    def on_broken_pipe(self) -> None:
        _lose_output()


def _console() -> Console:
    return _live[-1].console if _live else _Console(file=sys.stdout)


def _print(console: Console, what: object, **options: object) -> None:
    try:
        console.print(what, highlight=False, **options)
    except OSError as error:
        if _closed is None:
            raise
        if error.errno == errno.EIO:  # the terminal is gone
            _lose_output()  # a log on a full disk is no reason to stop what it is of


def _lose_output() -> None:
    """Sends further output nowhere, as it has no reader any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if _closed is None:
        raise SystemExit(1)
    _closed()
