"""A comparison as files: `compare.json`, `compare.md` and `compare.html`."""

import pathlib
import re

from vivit_jax.atomic import json_of, write_together
from vivit_jax.data.dataset import VideoDataset
from vivit_jax.errors import UserError, printable
from vivit_jax.runs.comparison.page import comparison_page
from vivit_jax.runs.comparison.result import HARDEST, Comparison
from vivit_jax.runs.comparison.tables import Table, method, pairs_table, runs_table, verdict

JSON, MARKDOWN, PAGE = "compare.json", "compare.md", "compare.html"


def write_comparison(comparison: Comparison, folder: pathlib.Path, dataset: VideoDataset | None) -> None:
    """Writes all three files, or none.

    Args:
      comparison: what they show.
      folder: where to write them; made if it does not exist.
      dataset: the data set whose clips the page shows; None if it cannot be opened.

    Raises:
      UserError: if the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {folder} cannot be made a folder: {error.strerror}") from None
    files = {
        JSON: json_of(comparison.to_dict()),
        MARKDOWN: _markdown(comparison).encode("utf-8", "backslashreplace"),
        PAGE: comparison_page(comparison, dataset),
    }
    write_together({folder / name: contents for name, contents in files.items()})


def _markdown(comparison: Comparison) -> str:
    hardest = comparison.hardest()
    parts = [
        f"# {len(comparison.entries)} runs on {_escaped(comparison.title)}, {len(comparison.predictions.videos):,} videos",
        _escaped(verdict(comparison)),
        _table(runs_table(comparison)),
        "Bold runs are on the Pareto front of score against GMAC a video: no other is as good for less, nor better for as much.",
        "## Pairs",
        _table(pairs_table(comparison)),
        f"## Videos that every run gets wrong: {len(hardest)}",
        "\n".join(f"- {_wrong(comparison, video)}" for video in hardest[:HARDEST]),
        "## How",
        "\n".join(f"- {_escaped(sentence)}" for sentence in method(comparison)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _wrong(comparison: Comparison, video: int) -> str:
    facts = comparison.describe(video)
    predicted = "; ".join(f"{name}: {prediction}" for name, prediction in facts["predictions"].items())
    return _escaped(f"{facts['video']} is {', '.join(facts['label']) or 'none'} ({predicted})")


def _table(table: Table) -> str:
    head = " | ".join(_escaped(column.title) for column in table.columns)
    line = " | ".join("---:" if column.number else "---" for column in table.columns)
    rows = []
    for number, row in enumerate(table.rows):
        cells = [_escaped(cell) for cell in row]
        if number in table.marked:
            cells[0] = f"**{cells[0]}**"
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([f"| {head} |", f"| {line} |", *rows])


def _escaped(text: str) -> str:
    """Text in which nothing is markup."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(printable(text).split()))
