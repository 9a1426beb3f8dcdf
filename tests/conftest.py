"""What all tests share: eight virtual CPU devices, compiled programs, and the development data where it is present."""

import os
import pathlib
from collections.abc import Iterator

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # on a GPU, whose memory several workers share
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
from jax.experimental.compilation_cache import compilation_cache

jax.config.update("jax_default_matmul_precision", "highest")


def pytest_configure(config: pytest.Config) -> None:
    """Keeps compiled programs for the other workers and the next session, below `.pytest_cache`: most of a test's time goes into them."""
    try:
        folder = config.cache.mkdir("compiled")
    except (AttributeError, OSError):  # pytest's cache is off, or cannot be written
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(autouse=True)
def keeps_the_cache_on() -> Iterator[None]:
    """`vivit bench` turns the compilation cache off for its process, which here is that of the tests to come."""
    yield
    if not jax.config.jax_enable_compilation_cache:
        jax.config.update("jax_enable_compilation_cache", True)
        compilation_cache.reset_cache()


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
