"""A run with everything decided: what it trains, and on what."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn

from vivit_jax.config import Experiment
from vivit_jax.heads import Labels
from vivit_jax.preprocess import Preprocess
from vivit_jax.training.devices.executors import Executor
from vivit_jax.training.evaluation import Scoring
from vivit_jax.training.feed import Feed
from vivit_jax.training.losses import ClassWeights


@dataclasses.dataclass(frozen=True)
class Run:
    """What a loop trains and on what.

    Attributes:
      experiment: the resolved configuration.
      model: maps (b, t, h, w, 3) to logits.
      variables: the initial `params`, and the model's other collections by name, on the host.
      preprocess: normalises the video.
      labels: class names, or those of each head.
      feed: training batches of this host, read ahead onto the devices.
      examples: clips of the training split, over all hosts.
      val_batches: batches of the validation split, or None.
      executor: runs the step on the devices.
      class_weights: the loss's weights of the classes, or None.
      identity: the data set's name, digest, labels and splits; None if not known.
    """

    experiment: Experiment
    model: nn.Module
    variables: dict[str, Any]
    preprocess: Preprocess
    labels: Labels
    feed: Feed
    examples: int
    val_batches: Iterable | None
    executor: Executor
    class_weights: ClassWeights | None = None
    identity: Mapping[str, Any] | None = None

    @property
    def scoring(self) -> Scoring:
        """How the model's logits become scores."""
        return Scoring(self.labels, self.experiment.multi_label, self.experiment.evaluation.average)
