"""A run on one page: `report.html`, a single file that needs nothing from elsewhere and reads on a phone and in the dark."""

import base64
import html
import io
import json
import pathlib
import unicodedata
from collections.abc import Iterable

import numpy as np
from PIL import Image

from vivit_jax.data.dataset import VideoDataset, open_dataset
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.errors import UserError
from vivit_jax.files import write_atomically
from vivit_jax.inference.label_spaces import ASSUMED
from vivit_jax.models.families import family_of
from vivit_jax.runs import plots
from vivit_jax.runs import record as runs

CLIPS_SHOWN = 6
CLIP_FRAMES = 16
CLIP_PIXELS = 128

TIME_SHARES = {"waiting for data": "train/data_wait", "waiting for the device": "train/device_wait", "host": "train/host_time"}

CSS = """
:root { color-scheme: light dark; --ink: #1f2937; --soft: #6b7280; --page: #ffffff; --card: #f3f4f6; --line: #e5e7eb; --bar: #3b82f6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e5e7eb; --soft: #9ca3af; --page: #111827; --card: #1f2937; --line: #374151; --bar: #60a5fa; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.2rem; font: 16px/1.5 system-ui, sans-serif; }
body { color: var(--ink); background: var(--page); }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .8rem; }
h3 { font-size: 1rem; margin: 1rem 0 .5rem; color: var(--soft); font-weight: 600; }
p, .soft { color: var(--soft); margin: .2rem 0; }
.headline { font-size: 3rem; font-weight: 700; line-height: 1.1; margin: 1rem 0 .2rem; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }
.clips { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
figure { margin: 0; padding: .7rem; background: var(--card); border-radius: .6rem; overflow: hidden; }
figure img { display: block; width: 100%; height: auto; }
figure.confusion img { max-width: 44rem; margin: auto; }
figcaption { font-size: .85rem; color: var(--soft); margin-top: .4rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; }
.bar { background: var(--line); border-radius: 3px; min-width: 6rem; height: .7rem; margin-top: .4rem; }
.bar div { background: var(--bar); border-radius: 3px; height: 100%; }
details { background: var(--card); border-radius: .6rem; padding: .7rem; margin: .6rem 0; }
summary { cursor: pointer; font-weight: 600; }
code { font: .85rem ui-monospace, monospace; overflow-wrap: anywhere; }
"""


def write_report(workdir: str | pathlib.Path) -> pathlib.Path:
    """Writes `report.html` from what a work directory holds so far.

    Args:
      workdir: of a run; metrics, scores and the data set may be missing, and what they would show is then left out with a word on it.

    Returns:
      The report's path.

    Raises:
      UserError: if it is not a work directory.
    """
    run = runs.open_run(workdir)
    metrics, evaluation = run.metrics(), run.evaluation()
    tested = evaluation.get("step") if evaluation else None
    body = [_headline(run, metrics, evaluation), _others(run), _curves(metrics, tested)]
    if evaluation:
        body += [_classes(head, scores) for head, scores in _heads(evaluation).items()]
        body.append(_clips(run, evaluation))
    body.append(_setting(run))
    path = run.path / "report.html"
    page = _page(run.experiment.name, "\n".join(body))
    write_atomically(path, page.encode("utf-8", "backslashreplace"))  # JSON may hold halves of characters
    return path


