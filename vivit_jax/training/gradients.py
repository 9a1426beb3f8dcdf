"""Ways to compute the gradient of a batch. Each wraps a function (params, batch, key) to ((loss, top1), gradients) into one like it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

Gradients = Callable[[Any, dict[str, Any], jax.Array], tuple[tuple[jax.Array, jax.Array], Any]]


def accumulated(gradients_of: Gradients, count: int) -> Gradients:
    """The gradient of a whole batch, computed in `count` microbatches."""
    if count == 1:
        return gradients_of

    def in_microbatches(params: Any, batch: dict[str, Any], key: jax.Array) -> tuple:
        def add(total: tuple, part: tuple) -> tuple:
            microbatch, part_key = part
            return jax.tree.map(jnp.add, total, gradients_of(params, microbatch, part_key)), None

        # Every count-th row, so that each device's part of the batch gives its share of each microbatch.
        microbatches = jax.tree.map(lambda x: x.reshape(-1, count, *x.shape[1:]).swapaxes(0, 1), batch)
        zero = ((jnp.zeros(()), jnp.zeros(())), jax.tree.map(jnp.zeros_like, params))
        total, _ = jax.lax.scan(add, zero, (microbatches, jax.random.split(key, count)))
        return jax.tree.map(lambda x: x / count, total)

    return in_microbatches


def sharpness_aware(gradients_of: Gradients, rho: float) -> Gradients:
    """The gradient at the point a distance of `rho` up the gradient, Eq. 2 and 3 of Foret et al. 2021; the loss is still that at `params`.

    Both passes make the same draws. `gradients_of` must give the gradient of the whole batch, over all devices: its norm is taken here.
    """
    if not rho:
        return gradients_of

    def at_the_worst_point(params: Any, batch: dict[str, Any], key: jax.Array) -> tuple:
        value, gradients = gradients_of(params, batch, key)
        scale = rho / (optax.tree.norm(gradients) + 1e-12)
        worst = jax.tree.map(lambda parameter, gradient: parameter + scale * gradient, params, gradients)
        return value, gradients_of(worst, batch, key)[1]

    return at_the_worst_point
