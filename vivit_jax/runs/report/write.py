"""Writes a run's report from what its work directory holds."""

import pathlib

from vivit_jax.atomic import write_atomically
from vivit_jax.inference.scores import heads_of
from vivit_jax.runs.pages import charts, clips, tables
from vivit_jax.runs.pages.page import cut, page_of, text
from vivit_jax.runs.record import REPORT, open_run
from vivit_jax.runs.report.classes import ROWS, classes
from vivit_jax.runs.report.clips import clips as surest
from vivit_jax.runs.report.confusion import confusion
from vivit_jax.runs.report.curves import curves
from vivit_jax.runs.report.explorations import explorations
from vivit_jax.runs.report.headline import headline
from vivit_jax.runs.report.predictions import Example, examples_of
from vivit_jax.runs.report.reliability import reliability
from vivit_jax.runs.report.setting import setting
from vivit_jax.runs.report.two_classes import thresholds

PAGE_BYTES = 4_800_000
HEADS = 20
LETTERS = 200  # of a name
STYLES, SCRIPTS = ("report.css",), (charts.SCRIPT, tables.SCRIPT, clips.SCRIPT)
NO_PREDICTIONS = "The predictions are not as <code>vivit evaluate</code> writes them: neither clips nor calibration can be shown."
CLIPS_HEADING = ' class="clips-heading"'


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
    run = open_run(workdir)
    metrics, evaluation = run.metrics(), run.evaluation()
    examples = examples_of(evaluation) if evaluation else []
    sections = {
        "Other evaluations": explorations(evaluation, run.explorations()),
        "Training": curves(metrics, evaluation.get("step") if evaluation else None),
        **(_heads(evaluation, examples) if evaluation else {}),
        "Clips": "",
        "Setting": setting(run),
    }
    if examples:
        room = PAGE_BYTES - len("".join(sections.values()).encode(errors="replace"))
        sections["Clips"] = surest(run, evaluation, examples, room)
    elif evaluation and evaluation.get("predictions"):
        sections["Clips"] = f"<p>{NO_PREDICTIONS}</p>"
    path = run.path / REPORT
    body = _body(headline(run, metrics, evaluation), sections)
    write_atomically(path, page_of(run.experiment.name, body, styles=STYLES, scripts=SCRIPTS))
    return path


def _body(top: str, sections: dict[str, str]) -> str:
    """The sections that are not empty, with links to them."""
    shown = {title: inner for title, inner in sections.items() if inner}
    links = "".join(f'<a href="#part-{number}">{text(title)}</a>' for number, title in enumerate(shown))
    parts = "".join(
        f'<section id="part-{number}"><h2{CLIPS_HEADING if title == "Clips" else ""}>{text(title)}</h2>{inner}</section>'
        for number, (title, inner) in enumerate(shown.items())
    )
    return f'<header>{top}<nav aria-label="Parts of the page">{links}</nav></header><main>{parts}</main>'


def _heads(evaluation: dict, examples: list[Example]) -> dict[str, str]:
    """A section for each head, by title."""
    heads = heads_of(evaluation)
    shown = list(heads.items())[:HEADS]
    sections = {
        f"Classes of {cut(head, LETTERS)}" if head else "Classes": _head(f"head-{number}", head, scores, examples, ROWS // len(shown))
        for number, (head, scores) in enumerate(shown)
    }
    return sections | ({"Other heads": f"<p>{len(heads) - HEADS} more heads are left out.</p>"} if len(heads) > HEADS else {})


def _head(name: str, head: str, scores: dict, examples: list[Example], rows: int) -> str:
    """The classes of a head, what they are taken for, the trade between them, and whether its probabilities mean what they say."""
    labels, predictions = list(scores["per_class"]), [example.by_head[head] for example in examples]
    drawn = confusion(scores["confusion"], labels) if scores.get("confusion") else ""
    drawn += reliability(predictions, labels, multi_label="mAP" in scores, name=name) + thresholds(predictions, labels, name)
    return classes(scores, rows) + (f'<div class="beside">{drawn}</div>' if drawn else "")
