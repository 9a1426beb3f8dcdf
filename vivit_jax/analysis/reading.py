"""Measures how fast a data set is read when nothing else is slower."""

import time
from collections.abc import Iterator
from typing import Any

import psutil

from vivit_jax.config import Experiment
from vivit_jax.data.dataset import ensure_dataset
from vivit_jax.data.pipeline import training_batches

WARM_UP_BATCHES = 2


def measure_reading(experiment: Experiment, batch_size: int, count: int) -> dict[str, Any]:
    """Times `count` training batches, read after a warm-up as training reads them but not waiting for any step; returns a row for JSON."""
    data = experiment.data
    records = ensure_dataset(data.name, data.data_dir).source(data.train_split)
    batches = training_batches(records, experiment.preprocess, data, experiment.augment, batch_size=batch_size, seed=experiment.seed)
    try:
        _take(batches, WARM_UP_BATCHES)
        start, cpu_start = time.perf_counter(), cpu_seconds()
        _take(batches, count)
        seconds, busy = time.perf_counter() - start, cpu_seconds() - cpu_start
    finally:
        batches.close()
    clips = count * batch_size
    return {
        "mode": "data",
        "data": data.name,
        "batch_size": batch_size,
        "clip": list(experiment.model.clip),
        "readers": batches.readers.threads,
        "processes": batches.readers.processes,
        "steps": count,
        "clips_per_second": clips / seconds,
        "milliseconds": 1e3 * seconds / count,
        "cpus_busy": busy / seconds,
        "clips_per_cpu_second": clips / busy,
    }


def _take(batches: Iterator, count: int) -> None:
    for _ in range(count):
        next(batches)


def cpu_seconds() -> float:
    """CPU time of this process and of its running workers so far."""
    workers = [worker.cpu_times() for worker in psutil.Process().children(recursive=True)]
    return time.process_time() + sum(times.user + times.system for times in workers)
