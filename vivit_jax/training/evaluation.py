"""Exact evaluation: every example of a split counted once, on any number of devices and hosts."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from vivit_jax.errors import UserError, check_name
from vivit_jax.heads import Labels, by_head
from vivit_jax.preprocess import Preprocess
from vivit_jax.training.averaging import scored_views
from vivit_jax.training.config import AVERAGES, ParallelConfig
from vivit_jax.training.devices.executors import Executor, make_executor
from vivit_jax.training.forward import Forward, Watch
from vivit_jax.training.metrics import (
    ClipScores,
    MultiLabelScores,
    Shares,
    SingleLabelScores,
    joint_hits,
    log_softmax,
    score,
    score_clips,
    score_multi_label,
    sigmoid,
)
from vivit_jax.weights import Pretrained

JOINT_METRICS = ("top1", "top5", "loss")  # of several heads


@dataclasses.dataclass(frozen=True)
class Evaluation(Shares):
    """A model's scores on a split, with its logits for each example.

    Attributes:
      views: how many views of each video were averaged.
      heads: scores by head; a single head has the empty name.
      clips: scores of the views by head, each view by itself.
      hits: examples for which every head is right.
      hits5: examples whose label (with several heads, combination of labels) is among the five most probable.
      index: (b,) the examples' numbers in the split, ascending.
      label: (b,) by head; (b, classes) of zeros and ones where an example may have several.
      logits: (b, classes) by head.
      multi_label: whether an example may have several labels, and a class's probability is the sigmoid of its logit.
    """

    views: int
    heads: dict[str, SingleLabelScores | MultiLabelScores]
    clips: dict[str, ClipScores]
    hits: int
    hits5: int
    index: np.ndarray
    label: dict[str, np.ndarray]
    logits: dict[str, np.ndarray]
    multi_label: bool = False

    def __repr__(self) -> str:
        return f"Evaluation({self.headline}, loss {self.loss:.4f})"

    @property
    def examples(self) -> int:
        """How many examples were scored."""
        return len(self.index)

    @property
    def loss(self) -> float:
        """Mean cross-entropy over examples and heads."""
        return float(np.mean([scores.loss for scores in self.heads.values()]))

    @property
    def probabilities(self) -> dict[str, np.ndarray]:
        """(b, classes) by head."""
        return probabilities_of(self.logits, multi_label=self.multi_label)

    @property
    def headline(self) -> str:
        """The first score to look at, with its denominator."""
        if "" in self.heads:
            return self.heads[""].headline
        of_heads = ", ".join(f"{name} {scores.top1:.4f}" for name, scores in self.heads.items())
        return f"top1 {self.top1:.4f} (all heads right for {self.hits} of {self.examples}; {of_heads})"

    def beside_headline(self, name: str) -> str:
        """The score of this name, as text to go after the headline and the loss; empty if these say it, or the split does not define it."""
        value = None if name == "loss" or self.headline.startswith(f"{name} ") else self.summary().get(name)
        return "" if value is None else f"  {name} {value:.4f}"

    def summary(self) -> dict[str, float]:
        """The few numbers that are logged during training: all of `metrics_of` that the split defines."""
        scores = self.heads.get("", self)
        values = {name: getattr(scores, name) for name in metrics_of(self.labels, multi_label=self.multi_label)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """The class names of each head, in the order of the logits."""
        return {name: scores.labels for name, scores in self.heads.items()}

    def to_dict(self) -> dict:
        """Plain values for JSON. With several heads, each one's scores are under `heads`, and top1 and top5 are the combination's.

        Where there are several views, a head also has `clip_top1` and `clip_top5`.
        """
        common = {"views": self.views, "examples": self.examples}
        heads = {name: scores.to_dict() for name, scores in self.heads.items()}
        if self.views > 1:
            heads = {name: scores | self.clips[name].to_dict() for name, scores in heads.items()}
        if list(heads) == [""]:
            return common | heads[""]
        return common | {"top1": self.top1, "top5": self.top5, "loss": self.loss, "hits": self.hits, "heads": heads}


def probabilities_of(logits: Mapping[str, np.ndarray], *, multi_label: bool) -> dict[str, np.ndarray]:
    """The probabilities of logits (b, classes), by head."""
    return {head: sigmoid(values) if multi_label else np.exp(log_softmax(values)) for head, values in logits.items()}


def metrics_of(labels: Mapping[str, Sequence[str]], *, multi_label: bool) -> tuple[str, ...]:
    """Names of the scores of a model with these class names by head."""
    if list(labels) != [""]:
        return JOINT_METRICS
    if multi_label:
        return MultiLabelScores.METRICS
    return SingleLabelScores.METRICS + (SingleLabelScores.OF_TWO_CLASSES if len(labels[""]) == 2 else ())


@dataclasses.dataclass(frozen=True)
class Scoring:
    """The meaning of a model's logits, by which they become scores.

    Attributes:
      labels: names of the classes in the order of the logits, or those of each head.
      multi_label: whether the model decides on each class separately, so that a video may have several.
      average: what is averaged over the views of a video, `logits` or `probabilities`.

    Raises:
      UserError: for another average.
    """

    labels: Labels
    multi_label: bool = False
    average: str = "logits"

    def __post_init__(self) -> None:
        check_name("average", self.average, AVERAGES)


def score_batches(
    pretrained: Pretrained, batches: Iterable[dict[str, Any]], parallel: ParallelConfig, watch: Watch | None = None
) -> Evaluation:
    """Scores a model on a split.

    Args:
      pretrained: the model, whose `labels` name the classes of the batches, in the same order.
      batches: evaluation batches of this host, of any size; rows with `valid` False count nowhere.
      parallel: the devices.
      watch: how the pass is shown, and when it is given up.

    Raises:
      UserError: for a split without examples, a label that is no class, or a batch that does not come.
    """
    executor = make_executor(parallel)
    scoring = Scoring(pretrained.labels, pretrained.multi_label, pretrained.average)
    evaluator = Evaluator(pretrained.model, pretrained.preprocess, executor, scoring)
    return evaluator(executor.place_variables(jax.device_get(dict(pretrained.variables))), batches, watch)


class Evaluator:
    """An evaluation that is compiled once and run many times."""

    def __init__(self, model: nn.Module, preprocess: Preprocess, executor: Executor, scoring: Scoring) -> None:
        """`model` takes (b, t, h, w, 3) and gives logits; `preprocess` normalises the uint8 video."""
        over_views = functools.partial(scored_views, average=scoring.average, multi_label=scoring.multi_label)
        self._forward, self._multi_label = Forward(model, preprocess, executor, over_views), scoring.multi_label
        self._labels = {name: tuple(names) for name, names in by_head(scoring.labels).items()}

    def __call__(self, variables: Any, batches: Iterable[dict[str, Any]], watch: Watch | None = None) -> Evaluation:
        """Scores `variables`, which lie on the executor's devices; see `score_batches`."""
        return self._scores(*self._forward(variables, batches, watch))

    def _scores(self, rows: dict[str, Any], views: int) -> Evaluation:
        label, scored = by_head(rows["label"]), by_head(rows["logits"])
        logits = {name: of_head.logits for name, of_head in scored.items()}
        for name, values in label.items():
            _check_labels(values, logits[name].shape[1], self._labels.get(name, ()), name)
        if self._multi_label:
            label = {name: _present(values, logits[name].shape[1]) for name, values in label.items()}
        score_head = score_multi_label if self._multi_label else score
        heads = {name: score_head(logits[name], values, self._labels[name]) for name, values in label.items()}
        clips = {name: score_clips(scored[name].best, values) for name, values in label.items()}
        alone = heads.get("")
        hits, hits5 = (alone.hits, alone.hits5) if alone else joint_hits({name: logits[name] for name in label}, label)
        return Evaluation(views, heads, clips, hits, hits5, rows["index"], label, logits, self._multi_label)


def _check_labels(label: np.ndarray, classes: int, names: Sequence[str], head: str) -> None:
    of_head = f" of head {head!r}" if head else ""
    if len(names) != classes:
        raise UserError(f"the model has {classes} classes{of_head} and the data set {len(names)}")
    if label.ndim == 2:
        return
    if label.min() < 0 or label.max() >= classes:
        raise UserError(f"labels{of_head} must be in 0..{classes - 1}, got {label.min()}..{label.max()}")


def _present(label: np.ndarray, classes: int) -> np.ndarray:
    """Labels (b, classes) of zeros and ones, made from labels (b,) where necessary."""
    return label if label.ndim == 2 else (label[:, None] == np.arange(classes)).astype(np.uint8)
