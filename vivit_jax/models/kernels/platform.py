"""Finds out which kernels this machine can run."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from vivit_jax import console
from vivit_jax.models.kernels import flash_attention_3, triton

HALF_PRECISION = (jnp.bfloat16, jnp.float16)
HOPPER = "9.0"


@dataclasses.dataclass(frozen=True)
class Machine:
    """The facts about a machine that the choice of an attention backend depends on.

    Attributes:
      platform: of jax's first device: `cpu`, `gpu` or `tpu`.
      capability: its CUDA compute capability, such as `9.0`; None where it is no NVIDIA GPU.
      fa3_obstacle: why FlashAttention-3 cannot be loaded here, None where it is; looked at on Hopper GPUs only.
    """

    platform: str
    capability: str | None = None
    fa3_obstacle: str | None = None

    @property
    def is_hopper(self) -> bool:
        """Whether this is one of the GPUs that FlashAttention-3 is built for."""
        return self.platform == "gpu" and self.capability == HOPPER

    @property
    def runs_fa3(self) -> bool:
        """Whether FlashAttention-3 can be used."""
        return self.is_hopper and self.fa3_obstacle is None


def this_machine() -> Machine:
    """The machine of this process."""
    platform = jax.default_backend()
    machine = Machine(platform, getattr(jax.devices()[0], "compute_capability", None) if platform == "gpu" else None)
    return dataclasses.replace(machine, fa3_obstacle=flash_attention_3.obstacle()) if machine.is_hopper else machine


def runs_our_kernels(backend: str, dtype: jnp.dtype) -> bool:
    """Whether our kernels take the place of XLA's: on a GPU, in 16 bits, under a `ViViTConfig.attention` that allows them.

    Where they would, but this jax has no Triton to compile them, a line on the console tells so, once.
    """
    wanted = backend in ("auto", "cudnn", "fa3") and dtype in HALF_PRECISION and jax.default_backend() == "gpu"
    if wanted and not triton.AVAILABLE:
        _tell_of_lost_kernels()
    return wanted and triton.AVAILABLE


@functools.cache
def _tell_of_lost_kernels() -> None:
    console.warn(
        f"jax {jax.__version__} has no Triton for our kernels, so that XLA computes in their place, with the same results: training is "
        "2 to 13 % slower than with jax 0.12"
    )


def prefers_matrix_products() -> bool:
    """Whether projections to heads and back are faster as products of matrices: cuBLAS then adds biases and residuals as it writes.

    XLA for CPUs is 5 to 8 % of a small model's training step faster if the product has heads from the start.
    """
    return jax.default_backend() == "gpu"
