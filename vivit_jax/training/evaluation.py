"""Exact evaluation: every example of a split counted once, on any number of devices and hosts."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.experimental import multihost_utils

from vivit_jax import console
from vivit_jax.errors import UserError, unknown_name
from vivit_jax.heads import Labels, by_head
from vivit_jax.preprocess import Preprocess
from vivit_jax.training.averaging import OverViews, averaged, mean_of_views
from vivit_jax.training.config import AVERAGES, ParallelConfig
from vivit_jax.training.devices.executors import Executor, make_executor
from vivit_jax.training.feed import read_ahead
from vivit_jax.training.metrics import (
    MultiLabelScores,
    SingleLabelScores,
    joint_hits,
    log_softmax,
    score,
    score_multi_label,
    sigmoid,
)
from vivit_jax.training.step import make_eval_step

Scores = SingleLabelScores | MultiLabelScores

JOINT_METRICS = ("top1", "top5", "loss")  # of several heads


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A model's scores on a split, with its logits for each example.

    Attributes:
      views: views of each video, which were averaged.
      heads: scores by head; a single head has the empty name.
      hits: examples of which every head is right.
      hits5: examples whose label (of several heads: combination of labels) is among the five most probable.
      index: (b,) the examples' numbers in the split, ascending.
      label: (b,) by head; (b, classes) of zeros and ones where an example may have several.
      logits: (b, classes) by head.
      multi_label: whether an example may have several labels, and a class's probability is the sigmoid of its logit.
    """

    views: int
    heads: dict[str, Scores]
    hits: int
    hits5: int
    index: np.ndarray
    label: dict[str, np.ndarray]
    logits: dict[str, np.ndarray]
    multi_label: bool = False

    @property
    def examples(self) -> int:
        """How many examples were scored."""
        return len(self.index)

    @property
    def top1(self) -> float:
        """Share of examples that are right, in 0..1."""
        return self.hits / self.examples

    @property
    def top5(self) -> float:
        """Share of examples whose label is among the five most probable, in 0..1."""
        return self.hits5 / self.examples

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
        """Plain values for JSON; of several heads those of each are under `heads`, and top1 and top5 are of the combination."""
        common = {"views": self.views, "examples": self.examples}
        if list(self.heads) == [""]:
            return common | self.heads[""].to_dict()
        joint = {"top1": self.top1, "top5": self.top5, "loss": self.loss, "hits": self.hits}
        return common | joint | {"heads": {name: scores.to_dict() for name, scores in self.heads.items()}}


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


def score_batches(
    model: nn.Module,
    variables: Mapping[str, Any],
    preprocess: Preprocess,
    batches: Iterable[dict[str, Any]],
    *,
    parallel: ParallelConfig,
    labels: Labels,
    multi_label: bool = False,
    average: str = "logits",
    progress: bool = True,
    patience: float = math.inf,
) -> Evaluation:
    """Scores a model on a split.

    Args:
      model: takes (b, t, h, w, 3) and gives logits.
      variables: the model's: `params`, and its other collections by name.
      preprocess: normalises the uint8 video.
      batches: evaluation batches of this host, of any size; rows with `valid` False count nowhere.
      parallel: the devices.
      labels: names of the classes, or of those of each head.
      multi_label: whether the model decides on each class separately, so that a video may have several.
      average: what is averaged over the views of a video, `logits` or `probabilities`.
      progress: show a progress bar.
      patience: seconds that reading a batch may take.

    Raises:
      UserError: for a split without examples, a label that is no class, or a batch that does not come.
    """
    executor = make_executor(parallel)
    evaluator = Evaluator(model, preprocess, executor, labels, multi_label=multi_label, average=average)
    return evaluator(executor.place_variables(jax.device_get(dict(variables))), batches, progress=progress, patience=patience)


def outputs_of_batches(
    model: nn.Module,
    variables: Mapping[str, Any],
    preprocess: Preprocess,
    batches: Iterable[dict[str, Any]],
    *,
    parallel: ParallelConfig,
    over_views: OverViews,
    title: str,
    progress: bool = True,
    patience: float = math.inf,
) -> dict[str, Any]:
    """The outputs of a model for a split, without scores: `index`, `label` and `logits` of all examples, as `Forward` returns them.

    `over_views` is as for `Forward`, `title` that of the progress bar, and the rest as for `score_batches`.
    """
    executor = make_executor(parallel)
    forward = Forward(model, preprocess, executor, over_views)
    placed = executor.place_variables(jax.device_get(dict(variables)))
    return forward(placed, batches, progress=progress, title=title, patience=patience)[0]


