"""Takes some rows along an axis, other ones for each example, and puts them back among all rows.

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
    """True at `count` places of the last axis of `shape`, drawn uniformly and independently along the other axes."""
    first = jnp.broadcast_to(jnp.arange(shape[-1]) < count, shape)
    return jax.random.permutation(key, first, axis=-1, independent=True)


def subset_of(chosen: Bool[Array, "*l n"], count: int) -> Subset:
    """The subset of the places that are true; there must be `count` of them along every last axis."""
    rows = jnp.argsort(~chosen, axis=-1, stable=True)[..., :count]
    return Subset(rows, jnp.where(chosen, jnp.cumsum(chosen, axis=-1) - 1, -1))


@jax.custom_vjp
def take(x: Array, subset: Subset) -> Array:
    """The rows of the subset, (*l, k, ...), of all rows, (*l, n, ...)."""
    return _gathered(x, subset.rows)


@jax.custom_vjp
def spread(taken: Array, subset: Subset) -> Array:
    """The inverse of `take`: rows (*l, k, ...) at their places in (*l, n, ...), with zeros in between."""
    places = _aligned(subset.places, taken)
    return jnp.where(places < 0, jnp.zeros((), taken.dtype), _gathered(taken, jnp.maximum(subset.places, 0)))


def put(taken: Array, among: Array, subset: Subset) -> Array:
    """All rows `among`, (*l, n, ...), with those of the subset replaced by `taken`, (*l, k, ...)."""
    return jnp.where(_aligned(subset.places, among) < 0, among, spread(taken, subset))


take.defvjp(lambda x, subset: (take(x, subset), subset), lambda subset, gradient: (spread(gradient, subset), None))
spread.defvjp(lambda taken, subset: (spread(taken, subset), subset), lambda subset, gradient: (take(gradient, subset), None))


def _gathered(x: Array, rows: Array) -> Array:
    return jnp.take_along_axis(x, _aligned(rows, x), axis=rows.ndim - 1, mode="promise_in_bounds")


def _aligned(rows: Array, x: Array) -> Array:
    """The row numbers with axes of length 1 added at the end, so that they have as many axes as x."""
    return rows.reshape(*rows.shape, *(1,) * (x.ndim - rows.ndim))
