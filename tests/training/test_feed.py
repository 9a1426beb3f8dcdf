"""Batches that do not come."""

import subprocess
import sys
import threading
import time

import pytest

from vivit_jax.errors import UserError
from vivit_jax.training.feed import Feed, read_ahead


@pytest.mark.fault(
    subject="data",
    promise="An evaluation does not wait forever for a video that cannot be decoded",
    provoked="a read that never returns, in a thread",
    seen="one line after the limit; exit code 2, though the read still hangs",
    trials=2,
)
def test_a_read_that_never_returns_is_given_up():
    released = threading.Event()

    def batches():
        yield 1
        released.wait()

    items = read_ahead(batches(), lambda: None, patience=1)
    assert next(items) == 1
    begun = time.monotonic()
    with pytest.raises(UserError, match="reading took more than 1 s and was given up"):
        next(items)
    assert time.monotonic() - begun < 20
    released.set()


def test_a_command_that_failed_waits_for_no_thread():
    hangs = "import sys, threading; from vivit_jax import process; threading.Thread(target=threading.Event().wait).start(); "
    assert subprocess.run([sys.executable, "-c", hangs + "sys.exit(process.finish(2))"], timeout=60).returncode == 2


def test_a_feed_that_is_left_ends_its_readers():
    class Batches:
        ends = 0

        def __next__(self):
            return {"video": 0, "index": 0}

        def get_state(self):
            return {}

        def close(self):
            self.ends += 1

    for begun in (False, True):
        feed = Feed(Batches(), lambda rows: rows, depth=1)
        if begun:
            assert next(feed) == ({"video": 0}, "{}")
        feed.close()
        assert feed._batches.ends == begun
