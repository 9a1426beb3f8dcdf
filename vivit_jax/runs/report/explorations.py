"""All evaluations of a run side by side: its own test first, then other splits, views, data sets and steps."""

from vivit_jax.runs.pages.page import cut, share
from vivit_jax.runs.pages.tables import Cell, Column, table
from vivit_jax.runs.record import EVALUATION, views_in_words

FILES = 200  # in the table
LETTERS = 200

COLUMNS = (
    Column("file", number=False),
    Column("data set", number=False),
    Column("split", number=False),
    Column("views", "Times and crops of each example.", number=False),
    Column("step", "The training step of the model."),
    Column("examples"),
    Column("score"),
    Column("top-5"),
    Column("loss"),
)


def explorations(own: dict | None, found: dict[str, dict]) -> str:
    """A table of the evaluations by file name; nothing where there is none but the run's own test."""
    if not found:
        return ""
    evaluations = ({EVALUATION: own} if own else {}) | found
    rows = [_row(file, evaluation) for file, evaluation in list(evaluations.items())[:FILES]]
    caption = (
        "The run's own test, in bold, and the other evaluations." if own else "Other evaluations; the run's own test is not there yet."
    )
    left_out = f" {len(found) - FILES:,} more files are left out." if len(found) > FILES else ""
    return table(COLUMNS, rows, caption + left_out, sortable=True, marked={0} if own else ())


def _row(file: str, evaluation: dict) -> list[Cell]:
    mirrored = " and mirrored" if evaluation.get("flip") else ""
    step = evaluation.get("step")
    score = evaluation.get("mAP", evaluation["top1"])
    return [
        Cell(cut(file, LETTERS)),
        Cell(cut(evaluation.get("name", ""), LETTERS)),
        Cell(cut(evaluation["split"], LETTERS)),
        Cell(views_in_words(evaluation) + mirrored),
        Cell("unknown" if step is None else f"{step}", step),
        Cell(f"{evaluation['examples']}", evaluation["examples"]),
        Cell(f"{'mAP' if 'mAP' in evaluation else 'top-1'} {share(score)}", score),
        Cell(share(evaluation["top5"]), evaluation["top5"]),
        Cell(f"{evaluation['loss']:.4f}", evaluation["loss"]),
    ]
