"""A model's README.md for the Hugging Face hub: what is known of it, and what is not claimed, from the files that say so."""

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np

from vivit_jax import console
from vivit_jax.errors import UserError, printable
from vivit_jax.heads import by_head, top5_is_informative
from vivit_jax.inference.scores import heads_of, of_head
from vivit_jax.models.families import family_of
from vivit_jax.preprocess import Preprocess
from vivit_jax.runs.comparison.units import FEW
from vivit_jax.runs.record import EVALUATION, read_config, read_evaluation, step_of, views_in_words
from vivit_jax.statistics import LEVEL
from vivit_jax.statistics.bootstrap import accuracy, bootstrap, interval
from vivit_jax.versions import versions_of
from vivit_jax.weights.hub_cache import HUB
from vivit_jax.weights.model_dir import Pretrained

TASK = "video-classification"
CLASSES_SHOWN = 50
FOLDERS = (("data", "data_dir"), ("training", "compilation_cache"))  # keys of a config that name a folder of the machine
NOT_CLAIMED = (
    "That it does as well on videos of another kind than those it was trained and scored on.",
    "That its probabilities are calibrated: they are the model's own, and were not compared with how often it is right.",
    "That it is fair to people or groups of people, or fit for decisions about them: nobody has measured that.",
    "A licence: that of the videos and of the weights it started from holds.",
)


@dataclasses.dataclass(frozen=True)
class Score:
    """One figure of an evaluation, its `kind` as the hub calls it; `low` and `high` are a 95 % interval, None where there is none."""

    kind: str
    title: str
    value: float
    low: float | None = None
    high: float | None = None


def model_card(path: pathlib.Path, pretrained: Pretrained, repository: str) -> str:
    """The text of the README.md, with its YAML front matter.

    Besides the model itself it tells what lies around it: in the work directory of a run, the run's config and `evaluation.json`; anywhere
    else an `evaluation.json` beside the model directory, if it is of this model's step and classes.

    Args:
      path: the model directory.
      pretrained: the model in it.
      repository: `org/name`.
    """
    run = _run_of(path)
    evaluation = _evaluation_of(path, pretrained)
    scores = list(_scores(evaluation)) if evaluation else []
    sections = {
        "Use": _use(repository, pretrained),
        "Model": _model(pretrained),
        "Training": _training(pretrained, run),
        "Scores": _score_table(evaluation, scores) if evaluation else "No evaluation lies beside the model: none is claimed.",
        "What is not claimed": "\n".join(f"- {claim}" for claim in NOT_CLAIMED),
        "Classes": _classes(pretrained),
    }
    front = _front_matter(pretrained, repository, run, evaluation, scores)
    kind = family_of(pretrained.model.config).describe(pretrained.model.config)
    body = "\n".join(f"## {title}\n\n{text}\n" for title, text in sections.items() if text)
    title = f"# {repository.partition('/')[2]}\n\n{kind[:1].upper()}{kind[1:]}, for the classification of videos."
    return f"---\n{front}\n---\n\n{title}\n\n{body}"


def _run_of(path: pathlib.Path) -> dict:
    """What config.json of the run around a model says; empty where there is no run."""
    try:
        return read_config(path.absolute().parent)
    except UserError:
        return {}


def _evaluation_of(path: pathlib.Path, pretrained: Pretrained) -> dict | None:
    file = path.absolute().parent / EVALUATION
    if not file.exists():
        return None
    try:
        evaluation = read_evaluation(file)
    except UserError as error:
        console.warn(f"{error}; the card has no scores")
        return None
    classes = {head: set(scores["per_class"]) for head, scores in heads_of(evaluation).items()}
    ours = {head: set(names) for head, names in by_head(pretrained.labels).items()}
    if evaluation.get("step") != step_of(pretrained) or classes != ours:
        console.warn(f"{file} is of another model or step than {path}: the card has no scores")
        return None
    return evaluation


