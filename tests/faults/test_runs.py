"""What else befalls a training run: full disks of its writers, another data set, another machine, evaluations that are cut short."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny

from vivit_jax.training.manifest import read_facts
from vivit_jax.training.writers import JsonLines, TensorBoard, Writers


@pytest.mark.fault(
    promise="A metrics writer whose disk is full never stops a run nor makes it wait",
    provoked="TensorBoard events and metrics.jsonl on a tmpfs of 4 MB that is full; 20,000 rows",
    seen="one warning for each; every row is taken in less than a millisecond; what was written before is whole",
    trials=2,
)
def test_a_full_disk_of_the_writers_stops_nothing(small_disk, capsys):
    import time

    writers = Writers(
        {"TensorBoard": lambda: TensorBoard(small_disk / "run", 0), "metrics.jsonl": lambda: JsonLines(small_disk / "metrics.jsonl", 0)}
    )
    writers.write(1, {"train/loss": 1.0})
    fill(small_disk)
    begun = time.monotonic()
    for step in range(2, 20_000):
        writers.write(step, {"train/loss": 1.0})
    assert time.monotonic() - begun < 20
    (small_disk / "filler").unlink()
    writers.write(20_000, {"train/loss": 1.0})
    writers.close()
    output = capsys.readouterr().out
    assert [output.count(f"do not reach {name}, training goes on") for name in ("TensorBoard", "metrics.jsonl")] == [1, 1]
    steps = [json.loads(line)["step"] for line in (small_disk / "metrics.jsonl").read_text().splitlines()]
    assert steps[0] == 1
    assert steps[-1] == 20_000


def fill(disk):
    with (disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
        while True:
            filler.write(bytes(512))


@pytest.mark.fault(
    promise="A run whose TensorBoard folder fills up trains to its end",
    provoked="the work directory's disk is full but for metrics; a run with TensorBoard on and a row at each step",
    seen="one warning, exit code 0 or the save's own one-line error, never a hang",
    trials=1,
)
def test_a_run_goes_on_without_tensorboard(start, small_disk, tmp_path):
    events = small_disk / "events.out.tfevents.filler"
    workdir = small_disk / "run"
    run = start(
        workdir,
        "--config.training.tensorboard=True",
        "--config.training.steps=3000",
        "--config.training.log_every=1",
        "--config.evaluation.every_steps=3000",
        "--config.checkpoint.every_steps=3000",
    )
    run.wait_for("step 50/")
    with events.open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
        while True:
            filler.write(bytes(4096))
    run.wait_for("do not reach TensorBoard, training goes on", 60)
    events.unlink()
    run.popen.send_signal(signal.SIGTERM)
    assert run.wait(60) == 143, run.output()
    assert run.output().count("do not reach TensorBoard") == 1


@pytest.mark.fault(
    promise="Rows of metrics and the facts of checkpoints are the same however a run is interrupted",
    provoked="SIGTERM as an evaluation begins, resumed, SIGKILL before the next checkpoint, resumed; and SIGTERM in the last evaluation",
    seen="metrics.jsonl and the last checkpoint's facts equal those of a run that was never interrupted; each val row stands once",
    trials=2,
)
@pytest.mark.parametrize("steps", [20, 10], ids=["in the middle", "at the end"])
def test_an_evaluation_that_is_interrupted_counts_once(start, tmp_path, steps):
    flags = (f"--config.training.steps={steps}", "--config.training.log_every=3", "--config.checkpoint.every_steps=10")
    whole, cut = start(tmp_path / "whole", *flags), start(tmp_path / "cut", *flags, TINY_TERMINATE_IN_EVALUATION="1")
    assert cut.wait() == 143, cut.output()
    if steps == 20:
        assert start(tmp_path / "cut", *flags, TINY_KILL_AT="14").wait() == -signal.SIGKILL
        assert [row["step"] for row in tiny.rows(tmp_path / "cut") if "val/top1" in row] == [10]
    resumed = start(tmp_path / "cut", *flags)
    assert (whole.wait(), resumed.wait()) == (0, 0), resumed.output()
    assert tiny.rows(tmp_path / "cut") == tiny.rows(tmp_path / "whole")
    last = [read_facts(tmp_path / name / "checkpoints" / str(steps)) for name in ("whole", "cut")]
    assert last[0] == last[1]
    assert last[0]["evaluated"] == steps


def test_rows_are_means_over_the_steps_since_the_row_before(start, tmp_path):
    """An interval that is cut by an interruption too; the learning rate is that of the last step."""
    each, means = start(tmp_path / "each", "--config.training.log_every=1"), start(tmp_path / "means", "--config.training.log_every=8")
    cut = start(tmp_path / "cut", "--config.training.log_every=8", TINY_TERMINATE_AT="14")
    assert cut.wait() == 143
    resumed = start(tmp_path / "cut", "--config.training.log_every=8")
    assert (each.wait(), means.wait(), resumed.wait()) == (0, 0, 0)
    single = {row["step"]: row for row in tiny.rows(tmp_path / "each") if "train/loss" in row}
    rows = [row for row in tiny.rows(tmp_path / "means") if "train/loss" in row]
    assert [row["step"] for row in rows] == [8, 16, 20]
    for first, row in zip((1, 9, 17), rows, strict=True):
        steps = range(first, row["step"] + 1)
        for name in ("loss", "top1", "grad_norm"):
            assert row[f"train/{name}"] == pytest.approx(np.mean([single[step][f"train/{name}"] for step in steps]), rel=1e-12)
        assert row["train/learning_rate"] == single[row["step"]]["train/learning_rate"]
    assert tiny.rows(tmp_path / "cut") == tiny.rows(tmp_path / "means")


def test_the_model_that_was_tested_is_named_by_its_step(start, tmp_path):
    run = start(tmp_path / "run", "--config.optimizer.learning_rate=0.05")
    assert run.wait() == 0, run.output()
    facts = read_facts(tmp_path / "run" / "checkpoints" / "20")
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["step"] == facts["best"]["step"]
    assert evaluation["model"] == "model"
    assert f"the best of the evaluations, after step {evaluation['step']}" in run.output()


@pytest.mark.parametrize("path", ["gs://bucket/run", "s3://bucket/run", "hf://name/run"])
def test_a_remote_work_directory_is_refused_before_anything_is_made(start, tmp_path, path):
    run = start(path)
    assert run.wait() == 2
    assert f"--workdir {path}: a run needs a folder" in run.output()
    assert len(run.output().splitlines()) == 1
    assert not (tmp_path / path.partition("/")[0]).exists()


def test_a_home_that_is_nowhere_leaves_the_compilation_cache_off(start, tmp_path):
    run = start(tmp_path / "run", "--config.training.compilation_cache=~nobody_here/cache", "--config.training.steps=2")
    assert run.wait() == 0, run.output()
    assert "there is no compilation cache" in run.output()


WITHOUT_FLOCK = """
import ctypes, runpy, struct, sys
# A filter of system calls by which flock answers ENOSYS, as a file system without locks does.
instructions = [(0x20, 0, 0, 0), (0x15, 0, 1, 73), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in instructions))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(instructions), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit(77)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.fault(
    promise="A work directory on a file system without locks is used, with a warning",
    provoked="the kernel answers flock with ENOSYS, by a filter of system calls",
    seen="a warning; the run trains to its end",
    trials=1,
)
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of the system call is that of x86_64")
def test_a_file_system_without_locks(tmp_path, compiled):
    config = Path(tiny.__file__).with_name("tiny_config.py")
    command = [sys.executable, "-c", WITHOUT_FLOCK, tiny.__file__, f"--config={config}", f"--workdir={tmp_path / 'run'}"]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(compiled), "XLA_FLAGS": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([*command, "--config.training.steps=2"], capture_output=True, text=True, env=environment, check=False)
    if run.returncode == 77:
        pytest.skip("system calls cannot be filtered here")
    assert run.returncode == 0, run.stderr
    assert "has no locks" in run.stdout
