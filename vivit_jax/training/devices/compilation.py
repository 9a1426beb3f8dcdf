"""The persistent compilation cache: a program that was compiled once is read from disk when the same run starts again."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import jax

from vivit_jax import console
from vivit_jax.files import is_url
from vivit_jax.training.config import USUAL_CACHE

# The events that jax reports of its cache.
REQUEST, HIT = "/jax/compilation_cache/compile_requests_use_cache", "/jax/compilation_cache/cache_hits"


def use_cache(folder: str | None) -> None:
    """Keeps compiled programs in a folder, which is made when needed; None leaves jax as it is."""
    if not folder:
        return
    if is_url(folder):
        console.warn(f"there is no compilation cache, as {folder} is a URL: give the folder of a mounted bucket")
        return
    try:
        _keep_in(Path(folder).expanduser())
    except RuntimeError:  # no HOME, and no entry in the list of users, as in many containers
        console.warn(f"there is no compilation cache, as {folder} names no home: set HOME or training.compilation_cache to keep one")


def use_usual_cache() -> None:
    """Keeps compiled programs where training does by default, for commands that have no config; a folder that JAX was given comes first.

    Without a home folder, or one that can be written to, there is none, and nothing is said: the command then only takes a second longer.
    """
    given = jax.config.jax_compilation_cache_dir
    with contextlib.suppress(RuntimeError, OSError):
        folder = given or Path(USUAL_CACHE).expanduser()
        if not given:
            folder.mkdir(parents=True, exist_ok=True)
        _keep_in(folder)


def _keep_in(folder: str | Path) -> None:
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Small programs too: a start has dozens of them, and each takes longer to compile than to read.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    # The address of our partitioning rules in memory is another one in each process: with several devices no start would find its step.
    jax.config.update("jax_remove_custom_partitioning_ptr_from_cache_key", True)


@dataclasses.dataclass
class Compilation:
    """The compilations that happened while `watched` was entered.

    Attributes:
      seconds: how long it took, tracing included.
      requests: programs looked for in the cache.
      hits: programs found there.
    """

    seconds: float = 0.0
    requests: int = 0
    hits: int = 0

    def __str__(self) -> str:
        how = "read from the compilation cache" if 0 < self.requests == self.hits else "compiled"
        return f"traced and {how} in {self.seconds:.1f} s"


@contextlib.contextmanager
def watched() -> Iterator[Compilation]:
    """Watches what this thread compiles inside the context."""
    compilation, thread, start = Compilation(), threading.get_ident(), time.perf_counter()

    def listen(event: str, **_: object) -> None:
        if threading.get_ident() == thread:
            compilation.requests += event == REQUEST
            compilation.hits += event == HIT

    jax.monitoring.register_event_listener(listen)
    try:
        yield compilation
    finally:
        jax.monitoring.unregister_event_listener(listen)
        compilation.seconds = time.perf_counter() - start
