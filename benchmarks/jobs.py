"""Commands side by side on several GPUs; what is finished is not done again. The studies here are made of such jobs."""

import concurrent.futures
import dataclasses
import os
import pathlib
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from subprocesses import ROOT, TRAIN

__all__ = ["GRACE", "LOG", "ROOT", "SCORES", "TRAIN", "Job", "run_all"]

SCORES, LOG = "evaluation.json", "log.txt"
GRACE = 30.0  # seconds that an interrupted command has to save what it did


@dataclasses.dataclass(frozen=True)
class Job:
    """Commands that follow one another.

    Attributes:
      name: its name in messages.
      workdir: its work directory; the job is finished when `evaluation.json` is there.
      commands: the commands in order, each a program and its arguments.
    """

    name: str
    workdir: pathlib.Path
    commands: tuple[tuple[str, ...], ...]

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return (self.workdir / SCORES).exists()


def run_all(
    jobs: Sequence[Job],
    at_once: int,
    gpus: Sequence[str] = (),
    seconds: float = float("inf"),
    *,
    longest: float = float("inf"),
    stagger: float = 0.0,
    then: Callable[[Job, float], None] = lambda job, seconds: None,
) -> None:
    """Does the jobs that are not finished, and tells how each ended.

    Args:
      jobs: what to do, in the order to begin it.
      at_once: how many go side by side.
      gpus: the GPUs to spread them over; none leaves the choice to JAX.
      seconds: what all may take. Then none is begun, and those that run are interrupted: training saves its state, and goes on when it is
        called again.
      longest: seconds that one command may take before it is interrupted.
      stagger: seconds between the first jobs, so that later ones find steps compiled.
      then: called with each job that was finished, one after the other, and the seconds that it took.
    """
    waiting, end = [job for job in jobs if not job.finished], time.monotonic() + seconds
    places: queue.Queue = queue.Queue()
    for number in range(at_once):
        places.put(gpus[number % len(gpus)] if gpus else None)

    def one(number: int, job: Job) -> tuple[Job, float, str]:
        place = places.get()
        try:
            time.sleep(number * stagger if number < at_once else 0)
            start = time.monotonic()
            told = _run(job, place, longest, end)
            return job, time.monotonic() - start, told
        finally:
            places.put(place)

    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        begun = [pool.submit(one, *numbered) for numbered in enumerate(waiting)]
        try:
            for number, done in enumerate(concurrent.futures.as_completed(begun), start=1):
                job, took, told = done.result()
                if job.finished:
                    then(job, took)
                print(f"{number} of {len(waiting)}: {job.name} {took:.0f} s {told}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:  # which the commands have had too
            pool.shutdown(cancel_futures=True)
            raise


def _run(job: Job, gpu: str | None, longest: float, end: float) -> str:
    """Runs the commands of a job; returns how the one ended that failed, or nothing. Their output is added to `log.txt` in its folder."""
    environment = os.environ | ({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}) | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    for command in job.commands:
        left = min(end - time.monotonic(), longest)
        if left <= 0:
            return "not begun: the time is up"
        job.workdir.mkdir(parents=True, exist_ok=True)
        with (job.workdir / LOG).open("a") as log:
            running = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
            try:
                code = running.wait(None if left == float("inf") else left)
            except subprocess.TimeoutExpired:
                return f"interrupted, {_stopped(running)}"
        if code:
            return f"ended with {code}: {' '.join((job.workdir / LOG).read_text().strip().splitlines()[-1:])}"
    return ""


def _stopped(running: subprocess.Popen) -> str:
    """Asks a command to stop, and ends one that does not."""
    running.terminate()
    try:
        return f"ended with {running.wait(GRACE)}"
    except subprocess.TimeoutExpired:
        running.kill()
        return f"then killed: it had not saved within {GRACE:g} s"