def _scores(evaluation: Mapping) -> Iterator[Score]:
    for head, scores in heads_of(evaluation).items():
        of_head = f" of {head}" if head else ""
        if scores.get("mAP") is not None:
            yield Score("mean_average_precision", f"mean average precision{of_head}", scores["mAP"])
            continue
        right = _right(evaluation.get("predictions", []), head)
        low, high = _interval(right) if len(right) > 1 else (None, None)
        if scores.get("top1") is not None:  # of several heads, a file may tell those of all together alone
            yield Score("accuracy", f"top-1 accuracy{of_head}", scores["top1"], low, high)
        if scores.get("top5") is not None and top5_is_informative([scores["per_class"]]):
            yield Score("top_5_accuracy", f"top-5 accuracy{of_head}", scores["top5"])
    if "heads" in evaluation:
        yield Score("accuracy", "top-1 accuracy of all heads together", evaluation["top1"])


def _right(predictions: Sequence[Mapping], head: str) -> np.ndarray:
    """(n,) whether each video's class is the predicted one; empty where the rows of several heads do not tell."""
    if head and not all(isinstance(row.get(key), Mapping) and head in row[key] for row in predictions for key in ("label", "prediction")):
        return np.array([], bool)
    return np.array([of_head(row, "label", head) == of_head(row, "prediction", head) for row in predictions], bool)


def _interval(right: np.ndarray) -> tuple[float, float]:
    return interval(bootstrap(accuracy(right[:, None].astype(np.float64)), np.arange(len(right)))[:, 0])


def _use(repository: str, pretrained: Pretrained) -> str:
    call = 'model.predict("clip.mp4", top_k=5)' if pretrained.labels else "model.model.apply(model.variables, video)"
    return f'```python\nimport vivit_jax\n\nmodel = vivit_jax.from_pretrained("{HUB}{repository}")\n{call}\n```'


def _model(pretrained: Pretrained) -> str:
    config, preprocess = pretrained.model.config, pretrained.preprocess
    count = sum(leaf.size for leaf in jax.tree.leaves(pretrained.variables["params"]))
    frames, height, width = config.clip
    mean, std = list(preprocess.mean), list(preprocess.std)
    return "\n".join(
        (
            f"- family `{config.family}`, {count:,} parameters in float32",
            f"- a clip is {frames} frames of {height} x {width} pixels, {_taken(preprocess)}",
            f"- short side resized to {preprocess.resize}; RGB pixels in [0, 1], minus {mean}, divided by {std}",
            f"- {'sigmoids: a video may have several classes' if pretrained.multi_label else 'softmax: a video has one class'}",
        )
    )


def _taken(preprocess: Preprocess) -> str:
    """How a clip's frames are taken from a video."""
    if preprocess.sampling == "segments":
        return "one from each of as many equal parts of the video"
    apart = f"{preprocess.rate:g} a second" if preprocess.rate else f"{preprocess.stride} frames of the video apart"
    return f"{apart}; a shorter video {'holds its last frame' if preprocess.padding == 'hold' else 'starts over'}"


def _training(pretrained: Pretrained, run: Mapping) -> str:
    provenance, config = pretrained.provenance or {}, _recipe(run)
    lines = []
    if (step := step_of(pretrained)) is not None:
        lines.append(f"- weights after step {step:,}")
    if data := provenance.get("data"):
        splits = ", ".join(f"{split} {count:,}" for split, count in (data.get("splits") or {}).items())
        lines.append(f"- data set {_quoted(data.get('name'))}, videos by split: {splits}")
    if probe := provenance.get("probe"):
        lines.append(f"- a {probe.get('kind')} head fitted on the frozen features of {', '.join(probe.get('fitted_on') or [])}")
    if config:
        lines.append(f"- started from {_source(config) or 'random weights'}")
    if versions := run.get("versions"):
        lines.append(f"- trained with {_listed(versions)}")
    lines.append(f"- pushed with {_listed(versions_of('vivit_jax', 'jax', 'flax'))}")
    if not config:
        return "\n".join(lines) + "\n\nThe model lies in no run's folder, so nothing more is known about its training."
    recipe = json.dumps(config, indent=2, ensure_ascii=False)
    return "\n".join(lines) + f"\n\n<details><summary>Every key of its config</summary>\n\n```json\n{recipe}\n```\n\n</details>"


