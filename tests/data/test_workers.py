import functools
import os
import subprocess
import sys

import pytest
from worker_tasks import count_down, work

from vivit_jax.data import workers
from vivit_jax.data.workers import Failure, Streams, map_in_order


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order(workers):
    results = list(map_in_order(work, range(40), workers=workers, seconds=30))
    assert [item for item, _ in results] == list(range(40))
    assert [value for _, (value, _) in results] == list(range(40))
    assert len({process for _, (_, process) in results}) == workers
    assert os.getpid() not in {process for _, (_, process) in results}


def test_a_hang_a_crash_and_a_refusal_fail_alone():
    items = [1, "hang", 2, "crash", 3, "bad", *range(10)]
    results = dict(map_in_order(work, items, workers=2, seconds=2))
    assert results.pop("hang") == Failure("took too long and was stopped")
    assert results.pop("crash") == Failure("the process that read it died (SIGSEGV)")
    assert results.pop("bad") == Failure("bad: it is bad")
    assert all(value[0] == item for item, value in results.items())


@pytest.mark.fault(
    promise="A video is not left out because the system killed the process that read it",
    provoked="SIGKILL to a worker at its item, once, and each time",
    seen="the item's result from a second process; if that is killed too, one line with the signal and its likely cause",
    trials=2,
)
def test_an_item_whose_process_is_killed_from_outside_is_tried_once_more(tmp_path):
    marks = [tmp_path / "a", tmp_path / "b"]
    results = dict(map_in_order(work, [1, marks[0], "killed", 2, marks[1], 3], workers=2, seconds=30))
    told = results.pop("killed").reason
    assert told == "the process that read it was killed (SIGKILL), as the system does where memory runs out"
    assert [results.pop(mark) for mark in marks] == marks
    assert list(results) == [value for value, _ in results.values()] == [1, 2, 3]


def test_an_unexpected_error_is_that_items_alone():
    results = list(map_in_order(work, [1, "bug", 2], workers=2, seconds=30))
    assert [isinstance(result, Failure) for _, result in results] == [False, True, False]
    assert "unexpected error" in results[1][1].reason
    assert "a slip of ours" in results[1][1].reason


def test_items_are_drawn_only_a_little_ahead():
    drawn = []
    results = map_in_order(work, (drawn.append(item) or item for item in range(1000)), workers=2, seconds=30)
    for _ in range(5):
        next(results)
    results.close()
    assert len(drawn) < 5 + 2 * 5


def test_partials_are_taken_along():
    assert list(map_in_order(functools.partial(max, 5), [3, 7], workers=1, seconds=30)) == [(3, 5), (7, 7)]


def test_leaving_early_ends_the_workers():
    results = map_in_order(work, range(100), workers=2, seconds=30)
    process = next(results)[1][1]
    results.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_parts_come_one_by_one_from_one_process_that_is_replaced_when_it_fails():
    with Streams(count_down, seconds=20) as streams:
        first = list(streams.of(3))
        assert [number for number, _ in first] == [3, 2, 1]
        assert list(streams.of(1)) == [(1, first[0][1])]  # the same process
        *whole, failure = streams.of("bad")
        assert [number for number, _ in whole] == [2, 1]
        assert failure == Failure("bad: it is bad")
        *whole, failure = streams.of("crash")
        assert [number for number, _ in whole] == [2, 1]
        assert failure == Failure("the process that read it died (SIGSEGV)")
        (number, process), *_ = streams.of(2)
        assert (number, process != first[0][1]) == (2, True)
        left = streams.of(1000)
        assert next(left)[0] == 1000
        left.close()  # of what was not drawn, nothing comes
        assert [number for number, _ in streams.of(2)] == [2, 1]


def test_a_part_that_takes_too_long_ends_its_item():
    with Streams(count_down, seconds=3) as streams:
        assert list(streams.of("hang"))[-1] == Failure("took too long and was stopped")


LIMITED = """
import resource, sys
sys.path[:0] = {path!r}
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
from worker_tasks import work
from vivit_jax.data import workers
from vivit_jax.data.workers import map_in_order
print([value[0] for _, value in map_in_order(work, [1, 2], workers=1, seconds=60, memory=4 << 30)])
"""


@pytest.mark.fault(
    promise="A limit on memory that is set from outside is respected",
    provoked="videos are read by a process whose address space is limited for good, as by `ulimit -v` or a batch system",
    seen="the results; no process asks for more than the limit",
    trials=1,
)
def test_a_limit_from_outside_is_kept_to():
    done = subprocess.run([sys.executable, "-c", LIMITED.format(path=sys.path)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[1, 2]\n", "")


def test_a_worker_that_died_at_once_fails_its_items(monkeypatch):
    """What is sent to it raises BrokenPipeError, which a command takes for the loss of its own output's reader."""
    monkeypatch.setattr(workers, "START", "raise SystemExit(7)  # {path} {socket} {memory}")
    results = list(map_in_order(work, ["x" * 10_000_000, 2], workers=1, seconds=30))
    assert [result for _, result in results] == [Failure("the process that read it died (exit code 7)")] * 2
