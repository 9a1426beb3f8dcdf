"""Whole runs in processes of their own, and what can befall them: signals, full disks, numbers that are not finite."""

import json
import os
import pathlib
import signal
import subprocess

import numpy as np
import pytest
import safetensors.numpy
import tiny
from processes import arrays_of, free_port, starting

from vivit_jax.runs.manifest import damage

LONG = ("--config.training.steps=1000000", "--config.training.log_every=50", "--config.evaluation.every_steps=1000000")


@pytest.mark.fault(
    promise="An interrupted run equals an uninterrupted one bit by bit",
    provoked="SIGTERM at step 9 of 20, then the same command again; jit and pmap",
    seen="exit code 143 and how to go on; parameters, optimiser, averages, batches, metrics.jsonl and model are the same bytes",
    trials=2,
)
@pytest.mark.parametrize("mode", ["jit", "pmap"])
@pytest.mark.slow
def test_an_interrupted_run_equals_an_uninterrupted_one_bit_by_bit(start, tmp_path, mode):
    flags = (
        f"--config.parallel.mode={mode}",
        "--config.training.ema_decay=0.9",
        "--config.training.mixup=0.2",
        "--config.model.dropout=0.1",
    )
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    uninterrupted = start(whole, *flags, devices=2)
    interrupted = start(cut, *flags, devices=2, TINY_TERMINATE_AT="9")
    assert interrupted.wait() == 143, interrupted.output()
    assert "the same command resumes" in interrupted.output()
    resumed = start(cut, *flags, devices=2)
    assert (uninterrupted.wait(), resumed.wait()) == (0, 0), resumed.output()
    assert "resuming after step" in resumed.output()

    (expected, facts), (actual, resumed_facts) = arrays_of(whole, 20), arrays_of(cut, 20)
    assert len(expected) > 50
    assert all(a.tobytes() == b.tobytes() for a, b in zip(actual, expected, strict=True))
    assert resumed_facts == facts
    assert tiny.rows(cut) == tiny.rows(whole)
    assert (cut / "model" / "model.safetensors").read_bytes() == (whole / "model" / "model.safetensors").read_bytes()


@pytest.mark.fault(
    promise="A run can go on with another number of devices",
    provoked="SIGKILL at steps 7 and 14; resumed on four devices, then on two, compared with one device alone",
    seen="the same batches, and metrics within 1e-4",
    trials=2,
)
@pytest.mark.slow
def test_a_run_survives_kill_9_and_resumes_elsewhere(start, tmp_path):
    """From one device to four to two, with the same batches and the same losses to rounding."""
    flags = ("--config.optimizer.name=sgd", "--config.optimizer.learning_rate=0.1")
    whole, moved = tmp_path / "whole_sgd", tmp_path / "moved"
    reference = start(whole, *flags)
    for devices, stop in ((1, "7"), (4, "14")):
        killed = start(moved, *flags, devices=devices, TINY_KILL_AT=stop)
        assert killed.wait() == -signal.SIGKILL, killed.output()
    resumed = start(moved, *flags, devices=2)
    assert (reference.wait(), resumed.wait()) == (0, 0), resumed.output()
    for expected, actual in zip(tiny.rows(whole), tiny.rows(moved), strict=True):
        assert expected.keys() == actual.keys()
        np.testing.assert_allclose(list(actual.values()), list(expected.values()), rtol=1e-4, atol=1e-5)


@pytest.mark.fault(
    promise="Two runs never share a work directory",
    provoked="a second process is started on the directory of a running one",
    seen="one line that names the other process; exit code 2",
    trials=1,
)
def test_a_second_run_in_the_same_directory_is_refused(start, tmp_path):
    workdir = tmp_path / "run"
    os.mkfifo(tmp_path / "dead")
    first = start(workdir, TINY_STALL_AT="1", TINY_FIFO=str(tmp_path / "dead"))
    first.wait_for("training clips")
    second = start(workdir)
    assert second.wait() == 2
    assert f"another run (process {first.popen.pid} on" in second.output()
    assert len(second.output().splitlines()) == 1
    first.popen.send_signal(signal.SIGTERM)
    assert first.wait() == 143


@pytest.mark.fault(
    promise="A run does not go on with another config",
    provoked="the learning rate and the seed are changed, then what is kept and the test views",
    seen="each changed key with its old and its new value, exit code 2; harmless changes pass",
    trials=2,
)
@pytest.mark.slow
def test_a_changed_config_is_refused_by_name_and_a_harmless_change_passes(start, tmp_path):
    workdir = tmp_path / "run"
    assert start(workdir, TINY_TERMINATE_AT="5").wait() == 143
    changed = start(workdir, "--config.optimizer.learning_rate=0.5", "--config.seed=1")
    assert changed.wait() == 2
    assert "optimizer.learning_rate: 0.01 there, 0.5 now" in changed.output()
    assert "seed: 0 there, 1 now" in changed.output()
    harmless = start(workdir, "--config.checkpoint.keep=1", "--config.evaluation.test_views=(2, 1)")
    assert harmless.wait() == 0, harmless.output()
    assert "2 views each" in harmless.output()


