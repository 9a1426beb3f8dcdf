"""Local response normalisation across channels (Krizhevsky et al. 2012, Sec. 3.3), whose constants Karpathy et al. 2014 keep."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

K, WINDOW, ALPHA, BETA = 2.0, 5, 1e-4, 0.75


@jax.checkpoint  # its squares and sums in float32 would be most of what a backward pass keeps
def response_normalisation(x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
    """x / (K + ALPHA * sum of squares over the WINDOW channels around each)^BETA, computed in float32, in the type of `x`.

    ALPHA is on the sum, as in the paper; `torch.nn.LocalResponseNorm` has it on the mean, so its alpha is WINDOW times as large.
    """
    channels, reach = x.shape[-1], WINDOW // 2
    values = x.astype(jnp.float32)
    padded = jnp.pad(jnp.square(values), [(0, 0)] * (x.ndim - 1) + [(reach, reach)])
    total = sum(padded[..., i : i + channels] for i in range(WINDOW))
    root = jax.lax.rsqrt(K + ALPHA * total)
    return (values * root * jnp.sqrt(root)).astype(x.dtype)  # root^1.5 is the power -BETA
