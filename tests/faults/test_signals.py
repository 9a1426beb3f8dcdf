"""However a run is asked to end, it saves and leaves; asked twice, it leaves at once."""

import contextlib
import errno
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


NUMBERS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
MOMENTS = {
    "mid-epoch": {"TINY_TERMINATE_AT": "7"},
    "evaluation": {"TINY_TERMINATE_IN_EVALUATION": "1"},
    "save": {"TINY_TERMINATE_IN_SAVE": "1"},
}


@pytest.mark.fault(
    promise="SIGTERM and SIGINT save what was trained and end the run at any time",
    provoked="each of the two in the middle of an epoch, in an evaluation, and while a checkpoint is half written",
    seen="one line with the step and the command that goes on, exit code 143; a whole checkpoint of that step; evaluations are made up for",
    trials=6,
)
@pytest.mark.parametrize(
    ("moment", "number"),
    [
        pytest.param(moment, number, id=f"{moment}-{name}", marks=[] if (moment, name) == ("mid-epoch", "SIGTERM") else pytest.mark.slow)
        for moment in MOMENTS
        for name, number in NUMBERS.items()
    ],
)
def test_a_signal_saves_and_leaves(start, tmp_path, moment, number):
    run = start(tmp_path / "run", "--config.checkpoint.keep=9", TINY_SIGNAL=str(int(number)), **MOMENTS[moment])
    assert run.wait() == 143, run.output()
    step = int(run.output().split("interrupted after step ")[1].split()[0])
    assert saved_steps(tmp_path / "run")[-1] == step
    assert "the same command resumes: " in run.output().splitlines()[-1]
    if moment == "evaluation":
        assert step == 10
        assert not [row for row in tiny.rows(tmp_path / "run") if "val/top1" in row]
        resumed = start(tmp_path / "run")
        assert resumed.wait() == 0, resumed.output()
        assert [row["step"] for row in tiny.rows(tmp_path / "run") if "val/top1" in row] == [10, 20]
    if moment == "save":
        assert saved_steps(tmp_path / "run")[0] == 5 < step, "the checkpoint that was half written is whole"


@pytest.mark.fault(
    promise="A hang-up and Slurm's warning save what was trained and end the run",
    provoked="SIGHUP and SIGUSR1 are sent to a training process",
    seen="one line with the step and the command that goes on, exit code 143; a whole checkpoint of that step",
    trials=2,
)
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_hang_up_saves_and_leaves(start, tmp_path, number):
    run = start(tmp_path / "run", *LONG, SELDOM)
    run.wait_for("step 50/")
    run.popen.send_signal(number)
    assert run.wait() == 143, run.output()
    step = int(run.output().split("interrupted after step ")[1].split()[0])
    assert saved_steps(tmp_path / "run") == [step]


@pytest.mark.fault(
    promise="SIGTERM and SIGINT during the first compilation end a run at once",
    provoked="each of the two a second after a run says that it compiles, 8 layers",
    seen="`interrupted before there was anything to save`; exit code 143",
    trials=2,
)
@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_a_signal_during_the_first_compilation_ends_the_run_at_once(start, tmp_path, number):
    run = start(tmp_path / "run", "--config.model.num_layers=8", XLA_FLAGS="", JAX_ENABLE_COMPILATION_CACHE="false")
    run.wait_for("compiling the step")
    time.sleep(1)  # from tracing into XLA, on most machines; in either, the end is the same
    run.popen.send_signal(number)
    assert run.wait() == 143
    assert "first step" not in run.output()
    assert "interrupted before there was anything to save" in run.output()
    assert "Traceback" not in run.output()
    assert "the same command resumes: " in run.output().splitlines()[-1]


@pytest.mark.slow
def test_nohup_is_honoured(start, tmp_path):
    run = start(tmp_path / "run", *LONG, SELDOM, nohup=True)
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
    provoked="SIGTERM twice, and SIGINT twice, to a run whose save hangs in a read of a FIFO",
    seen="exit code 143 within seconds and one line",
    trials=2,
)
@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_a_second_signal_ends_at_once(start, tmp_path, fifo, number):
    run = start(tmp_path / "run", SELDOM, TINY_HANG_IN_SAVE="1", TINY_FIFO=fifo, TINY_SIGNAL=str(int(number)), TINY_TERMINATE_AT="7")
    with writer_of(fifo, run):
        run.popen.send_signal(number)
        assert run.wait(60) == 143
    assert "ended at once by a second signal" in run.output()
    assert "Traceback" not in run.output()


@contextlib.contextmanager
def writer_of(fifo, run):
    """Waits until the run reads the FIFO, and holds it open, so that the read hangs on."""
    descriptor = None
    while descriptor is None:
        assert run.popen.poll() is None, run.output()
        try:
            descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO
            time.sleep(0.02)
    yield
    os.close(descriptor)


@pytest.mark.fault(
    promise="A closed pipe, as of `train | head`, saves and ends the run",
    provoked="the reader of the output is closed after three lines",
    seen="exit code 143, and a whole checkpoint",
    trials=1,
)
@pytest.mark.slow
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
