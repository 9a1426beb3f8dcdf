"""Computes a model's outputs for every example of a split, once each, on any number of devices and hosts."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.experimental import multihost_utils

from vivit_jax import console
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Preprocess
from vivit_jax.training.averaging import OverViews, mean_of_views
from vivit_jax.training.config import ParallelConfig
from vivit_jax.training.devices.executors import Executor, make_executor
from vivit_jax.training.feed import read_ahead
from vivit_jax.training.step import make_eval_step
from vivit_jax.weights import Pretrained


@dataclasses.dataclass(frozen=True)
class Watch:
    """How a pass over batches is shown, and what ends it early.

    Attributes:
      title: what its progress bar is called.
      shown: whether there is one.
      between: called after each batch and while one is waited for; it may raise to leave.
      patience: seconds that reading a batch may take.
    """

    title: str = "evaluating"
    shown: bool = True
    between: Callable[[], None] = lambda: None
    patience: float = math.inf


def outputs_of_batches(
    pretrained: Pretrained, batches: Iterable[dict[str, Any]], parallel: ParallelConfig, over_views: OverViews, watch: Watch | None = None
) -> dict[str, Any]:
    """The outputs of a model for a split, without scores: `index`, `label` and `logits` of all examples, as `Forward` returns them.

    `over_views` and `watch` are as for `Forward`, `parallel` are the devices.
    """
    executor = make_executor(parallel)
    forward = Forward(pretrained.model, pretrained.preprocess, executor, over_views)
    return forward(executor.place_variables(jax.device_get(dict(pretrained.variables))), batches, watch)[0]


class Forward:
    """A model's outputs for every example of a pass over batches; compiled once for each shape and run many times."""

    def __init__(self, model: nn.Module, preprocess: Preprocess, executor: Executor, over_views: OverViews = mean_of_views) -> None:
        """`over_views` makes one output of those of the views, (v, b, d); `each_view` keeps them."""
        self._executor = executor
        self._step = make_eval_step(model, preprocess, axis_name=executor.axis_name, over_views=over_views)
        self._compiled: dict[tuple, Callable] = {}

    def __call__(self, variables: Any, batches: Iterable[dict[str, Any]], watch: Watch | None = None) -> tuple[dict[str, Any], int]:
        """Runs the model on all batches.

        Args:
          variables: the model's; they lie on the executor's devices.
          batches: evaluation batches of this host, of any size; rows with `valid` False are left out.
          watch: how the pass is shown, and when it is left or given up.

        Returns:
          `index`, `label` and `logits` of all examples, in the order of their numbers, and the number of views.

        Raises:
          UserError: for batches without examples, or a batch that does not come.
        """
        watch = watch or Watch()
        rows, views = [], 0
        read = read_ahead(batches, watch.between, watch.patience)
        for batch in console.tracked(_same_shape(read, self._executor), watch.title, _length(batches), shown=watch.shown):
            views = batch["video"].shape[1]
            rows.append(_valid_rows(self._run(variables, batch)))
            watch.between()
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
