"""The classes of a head: how many of each are right, how sure that is, and what they are taken for."""

from vivit_jax.analysis.proportions import wilson
from vivit_jax.runs.pages.page import cut, share
from vivit_jax.runs.pages.tables import Cell, Column, table
from vivit_jax.runs.report.confusion import confusion, mistakes

ROWS = 1000  # of all tables of classes; a page with more is slow
LETTERS = 200  # of a class's name


def classes(scores: dict, rows: int) -> str:
    """A table of at most so many classes, those with the most examples, and the confusion matrix where the scores have one."""
    known = {label: row for label, row in scores["per_class"].items() if row["examples"]}
    shown = sorted(known, key=lambda label: -known[label]["examples"])[:rows]
    chosen = [(label, row) for label, row in known.items() if label in set(shown)]
    left_out = f" The {len(shown):,} of {len(known):,} classes with the most examples." if len(shown) < len(known) else ""
    without = len(scores["per_class"]) - len(known)
    left_out += f" {without:,} classes without examples are left out." if without else ""
    made = _of_several_labels(chosen, scores) if "mAP" in scores else _of_one_label(chosen)
    drawn = table(made[0], made[1], f"{made[2]}{left_out}", sortable=True)
    if not scores.get("confusion"):
        return drawn
    labels = [cut(label, LETTERS) for label in scores["per_class"]]
    return f"{drawn}<h3>Confusion</h3>{confusion(scores['confusion'], labels)}{mistakes(scores['confusion'], labels)}"


def _of_one_label(chosen: list[tuple[str, dict]]) -> tuple[list[Column], list[list[Cell]], str]:
    columns = [
        Column("class", number=False),
        Column("examples"),
        Column("right"),
        Column("top-1", "The share of its examples that are right."),
        Column("95% interval", "Of that share, by Wilson: how far chance could carry it with so few examples."),
        Column("", number=False),
    ]
    rows = []
    for label, row in chosen:
        right = min(round((row.get("top1") or 0) * row["examples"]), row["examples"])
        low, high = wilson(max(right, 0), row["examples"])
        counts = [Cell(f"{row['examples']}", row["examples"]), Cell(f"{right}", right), Cell(share(row.get("top1"), 1), row.get("top1"))]
        interval = Cell(f"{low:.1%} to {high:.1%}", low)
        rows.append([Cell(cut(label, LETTERS)), *counts, interval, Cell("", html=_bar(row.get("top1"), low, high))])
    return columns, rows, "How many examples of each class are right. Click a heading to sort."


def _of_several_labels(chosen: list[tuple[str, dict]], scores: dict) -> tuple[list[Column], list[list[Cell]], str]:
    examples = scores.get("examples")
    columns = [
        Column("class", number=False),
        Column("examples", "How many examples have the class."),
        Column("average precision"),
        Column("AUC", "The area under the ROC curve."),
        Column("", number=False),
    ]
    rows = []
    for label, row in chosen:
        precision, auc = row.get("average_precision"), row.get("auc") if isinstance(row.get("auc"), float) else None
        cells = [
            Cell(f"{row['examples']}", row["examples"]),
            Cell(share(precision, 1), precision),
            Cell("" if auc is None else f"{auc:.3f}", auc),
        ]
        rows.append([Cell(cut(label, LETTERS)), *cells, Cell("", html=_bar(precision, None, None))])
    chance = f" By chance it is the share of the {examples:,} examples that have the class." if isinstance(examples, int) else ""
    return columns, rows, f"The average precision of each class.{chance} Click a heading to sort."


def _bar(value: float | None, low: float | None, high: float | None) -> str:
    """A bar of a share in 0..1, with its interval as a line over it."""
    width = min(max(value or 0, 0), 1)
    whisker = "" if low is None or high is None else f'<i style="left:{low:.1%};width:{high - low:.1%}"></i>'
    return f'<div class="bar" aria-hidden="true"><div style="width:{width:.1%}"></div>{whisker}</div>'
