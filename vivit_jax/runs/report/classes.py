"""The classes of a head: how many examples of each are right, and how sure that is."""

from vivit_jax.runs.pages.page import cut, share
from vivit_jax.runs.pages.tables import Cell, Column, meanings, table
from vivit_jax.statistics.proportions import wilson

ROWS = 1000  # of all tables of classes; a page with more is slow
LETTERS = 200  # of a class's name
BAR = Column("", number=False)


def classes(scores: dict, rows: int) -> str:
    """A table of at most so many classes, those with the most examples."""
    known = {label: row for label, row in scores["per_class"].items() if row["examples"]}
    shown = set(sorted(known, key=lambda label: -known[label]["examples"])[:rows])
    chosen = [(label, row) for label, row in known.items() if label in shown]
    left_out = f" The {len(shown):,} of {len(known):,} classes with the most examples." if len(shown) < len(known) else ""
    without = len(scores["per_class"]) - len(known)
    left_out += f" {without:,} {'class' if without == 1 else 'classes'} without examples left out." if without else ""
    columns, cells, caption = _of_several_labels(chosen, scores) if "mAP" in scores else _of_one_label(chosen)
    return table(columns, cells, caption + left_out, sortable=True) + meanings(columns)


def _of_one_label(chosen: list[tuple[str, dict]]) -> tuple[list[Column], list[list[Cell]], str]:
    columns = [
        Column("class", number=False),
        Column("top-1", "The share of its examples that are right."),
        BAR,
        Column("95% interval", "Of that share, by Wilson: how far it could be off by chance with so few examples."),
        Column("right"),
        Column("examples"),
    ]
    rows = []
    for label, row in chosen:
        examples, top1 = row["examples"], row.get("top1")
        right = min(max(round((top1 or 0) * examples), 0), examples)
        low, high = wilson(right, examples)
        cells = [Cell(share(top1, 1), top1), Cell("", html=_bar(top1, low, high)), Cell(f"{low:.1%} to {high:.1%}", low)]
        rows.append([Cell(cut(label, LETTERS)), *cells, Cell(f"{right}", right), Cell(f"{examples}", examples)])
    return columns, rows, "How many examples of each class are right."


def _of_several_labels(chosen: list[tuple[str, dict]], scores: dict) -> tuple[list[Column], list[list[Cell]], str]:
    columns = [
        Column("class", number=False),
        Column("average precision"),
        BAR,
        Column("AUC", "The area under the ROC curve."),
        Column("examples", "How many examples have the class."),
    ]
    rows = []
    for label, row in chosen:
        precision, auc = row.get("average_precision"), row.get("auc") if isinstance(row.get("auc"), float) else None
        cells = [Cell(share(precision, 1), precision), Cell("", html=_bar(precision)), Cell("" if auc is None else f"{auc:.3f}", auc)]
        rows.append([Cell(cut(label, LETTERS)), *cells, Cell(f"{row['examples']}", row["examples"])])
    examples = scores.get("examples")
    chance = f" By chance it is the share of the {examples:,} examples that have the class." if isinstance(examples, int) else ""
    return columns, rows, f"The average precision of each class.{chance}"


def _bar(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """A bar of a share in 0..1, with its interval as a line over it."""
    width = min(max(value or 0, 0), 1)
    whisker = "" if low is None or high is None else f'<i style="left:{low:.1%};width:{high - low:.1%}"></i>'
    return f'<div class="bar" aria-hidden="true"><div style="width:{width:.1%}"></div>{whisker}</div>'
