"""Local response normalisation across channels (Krizhevsky et al. 2012, Sec. 3.3), whose constants Karpathy et al. 2014 keep."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

K, WINDOW, ALPHA, BETA = 2.0, 5, 1e-4, 0.75


@jax.checkpoint  # else its float32 squares and sums would be most of what is kept for the backward pass
def response_normalisation(x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
    """x / (K + ALPHA * sum of squares over the WINDOW channels around each)^BETA, computed in float32, in the type of `x`.

    ALPHA multiplies the sum, as in the paper. In `torch.nn.LocalResponseNorm` it multiplies the mean: pass it WINDOW * ALPHA there.
    """
    channels, reach = x.shape[-1], WINDOW // 2
    values = x.astype(jnp.float32)
    padded = jnp.pad(jnp.square(values), [(0, 0)] * (x.ndim - 1) + [(reach, reach)])
    total = sum(padded[..., i : i + channels] for i in range(WINDOW))
    root = jax.lax.rsqrt(K + ALPHA * total)
    return (values * root * jnp.sqrt(root)).astype(x.dtype)  # root^1.5 is the power -BETA
