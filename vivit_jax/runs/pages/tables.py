"""Tables of a page: with headings for screen readers, scrolled by the keyboard where they are wide, sorted by a click."""

import dataclasses
from collections.abc import Collection, Sequence

from vivit_jax.runs.pages.page import text

SCRIPT = "tables.js"
UNSEEN, MARKED = ' class="unseen"', ' class="marked"'


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
      title: its heading.
      meaning: what it is, in a sentence; empty where the heading says it.
      number: whether it holds numbers, which are aligned right.
    """

    title: str
    meaning: str = ""
    number: bool = True


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
      shown: its text.
      value: the number it is sorted by; None sorts a cell of a number column last, and others by their text.
      html: drawn after the text; the caller escapes it.
    """

    shown: str
    value: float | None = None
    html: str = ""


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell | str]],
    caption: str,
    *,
    sortable: bool = False,
    marked: Collection[int] = (),
    hidden_caption: bool = False,
) -> str:
    """A table as HTML. The first cell of a row names it.

    Args:
      columns: its columns.
      rows: a cell for each column.
      caption: what the table shows.
      sortable: whether headings sort it; the page then needs SCRIPT.
      marked: the numbers of the rows to emphasise.
      hidden_caption: whether only screen readers get the caption.
    """
    head = "".join(map(_heading, columns))
    body = "".join(_row(columns, row, sortable=sortable, marked=number in marked) for number, row in enumerate(rows))
    said = f"<caption{UNSEEN if hidden_caption else ''}><span>{text(caption)}</span></caption>"
    css = ' class="sortable"' if sortable else ""
    return scrolling(f"<table{css}>{said}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", caption)


def scrolling(inner: str, label: str) -> str:
    """A table that a narrow page scrolls sideways, with the keyboard too."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{text(label)}">{inner}</div>'


def meanings(columns: Sequence[Column]) -> str:
    """What the columns mean, folded."""
    said = "".join(f"<dt>{text(column.title)}</dt><dd>{text(column.meaning)}</dd>" for column in columns if column.meaning)
    return f"<details><summary>What the columns mean</summary><dl>{said}</dl></details>"


def name(value: str) -> str:
    """A name, broken where it would take too much of a line."""
    return f'<span class="name">{text(value)}</span>'


def _heading(column: Column) -> str:
    """A column's heading; one that says nothing, over a drawing of the number beside it, is no heading to screen readers either."""
    return f'<th scope="col"{_css(column)}{_title(column)}>{text(column.title)}</th>' if column.title else "<td></td>"


def _row(columns: Sequence[Column], row: Sequence[Cell | str], *, sortable: bool, marked: bool) -> str:
    cells = []
    for number, (column, cell) in enumerate(zip(columns, row, strict=True)):
        cell = cell if isinstance(cell, Cell) else Cell(cell)
        tag, scope = ("td", "") if number else ("th", ' scope="row"')
        shown = name(cell.shown) if cell.shown and not column.number else text(cell.shown)
        cells.append(f"<{tag}{scope}{_css(column)}{_value(column, cell) if sortable else ''}>{shown}{cell.html}</{tag}>")
    return f"<tr{MARKED if marked else ''}>{''.join(cells)}</tr>"


def _css(column: Column) -> str:
    return ' class="number"' if column.number else ""


def _title(column: Column) -> str:
    return f' title="{text(column.meaning)}"' if column.meaning else ""


def _value(column: Column, cell: Cell) -> str:
    """What a row is sorted by, where that is a number."""
    if cell.value is not None:
        return f' data-value="{cell.value}"'
    return ' data-value=""' if column.number else ""
