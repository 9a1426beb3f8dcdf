"""Some of the rows along an axis, each example's own, and these put back among all.

Both ways, and so their gradients, are gathers: every result is read from one place, so that nothing is added up in an order that may change
from run to run, and XLA fuses the reading with what follows.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


class Subset(NamedTuple):
    """Rows of the axis behind the axes `*l`.

    Attributes:
      rows: the rows taken, ascending. An axis of `*l` may be 1, and then stands for all of that axis.
      places: for each row of the axis, where it is among those taken; -1 if it is not.
    """

    rows: Int[Array, "*l k"]
    places: Int[Array, "*l n"]


def draw(key: Array, shape: tuple[int, ...], count: int) -> Bool[Array, "*l n"]:
    """`count` places of the last axis, each choice as likely as any other, drawn anew along the other axes."""
    first = jnp.broadcast_to(jnp.arange(shape[-1]) < count, shape)
    return jax.random.permutation(key, first, axis=-1, independent=True)


def subset_of(chosen: Bool[Array, "*l n"], count: int) -> Subset:
    """The subset of the places that are true, of which there are `count` everywhere."""
    rows = jnp.argsort(~chosen, axis=-1, stable=True)[..., :count]
    return Subset(rows, jnp.where(chosen, jnp.cumsum(chosen, axis=-1) - 1, -1))


@jax.custom_vjp
def take(x: Array, subset: Subset) -> Array:
    """The rows of the subset: of (*l, n, ...), (*l, k, ...)."""
    return _gathered(x, subset.rows)


@jax.custom_vjp
def spread(taken: Array, subset: Subset) -> Array:
    """What was taken, (*l, k, ...), each row at its place again and zeros between: (*l, n, ...)."""
    places = _aligned(subset.places, taken)
    return jnp.where(places < 0, jnp.zeros((), taken.dtype), _gathered(taken, jnp.maximum(subset.places, 0)))


def put(taken: Array, among: Array, subset: Subset) -> Array:
    """The rows of `among`, (*l, n, ...), with what was taken at its places."""
    return jnp.where(_aligned(subset.places, among) < 0, among, spread(taken, subset))


take.defvjp(lambda x, subset: (take(x, subset), subset), lambda subset, gradient: (spread(gradient, subset), None))
spread.defvjp(lambda taken, subset: (spread(taken, subset), subset), lambda subset, gradient: (take(gradient, subset), None))


def _gathered(x: Array, rows: Array) -> Array:
    return jnp.take_along_axis(x, _aligned(rows, x), axis=rows.ndim - 1, mode="promise_in_bounds")


def _aligned(rows: Array, x: Array) -> Array:
    """The row numbers with axes of length 1 added at the end, so that they have as many axes as x."""
    return rows.reshape(*rows.shape, *(1,) * (x.ndim - rows.ndim))
