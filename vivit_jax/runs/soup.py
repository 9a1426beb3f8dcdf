"""Averages the weights of models that were fine-tuned from the same start (Wortsman et al. 2022): one model, at the cost of one."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vivit_jax import console
from vivit_jax.data.dataset import VideoDataset
from vivit_jax.errors import UserError, printable
from vivit_jax.files import real_path
from vivit_jax.inference.evaluate import check_multi_label
from vivit_jax.inference.label_spaces import Relabelled, agree
from vivit_jax.inference.scores import check_finite
from vivit_jax.inference.split_pass import SplitPass
from vivit_jax.models.families import family_of
from vivit_jax.places import described
from vivit_jax.preprocess import Views
from vivit_jax.runs.restore import model_variables, verify
from vivit_jax.training.config import ParallelConfig
from vivit_jax.training.devices.executors import make_executor
from vivit_jax.training.evaluation import Evaluator, Scoring
from vivit_jax.training.forward import Watch
from vivit_jax.weights import Pretrained, load_model_dir, model_json
from vivit_jax.weights.layers import COLLECTION, flatten_variables, unflatten_variables
from vivit_jax.weights.model_dir import is_model_dir

Flat = dict[str, np.ndarray]
AVERAGED = ("batch_stats",)  # collections whose averages mean something


@dataclasses.dataclass(frozen=True)
class Ingredient:
    """A model to average, read when it is needed.

    Attributes:
      name: its directory, and its step for a checkpoint.
      model: the model directory that tells its network.
      variables: reads its variables.
    """

    name: str
    model: Path
    variables: Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Soup:
    """An average of models.

    Attributes:
      pretrained: the model; its `provenance` records what it is made of.
      scores: each ingredient's own score by name, the best first; empty for a uniform soup.
      kept: names of the ingredients that are averaged.
      score: the soup's score on the split that chose them; None for a uniform soup.
    """

    pretrained: Pretrained
    scores: dict[str, float]
    kept: tuple[str, ...]
    score: float | None


def ingredients_of(paths: Sequence[str | os.PathLike], *, checkpoints: bool = False) -> list[Ingredient]:
    """The models of work directories and model directories, or with `checkpoints` every whole checkpoint of the work directories.

    Raises:
      UserError: for a path that is neither or is given twice, or a run without a whole checkpoint.
    """
    found = []
    for path in map(Path, paths):
        model = path if is_model_dir(path) else path / "model"
        if not is_model_dir(model):
            what = described(path)
            raise UserError(
                f"{path} is neither a model directory nor the work directory of a run with a model/ in it{f': {what}' if what else ''}"
            )
        if not checkpoints:
            found.append(Ingredient(printable(str(path)), model, functools.partial(_variables, model, model_json.read_config(model))))
            continue
        saved = [] if model == path else verify(path)
        for one in saved:
            if not one.whole:
                console.warn(f"checkpoint {one.step} of {path} is left out: {one.damage}")
        steps = [one.step for one in saved if one.whole]
        if not steps:
            raise UserError(f"{path} has no whole checkpoint: raise checkpoint.keep in the next run, or leave --checkpoints out")
        found += [
            Ingredient(printable(f"{path} step {step}"), model, lambda path=path, step=step: model_variables(path, step)) for step in steps
        ]
    names = [str(real_path(path)) for path in paths]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{twice[0]} is given twice: each model of a soup counts once")
    if len(found) < 2:
        raise UserError("a soup needs two models or more")
    return found


def _variables(model: Path, seen: dict) -> Any:
    """The variables of a model directory that still has the config.json that was `seen`, in which the SHA-256 of the weights is."""
    variables = load_model_dir(model).variables
    if model_json.read_config(model) != seen:  # by a run that goes on, say: it would be averaged under the other model's score
        raise UserError(f"{model} was replaced while the soup was made: wait until its run has ended, and give the same command again")
    return variables


def greedy_soup(
    ingredients: Sequence[Ingredient], dataset: VideoDataset, split: str = "val", *, views: Views = (1, 1), batch_size: int = 8
) -> Soup:
    """Adds the models one by one, the best on a split first; each stays if the average's score does not fall.

    The score is top-1, or mAP where a video may have several classes.

    Raises:
      UserError: for models of different networks, classes or preprocessing, of one class a video where the data set has several, or that
        give NaN.
    """
    first = _common(ingredients)
    score_of = _scorer(SplitPass(first, dataset, split, views, batch_size=batch_size))
    alone = [(score_of(_flat(one), one.name), one) for one in ingredients]
    alone.sort(key=lambda pair: -pair[0])  # stable: among equals, the order given
    (best, start), *others = alone
    total, kept = _wide(_flat(start)), [start.name]
    for _, one in others:
        tried = _sum(total, _flat(one))
        score = score_of(_mean(tried, len(kept) + 1), f"{len(kept) + 1} of them")
        if score >= best:
            total, best = tried, score
            kept.append(one.name)
    said = {"split": split, "views": list(views), "score": best, "ingredients": {one.name: score for score, one in alone}}
    return _soup(first, total, kept, {one.name: score for score, one in alone}, best, said | {"data": dict(dataset.identity)})


def uniform_soup(ingredients: Sequence[Ingredient]) -> Soup:
    """The plain average of all models.

    Raises:
      UserError: for models of different networks, classes or preprocessing.
    """
    first = _common(ingredients)
    total = _wide(_flat(ingredients[0]))
    for one in ingredients[1:]:
        total = _sum(total, _flat(one))
    return _soup(first, total, [one.name for one in ingredients], {}, None, {})


def _common(ingredients: Sequence[Ingredient]) -> Pretrained:
    """The first model, where all others differ from it in their weights alone."""
    first = load_model_dir(ingredients[0].model)
    for one in ingredients[1:]:
        other = first if one.model == ingredients[0].model else load_model_dir(one.model)
        for what, mine, its in (
            ("network", _plain(first), _plain(other)),
            ("classes", (first.labels, first.multi_label), (other.labels, other.multi_label)),
            ("preprocessing", first.preprocess, other.preprocess),
            ("average over views", first.average, other.average),
        ):
            if mine != its:
                raise UserError(
                    f"{one.name} and {ingredients[0].name} differ in their {what}: only models that differ in weights alone are averaged"
                )
    if others := {path.partition(COLLECTION)[0] for path in flatten_variables(first.variables) if COLLECTION in path} - {*AVERAGED}:
        raise UserError(f"a model with {', '.join(sorted(others))} beside its parameters cannot be averaged")
    return first


def _plain(pretrained: Pretrained) -> Any:
    return family_of(pretrained.model.config).plain(pretrained.model.config)


def _scorer(split_pass: SplitPass) -> Callable[[Flat, str], float]:
    """Scores variables of the model on the split; compiled once."""
    first, dataset = split_pass.pretrained, split_pass.dataset
    check_multi_label(first, dataset)
    agreement = agree(first, dataset)
    executor = make_executor(ParallelConfig())
    scoring = Scoring(agreement.labels, first.multi_label, first.average)
    evaluator = Evaluator(first.model, first.preprocess, executor, scoring)
    batches = split_pass.batches()

    def score(flat: Flat, title: str) -> float:
        variables = executor.place_variables(_tree(first, flat))
        evaluation = evaluator(variables, Relabelled(batches, agreement.labels, dataset.labels), Watch(f"scoring {title}"))
        check_finite(evaluation, batches.names)
        console.say(f"{title}: {evaluation.headline}")
        return float(evaluation.summary()["mAP" if first.multi_label else "top1"])

    return score


def _soup(first: Pretrained, total: Flat, kept: list[str], scores: dict[str, float], score: float | None, said: dict) -> Soup:
    variables = _tree(first, _mean(total, len(kept)))
    made = dataclasses.replace(first, variables=variables, provenance={"soup": {"kept": kept, **said}})
    return Soup(made, scores, tuple(kept), score)


def _flat(one: Ingredient) -> Flat:
    return {path: np.asarray(leaf) for path, leaf in flatten_variables(jax.device_get(one.variables())).items()}


def _wide(flat: Flat) -> Flat:
    return {path: leaf.astype(np.float64) for path, leaf in flat.items()}


def _sum(total: Flat, flat: Flat) -> Flat:
    return {path: total[path] + leaf for path, leaf in flat.items()}


def _mean(total: Flat, count: int) -> Flat:
    return {path: (leaf / count).astype(np.float32) for path, leaf in total.items()}


def _tree(first: Pretrained, flat: Flat) -> dict:
    return unflatten_variables(flat, first.model.config)
