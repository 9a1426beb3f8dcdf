"""Chooses how many threads or worker processes read a data set: what the config says, or else what suits the machine.

Threads start at once and share everything, but only so many of them keep a CPU busy each: between two calls into FFmpeg or OpenCV all wait
for the interpreter's one lock. Processes do not, and each takes seconds to start and a part of the machine's memory: they are for feeding
GPUs and TPUs, while a model on CPUs is slower than a few threads. docs/performance.md has the figures.
"""

import contextlib
import dataclasses
import math
import multiprocessing
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import cv2
import jax

from vivit_jax.data.config import DataConfig
from vivit_jax.data.workers import available_cpus

# The most threads that Python's interpreter lock leaves busy.
MOST_THREADS = 4
# The most that the fastest model here needs on an H200.
PROCESSES_A_DEVICE = 16
# Worker processes hand over pieces of batches of about this size: large enough that their number does not matter, small enough that all
# workers together do not hold many batches.
PIECE_BYTES = 16 * 10**6
# Each worker makes one piece while another is ready, and some more are being put together.
PIECES_A_WORKER = 4
# The fewest clips that processes evaluate: threads read them in some 20 seconds, of which processes take several to start, in each pass.
LARGE_SPLIT = 1000
SHARED_MEMORY = Path("/dev/shm")
OF_THE_GROUP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@dataclasses.dataclass(frozen=True)
class Readers:
    """The threads and processes that read a data set.

    Attributes:
      threads: how many threads this process has for reading, or each worker process if there are any.
      processes: how many worker processes; 0 if this process reads.
      piece: rows of a batch that a worker process hands over at a time; divides the batch.
    """

    threads: int
    processes: int = 0
    piece: int = 1


def choose_readers(data: DataConfig, batch_size: int, row_bytes: int, *, clips: float = math.inf) -> Readers:
    """Chooses who reads batches: for a GPU or TPU, one process for each CPU if there are enough CPUs and memory, else threads.

    Args:
      data: its `readers` and `processes` are used if they are given.
      batch_size: rows of a batch on this host.
      row_bytes: the size of one row: a clip to train on, or all views of a video to evaluate.
      clips: how many clips are read on this host, without end in training; processes do not repay their start for fewer than `LARGE_SPLIT`.
    """
    piece = max(size for size in range(1, batch_size + 1) if batch_size % size == 0 and (size == 1 or size * row_bytes <= PIECE_BYTES))
    if data.processes is not None or data.readers is not None or clips < LARGE_SPLIT:
        return dataclasses.replace(given_readers(data), piece=piece)
    processes = min(available_cpus(), PROCESSES_A_DEVICE * _accelerators(), _free_shared_memory() // (PIECES_A_WORKER * piece * row_bytes))
    return Readers(1, processes, piece) if processes > MOST_THREADS else given_readers(data)


def given_readers(data: DataConfig) -> Readers:
    """Chooses who reads from `data` alone: threads of this process, unless it sets `processes`."""
    return Readers(data.readers or (1 if data.processes else min(available_cpus(), MOST_THREADS)), data.processes or 0)


def begin_worker(worker: int = 0, workers: int = 1) -> None:
    """What a worker process does first: it uses no CPU but its readers', and ends when its parent does."""
    leave_cpus_to_readers()
    threading.Thread(target=_end_with_parent, daemon=True).start()


@contextlib.contextmanager
def deaf_to_signals() -> Iterator[None]:
    """Threads and processes that are begun in here, and those that they begin, never get the signals that end a command.

    A terminal or a batch system sends them to the whole process group, but they are for the main process, which ends its workers.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OF_THE_GROUP)
    try:
        resource_tracker.ensure_running()  # or the first worker would start it, which unblocks SIGINT and SIGTERM
        signal.pthread_sigmask(signal.SIG_BLOCK, OF_THE_GROUP)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_cpus_to_readers() -> None:
    """Turns off OpenCV's own threads in this process."""
    cv2.setNumThreads(0)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _accelerators() -> int:
    """The number of GPUs or TPUs of this process."""
    return 0 if jax.default_backend() == "cpu" else jax.local_device_count()


def _free_shared_memory() -> int:
    """Bytes; containers often have little. Systems without the folder have no such limit."""
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else sys.maxsize
