"""How the tokens lie in a GPU's memory."""

import jax
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Float

from vivit_jax.models.kernels.partitioning import per_device

LETTERS = "btnkd"  # names of axes for `per_device`: the first is the batch, the last the width


def row_major(x: Float[Array, "b *n d"]) -> Float[Array, "b *n d"]:
    """The same tokens, kept in memory as (b, ..., d) on a GPU.

    Otherwise XLA lays the tokens of all layers out as (n, d, b), for the sake of one sum over the batch, the positions' gradient, and
    transposes them back at every matrix product.
    """
    return constrained(x) if jax.default_backend() == "gpu" else x


@jax.custom_vjp
def constrained(x: Float[Array, "b *n d"]) -> Float[Array, "b *n d"]:
    """The same array in row-major order, and so is its gradient."""
    axes = LETTERS[: x.ndim - 1] + LETTERS[-1]
    return per_device(lambda x: with_layout_constraint(x, Layout(tuple(range(x.ndim)))), f"{axes} -> {axes}")(x)


constrained.defvjp(lambda x: (constrained(x), None), lambda _, gradient: (constrained(gradient),))
