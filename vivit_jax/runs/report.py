"""A run on one page: `report.html`, a single file that loads nothing else, and works on a phone and in dark mode."""

import json
import pathlib
from collections.abc import Iterable

import numpy as np

from vivit_jax.data.dataset import VideoDataset, open_dataset
from vivit_jax.errors import UserError
from vivit_jax.inference.label_spaces import ASSUMED
from vivit_jax.models.families import family_of
from vivit_jax.runs import plots
from vivit_jax.runs import record as runs
from vivit_jax.runs.clips import playing
from vivit_jax.runs.page import figure, share, text, write_page
from vivit_jax.runs.patience import ended_early
from vivit_jax.training.metrics import is_better

CLIPS_SHOWN = 6

SCORES = {
    "top1": "top-1",
    "top5": "top-5",
    "mAP": "mean average precision",
    "mean_class": "mean accuracy of the classes",
    "auc": "AUC",
    "f1": "F1",
}

TIME_SHARES = {"waiting for data": "train/data_wait", "waiting for the device": "train/device_wait", "host": "train/host_time"}


def write_report(workdir: str | pathlib.Path) -> pathlib.Path:
    """Writes `report.html` from what a work directory holds so far.

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
    body = [_headline(run, metrics, evaluation), _others(run), _curves(metrics, tested)]
    if evaluation:
        body += [_classes(head, scores) for head, scores in _heads(evaluation).items()]
        body.append(_of_two_classes(evaluation))
        body.append(_clips(run, evaluation))
    body.append(_setting(run))
    path = run.path / "report.html"
    write_page(path, run.experiment.name, "\n".join(body))
    return path


def _headline(run: runs.Run, metrics: list[dict], evaluation: dict | None) -> str:
    model = run.experiment.model
    description = f"{family_of(model).describe(model)}, clips of {' x '.join(map(str, model.clip))}"
    lines = [f"<h1>{text(run.experiment.name)}</h1>", f"<p>{text(description)}</p>"]
    if evaluation:
        split = text(f"{evaluation.get('name', run.experiment.data.name)} {evaluation['split']}")
        top1 = f"top-1: {evaluation['hits']} of {evaluation['examples']} examples of {split}, views of each: {evaluation['views']}"
        if evaluation.get("step") is not None:
            top1 += f", model of step {evaluation['step']}"
        lines += [
            f'<div class="headline">{share(evaluation.get("mAP", evaluation["top1"]))}</div>',
            f"<p>mean average precision; {top1}</p>" if "mAP" in evaluation else f"<p>{top1}</p>",
            f"<p>top-5 {evaluation['top5']:.2%}, loss {evaluation['loss']:.4f}</p>",
        ]
        if isinstance(evaluation.get("refused"), int) and evaluation["refused"]:
            lines.append(f"<p>{evaluation['refused']} more clips were refused by vivit prepare, and count nowhere.</p>")
        if evaluation.get("labels_from") == ASSUMED:
            lines.append("<p>The model's classes have no names: those of the data set, in its order, are assumed.</p>")
    elif best := _best_validation(run.experiment.best, metrics):
        step, value = best
        name = run.experiment.best
        shown = f"{value:.4f}" if name == "loss" else share(value)
        title = text(SCORES.get(name, name))
        lines.append(f'<div class="headline">{shown}</div><p>best validation {title}, at step {step}; not tested yet</p>')
    else:
        lines.append("<p>Not evaluated yet.</p>")
    if ended := ended_early(run.experiment, metrics):
        lines.append(f"<p>{text(ended)}</p>")
    return "\n".join(lines)


def _best_validation(name: str, metrics: list[dict]) -> tuple[int, float] | None:
    """The step and the value of the best score of a name, the first of equals as the run keeps it; None without one."""
    best = None
    for row in metrics:
        score = row.get(f"val/{name}")
        if score is not None and (best is None or is_better(name, score, best[1])):
            best = row["step"], score
    return best


def _others(run: runs.Run) -> str:
    """A table of all evaluations but the run's own test: other splits, views, data sets and steps."""
    found = run.explorations()
    if not found:
        return ""
    titles = ("data set", "split", "views", "step", "examples", "score", "top-5", "loss", "file")
    rows = "".join(f"<tr>{''.join(f'<td>{text(str(cell))}</td>' for cell in _summary(name, of))}</tr>" for name, of in found.items())
    head = "".join(f"<th>{title}</th>" for title in titles)
    return f'<h2>Other evaluations</h2><div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _summary(file: str, evaluation: dict) -> tuple[object, ...]:
    views = (
        f"{evaluation.get('temporal_views', '?')}x{evaluation.get('spatial_views', '?')}{' and mirrored' if evaluation.get('flip') else ''}"
    )
    step = "unknown" if evaluation.get("step") is None else evaluation["step"]
    score = f"mAP {share(evaluation['mAP'])}" if "mAP" in evaluation else f"top-1 {share(evaluation['top1'])}"
    shown = (evaluation.get("name", ""), evaluation["split"], views, step, evaluation["examples"], score)
    return *shown, share(evaluation["top5"]), f"{evaluation['loss']:.4f}", file