def _recipe(run: Mapping) -> dict:
    """The config of a run, without the folders of the machine that it ran on."""
    config = {name: dict(section) if isinstance(section, Mapping) else section for name, section in run.get("config", {}).items()}
    for section, key in FOLDERS:
        if isinstance(config.get(section), dict):
            config[section].pop(key, None)
    if source := _source(config):
        config["init"]["source"] = source if source.startswith(HUB) else pathlib.PurePath(source).name
    return config


def _source(config: Mapping) -> str | None:
    init = config.get("init")
    return init.get("source") if isinstance(init, Mapping) else None


def _listed(versions: Mapping) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def _quoted(name: object) -> str:
    """A name as Markdown's code, whatever is in it."""
    return f"`{printable(str(name)).replace('`', chr(39))}`"


def _score_table(evaluation: Mapping, scores: Sequence[Score]) -> str:
    subject = f"{evaluation['examples']:,} videos of split {_quoted(evaluation['split'])} of {_quoted(evaluation.get('name', 'unknown'))}"
    rows = "\n".join(f"| {score.title} | {score.value:.4f} | {_between(score)} |" for score in scores)
    few = f" With fewer than {FEW} videos an interval is not reliable." if evaluation["examples"] < FEW else ""
    averaged, mirrored = evaluation.get("average", "logits"), ", each also mirrored" if evaluation.get("flip") else ""
    table = (
        f"{subject}, the {averaged} of {views_in_words(evaluation)} views (clips x crops{mirrored}) averaged.\n\n"
        f"| score | | {LEVEL:.0%} interval |\n|---|---|---|\n{rows}"
    )
    if all(score.low is None for score in scores):
        return table
    return (
        f"{table}\n\n"
        "The interval is a bootstrap over videos: it shows how far the score could be off because other videos might have been drawn, each "
        f"by itself; if videos come from the same scenes it is too narrow. It does not show how far another training run would be off.{few}"
    )


def _between(score: Score) -> str:
    return "" if score.low is None else f"{score.low:.4f} to {score.high:.4f}"


def _classes(pretrained: Pretrained) -> str:
    parts = []
    for head, names in by_head(pretrained.labels).items():
        shown = ", ".join(map(_quoted, names[:CLASSES_SHOWN]))
        more = f", and {len(names) - CLASSES_SHOWN} more (config.json has all)" if len(names) > CLASSES_SHOWN else ""
        parts.append(f"{len(names)}{f' of {head}' if head else ''}: {shown}{more}")
    return "\n\n".join(parts)


def _front_matter(pretrained: Pretrained, repository: str, run: Mapping, evaluation: Mapping | None, scores: Sequence[Score]) -> str:
    """The YAML that the hub reads: task, tags, and the scores as its model index."""
    from huggingface_hub import EvalResult, ModelCardData

    config = pretrained.model.config
    described = [getattr(config, name, None) for name in ("factorisation", "architecture")]
    source = _source(run.get("config", {})) or ""
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=str(evaluation.get("name", "unknown")),
            dataset_name=str(evaluation.get("name", "unknown")),
            dataset_split=evaluation["split"],
            metric_type=score.kind,
            metric_name=score.title,
            metric_value=round(score.value, 4),
            metric_args=None if score.low is None else {"low": round(score.low, 4), "high": round(score.high, 4)},
        )
        for score in scores
    ]
    return ModelCardData(
        model_name=repository.partition("/")[2],
        library_name="vivit_jax",
        pipeline_tag=TASK,
        tags=["vivit_jax", "jax", "flax", "video", config.family, *(name for name in described if name)],
        base_model=source.removeprefix(HUB).partition("@")[0] if source.startswith(HUB) else None,
        metrics=sorted({score.kind for score in scores}) or None,
        eval_results=results or None,
    ).to_yaml()
