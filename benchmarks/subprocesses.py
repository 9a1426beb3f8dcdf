"""Processes that the benchmarks start: a part of a script by itself, a timed training, and what a process takes meanwhile."""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import psutil

ROOT = pathlib.Path(__file__).resolve().parents[1]
TRAIN = (sys.executable, str(ROOT / "train.py"))
VIVIT = (sys.executable, "-m", "vivit_jax")


def alone(script: str, *arguments: object, timeout: float | None = None) -> tuple[list[Any], str]:
    """Runs a script in a process of its own, so that what it leaves in memory or on a device does not reach the next.

    Args:
      script: its file.
      arguments: its arguments.
      timeout: seconds that it may take; None sets no limit.

    Returns:
      The lines of JSON that it printed, read; and how it failed, in one line, which is empty if it did not.
    """
    command = [sys.executable, script, *map(str, arguments)]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=os.environ | {"PYTHONPATH": path})
        output, problem = done.stdout, _last_line(done.stderr, done.returncode) if done.returncode else ""
    except subprocess.TimeoutExpired as error:
        output = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        problem = f"more than {timeout:g} s"
    return [row for line in output.splitlines() if (row := _json(line)) is not None], problem


def _last_line(said: str, code: int) -> str:
    print(said, file=sys.stderr)
    return next(iter(said.strip().splitlines()[-1:]), f"exit code {code}")[:200]


def _json(line: str) -> Any:
    with contextlib.suppress(ValueError):  # what libraries print besides
        return json.loads(line)


@dataclasses.dataclass(frozen=True)
class Ended:
    """A process that has ended.

    Attributes:
      code: its exit code.
      seconds: wall time from its start to its end.
      cpu: CPU seconds of the process and of its children that it waited for.
      said: its output.
    """

    code: int
    seconds: float
    cpu: float
    said: str


def train_timed(
    tree: pathlib.Path,
    flags: Sequence[str],
    tell: Callable[[str, float, int], None],
    *,
    timeout: float,
    cpus: Collection[int] = (),
) -> Ended:
    """Runs `train.py` of a checkout.

    Args:
      tree: the checkout.
      flags: the arguments of `train.py`.
      tell: called with each line of its output, the seconds since its start, and its process number.
      timeout: seconds after which it is killed.
      cpus: the CPUs that it may use; none leaves it all.
    """
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(tree)}
    start, said = time.perf_counter(), []
    process = subprocess.Popen(
        [sys.executable, "train.py", *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=tree
    )
    if cpus:
        os.sched_setaffinity(process.pid, cpus)  # long before it has threads
    ending = threading.Timer(timeout, process.kill)
    ending.start()
    for line in process.stdout:
        said.append(line)
        tell(line, time.perf_counter() - start, process.pid)
    _, status, used = os.wait4(process.pid, 0)
    ending.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(process.returncode, time.perf_counter() - start, used.ru_utime + used.ru_stime, "".join(said))


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a process takes.

    Attributes:
      own_bytes: its resident memory.
      below_bytes: the resident memory of its descendants, summed; pages that they share count in each.
      cpu_seconds: CPU seconds of all of these, and of children that have ended and been waited for.
    """

    own_bytes: int
    below_bytes: int
    cpu_seconds: float


def usage(pid: int) -> Usage | None:
    """What a process takes now; None if it has ended."""
    below, cpu = 0, 0.0
    try:
        process = psutil.Process(pid)
        own, children = process.memory_info().rss, process.children(recursive=True)
    except psutil.NoSuchProcess:
        return None
    for each in (process, *children):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            below += each.memory_info().rss if each is not process else 0
            times = each.cpu_times()
            cpu += times.user + times.system + times.children_user + times.children_system
    return Usage(own, below, cpu)
