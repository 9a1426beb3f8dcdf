"""Averages what a model gives for the views of a video: the logits, or the probabilities, whose mean becomes logits again."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

OverViews = Callable[[Float[Array, "v b d"]], Any]

mean_of_views: OverViews = functools.partial(jnp.mean, axis=0)
each_view: OverViews = functools.partial(jnp.swapaxes, axis1=0, axis2=1)  # (b, v, d)


class ScoredViews(NamedTuple):
    """What the scores of a video are made of.

    Attributes:
      logits: the average over its views.
      best: the numbers of each view's five most probable classes, or of all if there are fewer; the most probable first.
    """

    logits: Float[Array, "b classes"]
    best: Int[Array, "b v k"]


def scored_views(logits: Float[Array, "v b classes"], average: str, *, multi_label: bool = False) -> ScoredViews:
    """Averages over the views, as `averaged` does, and ranks each one's classes."""
    best = jax.lax.top_k(logits, min(5, logits.shape[-1]))[1]
    return ScoredViews(averaged(logits, average, multi_label=multi_label), each_view(best))


def averaged(logits: Float[Array, "v b classes"], average: str, *, multi_label: bool = False) -> Float[Array, "b classes"]:
    """Averages over the views.

    Args:
      logits: each view's logits, float32.
      average: `logits` or `probabilities`.
      multi_label: whether a class's probability is the sigmoid of its logit, and not the softmax over all.

    Returns:
      Logits: the mean over views, or those whose softmax or sigmoid is the mean of the probabilities.
    """
    if average == "logits":
        return logits.mean(axis=0)
    if multi_label:
        return _log_mean(jax.nn.log_sigmoid(logits)) - _log_mean(jax.nn.log_sigmoid(-logits))
    return _log_mean(jax.nn.log_softmax(logits))


def _log_mean(logarithms: Float[Array, "v b classes"]) -> Float[Array, "b classes"]:
    return jax.nn.logsumexp(logarithms, axis=0) - jnp.log(len(logarithms))
