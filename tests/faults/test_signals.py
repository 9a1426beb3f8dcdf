"""However a run is asked to end, it saves and leaves; asked twice, it leaves at once."""

import os
import signal
import time

import pytest
import tiny

from vivit_jax.runs.restore import verify

LONG = ("--config.training.steps=1000000", "--config.training.log_every=50", "--config.evaluation.every_steps=1000000")
SELDOM = "--config.checkpoint.every_steps=1000000"


def saved_steps(workdir):
    rows = verify(workdir)
    assert all(row.whole for row in rows)
    return [row.step for row in rows]


@pytest.mark.fault(
    promise="SIGTERM, SIGINT, SIGHUP and SIGUSR1 save what was trained and end the run",
    provoked="each of the four is sent to a training process",
    seen="one line with the step and the command that goes on, exit code 143; a whole checkpoint of that step",
    trials=4,
)
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGINT, signal.SIGUSR1))]
)
def test_a_signal_saves_and_leaves(start, tmp_path, number):
    run = start(tmp_path / "run", *LONG, SELDOM)
    run.wait_for("step 50/")
    run.popen.send_signal(number)
    assert run.wait() == 143, run.output()
    step = int(run.output().split("interrupted after step ")[1].split()[0])
    assert saved_steps(tmp_path / "run") == [step]
    assert "the same command goes on: " in run.output().splitlines()[-1]


def test_nohup_is_honoured(start, tmp_path):
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it to what it starts
    try:
        run = start(tmp_path / "run", *LONG, SELDOM)
    finally:
        signal.signal(signal.SIGHUP, previous)
    run.wait_for("step 50/")
    run.popen.send_signal(signal.SIGHUP)
    run.wait_for(f"step {50 * (run.output().count('step ') + 20)}/")
    run.popen.send_signal(signal.SIGTERM)
    assert run.wait() == 143


@pytest.fixture
def fifo(tmp_path):
    """A file whose read hangs for ever."""
    os.mkfifo(tmp_path / "dead")
    return str(tmp_path / "dead")


@pytest.mark.fault(
    promise="A read that hangs, as on a dead network disk, holds up no signal",
    provoked="a batch, and an evaluation, that reads a FIFO nobody writes to; SIGTERM",
    seen="saved and left within seconds, exit code 143; the resumed run equals one that was never interrupted",
    trials=2,
)
@pytest.mark.parametrize("at", ["13", "evaluation"])
@pytest.mark.slow
def test_a_stalled_read_is_left(start, tmp_path, fifo, at):
    run = start(tmp_path / "run", TINY_STALL_AT=at, TINY_FIFO=fifo)
    run.wait_for("step 10/20")
    time.sleep(4)  # the steps before the stall are taken, on a busy machine too
    run.popen.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    assert run.wait() == 143, run.output()
    assert time.monotonic() - begun < 60
    assert saved_steps(tmp_path / "run")[-1] in (range(10, 13) if at == "13" else [10])  # 12 if the machine is not slow
    resumed, whole = start(tmp_path / "run"), start(tmp_path / "whole")
    assert (resumed.wait(), whole.wait()) == (0, 0), resumed.output()
    assert tiny.rows(tmp_path / "run") == tiny.rows(tmp_path / "whole")


def test_a_stall_before_the_first_step_is_left_at_once(start, tmp_path, fifo):
    run = start(tmp_path / "run", TINY_STALL_AT="1", TINY_FIFO=fifo)
    run.wait_for("training clips")
    time.sleep(1)
    run.popen.send_signal(signal.SIGTERM)
    assert run.wait(30) == 143
    assert "interrupted before there was anything to save" in run.output()


@pytest.mark.fault(
    promise="A second signal always ends a run at once, and the newest whole checkpoint is kept",
    provoked="SIGTERM twice to a run whose save hangs in a read of a FIFO",
    seen="exit code 143 within seconds and one line",
    trials=1,
)
def test_a_second_signal_ends_at_once(start, tmp_path, fifo):
    run = start(tmp_path / "run", *LONG, SELDOM, TINY_HANG_IN_SAVE="1", TINY_FIFO=fifo)
    run.wait_for("step 50/")
    run.popen.send_signal(signal.SIGTERM)
    time.sleep(3)
    assert run.popen.poll() is None
    run.popen.send_signal(signal.SIGTERM)
    assert run.wait(20) == 143
    assert "ended at once by a second signal" in run.output()


@pytest.mark.fault(
    promise="A closed pipe, as of `train | head`, saves and ends the run",
    provoked="the reader of the output is closed after three lines",
    seen="exit code 143, and a whole checkpoint",
    trials=1,
)
def test_a_closed_pipe_saves_and_leaves(start, tmp_path):
    run = start(tmp_path / "run", *LONG, SELDOM, piped=True)
    for line in run.popen.stdout:
        if b"step 50/" in line:
            break
    run.popen.stdout.close()
    assert run.wait(60) == 143, run.output()
    assert len(saved_steps(tmp_path / "run")) == 1
    assert "Traceback" not in run.output()
    assert "interrupted after step" in run.output()
