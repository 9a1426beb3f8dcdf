"""The top of a report: the score with its interval, how it was made, and what the run took."""

from vivit_jax.data.dataset import open_dataset
from vivit_jax.errors import UserError
from vivit_jax.heads import top5_is_informative
from vivit_jax.inference.label_spaces import ASSUMED
from vivit_jax.inference.scores import heads_of
from vivit_jax.runs.effort import devices, duration, training_seconds
from vivit_jax.runs.pages.page import cut, share, text
from vivit_jax.runs.patience import ended_early
from vivit_jax.runs.plan import Plan
from vivit_jax.runs.record import RunRecord, description, views_in_words
from vivit_jax.statistics import LEVEL
from vivit_jax.statistics.proportions import wilson
from vivit_jax.training.config import LAST
from vivit_jax.training.metrics import is_better

LETTERS = 200

NAMES = {
    "top1": "top-1",
    "top5": "top-5",
    "clip_top1": "top-1 of single views",
    "clip_top5": "top-5 of single views",
    "mAP": "mean average precision",
    "mean_class": "mean class accuracy",
    "auc": "AUC",
    "f1": "F1",
}
SHARES = ("top1", "top5", "clip_top1", "clip_top5", "mAP", "mean_class")


def headline(run: RunRecord, metrics: list[dict], evaluation: dict | None) -> str:
    """The name of the run, its score, and the facts."""
    said = _tested(run, evaluation) if evaluation else _validated(run, metrics)
    ended = ended_early(run.experiment, metrics) or ("" if evaluation else _unfinished(run, metrics))
    if ended:
        said += f"<p>{text(ended)}</p>"
    title = text(cut(run.experiment.name, LETTERS))
    return f"<h1>{title}</h1><p>{text(description(run.experiment.model))}</p>{said}{_facts(run, metrics, evaluation)}"


def _tested(run: RunRecord, evaluation: dict) -> str:
    split = text(cut(f"{evaluation.get('name', run.experiment.data.name)} {evaluation['split']}", LETTERS))
    hits, examples = evaluation["hits"], evaluation["examples"]
    top1 = f"top-1: {hits} of {examples} examples of {split}"
    if examples and hits <= examples:
        low, high = wilson(hits, examples)
        top1 += f", {LEVEL:.0%} interval {low:.1%} to {high:.1%}"
    top1 = f"mean average precision; {top1}" if "mAP" in evaluation else top1
    lines = [f'<div class="headline">{share(evaluation.get("mAP", evaluation["top1"]))}</div><p class="lead">{top1}</p>']
    if isinstance(evaluation.get("refused"), int) and evaluation["refused"]:
        lines.append(f"<p>{evaluation['refused']} more clips were refused by vivit prepare and are not counted.</p>")
    if evaluation.get("labels_from") == ASSUMED:
        lines.append("<p>The model's classes have no names: those of the data set, in its order, are assumed.</p>")
    return "".join(lines)


def _validated(run: RunRecord, metrics: list[dict]) -> str:
    name, which = run.experiment.best, "best"
    if name == LAST:
        name, which = run.experiment.usual_score, "last"
        metrics = [row for row in metrics if row.get(f"val/{name}") is not None][-1:]
    best = best_validation(name, metrics)
    if best is None:
        return "<p>Not evaluated yet.</p>"
    step, value = best
    shown = _shown(name, value)
    said = f"{which} validation {NAMES.get(name, name)}, at step {step}; not tested yet"
    return f'<div class="headline">{shown}</div><p class="lead">{text(said)}</p>'


def best_validation(name: str, metrics: list[dict]) -> tuple[int, float] | None:
    """The step and the value of the best score of a name, the first of equals as the run keeps it; None without one."""
    best = None
    for row in metrics:
        score = row.get(f"val/{name}")
        if score is not None and (best is None or is_better(name, score, best[1])):
            best = row["step"], score
    return best


def _unfinished(run: RunRecord, metrics: list[dict]) -> str:
    """A sentence on a run whose metrics end before its last step; empty where they do not, or the last step is not known."""
    total, done = _steps(run), max((row["step"] for row in metrics), default=0)
    if total is None or done >= total or not metrics:
        return ""
    return f"The metrics end at step {done} of {total}: the run was interrupted, or is still running."


def _steps(run: RunRecord) -> int | None:
    """The steps that the run was to have; None if that depends on a data set that is not there."""
    try:
        data = run.experiment.data
        examples = 1 if run.experiment.training.steps else len(open_dataset(data.name, data.data_dir).source(data.train_split))
        return Plan.of(run.experiment, examples).total
    except (UserError, ValueError, ArithmeticError):
        return None


def _facts(run: RunRecord, metrics: list[dict], evaluation: dict | None) -> str:
    """What else is to be known, as pairs: the other scores, and how the run came to them. What the files do not tell is left out."""
    versions = run.surroundings.get("versions")
    software = [f"{name} {versions[name]}" for name in ("vivit_jax", "jax") if versions.get(name)] if isinstance(versions, dict) else []
    seconds, best = training_seconds(run), best_validation(run.experiment.best, metrics)
    started = run.surroundings.get("started")
    facts = {
        "best validation": best
        and f"{NAMES.get(run.experiment.best, run.experiment.best)} {_shown(run.experiment.best, best[1])} at step {best[0]}",
        "steps": max((row["step"] for row in metrics), default=None),
        "training time": seconds and duration(seconds),
        "trained on": devices(run),
        "started": started.replace("T", " ").replace("+00:00", " UTC") if isinstance(started, str) else None,
        "seed": run.experiment.seed,
        "software": ", ".join(software),
    }
    return (_pairs(_scores(evaluation), "facts scores") if evaluation else "") + _pairs(facts, "facts")


def _shown(name: str, value: float) -> str:
    """A score as people write it: shares of the videos in per cent."""
    return share(value) if name in SHARES else f"{value:.4f}"


def _scores(evaluation: dict) -> dict[str, object]:
    tells = top5_is_informative(scores["per_class"] for scores in heads_of(evaluation).values())
    five = ["top5", "clip_top5"] if tells else []
    keys = [*(["top1"] if "mAP" in evaluation else []), *five, "clip_top1", "mean_class", "auc", "f1", "loss"]
    numbers = {key: evaluation.get(key) for key in keys}
    shown = {NAMES.get(key, key): _shown(key, value) for key, value in numbers.items() if isinstance(value, float | int)}
    views = views_in_words(evaluation)
    step, gmac, count = evaluation.get("step"), evaluation.get("gmac_view"), evaluation.get("views")
    known = isinstance(gmac, float | int) and isinstance(count, int)
    return shown | {
        "views": f"{views} and mirrored" if evaluation.get("flip") else views,
        "arithmetic of a video": f"{count} x {gmac:.4g} GMAC" if known else None,
        "step of the model": "unknown" if step is None else step,
    }


def _pairs(facts: dict[str, object], css: str) -> str:
    known = {key: str(value) for key, value in facts.items() if value not in (None, "")}
    pairs = "".join(f"<div><dt>{text(key)}</dt><dd>{text(cut(value, LETTERS))}</dd></div>" for key, value in known.items())
    return f'<dl class="{css}">{pairs}</dl>'
