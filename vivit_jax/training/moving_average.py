"""The moving average of a model's weights over the steps (EMA), which is what a run evaluates and saves if it keeps one."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vivit_jax.training.config import TrainingConfig

Decay = Callable[[int | jax.Array], float | jax.Array]  # the share of the average that is kept, by the steps before


def make_decay(training: TrainingConfig, total: int) -> Decay:
    """The decay of the average in a run of `total` steps.

    That of `ema_decay` is small at first, so that short runs too forget the initial weights. Under `ema_percent` these count as any others:
    the average of a fine-tuned model then lies between it and what it was before (Wortsman et al. 2022).
    """
    if training.ema_percent is not None:
        return optax.constant_schedule(max(0.0, 1 - 100 / (training.ema_percent * total)))
    return warmed_up(training.ema_decay)


def warmed_up(decay: float) -> Decay:
    """A decay that begins at a tenth, and rises to `decay`."""
    return lambda step: jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def moved(average: Any, values: Any, decay: float | jax.Array) -> Any:
    """The average after a step that gave `values`; where there is no average (None, or no leaves) there is none after the step."""
    if not jax.tree.leaves(average):
        return average
    return jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, average, values)
