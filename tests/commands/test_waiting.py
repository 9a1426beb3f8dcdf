"""Nobody waits for what is not needed: by what is imported and compiled in a process of its own, as seconds differ between machines."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

from vivit_jax import console
from vivit_jax.analysis import throughput
from vivit_jax.cli import COMMANDS
from vivit_jax.commands import bench, compare, evaluate, export, probe
from vivit_jax.inference import prediction_tables, submissions
from vivit_jax.inference.probe import AttentiveSize
from vivit_jax.models.probe.config import KINDS
from vivit_jax.runs.comparison.compare import BATCH_SIZE
from vivit_jax.training.config import AVERAGES
from vivit_jax.weights.export import FORMATS

# Each takes from a tenth of a second to seconds to import.
HEAVY = [
    "jax",
    "flax",
    "optax",
    "orbax",
    "grain",
    "tensorflow_datasets",
    "matplotlib",
    "sklearn",
    "scipy",
    "cv2",
    "av",
    "PIL",
    "huggingface_hub",
    "tensorboardX",
    "torch",
    "onnx",
    "argcomplete",
]
# Commands whose help lists what only these libraries' users know.
ALLOWED = {"convert": {"jax", "flax"}, "prepare": {"av", "cv2", "PIL"}}

PRINT_MODULES = """
import sys
from vivit_jax import cli
try:
    cli.main([sys.argv[1], "--help"])
except SystemExit:
    pass
print("\\nimported:", *sys.modules)
"""


FIRST_AND_LATER_GARBAGE = """
import gc, weakref
from vivit_jax import process

class Ring(list):
    pass

def lost():
    ring = Ring()
    ring.append(ring)
    return weakref.ref(ring)

