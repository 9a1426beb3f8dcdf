"""Writes a run's report from what its work directory holds."""

import pathlib

from vivit_jax.runs import record as runs
from vivit_jax.runs.pages import charts, clips, tables
from vivit_jax.runs.pages.page import cut, text, write_page
from vivit_jax.runs.report.classes import ROWS, classes
from vivit_jax.runs.report.clips import clips as surest
from vivit_jax.runs.report.curves import curves
from vivit_jax.runs.report.explorations import explorations
from vivit_jax.runs.report.headline import headline
from vivit_jax.runs.report.predictions import Example, examples_of, heads_of
from vivit_jax.runs.report.reliability import reliability
from vivit_jax.runs.report.setting import setting
from vivit_jax.runs.report.two_classes import thresholds

PAGE_BYTES = 4_800_000

CSS = """
.matrix { width: auto; }
.matrix thead th { text-align: center; max-width: 7rem; padding: .35rem .5rem; font-weight: 400; overflow-wrap: anywhere; }
.matrix tbody th { text-align: right; max-width: 11rem; overflow-wrap: anywhere; vertical-align: middle; }
.matrix td.shade { min-width: 3.2rem; height: 2.4rem; vertical-align: middle; border: 2px solid var(--page); border-radius: .4rem; }
.clip p { margin: .2rem 0; color: var(--ink); }
.mark { color: var(--bad); font-weight: 700; }
.mark.right { color: var(--good); }
.ranking { list-style: none; margin: 0; padding: 0; }
.ranking li { display: grid; grid-template-columns: 1fr auto; gap: 0 .5rem; padding: .1rem 0; color: var(--soft); }
.ranking b { font-weight: 400; font-variant-numeric: tabular-nums; }
.ranking i { grid-column: 1 / -1; height: .2rem; border-radius: .1rem; background: var(--soft); }
.ranking .of-label { color: var(--ink); }
.ranking .of-label i { background: var(--good); }
"""
HEADS = 20
LETTERS = 200  # of a head's name


def write_report(workdir: str | pathlib.Path) -> pathlib.Path:
    """Writes `report.html` from what a work directory holds so far.

    The page stays below 5 MB: of many steps, classes and clips it shows some, and says which.

    Args:
      workdir: the run's work directory. If metrics, scores or the data set are missing, the page says so in place of what they would show.

    Returns:
      The report's path.

    Raises:
      UserError: if it is not a work directory.
    """
    run = runs.open_run(workdir)
    metrics, evaluation = run.metrics(), run.evaluation()
    tested = evaluation.get("step") if evaluation else None
    parts = [
        f"<header>{headline(run, metrics, evaluation)}</header>",
        explorations(evaluation, run.explorations()),
        f"<h2>Training</h2>{curves(metrics, tested)}",
    ]
    last = f"<h2>Setting</h2>{setting(run)}"
    if evaluation:
        examples = examples_of(evaluation)
        parts += _heads(evaluation, examples)
        if examples:
            room = PAGE_BYTES - len("".join([*parts, last]).encode(errors="replace"))
            parts.append(f"<h2>Clips</h2>{surest(run, evaluation, examples, room)}")
    path = run.path / "report.html"
    body = f"<main>{''.join([*parts, last])}</main>"
    write_page(path, run.experiment.name, body, css=CSS, scripts=(charts.SCRIPT, tables.SCRIPT, clips.SCRIPT))
    return path


def _heads(evaluation: dict, examples: list[Example]) -> list[str]:
    """A part for each head: its classes, what they are taken for, thresholds and calibration."""
    heads = heads_of(evaluation)
    shown = list(heads.items())[:HEADS]
    parts = [_head(number, head, scores, examples, ROWS // len(shown)) for number, (head, scores) in enumerate(shown)]
    return [*parts, f"<p>{len(heads) - HEADS} more heads are left out.</p>"] if len(heads) > HEADS else parts


def _head(number: int, head: str, scores: dict, examples: list[Example], rows: int) -> str:
    labels, said = list(scores["per_class"]), [example.said[head] for example in examples]
    drawn = thresholds(said, labels, f"head-{number}") + reliability(said, labels, multi_label="mAP" in scores, name=f"head-{number}")
    title = f"Classes of {text(cut(head, LETTERS))}" if head else "Classes"
    probabilities = f'<h3>Probabilities</h3><div class="grid">{drawn}</div>' if drawn else ""
    return f"<h2>{title}</h2>{classes(scores, rows)}{probabilities}"
