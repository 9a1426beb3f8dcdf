"""The surroundings that measured figures depend on: devices, CPUs and versions."""

import os
import platform
from typing import Any

import jax

from vivit_jax.versions import versions_of


def environment() -> dict[str, Any]:
    """Devices, CPUs and versions, as plain values for JSON."""
    device = jax.devices()[0]
    return {
        "device": device.device_kind,
        "platform": device.platform,
        "devices": jax.device_count(),
        "cpus": os.cpu_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "versions": {"python": platform.python_version()} | versions_of("jax", "jaxlib", "flax", "optax"),
    }
