"""Averages what a model gives for the views of a video: the logits, or the probabilities, whose mean becomes logits again."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

OverViews = Callable[[Float[Array, "v b d"]], jax.Array]

mean_of_views: OverViews = functools.partial(jnp.mean, axis=0)
each_view: OverViews = functools.partial(jnp.swapaxes, axis1=0, axis2=1)  # (b, v, d)


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
