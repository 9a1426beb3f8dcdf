"""The time of training is split without a rest, and what is not training is not in it."""

import pytest

from vivit_jax.runs import clock as clock_module
from vivit_jax.runs.clock import Clock, Lap


@pytest.fixture
def spend(monkeypatch):
    """spend(seconds) of a time that only it moves."""
    now = [100.0]
    monkeypatch.setattr(clock_module.time, "perf_counter", lambda: now[0])

    def spend(seconds):
        now[0] += seconds

    return spend


def test_a_lap_is_split_into_data_device_and_host(spend):
    clock = Clock()
    with clock.waiting_for("data"):
        spend(1)
    with clock.waiting_for("device"):  # the first step, which compiles: not part of a lap
        spend(30)
    clock.count(8)
    with clock.waiting_for("data"):
        spend(0.5)
    spend(1.5)
    with clock.waiting_for("device"):
        spend(3)
    clock.count(8)
    with clock.stopped():  # an evaluation
        spend(60)
    lap = clock.lap()
    assert lap == Lap(clips_per_second=8 / 5, data=0.1, device=0.6, host=pytest.approx(0.3))
    assert clock.waited == {"data": 1.5, "device": 33}
    assert lap.row() == {
        "train/clips_per_second": 1.6,
        "train/data_wait": 0.1,
        "train/device_wait": 0.6,
        "train/host_time": pytest.approx(0.3),
    }
    spend(2)
    clock.count(8)
    assert clock.lap() == Lap(clips_per_second=4, data=0, device=0, host=1)


def test_steps_that_were_waited_for_at_once_share_the_time(spend):
    clock = Clock()
    clock.count(8)
    spend(3)
    with clock.waiting_for("device"):  # for three steps, before an evaluation
        spend(1)
    for following in (16, 8, 0):
        clock.count(8)
        assert clock.lap(following).row() == pytest.approx(Lap(clips_per_second=6, data=0, device=0.25, host=0.75).row())
    spend(2)
    clock.count(8)
    assert clock.lap().clips_per_second == pytest.approx(4)
