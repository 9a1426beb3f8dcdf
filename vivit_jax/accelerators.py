"""What every command that computes says of the machine before it begins."""

import os
from pathlib import Path

import jax

from vivit_jax import console

# Where NVIDIA's driver shows its GPUs.
GPUS = ("/dev/nvidia0", "/proc/driver/nvidia/gpus")


def tell_of_unused_gpu() -> None:
    """Warns where there is a GPU and jax computes on the CPU, as it does without a word if it was installed for CPUs alone."""
    wanted = os.environ.get("JAX_PLATFORMS") or os.environ.get("JAX_PLATFORM_NAME") or ""
    if "cpu" in wanted or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return
    found = next((path for path in GPUS if Path(path).exists()), None)
    if found and jax.default_backend() == "cpu":
        console.warn(
            f"this machine has a GPU ({found}), and jax computes on the CPU: pip install 'jax[cuda13]' (or jax[cuda12]) to use it, or set "
            "JAX_PLATFORMS=cpu if this is meant"
        )
