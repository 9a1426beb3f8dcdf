"""Commands side by side on several GPUs; what is finished is not done again. The studies here are made of such jobs."""

import concurrent.futures
import dataclasses
import os
import pathlib
import queue
import subprocess
import sys
import time
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).resolve().parents[1]
TRAIN = (sys.executable, str(ROOT / "train.py"))
VIVIT = (sys.executable, "-m", "vivit_jax")
SCORES = "evaluation.json"


@dataclasses.dataclass(frozen=True)
class Job:
    """Commands that follow one another.

    Attributes:
      name: what it is called when it is done.
      workdir: where it works; it is finished when its `evaluation.json` is there.
      commands: their arguments.
    """

    name: str
    workdir: pathlib.Path
    commands: tuple[tuple[str, ...], ...]

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return (self.workdir / SCORES).exists()


def run_all(jobs: Sequence[Job], at_once: int, gpus: Sequence[str] = (), seconds: float = float("inf")) -> None:
    """Does the jobs that are not finished, `at_once` at a time, each on one of the GPUs; begins none after `seconds`."""
    waiting, end = [job for job in jobs if not job.finished], time.monotonic() + seconds
    places: queue.Queue = queue.Queue()
    for number in range(at_once):
        places.put(gpus[number % len(gpus)] if gpus else None)

    def one(job: Job) -> str:
        if time.monotonic() > end:
            return f"{job.name} not begun: the time is up"
        place, start = places.get(), time.monotonic()
        try:
            told = _run(job, place)
        finally:
            places.put(place)
        return f"{job.name} {time.monotonic() - start:.0f} s {told}"

    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        done = concurrent.futures.as_completed([pool.submit(one, job) for job in waiting])
        for number, told in enumerate(done, start=1):
            print(f"{number} of {len(waiting)}: {told.result()}", file=sys.stderr, flush=True)


def _run(job: Job, gpu: str | None) -> str:
    """Nothing, or the last line of the command that failed."""
    environment = os.environ | ({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}) | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    for command in job.commands:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
        if done.returncode:
            return " ".join(done.stderr.strip().splitlines()[-1:]) or f"ended with {done.returncode}"
    return ""
