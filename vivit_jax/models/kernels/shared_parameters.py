"""Adds a parameter that tokens share, such as a bias or learned positions, with a gradient that is summed in float32."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_vjp
def add_shared(x: Float[Array, "*b"], parameter: Float[Array, "*p"]) -> Float[Array, "*b"]:
    """x + parameter in the type of x; `parameter` has the last axes of x."""
    return x + parameter.astype(x.dtype)


def _forward(x: Array, parameter: Array) -> tuple[Array, Array]:
    return add_shared(x, parameter), parameter


def _backward(parameter: Array, gradient: Array) -> tuple[Array, Array]:
    return gradient, summed(gradient, parameter)


add_shared.defvjp(_forward, _backward)


def summed(gradient: Float[Array, "*b"], parameter: Float[Array, "*p"]) -> Float[Array, "*p"]:
    """The gradient of a parameter that all tokens share: the sum of theirs.

    XLA sums in the type of the tokens, on a CPU and on a Hopper GPU, and a sum of thousands in bfloat16 is off by as much as its own size.
    Here it is summed in float32.
    """
    shared_by = tuple(range(gradient.ndim - parameter.ndim))
    return gradient.sum(shared_by, dtype=jnp.float32).astype(parameter.dtype)
