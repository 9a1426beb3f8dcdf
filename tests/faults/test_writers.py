"""Metrics writers that fail: full disks, services that raise or hang. None of them stops a run."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import tiny

from vivit_jax.runs import writers
from vivit_jax.runs.writers import JsonLines, TensorBoard, Writers


@pytest.mark.fault(
    promise="A metrics writer whose disk is full neither stops a run nor makes it wait",
    provoked="TensorBoard events and metrics.jsonl on a tmpfs of 4 MB that is full; 20,000 rows",
    seen="one warning for each; every row is taken in less than a millisecond; what was written before is whole",
    trials=2,
)
def test_a_full_disk_of_the_writers_stops_nothing(small_disk, capsys):
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
    assert [output.count(f"do not reach {name}, training continues") for name in ("TensorBoard", "metrics.jsonl")] == [1, 1]
    steps = [json.loads(line)["step"] for line in (small_disk / "metrics.jsonl").read_text().splitlines()]
    assert steps[0] == 1
    assert steps[-1] == 20_000


@pytest.mark.fault(
    promise="A run that goes on reports the rows of metrics that were lost to damage",
    provoked="metrics.jsonl deleted, emptied, cut at a line's end, and within a line of a step before and after the checkpoint; two lines "
    "overwritten with zeros",
    seen="a warning that says which lines are dropped, how many are lost, or that the file is gone; none for rows to be written anew",
    trials=6,
)
def test_rows_that_are_lost_are_told_of(tmp_path, capsys):
    path = tmp_path / "metrics.jsonl"
    JsonLines(path, 7)
    assert "is gone: it begins anew, with the rows after step 7" in capsys.readouterr().out
    rows = [json.dumps({"step": step, "train/loss": 1.0}) for step in range(1, 8)]
    path.write_text("\n".join([*rows[:2], "\0" * 30, '{"step": "x"}', *rows[4:], '{"step": 8, "tra']))
    JsonLines(path, 7)
    assert "is damaged: 2 lines, from line 3 on, cannot be read: dropped" in capsys.readouterr().out
    assert path.read_text().splitlines() == [*rows[:2], *rows[4:]]
    path.write_text("\n".join([*rows, '{"step": 8, "tra']))
    JsonLines(path, 7)
    assert not capsys.readouterr().out
    assert path.read_text().splitlines() == rows
    path.write_text("\n".join(rows)[:-3])
    JsonLines(path, 7)
    assert "is damaged: 1 line, from line 7 on, cannot be read: dropped" in capsys.readouterr().out
    for left in (4, 0):
        path.write_text("".join(f"{row}\n" for row in rows[:left]))
        JsonLines(path, 7, rows=7)
        assert f"has {left} of the 7 rows that were written up to step 7: the others are lost" in capsys.readouterr().out


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
@pytest.mark.slow
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
    run.wait_for("do not reach TensorBoard, training continues", 60)
    events.unlink()
    run.popen.send_signal(signal.SIGTERM)
    assert run.wait(60) == 143, run.output()
    assert run.output().count("do not reach TensorBoard") == 1


FAILING_INIT = """
def init(**options):
    raise RuntimeError("no API key")
"""


FAILING_LOG = """
class Run:
    def log(self, row, step):
        raise OSError(28, "No space left on device")

    def finish(self):
        pass


def init(**options):
    return Run()
"""


@pytest.mark.slow
@pytest.mark.fault(
    promise="A failure of Weights & Biases never stops a run",
    provoked="a package `wandb` before the real one in a training process's path, whose init raises, and whose log raises",
    seen="one warning with the error; the run trains to its end, exit code 0",
    trials=2,
)
@pytest.mark.parametrize("wandb", [FAILING_INIT, FAILING_LOG], ids=["init", "log"])
def test_a_run_goes_on_without_weights_and_biases(start, tmp_path, wandb):
    (tmp_path / "wandb.py").write_text(wandb)
    path = os.pathsep.join([str(tmp_path), str(Path(tiny.__file__).parents[2])])
    run = start(tmp_path / "run", "--config.training.wandb=project", "--config.training.steps=4", PYTHONPATH=path)
    assert run.wait() == 0, run.output()
    assert run.output().count("do not reach Weights & Biases, training continues") == 1
    assert tiny.rows(tmp_path / "run")[-1]["step"] == 4


@pytest.mark.slow
def test_weights_and_biases_offline_takes_every_row(start, tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed")
    run = start(tmp_path / "run", "--config.training.wandb=project", "--config.training.steps=4", WANDB_MODE="offline", WANDB_SILENT="true")
    assert run.wait() == 0, run.output()
    assert "do not reach" not in run.output()
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))


class Hanging:
    """A writer whose service is gone: each row is read back from a FIFO that nobody writes to."""

    def __init__(self, fifo):
        self._fifo = fifo

    def write(self, step, row):
        self._fifo.read_bytes()

    def close(self):
        pass


@pytest.mark.fault(
    promise="A metrics service that hangs never makes a run wait",
    provoked="a writer in its own thread, as that of Weights & Biases is, that hangs in a read; 12,000 rows",
    seen="one warning; the rows are handed over at once, and closing gives up after a while",
    trials=1,
)
def test_a_hanging_service_holds_up_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(writers, "CLOSE_SECONDS", 0.2)
    os.mkfifo(tmp_path / "service")
    several = Writers({"service": lambda: writers.Detached(lambda: Hanging(tmp_path / "service"))})
    begun = time.monotonic()
    for step in range(12_000):
        several.write(step, {"train/loss": 1.0})
    several.close()
    assert time.monotonic() - begun < 10
    assert capsys.readouterr().out.count("do not reach service, training continues") == 1
    (tmp_path / "service").write_bytes(b"")  # lets the thread go
