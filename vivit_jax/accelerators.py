"""The warning that every command which computes gives where it leaves a GPU unused."""

import os
from pathlib import Path

from vivit_jax import console
from vivit_jax.extras import install

# Where NVIDIA's driver shows its GPUs.
GPUS = ("/dev/nvidia0", "/proc/driver/nvidia/gpus")


def tell_of_unused_gpu() -> None:
    """Warns if the machine has a GPU but jax computes on the CPU, which it does silently where it was installed for CPUs alone."""
    wanted = os.environ.get("JAX_PLATFORMS") or os.environ.get("JAX_PLATFORM_NAME") or ""
    if "cpu" in wanted or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return
    found = next((path for path in GPUS if Path(path).exists()), None)
    if not found:
        return
    import jax

    if jax.default_backend() == "cpu":
        console.warn(
            f"this machine has a GPU ({found}), but jax computes on the CPU: {install('cuda')} to use it, or set "
            "JAX_PLATFORMS=cpu if you want the CPU"
        )
