"""Times calls that are queued on a device, as the training loop queues its steps: a few ahead of the one that is waited for."""

import collections
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

CALLS_IN_FLIGHT = 2


def time_queued(call: Callable[[], Any], count: int, *, warm_up: int) -> tuple[np.ndarray, Any]:
    """Seconds from the result of one call to that of the next, of `count` calls after a warm-up; and the last result."""
    pending: collections.deque = collections.deque()
    arrivals = []
    for _ in range(warm_up + count):
        pending.append(call())
        if len(pending) > CALLS_IN_FLIGHT:
            jax.block_until_ready(pending.popleft())
            arrivals.append(time.perf_counter())
    while pending:
        last = jax.block_until_ready(pending.popleft())
        arrivals.append(time.perf_counter())
    return np.diff(arrivals)[-count:], last
