"""`benchmarks/soak.py`: what an interrupted run was doing, and that another run begins where one has come to its end."""

import argparse
import subprocess
import time

import pytest
import soak

# In place of `train.py`: a first start takes a while, and a second one comes to its end.
RUN = 'if [ -d "$0" ]; then echo "report   there"; else mkdir "$0"; sleep 2; fi'


@pytest.mark.parametrize(
    ("log", "phase"),
    [
        ("", "starting"),
        ("resuming after step 40 of 600, from x\n", "starting"),
        ("compiling the step, or reading it\n", "compiling"),
        ("compiling the step\nfirst step 2.1 s\n", "training"),
        ("compiling the step\nfirst step 2.1 s\nstep 39/600  loss 1.0\n", "training"),
        ("compiling the step\nfirst step 2.1 s\nstep 40/600  loss 1.0\n", "evaluating"),
        ("compiling the step\nfirst step 2.1 s\nstep 40/600  loss 1.0\nstep 40/600  val top1 0.5\n", "training"),
        ("compiling the step\nfirst step 2.1 s\nstep 600/600  val top1 0.5\n", "testing"),
        ("resuming after step 600 of 600, from x\n", "testing"),
        ("resuming after step 600 of 600, from x\nreport   x/report.html\n", "leaving"),
    ],
)
def test_a_phase_is_told_by_the_log(log, phase):
    assert soak.phase_of(log, is_saving=False) == phase


def test_a_mark_of_a_process_that_was_killed_is_no_save_under_way(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / ".20.saving").touch()
    assert soak.saving(tmp_path, time.time() - 10)
    assert not soak.saving(tmp_path, time.time() + 10)


def test_another_run_begins_where_one_comes_to_its_end(tmp_path, monkeypatch):
    def start(mode, name, arguments, folder):
        log = folder / f"{mode}_{name}.log"
        with log.open("a") as file:
            file.write(f"{soak.START}\n")
            file.flush()
            return subprocess.Popen(["sh", "-c", RUN, folder / f"{mode}_{name}"], stdout=file)

    monkeypatch.setattr(soak, "start", start)
    trials = soak.disturb("jit", argparse.Namespace(seed=0, every=(0.5, 0.6)), tmp_path, time.monotonic() + 4)
    assert {"jit_disturbed_0", "jit_disturbed_1"} <= {trial.run for trial in trials}
    assert all(trial.phase == "starting" for trial in trials)
