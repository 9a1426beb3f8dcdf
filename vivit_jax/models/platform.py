"""What the machine under a model runs."""

import jax
import jax.numpy as jnp


def on_gpu(dtype: jnp.dtype) -> bool:
    """Whether this is an NVIDIA GPU, and `dtype` one of the 16-bit types that its fast kernels are for."""
    return dtype in (jnp.bfloat16, jnp.float16) and jax.default_backend() == "gpu"


def runs_our_kernels(backend: str, dtype: jnp.dtype) -> bool:
    """Whether kernels of our own take the place of XLA's; `backend` is `ViViTConfig.attention`."""
    return backend in ("auto", "cudnn") and on_gpu(dtype)
