"""Batches read ahead of the step, so that decoding, transfer and computation overlap, and so that a read that hangs holds up no signal.

A read may hang for ever, for example on a network disk that is gone. It then hangs in a thread, while the caller checks every
`LOOK_SECONDS` whether to leave.
"""

import contextlib
import json
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import jax
import numpy as np
from jax.experimental import multihost_utils

from vivit_jax.errors import UserError

LOOK_SECONDS = 0.2
READING = "reading"  # the name of the threads that read
CLOSE_SECONDS = 5.0

_END = object()


class Batches(Protocol):
    """An endless iterator over training batches of this host whose position can be saved; grain's iterators are."""

    def __next__(self) -> dict[str, Any]:
        """The next batch: `video` uint8 (b, t, h, w, 3), `label` int32 (b,) or a dict of them by head, and what else the step takes."""

    def get_state(self) -> dict:
        """The position after the last batch, as plain values."""

    def set_state(self, state: dict) -> None:
        """Goes to a position."""


class Feed(Iterator):
    """Draws batches in a thread and hands out (batch on the devices, position of the data after it).

    The position is that of the batch handed out, not of the thread, which is ahead: so a resumed run goes on right after the last batch
    that was trained on.
    """

    def __init__(self, batches: Batches, to_devices: Callable, depth: int) -> None:
        self._batches = batches
        self._to_devices = to_devices
        self._queue: queue.Queue = queue.Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, name=READING, daemon=True)
        self._thread.start()

    def __next__(self) -> tuple[dict[str, Any], str]:
        return self.next(lambda: None)

    def next(self, look: Callable[[], None]) -> tuple[dict[str, Any], str]:
        """The next batch; `look` is called again and again while none is there, and may raise to leave."""
        item = _waited_for(self._queue, look)
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Ends the thread; one that hangs in a decoder is left behind."""
        self._closed.set()
        self._thread.join(timeout=CLOSE_SECONDS)

    def _fill(self) -> None:
        while not self._closed.is_set():
            try:
                batch = next(self._batches)
                rows = {name: value for name, value in batch.items() if name != "index"}
                item = self._to_devices(rows), json.dumps(self._batches.get_state())
            except Exception as error:  # raised again where the batch is asked for
                item = error
            _put(self._queue, item, self._closed)
            if isinstance(item, Exception):
                return


def read_ahead(items: Iterable[Any], look: Callable[[], None], patience: float = math.inf) -> Iterator[Any]:
    """The items, read one ahead in a thread; `look` is called again and again while none is there, and may raise to leave.

    Raises:
      UserError: if an item takes more than `patience` seconds.
    """
    ahead: queue.Queue = queue.Queue(1)
    closed = threading.Event()

    def fill() -> None:
        last: object = _END
        try:
            for item in items:
                _put(ahead, item, closed)
                if closed.is_set():
                    return
        except Exception as error:  # raised again where the item is asked for
            last = error
        _put(ahead, last, closed)

    threading.Thread(target=fill, name=READING, daemon=True).start()
    try:
        while (item := _waited_for(ahead, look, patience)) is not _END:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        closed.set()


def hangs() -> bool:
    """Whether a thread of this module still reads, though nobody waits for it any more."""
    return any(thread.name == READING for thread in threading.enumerate())


def _waited_for(items: queue.Queue, look: Callable[[], None], patience: float = math.inf) -> Any:
    begun = time.monotonic()
    while True:
        with contextlib.suppress(queue.Empty):
            return items.get(timeout=LOOK_SECONDS)
        look()
        if time.monotonic() - begun > patience:
            raise UserError(
                f"reading took more than {patience:g} s and was given up: a video cannot be decoded, or its disk does not answer"
            )


def _put(items: queue.Queue, item: object, closed: threading.Event) -> None:
    while not closed.is_set():
        with contextlib.suppress(queue.Full):
            items.put(item, timeout=0.1)
            return


def positions_of_all_hosts(position: str) -> list[str]:
    """The data positions of all hosts, on every host, by process index."""
    if jax.process_count() == 1:
        return [position]
    encoded = np.frombuffer(position.encode(), np.uint8)
    longest = int(np.max(multihost_utils.process_allgather(np.asarray(len(encoded)))))
    rows = multihost_utils.process_allgather(np.pad(encoded, (0, longest - len(encoded)), constant_values=ord(" ")))
    return [bytes(row).decode().rstrip() for row in np.asarray(rows)]