def _page(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<style>{CSS}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _headline(run: runs.Run, metrics: list[dict], evaluation: dict | None) -> str:
    model, name = run.experiment.model, "mAP" if run.experiment.multi_label else "top1"
    description = f"{family_of(model).describe(model)}, clips of {' x '.join(map(str, model.clip))}"
    lines = [f"<h1>{_text(run.experiment.name)}</h1>", f"<p>{_text(description)}</p>"]
    if evaluation:
        split = _text(f"{evaluation.get('name', run.experiment.data.name)} {evaluation['split']}")
        top1 = f"top-1: {evaluation['hits']} of {evaluation['examples']} examples of {split}, views of each: {evaluation['views']}"
        if evaluation.get("step") is not None:
            top1 += f", model of step {evaluation['step']}"
        lines += [
            f'<div class="headline">{_share(evaluation.get("mAP", evaluation["top1"]))}</div>',
            f"<p>mean average precision; {top1}</p>" if "mAP" in evaluation else f"<p>{top1}</p>",
            f"<p>top-5 {evaluation['top5']:.2%}, loss {evaluation['loss']:.4f}</p>",
        ]
        if evaluation.get("labels_from") == ASSUMED:
            lines.append("<p>The model's classes have no names: those of the data set, in its order, are assumed.</p>")
    elif validated := [row for row in metrics if f"val/{name}" in row]:
        best = max(validated, key=lambda row: row[f"val/{name}"])
        title = {"top1": "top-1", "mAP": "mean average precision"}[name]
        lines.append(
            f'<div class="headline">{best[f"val/{name}"]:.2%}</div><p>best validation {title}, at step {best["step"]}; not tested yet</p>'
        )
    else:
        lines.append("<p>Not evaluated yet.</p>")
    return "\n".join(lines)


def _others(run: runs.Run) -> str:
    """A table of all evaluations but the run's own test: other splits, views, data sets and steps."""
    found = run.explorations()
    if not found:
        return ""
    titles = ("data set", "split", "views", "step", "examples", "score", "top-5", "loss", "file")
    rows = "".join(f"<tr>{''.join(f'<td>{_text(str(cell))}</td>' for cell in _summary(name, of))}</tr>" for name, of in found.items())
    head = "".join(f"<th>{title}</th>" for title in titles)
    return f'<h2>Other evaluations</h2><div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _summary(file: str, evaluation: dict) -> tuple[object, ...]:
    views = (
        f"{evaluation.get('temporal_views', '?')}x{evaluation.get('spatial_views', '?')}{' and mirrored' if evaluation.get('flip') else ''}"
    )
    step = "unknown" if evaluation.get("step") is None else evaluation["step"]
    score = f"mAP {_share(evaluation['mAP'])}" if "mAP" in evaluation else f"top-1 {_share(evaluation['top1'])}"
    shown = (evaluation.get("name", ""), evaluation["split"], views, step, evaluation["examples"], score)
    return *shown, _share(evaluation["top5"]), f"{evaluation['loss']:.4f}", file


def _curves(metrics: list[dict], tested: int | None) -> str:
    """The curves of the training; the point of the test lies at the step of the model that was `tested`, where that is known."""
    if tested is not None:
        metrics = [row | {"step": tested} if any(key.startswith("test/") for key in row) else row for row in metrics]
    figures = [
        ("loss", {"training": "train/loss", "validation": "val/loss"}, {}),
        ("top-1", {"training": "train/top1", "validation": "val/top1", "test": "test/top1"}, {"share": True}),
        ("mean average precision", {"validation": "val/mAP", "test": "test/mAP"}, {"share": True}),
        ("learning rate", {"": "train/learning_rate"}, {}),
        ("clips per second", {"": "train/clips_per_second"}, {}),
        ("share of the time", TIME_SHARES, {"share": True}),
    ]
    drawn = []
    for ylabel, keys, options in figures:
        named = {name: _curve(metrics, key) for name, key in keys.items()}
        named = {name: curve for name, curve in named.items() if curve[0]}
        if named:
            drawn.append(_figure(plots.curves(named, ylabel=ylabel, **options), "", alt=f"{ylabel} over the steps"))
    return f'<h2>Training</h2><div class="grid">{"".join(drawn)}</div>' if drawn else "<h2>Training</h2><p>No metrics yet.</p>"


def _curve(metrics: list[dict], key: str) -> plots.Curve:
    rows = [(row["step"], row[key]) for row in metrics if row.get(key) is not None and np.isfinite(row[key])]
    return [step for step, _ in rows], [value for _, value in rows]


def _heads(evaluation: dict) -> dict[str, dict]:
    return evaluation.get("heads") or {"": evaluation}


def _classes(head: str, scores: dict) -> str:
    title = f"Classes of {_text(head)}" if head else "Classes"
    counts, metric = ("examples", "average precision") if "mAP" in scores else ("right", "top-1")
    rows = "".join(_class_row(label, row) for label, row in scores["per_class"].items() if row["examples"])
    titles = f'<th>class</th><th class="number">{counts}</th><th class="number">{metric}</th><th></th>'
    table = f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table></div>'
    matrix = ""
    if scores.get("confusion"):
        matrix = "<h3>Confusion</h3>" + _figure(
            plots.confusion(scores["confusion"], list(scores["per_class"])), "", alt="confusion matrix", css="confusion"
        )
    return f"<h2>{title}</h2>{table}{matrix}"


def _class_row(label: str, row: dict) -> str:
    value = row.get("top1", row.get("average_precision"))
    count = f"{round(row['top1'] * row['examples'])} of {row['examples']}" if "top1" in row else str(row["examples"])
    bar = f'<div class="bar"><div style="width:{value or 0:.1%}"></div></div>'
    cells = f'<td class="number">{count}</td><td class="number">{_share(value, digits=1)}</td><td>{bar}</td>'
    return f"<tr><td>{_text(label)}</td>{cells}</tr>"


def _share(value: float | None, digits: int = 2) -> str:
    return "undefined" if value is None else f"{value:.{digits}%}"


def _clips(run: runs.Run, evaluation: dict) -> str:
    """The clips the model was surest of, among those it got right and among those it got wrong; models with one head alone."""
    predictions = evaluation.get("predictions")
    if not predictions or "heads" in evaluation:
        return ""
    data = run.experiment.data
    try:
        dataset = open_dataset(evaluation.get("name", data.name), data.data_dir)
        rows = [_named(row, list(evaluation["per_class"])) for row in predictions]
        surest = sorted(rows, key=lambda row: -row["probability"])
        right = [row for row in surest if row["prediction"] in row["label"]][:CLIPS_SHOWN]
        wrong = [row for row in surest if row["prediction"] not in row["label"]][:CLIPS_SHOWN]
        groups = [
            f'<h3>{title}</h3><div class="clips">{"".join(_clip(dataset, evaluation["split"], row) for row in rows)}</div>'
            for title, rows in (("Right, and sure of it", right), ("Wrong, and sure of it", wrong))
            if rows
        ]
    except UserError as error:
        groups = [f"<p>The clips cannot be shown: {_text(str(error))}</p>"]
    return "<h2>Clips</h2>" + "".join(groups)


def _clip(dataset: VideoDataset, split: str, row: dict) -> str:
    source = dataset.source(split)
    if row["index"] >= len(source):
        raise UserError(f"split {split} of data set {dataset.name} has {len(source)} videos, and number {row['index']} was scored")
    record = source[row["index"]]
    count = int(record["frames"])
    frames = decode_frames(record["video"], np.linspace(0, count - 1, min(CLIP_FRAMES, count)).round().astype(int))
    right = row["prediction"] in row["label"]
    said = f"{row['prediction']} {row['probability']:.1%}" + ("" if right else f", but it is {', '.join(row['label']) or 'none'}")
    return _figure(_animation(frames, seconds=count / float(record["fps"])), f"{record['name']}: {said}", alt=said)


def _named(row: dict, labels: list[str]) -> dict:
    """A prediction with its classes as names, of which earlier versions have the numbers, and the labels as a list."""

    def name(of: str | int) -> str:
        return of if isinstance(of, str) else labels[of] if of < len(labels) else str(of)

    label = row["label"] if isinstance(row["label"], list) else [row["label"]]
    return row | {"prediction": name(row["prediction"]), "label": [name(one) for one in label]}


def _animation(frames: np.ndarray, seconds: float) -> str:
    """Frames (t, h, w, 3) as an animated WebP that takes `seconds` a round."""
    images = [Image.fromarray(frame) for frame in frames]
    for image in images:
        image.thumbnail((2 * CLIP_PIXELS, CLIP_PIXELS))
    buffer = io.BytesIO()
    images[0].save(buffer, "WEBP", save_all=True, append_images=images[1:], duration=max(20, round(1000 * seconds / len(images))), loop=0)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _setting(run: runs.Run) -> str:
    sections = {name: values for name, values in run.config.items() if isinstance(values, dict)}
    single = {name: value for name, value in run.config.items() if name not in sections}
    tables = "".join(f"<h3>{_text(name)}</h3>{_table(values.items())}" for name, values in sections.items())
    surroundings = _table((name, value) for name, value in run.surroundings.items() if not isinstance(value, dict))
    surroundings += "".join(
        f"<h3>{_text(name)}</h3>{_table(value.items())}" for name, value in run.surroundings.items() if isinstance(value, dict)
    )
    return (
        f"<h2>Setting</h2><details><summary>Configuration</summary>{_table(single.items())}{tables}</details>"
        f"<details><summary>Versions and machine</summary>{surroundings}</details>"
    )


def _table(rows: Iterable[tuple[str, object]]) -> str:
    cells = "".join(
        f"<tr><td>{_text(str(name))}</td><td><code>{_text(json.dumps(value, ensure_ascii=False))}</code></td></tr>" for name, value in rows
    )
    return f'<div class="scroll"><table><tbody>{cells}</tbody></table></div>'


def _text(text: str) -> str:
    """Text as a page shows it: nothing in it is markup, and nothing turns the direction of what comes after it."""
    unsafe = {"Cc", "Cs"}, {"LRO", "RLO", "LRE", "RLE", "PDF", "LRI", "RLI", "FSI", "PDI"}
    shown = (
        c.encode("unicode_escape").decode()
        if (unicodedata.category(c) in unsafe[0] and c not in "\n\t") or unicodedata.bidirectional(c) in unsafe[1]
        else c
        for c in text
    )
    return html.escape("".join(shown))


def _figure(uri: str, caption: str, *, alt: str, css: str = "") -> str:
    caption = f"<figcaption>{_text(caption)}</figcaption>" if caption else ""
    return f'<figure class="{css}"><img src="{uri}" alt="{_text(alt)}">{caption}</figure>'
