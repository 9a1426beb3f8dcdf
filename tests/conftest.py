"""Fixtures shared by all tests: eight virtual CPU devices, and the development data where it is present."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=8",
        # Most of the time goes into compiling programs that run once: optimise them less.
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
    ]
)

import jax
import pytest

jax.config.update("jax_default_matmul_precision", "highest")

SHARED = pathlib.Path(os.environ.get("VIVIT_SHARED", pathlib.Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of real clips and weights that the project is developed on; tests that need it skip without it."""
    if not (SHARED / "data").is_dir():
        pytest.skip("development data (shared/data) is not here")
    return SHARED / "data"


@pytest.fixture(scope="session")
def goldens() -> pathlib.Path:
    """Outputs of the original implementation; tests that need them skip without them."""
    if not (SHARED / "goldens").is_dir():
        pytest.skip("golden outputs (shared/goldens) are not here")
    return SHARED / "goldens"