process.begin("test")
early, imported = lost(), [[] for _ in range(500_000)]
assert early() is not None and gc.get_freeze_count() < 1_000  # Python 3.12 begins with a few
imported += [[] for _ in range(150_000)]
assert early() is None and 500_000 < gc.get_freeze_count() < 650_000
late, more = lost(), [[] for _ in range(60_000)]
assert late() is None and gc.get_freeze_count() < 650_000
"""

WRITE_AND_SCORE = """
import pathlib, sys
import numpy as np
from vivit_jax.runs.writers import TensorBoard
from vivit_jax.training.metrics import score
TensorBoard(pathlib.Path(sys.argv[1]), 0).write(1, score(np.eye(3), np.array([0, 1, 2]), "abc").to_dict()["per_class"]["a"])
print("imported:", *sys.modules)
"""

MATPLOTLIB_OR_NOT = """
import sys
from vivit_jax import cli
assert cli.main(sys.argv[1:]) == 0
assert "matplotlib" not in sys.modules
"""


def imported(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("imported:")[2].split())


@pytest.mark.parametrize(
    "command", [pytest.param(name, marks=() if name in ("train", "predict") else pytest.mark.slow) for name in COMMANDS]
)
def test_the_help_of_a_command_imports_nothing_heavy(command):
    modules = imported(PRINT_MODULES, command)
    assert f"vivit_jax.commands.{command}" in modules
    assert modules & set(HEAVY) <= ALLOWED.get(command, set())


def test_the_package_alone_imports_nothing_heavy():
    assert not imported("import sys, vivit_jax; vivit_jax.__version__; print('imported:', *sys.modules)") & {*HEAVY, "numpy", "rich"}


@pytest.mark.slow
def test_training_begins_without_what_only_its_report_or_making_a_data_set_needs():
    modules = imported("import sys, vivit_jax.runs.train, vivit_jax.runs.folds; print('imported:', *sys.modules)")
    assert "vivit_jax.runs.loop" in modules
    assert not modules & {"scipy.stats", "sklearn", "matplotlib.pyplot", "tensorboardX", "tensorflow", "torch", "huggingface_hub"}


def test_what_a_run_writes_and_scores_imports_neither_torch_nor_scikit_learn(tmp_path):
    modules = imported(WRITE_AND_SCORE, str(tmp_path))
    assert "tensorboardX" in modules
    assert not modules & {"torch", "sklearn", "scipy.stats"}


def test_garbage_is_looked_for_late_at_first_and_then_among_what_is_new():
    done = subprocess.run([sys.executable, "-c", FIRST_AND_LATER_GARBAGE], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_help_lists_is_what_there_is():
    assert sorted(export.FORMATS) == sorted(FORMATS)
    assert set(probe.KINDS) == set(KINDS)
    assert AttentiveSize().patches == probe.PATCHES
    assert set(bench.MODES) == {*throughput.MODES, "data"}
    assert compare.BATCH_SIZE == BATCH_SIZE
    assert set(evaluate.CHALLENGES) == set(submissions.CHALLENGES)
    assert set(evaluate.TABLES) == set(prediction_tables.TABLES)
    assert evaluate.AVERAGES == AVERAGES


@pytest.mark.slow
def test_a_second_prediction_finds_its_program_compiled_and_one_without_a_home_does_without(model_dir, videos, tmp_path):
    def predicted(home, **more):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_COMPILATION")}
        environment |= {"HOME": str(home)} | more
        arguments = ["predict", "--model", str(model_dir), videos[0], "--views", "1x1", "--json"]
        code = [sys.executable, "-c", MATPLOTLIB_OR_NOT, *arguments]
        done = subprocess.run(code, capture_output=True, text=True, env=environment)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    compiled = pathlib.Path(tmp_path, ".cache/vivit_jax/compiled")
    first = predicted(tmp_path)
    programs = {path: path.stat().st_mtime_ns for path in compiled.glob("jit_forward-*")}
    assert len(programs) == 1
    assert predicted(tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in compiled.glob("jit_forward-*")} == programs
    assert predicted("/dev/null") == first
    assert predicted("/dev/null", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "another")) == first
    assert len([*pathlib.Path(tmp_path, "another").glob("jit_forward-*")]) == 1


def test_a_log_file_is_told_now_and_then_how_far_long_work_is(capsys, monkeypatch):
    seconds = iter(range(0, 1000, 10))  # each look at the clock, one at the beginning and one for each item, is ten seconds later
    monkeypatch.setattr(console, "monotonic", lambda: next(seconds))
    assert list(console.tracked(range(30), "features", 30)) == [*range(30)]
    lines = [f"features: {items} of 30 after {10 * items} s" for items in (3, 6, 12, 24)]
    assert capsys.readouterr() == ("\n".join(lines) + "\n", "")
    with console.progress_bar(stderr=True) as bar:
        task = bar.add_task("preparing [x]", total=None, note="")
        for _ in range(4):
            bar.advance(task)
    assert capsys.readouterr() == ("", "preparing [x]: 3 after 30 s\n")
    with console.progress_bar(stderr=True) as bar:
        task = bar.add_task("videos", total=1, note="")
        for minutes in range(4):
            bar.update(task, note=rf"film \[x].mp4 at {minutes}:00")
            bar.advance(task, 0)
    assert capsys.readouterr() == ("", "videos: 0 of 1 after 30 s, film [x].mp4 at 2:00\n")
    assert list(console.tracked(range(30), "features", 30, shown=False)) == [*range(30)]
    assert capsys.readouterr() == ("", "")


ON_A_TERMINAL = """
import time
from vivit_jax import console
with console.waiting("explaining [x].mp4"):
    console.say("a line above")
    time.sleep(0.3)
    with console.waiting("another"):
        assert list(console.tracked(range(2), "features", 2)) == [0, 1]
console.say("done")
"""


def test_what_takes_its_time_is_seen_on_a_terminal_and_not_in_a_file():
    code = [sys.executable, "-c", ON_A_TERMINAL]
    done = subprocess.run(code, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a line above\ndone\n", "")
    ours, theirs = os.openpty()
    with subprocess.Popen(code, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm"}) as process:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # how a terminal ends
            while part := os.read(ours, 4096):
                seen += part
    os.close(ours)
    assert process.returncode == 0
    assert b"explaining [x].mp4" in seen and b"features" in seen
    assert seen.index(b"a line above") < seen.index(b"done")
