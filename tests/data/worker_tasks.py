"""What the processes of test_workers.py do: a module of its own, since a spawned process imports it by name."""

import os
import pathlib
import signal
import time

from vivit_jax.errors import UserError


def work(item):
    match item:
        case "hang":
            time.sleep(1000)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case pathlib.Path():
            if not item.exists():
                item.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return item
        case "bad":
            raise UserError("bad: it is bad")
        case "bug":
            raise ZeroDivisionError("a slip of ours")
    time.sleep(item % 3 / 100)
    return item, os.getpid()


def count_down(item):
    """Results that come one by one, the process's id among them; what is not a number happens after two of them."""
    for number in range(item if isinstance(item, int) else 2, 0, -1):
        yield number, os.getpid()
    if not isinstance(item, int):
        work(item)
