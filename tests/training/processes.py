"""A tiny run in a process of its own, as a person starts one."""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from system_limits import mounted_disk

HERE = Path(__file__).parent


@dataclasses.dataclass
class Process:
    """A run that was started: its output goes to a file, so that it can be read while it runs."""

    popen: subprocess.Popen
    log: Path

    def wait(self, timeout: float = 300) -> int:
        return self.popen.wait(timeout)

    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, timeout: float = 300) -> None:
        """Returns once the output holds `text`."""
        import time

        end = time.monotonic() + timeout
        while text not in self.output():
            if time.monotonic() > end or self.popen.poll() is not None:
                raise AssertionError(f"{text!r} did not come (exit code {self.popen.poll()}):\n{self.output()}")
            time.sleep(0.01)


def arrays_of(workdir, step):
    """Every array of a checkpoint, and what is saved beside them."""
    import jax
    import orbax.checkpoint as ocp

    from vivit_jax.runs.manifest import damage

    assert damage(workdir / "checkpoints" / str(step)) is None
    manager = ocp.CheckpointManager(workdir / "checkpoints")
    restored = manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(), facts=ocp.args.JsonRestore()))
    manager.close()
    return jax.tree.leaves(jax.device_get(restored["state"])), restored["facts"]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory) -> Path:
    """A compilation cache for all processes of a test session: most of a tiny run's time is compiling the same step again.

    The workers of pytest-xdist share it: their folders lie in the session's.
    """
    session = tmp_path_factory.getbasetemp()
    folder = (session.parent if "PYTEST_XDIST_WORKER" in os.environ else session) / "compiled"
    folder.mkdir(exist_ok=True)
    return folder


@contextlib.contextmanager
def starting(folder: Path, compiled: Path):
    """run(workdir, *flags, devices=1, piped=False, nohup=False, **environment): `train.py` on the tiny data set, in this folder."""
    started = []

    def run(workdir: Path, *flags: str, devices: int = 1, piped: bool = False, nohup: bool = False, **environment: str) -> Process:
        log = folder / f"process_{len(started)}.log"
        environment = (
            os.environ
            | {
                "JAX_PLATFORMS": "cpu",
                "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0",
                "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]),
                "PYTHONUNBUFFERED": "1",
                "JAX_COMPILATION_CACHE_DIR": str(compiled),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }
            | environment
        )
        command = [sys.executable, str(HERE / "tiny.py"), f"--config={HERE / 'tiny_config.py'}", f"--workdir={workdir}", *flags]
        with log.open("w") as file, hang_up(honoured=not nohup):
            output = subprocess.PIPE if piped else file
            popen = subprocess.Popen(command, stdout=output, stderr=file, env=environment, cwd=folder)
        started.append(popen)
        return Process(popen, log)

    try:
        yield run
    finally:
        for popen in started:
            if popen.poll() is None:
                popen.kill()
                popen.wait()


@pytest.fixture
def start(tmp_path, compiled):
    """Starts runs as `starting` says; those that still run after the test are killed."""
    with starting(tmp_path, compiled) as run:
        yield run


@contextlib.contextmanager
def hang_up(*, honoured: bool):
    """What is started inside ends when its terminal does, or else not, as under nohup: a process inherits that from the tests' own."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL if honoured else signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, previous)


def free_port() -> int:
    """A port of this machine that nobody listens on; the system gives others to whoever asks next."""
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB of its own."""
    with mounted_disk(tmp_path / "disk", "4m") as disk:
        yield disk
