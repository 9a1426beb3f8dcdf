"""What a run depends on besides its configuration: versions, devices, and the code's git revision."""

import platform
import subprocess
from pathlib import Path

import jax

from vivit_jax.versions import versions_of

LIBRARIES = ("vivit_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "tensorflow-datasets", "numpy")


def surroundings() -> dict:
    """The parts of `config.json` beside the configuration, as plain values."""
    return {
        "versions": {"python": platform.python_version()} | versions_of(*LIBRARIES),
        "devices": {"kind": jax.devices()[0].device_kind, "count": jax.device_count(), "hosts": jax.process_count()},
        "git": _git_revision(),
    }


def _git_revision() -> str | None:
    """The commit of the checkout this file is tracked in, marked where files are changed; None for an installed package."""
    here = Path(__file__).parent
    try:
        subprocess.run(["git", "-C", here, "ls-files", "--error-unmatch", __file__], capture_output=True, check=True)
        described = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty", "--abbrev=40"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.decode().strip()
