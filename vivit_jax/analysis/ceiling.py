"""The rate of a large matrix product, which no step exceeds: what its rate is compared with."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from vivit_jax.analysis.queued import time_queued

PRODUCTS, CALLS = 8, 30  # products a call, and calls
WARM_UP_CALLS = 5


@dataclasses.dataclass(frozen=True)
class Ceiling:
    """The rate of a large matrix product on one device.

    Attributes:
      size: rows and columns of the square matrices.
      dtype: type of their elements.
      tflops: measured rate in TFLOP/s.
    """

    size: int
    dtype: str
    tflops: float

    def __str__(self) -> str:
        return f"{self.tflops:.4g} TFLOP/s, a {self.size}^3 {self.dtype} product"


def matrix_ceiling() -> Ceiling:
    """Times the product of large random matrices on one device: in bfloat16, or in float32 and smaller on a CPU."""
    size, dtype = (1024, jnp.float32) if jax.default_backend() == "cpu" else (8192, jnp.bfloat16)
    keys = jax.random.split(jax.random.key(0))
    # Scaled so that the numbers keep their size from product to product.
    left, right = (jax.random.normal(key, (size, size), dtype) * scale for key, scale in zip(keys, (size**-0.5, 1.0), strict=True))

    @jax.jit
    def products(left: jax.Array, right: jax.Array) -> jax.Array:
        for _ in range(PRODUCTS):
            right = left @ right
        return right

    calls = CALLS if jax.default_backend() != "cpu" else 3
    seconds, _ = time_queued(lambda: products(left, right), calls, warm_up=WARM_UP_CALLS)
    return Ceiling(size, jnp.dtype(dtype).name, 2e-12 * size**3 * PRODUCTS / float(np.median(seconds)))
