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

    def close(self) -> None:
        """Ends what reads them, such as worker processes."""


class ReadAhead(Iterator):
    """Items that a thread reads ahead, from `start` or the first item on; an error of theirs is raised where the item is asked for.

    Args:
      items: what to read.
      look: called again and again while no item is there; it may raise to leave.
      depth: how many items may lie ready.
      patience: seconds that an item may take.
    """

    def __init__(self, items: Iterable[Any], look: Callable[[], None], *, depth: int = 1, patience: float = math.inf) -> None:
        self._items, self._look, self._patience = items, look, patience
        self._ready: queue.Queue = queue.Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, name=READING, daemon=True)

    @property
    def started(self) -> bool:
        """Whether it has begun to read."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Begins to read, if it has not begun."""
        if not self.started:
            self._thread.start()

    def __next__(self) -> Any:
        self.start()
        item = self._waited_for()
        if item is _END:
            raise StopIteration
        if isinstance(item, Exception):
            raise item
        return item

    def close(self, seconds: float = 0.0) -> None:
        """Ends the thread, and waits at most so long for it; one that hangs in a decoder is left behind."""
        if self.started and not self._closed.is_set():
            self._closed.set()
            self._thread.join(timeout=seconds)

    def _fill(self) -> None:
        last: object = _END
        try:
            for item in self._items:
                self._put(item)
                if self._closed.is_set():
                    return
        except Exception as error:
            last = error
        self._put(last)

    def _put(self, item: object) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._ready.put(item, timeout=0.1)
                return

    def _waited_for(self) -> Any:
        begun = time.monotonic()
        while True:
            with contextlib.suppress(queue.Empty):
                return self._ready.get(timeout=LOOK_SECONDS)
            self._look()
            if time.monotonic() - begun > self._patience:
                raise UserError(
                    f"reading took more than {self._patience:g} s and was given up: a video cannot be decoded, or its disk does not answer"
                )


class Feed(ReadAhead):
    """Training batches, each on the devices and with the position of the data after it, as JSON.

    The position is that of the batch handed out, not of the thread, which is ahead: so a resumed run goes on right after the last batch
    that was trained on.
    """

    def __init__(self, batches: Batches, to_devices: Callable, depth: int, look: Callable[[], None] = lambda: None) -> None:
        """`to_devices` places a batch; `depth` and `look` are as for `ReadAhead`."""
        super().__init__(_with_positions(batches, to_devices), look, depth=depth)
        self._batches = batches

    def go_to(self, position: str) -> None:
        """Goes to a position that came with a batch. Call it before anything is read."""
        assert not self.started, "batches are read already, from the beginning"
        self._batches.set_state(json.loads(position))

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """As `ReadAhead.close`."""
        super().close(seconds)

    def _fill(self) -> None:
        super()._fill()
        self._batches.close()


def read_ahead(items: Iterable[Any], look: Callable[[], None], patience: float = math.inf) -> Iterator[Any]:
    """The items, read one ahead; see `ReadAhead`.

    Raises:
      UserError: if an item takes more than `patience` seconds.
    """
    with contextlib.closing(ReadAhead(items, look, patience=patience)) as ahead:
        yield from ahead


def hangs() -> bool:
    """Whether a thread of this module still reads, though nobody waits for it any more."""
    return any(thread.name == READING for thread in threading.enumerate())


def _with_positions(batches: Batches, to_devices: Callable) -> Iterator[tuple[dict[str, Any], str]]:
    while True:
        rows = {name: value for name, value in next(batches).items() if name != "index"}
        yield to_devices(rows), json.dumps(batches.get_state())


def positions_of_all_hosts(position: str) -> list[str]:
    """The data positions of all hosts, on every host, by process index."""
    if jax.process_count() == 1:
        return [position]
    encoded = np.frombuffer(position.encode(), np.uint8)
    longest = int(np.max(multihost_utils.process_allgather(np.asarray(len(encoded)))))
    rows = multihost_utils.process_allgather(np.pad(encoded, (0, longest - len(encoded)), constant_values=ord(" ")))
    return [bytes(row).decode().rstrip() for row in np.asarray(rows)]