class Forward:
    """A model's outputs for every example of a pass over batches; compiled once for each shape and run many times."""

    def __init__(self, model: nn.Module, preprocess: Preprocess, executor: Executor, over_views: OverViews = mean_of_views) -> None:
        """`over_views` makes one output of those of the views, (v, b, d); `each_view` keeps them."""
        self._executor = executor
        self._step = make_eval_step(model, preprocess, axis_name=executor.axis_name, over_views=over_views)
        self._compiled: dict[tuple, Callable] = {}

    def __call__(
        self,
        variables: Any,
        batches: Iterable[dict[str, Any]],
        *,
        progress: bool = True,
        title: str = "evaluating",
        between: Callable[[], None] = lambda: None,
        patience: float = math.inf,
    ) -> tuple[dict[str, Any], int]:
        """`index`, `label` and `logits` of all examples, in the order of their numbers, and the number of views.

        `variables` lie on the executor's devices.

        `between` is called after each batch and while one is waited for, and may raise to leave.

        Raises:
          UserError: for batches without examples.
        """
        rows, views = [], 0
        read = read_ahead(batches, between, patience)
        for batch in console.tracked(_same_shape(read, self._executor), title, _length(batches), shown=progress):
            views = batch["video"].shape[1]
            rows.append(_valid_rows(self._run(variables, batch)))
            between()
        if not sum(len(row["index"]) for row in rows):
            raise UserError("the split to evaluate has no examples")
        rows = jax.tree.map(lambda *parts: np.concatenate(parts), *rows)
        return jax.tree.map(lambda x: x[np.argsort(rows["index"], kind="stable")], rows), views

    def _run(self, variables: Any, batch: dict[str, Any]) -> dict[str, Any]:
        shape = batch["video"].shape
        if shape not in self._compiled:
            # A function of its own for each shape: a second trace of one is an error.
            self._compiled[shape] = self._executor.compile_eval(lambda variables, batch: self._step(variables, batch), variables)
        return self._compiled[shape](variables, batch)


class Evaluator:
    """An evaluation that is compiled once and run many times."""

    def __init__(
        self,
        model: nn.Module,
        preprocess: Preprocess,
        executor: Executor,
        labels: Labels,
        *,
        multi_label: bool = False,
        average: str = "logits",
    ) -> None:
        if average not in AVERAGES:
            raise unknown_name("average", average, AVERAGES)
        over_views = functools.partial(averaged, average=average, multi_label=multi_label)
        self._forward, self._multi_label = Forward(model, preprocess, executor, over_views), multi_label
        self._labels = {name: tuple(names) for name, names in by_head(labels).items()}

    def __call__(
        self,
        variables: Any,
        batches: Iterable[dict[str, Any]],
        *,
        progress: bool = True,
        title: str = "evaluating",
        between: Callable[[], None] = lambda: None,
        patience: float = math.inf,
    ) -> Evaluation:
        """Scores `variables`, which lie on the executor's devices.

        `between` is called after each batch and while one is waited for, and may raise to leave.
        """
        return self._scores(*self._forward(variables, batches, progress=progress, title=title, between=between, patience=patience))

    def _scores(self, rows: dict[str, Any], views: int) -> Evaluation:
        label, logits = by_head(rows["label"]), by_head(rows["logits"])
        for name, values in label.items():
            _check_labels(values, logits[name].shape[1], self._labels.get(name, ()), name)
        if self._multi_label:
            label = {name: _present(values, logits[name].shape[1]) for name, values in label.items()}
        scored = score_multi_label if self._multi_label else score
        heads = {name: scored(logits[name], values, self._labels[name]) for name, values in label.items()}
        alone = heads.get("")
        hits, hits5 = (alone.hits, alone.hits5) if alone else joint_hits({name: logits[name] for name in label}, label)
        return Evaluation(views, heads, hits, hits5, rows["index"], label, logits, self._multi_label)


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


def _same_shape(batches: Iterable[dict[str, Any]], executor: Executor) -> Iterator[dict[str, Any]]:
    """The batches with as many rows as the first, rounded up to what the devices divide, and as many batches on every host.

    Added rows are zeros with `valid` False.
    """
    shards = executor.batch_shards // jax.process_count()
    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        return
    count = -(-len(first["index"]) // shards) * shards
    produced = 0
    for batch in itertools.chain([first], iterator):
        produced += 1
        yield _padded(batch, count)
    for _ in range(_most_over_hosts(produced) - produced):
        yield jax.tree.map(lambda x: np.zeros((count, *x.shape[1:]), x.dtype), first)


def _padded(batch: dict[str, Any], count: int) -> dict[str, Any]:
    missing = count - len(batch["index"])
    return jax.tree.map(lambda x: np.pad(x, [(0, missing)] + [(0, 0)] * (np.ndim(x) - 1)) if missing else x, batch)


def _most_over_hosts(count: int) -> int:
    if jax.process_count() == 1:
        return count
    return int(np.max(multihost_utils.process_allgather(np.asarray(count))))


def _valid_rows(rows: dict[str, Any]) -> dict[str, Any]:
    valid = np.asarray(rows["valid"])
    return {name: jax.tree.map(lambda x: np.asarray(x)[valid], value) for name, value in rows.items() if name != "valid"}


def _length(batches: Iterable) -> int | None:
    return len(batches) if hasattr(batches, "__len__") else None