def _curves(metrics: list[dict], tested: int | None) -> str:
    """The curves of the training. The test's point lies at the step of the model that was `tested`, if that is known."""
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
            drawn.append(figure(plots.curves(named, ylabel=ylabel, **options), "", alt=f"{ylabel} over the steps"))
    return f'<h2>Training</h2><div class="grid">{"".join(drawn)}</div>' if drawn else "<h2>Training</h2><p>No metrics yet.</p>"


def _curve(metrics: list[dict], key: str) -> plots.Curve:
    rows = [(row["step"], row[key]) for row in metrics if row.get(key) is not None and np.isfinite(row[key])]
    return [step for step, _ in rows], [value for _, value in rows]


def _heads(evaluation: dict) -> dict[str, dict]:
    return evaluation.get("heads") or {"": evaluation}


def _classes(head: str, scores: dict) -> str:
    title = f"Classes of {text(head)}" if head else "Classes"
    counts, metric = ("examples", "average precision") if "mAP" in scores else ("right", "top-1")
    rows = "".join(_class_row(label, row) for label, row in scores["per_class"].items() if row["examples"])
    titles = f'<th>class</th><th class="number">{counts}</th><th class="number">{metric}</th><th></th>'
    table = f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table></div>'
    matrix = ""
    if scores.get("confusion"):
        matrix = "<h3>Confusion</h3>" + figure(
            plots.confusion(scores["confusion"], list(scores["per_class"])), "", alt="confusion matrix", css="confusion"
        )
    return f"<h2>{title}</h2>{table}{matrix}"


def _of_two_classes(evaluation: dict) -> str:
    """The ROC curve, the area under it and F1 of a model of two classes, where its predictions and labels tell them."""
    labels, rows = list(evaluation.get("per_class", ())), evaluation.get("predictions") or []
    if len(labels) != 2 or "confusion" not in evaluation:
        return ""
    said = [row["probabilities"].get(labels[1]) if isinstance(row.get("probabilities"), dict) else None for row in rows]
    present = [row.get("label") == labels[1] for row in rows]
    if len(set(present)) != 2 or not all(isinstance(value, float | int) and np.isfinite(value) for value in said):
        return ""
    scores = {"area under the curve": evaluation.get("auc"), f"F1 of {labels[1]}": evaluation.get("f1")}
    told = ", ".join(f"{name} {value:.4f}" for name, value in scores.items() if isinstance(value, float))
    drawn = figure(plots.roc(said, present, labels[1]), "", alt=f"ROC curve of {labels[1]}")
    return f'<h3>Two classes</h3><p>{text(told)}</p><div class="grid">{drawn}</div>'


def _class_row(label: str, row: dict) -> str:
    value = row.get("top1", row.get("average_precision"))
    count = f"{round(row['top1'] * row['examples'])} of {row['examples']}" if "top1" in row else str(row["examples"])
    bar = f'<div class="bar"><div style="width:{value or 0:.1%}"></div></div>'
    cells = f'<td class="number">{count}</td><td class="number">{share(value, digits=1)}</td><td>{bar}</td>'
    return f"<tr><td>{text(label)}</td>{cells}</tr>"


def _clips(run: runs.Run, evaluation: dict) -> str:
    """The clips the model was surest of, among those it got right and those it got wrong; only for models with one head."""
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
        groups = [f"<p>The clips cannot be shown: {text(str(error))}</p>"]
    return "<h2>Clips</h2>" + "".join(groups)


def _clip(dataset: VideoDataset, split: str, row: dict) -> str:
    name, uri = playing(dataset, split, row["index"])
    right = row["prediction"] in row["label"]
    said = f"{row['prediction']} {row['probability']:.1%}" + ("" if right else f", but it is {', '.join(row['label']) or 'none'}")
    return figure(uri, f"{name}: {said}", alt=said)


def _named(row: dict, labels: list[str]) -> dict:
    """A prediction with class names, where earlier versions wrote numbers, and with its labels as a list."""

    def name(of: str | int) -> str:
        return of if isinstance(of, str) else labels[of] if of < len(labels) else str(of)

    label = row["label"] if isinstance(row["label"], list) else [row["label"]]
    return row | {"prediction": name(row["prediction"]), "label": [name(one) for one in label]}


def _setting(run: runs.Run) -> str:
    sections = {name: values for name, values in run.config.items() if isinstance(values, dict)}
    single = {name: value for name, value in run.config.items() if name not in sections}
    tables = "".join(f"<h3>{text(name)}</h3>{_table(values.items())}" for name, values in sections.items())
    surroundings = _table((name, value) for name, value in run.surroundings.items() if not isinstance(value, dict))
    surroundings += "".join(
        f"<h3>{text(name)}</h3>{_table(value.items())}" for name, value in run.surroundings.items() if isinstance(value, dict)
    )
    return (
        f"<h2>Setting</h2><details><summary>Configuration</summary>{_table(single.items())}{tables}</details>"
        f"<details><summary>Versions and machine</summary>{surroundings}</details>"
    )


def _table(rows: Iterable[tuple[str, object]]) -> str:
    cells = "".join(
        f"<tr><td>{text(str(name))}</td><td><code>{text(json.dumps(value, ensure_ascii=False))}</code></td></tr>" for name, value in rows
    )
    return f'<div class="scroll"><table><tbody>{cells}</tbody></table></div>'
