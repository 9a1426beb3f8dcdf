"""What a run says of its first step: compiled, or read from the cache by a second start."""

import re
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import NamedSharding, PartitionSpec

from vivit_jax.models.kernels.partitioning import per_device
from vivit_jax.training.devices.compilation import use_cache, watched


def first_step(output):
    return re.search(r"first step ([\d.]+) s after the start, traced and (.*) in ([\d.]+) s", output).groups()


@pytest.mark.slow
def test_the_second_start_reports_a_hit(start, tmp_path):
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    said = []
    for number in (1, 2):
        run = start(tmp_path / str(number), "--config.training.steps=2", "--config.data.val_split=None", **cache)
        assert run.wait() == 0, run.output()
        said.append(first_step(run.output()))
    (_, cold, compiling), (_, warm, reading) = said
    assert (cold, warm) == ("compiled", "read from the compilation cache")
    assert float(reading) < float(compiling)


@pytest.fixture
def asks_an_empty_cache(tmp_path):
    """The tests' own cache may hold the program, and JAX remembers its first look at a cache."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    compilation_cache.reset_cache()
    yield
    jax.config.update("jax_compilation_cache_dir", before)
    compilation_cache.reset_cache()


def test_what_another_thread_compiles_does_not_count(asks_an_empty_cache):
    def compile_something(number):
        jax.jit(lambda x: jnp.sin(x) * number)(jnp.ones(3)).block_until_ready()

    with watched() as compilation:
        other = threading.Thread(target=compile_something, args=(3.25,))
        other.start()
        other.join()
        assert compilation.requests == 0
        compile_something(3.5)
    assert compilation.requests > compilation.hits
    assert str(compilation).startswith("traced and compiled in ")


def test_several_devices_find_a_program_whose_partitioning_lies_elsewhere_in_memory(asks_an_empty_cache, tmp_path):
    flags = ("jax_remove_custom_partitioning_ptr_from_cache_key", "jax_persistent_cache_min_compile_time_secs")
    before = {flag: getattr(jax.config, flag) for flag in flags}
    rows = NamedSharding(jax.make_mesh((2,), ("data",), devices=jax.devices()[:2]), PartitionSpec("data"))
    x = jax.device_put(np.ones((4, 3), np.float32), rows)

    def compiled():
        function = per_device(lambda x: jnp.tanh(x) * 2.5, "bn -> bn")
        with watched() as compilation:
            jax.jit(function)(x).block_until_ready()
        return compilation

    try:
        use_cache(str(tmp_path))
        first, second = compiled(), compiled()
    finally:
        for flag, value in before.items():
            jax.config.update(flag, value)
    assert (first.requests, first.hits) == (1, 0)
    assert (second.requests, second.hits) == (1, 1)


@pytest.mark.slow
def test_a_run_with_another_seed_finds_the_step_of_the_first(start, tmp_path):
    cache, rows = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}, []
    for seed in (0, 1):
        run = start(tmp_path / str(seed), "--config.training.steps=2", "--config.data.val_split=None", f"--config.seed={seed}", **cache)
        assert run.wait() == 0, run.output()
        rows.append(tiny.rows(tmp_path / str(seed)))
    assert first_step(run.output())[1] == "read from the compilation cache"
    assert rows[0] != rows[1]
