"""What the machine under a model runs."""

import jax
import jax.numpy as jnp


def half_precision_on_gpu(dtype: jnp.dtype) -> bool:
    """Whether this is a GPU, and `dtype` one of the 16-bit types that its fast kernels are for."""
    return dtype in (jnp.bfloat16, jnp.float16) and jax.default_backend() == "gpu"


def runs_our_kernels(attention: str, dtype: jnp.dtype) -> bool:
    """Whether kernels of our own take the place of XLA's, under this `ViViTConfig.attention`."""
    return attention in ("auto", "cudnn") and half_precision_on_gpu(dtype)


def multiplies_matrices() -> bool:
    """Whether projections to heads and back are best written as products of matrices: cuBLAS then adds biases and residuals as it writes.

    XLA for CPUs is 5 to 8 % of a small model's training step faster if the product has heads from the start.
    """
    return jax.default_backend() == "gpu"
