"""What a person sees while a command runs: lines, and progress bars where there is a terminal.

Of several hosts one speaks: the others are muted.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from vivit_jax.errors import printable

Item = TypeVar("Item")

FILE_WIDTH = 120  # of tables in a log file, in characters


_muted = False


def mute() -> None:
    """Silences this process: another host speaks for it."""
    global _muted
    _muted = True


def say(text: str, *, style: str = "") -> None:
    """Prints a line, in which what could command a terminal is escaped."""
    if not _muted:
        _console().print(escape(printable(text)), style=style, soft_wrap=True, highlight=False)


def warn(text: str) -> None:
    """Prints a loud line."""
    say(f"warning: {text}", style="bold yellow")


def show(table: Table) -> None:
    """Prints a table, on one line a row in a log file."""
    if not _muted:
        console = _console()
        if not console.is_terminal:
            console.width = FILE_WIDTH
        console.print(table, highlight=False)


def progress_bar(*, shown: bool = True, stderr: bool = False) -> Progress:
    """A bar with what is done, the time left, and a task's `note`; on standard error where standard output is for results."""
    console = Console(stderr=True) if stderr else _console()
    return Progress(
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
    """The items, under a progress bar."""
    with progress_bar(shown=shown) as bar:
        task = bar.add_task(title, total=total, note="")
        for item in items:
            yield item
            bar.advance(task)


def _console() -> Console:
    return Console(file=sys.stdout)
