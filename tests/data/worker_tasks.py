"""What the processes of test_workers.py do: a module of its own, since a spawned process imports it by name."""

import os
import signal
import time

from vivit_jax.errors import UserError


def work(item):
    match item:
        case "hang":
            time.sleep(1000)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "bad":
            raise UserError("bad: it is bad")
        case "bug":
            raise ZeroDivisionError("a slip of ours")
    time.sleep(item % 3 / 100)
    return item, os.getpid()