@pytest.mark.fault(
    promise="Numbers that are not finite stop a run and damage no checkpoint",
    provoked="a clip of infinities at step 12",
    seen="`step 12: the loss (and ...) is not finite; the checkpoint of step 10 is kept`; exit code 1, the row of the step is written",
    trials=1,
    subject="numbers",
)
def test_numbers_that_are_not_finite_stop_the_run_by_name_and_keep_the_last_good_checkpoint(start, tmp_path):
    workdir = tmp_path / "run"
    run = start(
        workdir, "--config.optimizer.name=sgd", "--config.optimizer.learning_rate=0.1", "--config.data.val_split=None", TINY_POISON_AT="12"
    )
    assert run.wait() == 1
    last_line = run.output().splitlines()[-1]
    assert "step 12: the loss (and" in last_line
    assert "is not finite; the checkpoint of step 10 is kept" in last_line
    *earlier, poisoned = tiny.rows(workdir)
    assert (poisoned["step"], poisoned["train/loss"]) == (12, None)  # JSON has no NaN
    trained = [row["step"] for row in earlier if "train/loss" in row]
    assert trained == sorted(set(trained))
    assert all(row["step"] < 12 and None not in row.values() for row in earlier)
    assert sorted(path.name for path in (workdir / "checkpoints").iterdir() if path.is_dir()) == ["10", "5"]


@pytest.mark.fault(
    promise="A full disk damages no checkpoint",
    provoked="a file system of 4 MB is filled under a run that saves",
    seen="`cannot save the checkpoint of step ...: No space left on device`, exit code 1; the one before is whole",
    trials=1,
)
def test_a_full_disk_stops_the_run_with_the_old_checkpoint_intact(start, small_disk):
    workdir = small_disk / "run"
    run = start(workdir, *LONG, "--config.checkpoint.every_steps=200")
    run.wait_for("step 200/")
    while not (workdir / "checkpoints").is_dir() or not list((workdir / "checkpoints").glob("*.sha256.json")):
        assert run.popen.poll() is None, run.output()
    with pathlib.Path(small_disk / "filler").open("wb") as filler, pytest.raises(OSError, match="No space left"):
        while True:
            os.write(filler.fileno(), bytes(4096))
    assert run.wait() == 1
    last_line = run.output().splitlines()[-1]
    assert last_line.startswith("train: cannot save the checkpoint of step")
    assert "No space left on device" in last_line
    kept = int(last_line.split("the checkpoint of step ")[2].split()[0])
    assert damage(workdir / "checkpoints" / str(kept)) is None
    assert "Traceback" not in run.output()


@pytest.mark.fault(
    promise="A work directory that cannot be written to is refused at the start",
    provoked="a file system mounted for reading only",
    seen="`cannot write into --workdir`, one line; exit code 2",
    trials=1,
)
def test_a_read_only_directory_is_refused_in_one_line(start, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    run = start(small_disk / "run")
    assert run.wait() == 2
    assert "cannot write into --workdir" in run.output()
    assert "Read-only file system" in run.output()
    assert len(run.output().splitlines()) == 1


LAYOUTS = {
    "data": (),
    "fsdp": ("--config.parallel.fsdp=4",),
    "tensor": ("--config.parallel.tensor=2",),
    "pmap": ("--config.parallel.mode=pmap",),
    "accumulated": ("--config.training.accumulation=2", "--config.model.remat=True"),
}
INTERRUPTED = ("data", "fsdp", "pmap")  # whose state is copied, divided, and stacked by device
MIXED = ("--config.optimizer.name=sgd", "--config.optimizer.learning_rate=0.1", "--config.training.mixup=0.2")


@pytest.fixture(scope="module")
def alone(tmp_path_factory, compiled):
    """The work directory of a run of one process and one device that nothing interrupts."""
    folder = tmp_path_factory.mktemp("alone")
    with starting(folder, compiled) as run:
        process = run(folder / "run", *MIXED)
        assert process.wait() == 0, process.output()
    return folder / "run"


@pytest.mark.fault(
    promise="Several hosts train, stop and go on together, and score each example once",
    provoked="two processes of two devices, five layouts; in three, SIGTERM at step 9 and again the same command",
    seen="metrics within 1e-4 of one device, the same hits and confusions of 27 clips",
    trials=5,
)
@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_processes_of_two_devices_train_and_score_as_one_device(start, alone, tmp_path, layout):
    """Interrupted and resumed together; evaluated on 21 and 27 clips, which four devices do not divide."""
    together = tmp_path / "together"

    def start_both(**environment):
        hosts = (f"--coordinator=localhost:{free_port()}", "--processes=2")
        flags = (*MIXED, *LAYOUTS[layout], *hosts)
        return [start(together, *flags, f"--process={i}", devices=2, **environment) for i in range(2)]

    if layout in INTERRUPTED:
        hosts = start_both(TINY_TERMINATE_AT="9")
        assert [host.wait(300) for host in hosts] == [143, 143], hosts[0].output()
    hosts = start_both()
    assert [host.wait(300) for host in hosts] == [0, 0], hosts[0].output()

    for expected, actual in zip(tiny.rows(alone), tiny.rows(together), strict=True):
        assert expected.keys() == actual.keys()
        np.testing.assert_allclose(list(actual.values()), list(expected.values()), rtol=1e-4, atol=1e-5)
    expected, actual = (json.loads((workdir / "evaluation.json").read_text()) for workdir in (alone, together))
    assert [actual[key] for key in ("examples", "hits", "confusion")] == [expected[key] for key in ("examples", "hits", "confusion")]
    assert actual["examples"] == 27
    expected, actual = (safetensors.numpy.load_file(workdir / "model" / "model.safetensors") for workdir in (alone, together))
    assert expected.keys() == actual.keys()
    for tensor in expected:
        np.testing.assert_allclose(actual[tensor], expected[tensor], atol=1e-5, err_msg=tensor)
