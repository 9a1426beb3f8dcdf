"""Ways to compute the gradient of a batch.

Each wraps a function (params, collections, batch, key) to ((loss, (top1, collections)), gradients) into one like it.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

Gradients = Callable[[Any, Any, dict[str, Any], jax.Array], tuple[tuple[jax.Array, tuple[jax.Array, Any]], Any]]


def accumulated(gradients_of: Gradients, count: int) -> Gradients:
    """The gradient of a whole batch, computed in `count` microbatches one after another, each of which updates the collections."""
    if count == 1:
        return gradients_of

    def in_microbatches(params: Any, collections: Any, batch: dict[str, Any], key: jax.Array) -> tuple:
        def add(carried: tuple, part: tuple) -> tuple:
            (total, collections), (microbatch, part_key) = carried, part
            (loss, (top1, collections)), gradients = gradients_of(params, collections, microbatch, part_key)
            return (jax.tree.map(jnp.add, total, ((loss, top1), gradients)), collections), None

        # Every count-th row, so that each device's part of the batch gives its share of each microbatch.
        microbatches = jax.tree.map(lambda x: x.reshape(-1, count, *x.shape[1:]).swapaxes(0, 1), batch)
        zero = ((jnp.zeros(()), jnp.zeros(())), jax.tree.map(jnp.zeros_like, params))
        (total, collections), _ = jax.lax.scan(add, (zero, collections), (microbatches, jax.random.split(key, count)))
        (loss, top1), gradients = jax.tree.map(lambda x: x / count, total)
        return (loss, (top1, collections)), gradients

    return in_microbatches


def sharpness_aware(gradients_of: Gradients, rho: float) -> Gradients:
    """The gradient at the point a distance of `rho` up the gradient, Eq. 2 and 3 of Foret et al. 2021.

    The loss and the collections are still those at `params`. Both passes make the same draws. `gradients_of` must give the gradient of the
    whole batch, over all devices: its norm is taken here.
    """
    if not rho:
        return gradients_of

    def at_the_worst_point(params: Any, collections: Any, batch: dict[str, Any], key: jax.Array) -> tuple:
        value, gradients = gradients_of(params, collections, batch, key)
        scale = rho / (optax.tree.norm(gradients) + 1e-12)
        worst = jax.tree.map(lambda parameter, gradient: parameter + scale * gradient, params, gradients)
        return value, gradients_of(worst, collections, batch, key)[1]

    return at_the_worst_point
