"""What a person sees while a command runs: lines, and progress bars where there is a terminal. Hosts other than the first are silent."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

import jax
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

Item = TypeVar("Item")

FILE_WIDTH = 120  # of tables in a log file, in characters


def say(text: str, *, style: str = "") -> None:
    """Prints a line on the first host."""
    if jax.process_index() == 0:
        _console().print(escape(text), style=style, soft_wrap=True, highlight=False)


def warn(text: str) -> None:
    """Prints a loud line on the first host."""
    say(f"warning: {text}", style="bold yellow")


def show(table: Table) -> None:
    """Prints a table on the first host."""
    if jax.process_index() == 0:
        console = _console()
        if not console.is_terminal:
            console.width = FILE_WIDTH
        console.print(table, highlight=False)


def progress_bar(*, shown: bool = True) -> Progress:
    """A bar with what is done, the time left, and a task's `note`."""
    console = _console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal and jax.process_index() == 0),
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
