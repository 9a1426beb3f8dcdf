"""What the classes of a head are taken for: the matrix, as a table or, of many classes, as a picture; and the mistakes made most often."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image

from vivit_jax.runs.pages.page import figure, short, text
from vivit_jax.runs.pages.tables import Cell, Column, scrolling, table

CLASSES_IN_A_TABLE = 20
CLASSES_BESIDE = 4  # so many fit beside another figure
PIXELS = 600  # of a picture's side: larger matrices are summed over neighbouring classes
LETTERS = 24  # of a class's name
MISTAKES = 15
INK = (59, 130, 246)
HOW = '<p class="note">Rows are labels, columns predictions, with their number and their share of the row.</p>'


def confusion(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """The confusion matrix: a row for each label, a column for each predicted class."""
    if len(labels) <= CLASSES_IN_A_TABLE:
        css = "confusion" if len(labels) <= CLASSES_BESIDE else "confusion wide"
        return f'<figure class="{css}"><figcaption class="head">Confusion</figcaption>{_table(counts, labels)}{HOW}</figure>'
    matrix = np.array(counts, float)
    by = -(-len(labels) // PIXELS)
    caption = f"Confusion. Rows are labels, columns predictions, of {len(labels):,} classes in their order."
    caption += " The stronger the colour, the larger the share of its row."
    caption += "" if by == 1 else f" Every pixel is the sum over {by} x {by} classes."
    drawn = figure(
        _picture(matrix, by), caption, alt="Confusion matrix; the mistakes made most often are listed beside it.", css="confusion"
    )
    return drawn + _mistakes(matrix, labels)


def _mistakes(matrix: Float[np.ndarray, "n n"], labels: Sequence[str]) -> str:
    """The pairs of a label and a wrong prediction that are most frequent, where the matrix is too large to be read."""
    totals, wrong = matrix.sum(axis=1), matrix * (1 - np.eye(len(matrix)))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MISTAKES]
    found = [(row, column) for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True) if wrong[row, column]]
    columns = [Column("label", number=False), Column("predicted", number=False), Column("examples"), Column("of the label's")]
    names = [short(label, LETTERS) for label in labels]
    rows = [
        [names[a], names[b], Cell(f"{wrong[a, b]:.0f}", wrong[a, b]), Cell(f"{wrong[a, b] / totals[a]:.1%}", wrong[a, b] / totals[a])]
        for a, b in found
    ]
    return f"<figure>{table(columns, rows, 'The mistakes made most often.', sortable=True)}</figure>" if rows else ""


def _table(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    head = "".join(f'<th scope="col"><span>{text(short(label, LETTERS))}</span></th>' for label in labels)
    rows = []
    for i, (label, row) in enumerate(zip(labels, counts, strict=True)):
        total = sum(row) or 1
        cells = "".join(_cell(count, count / total, right=i == j) for j, count in enumerate(row))
        rows.append(f'<tr><th scope="row">{text(short(label, LETTERS))}</th>{cells}</tr>')
    caption = '<caption class="unseen">Confusion: rows are labels, columns predictions</caption>'
    return scrolling(
        f'<table class="matrix">{caption}<thead><tr><td></td>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>', "Confusion"
    )


def _cell(count: int, share: float, *, right: bool) -> str:
    css = "shade right" if right else "shade"
    shown = f"{count}<small>{share:.0%}</small>" if count else ""
    return f'<td class="{css}" style="--share:{share:.3f}">{shown}</td>'


def _picture(matrix: Float[np.ndarray, "n n"], by: int) -> str:
    """The shares of each row as a picture, in a data URI; transparent where there are none."""
    side = -(-len(matrix) // by)
    padded = np.zeros((side * by, side * by))
    padded[: len(matrix), : len(matrix)] = matrix
    summed = padded.reshape(side, by, side, by).sum(axis=(1, 3))
    shares = summed / np.maximum(summed.sum(axis=1, keepdims=True), 1)
    pixels = np.dstack([np.full((side, side), ink, np.uint8) for ink in INK] + [(255 * np.sqrt(shares)).round().astype(np.uint8)])
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
