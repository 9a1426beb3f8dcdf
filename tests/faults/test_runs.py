"""What else befalls a training run: another data set, another machine, evaluations that are cut short."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import shades
import tiny

from vivit_jax.errors import UserError
from vivit_jax.runs.manifest import read_facts
from vivit_jax.runs.train import train

LONG = ("--config.training.steps=1000000", "--config.training.log_every=50", "--config.evaluation.every_steps=1000000")


@pytest.mark.fault(
    promise="Rows of metrics and the facts of checkpoints are the same however a run is interrupted",
    provoked="SIGTERM as an evaluation begins, resumed, SIGKILL before the next checkpoint, resumed; and SIGTERM in the last evaluation",
    seen="metrics.jsonl and the last checkpoint's facts equal those of a run that was never interrupted; each val row stands once",
    trials=2,
)
@pytest.mark.parametrize("steps", [20, 10], ids=["in the middle", "at the end"])
@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_model_that_was_tested_is_named_by_its_step(start, tmp_path):
    run = start(tmp_path / "run", "--config.optimizer.learning_rate=0.05")
    assert run.wait() == 0, run.output()
    facts = read_facts(tmp_path / "run" / "checkpoints" / "20")
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["step"] == facts["best"]["step"]
    assert evaluation["model"] == "model"
    assert f"the best of the evaluations, after step {evaluation['step']}" in run.output()


@pytest.mark.slow
@pytest.mark.parametrize("path", ["gs://bucket/run", "s3://bucket/run", "hf://name/run"])
def test_a_remote_work_directory_is_refused_before_anything_is_made(start, tmp_path, path):
    run = start(path)
    assert run.wait() == 2
    assert f"--workdir {path}: a run needs a folder" in run.output()
    assert len(run.output().splitlines()) == 1
    assert not (tmp_path / path.partition("/")[0]).exists()


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.fault(
    promise="A run goes on only with the data set it was trained on",
    provoked="the data set's folder replaced by one of the same name whose videos have other labels",
    seen="one line that says what differs, exit code 2; with the old set moved to another folder the run goes on",
    trials=1,
)
@pytest.mark.slow
def test_another_data_set_under_a_run_is_refused(tmp_path, capsys):
    from vivit_jax.cli import train as main

    first, other = shades.prepared(tmp_path / "first"), shades.prepared(tmp_path / "other", swapped=True)
    config = Path(tiny.__file__).with_name("tiny_config.py")
    flags = ["--config.data.name=shades", "--config.data.readers=1", "--config.training.batch_size=8", "--config.training.steps=6"]
    flags += ["--config.evaluation.every_steps=3", "--config.checkpoint.every_steps=3", "--config.parallel.data=1"]

    def train(data_dir):
        return main([f"--config={config}", f"--workdir={tmp_path / 'run'}", f"--config.data.data_dir={data_dir}", *flags])

    assert train(first) == 0
    model = (tmp_path / "run" / "model" / "model.safetensors").read_bytes()
    capsys.readouterr()
    for _ in range(2):
        assert train(other) == 2
        error = capsys.readouterr().err
        assert "data set shades is not the one that the run" in error
        assert len(error.splitlines()) == 1
    first.rename(tmp_path / "moved")
    assert train(tmp_path / "moved") == 0
    assert (tmp_path / "run" / "model" / "model.safetensors").read_bytes() == model


@pytest.mark.fault(
    promise="Reader processes that are stopped hold up no signal",
    provoked="SIGSTOP to every reader process of a run on real files, then SIGTERM",
    seen="saved and left within half a minute, exit code 143; no reader process is left",
    trials=1,
)
@pytest.mark.slow
def test_stopped_readers_are_left(tmp_path):
    with reading_run(tmp_path, "--config.data.processes=1", *LONG) as (run, log):
        while "step 50/" not in log.read_text():
            assert run.poll() is None, log.read_text()
            time.sleep(0.2)
        readers = psutil.Process(run.pid).children(recursive=True)
        assert readers
        for reader in readers:
            reader.suspend()
        time.sleep(3)
        run.terminate()
        assert run.wait(60) == 143, log.read_text()
        assert "interrupted after step" in log.read_text()
        assert "vivit_jax train --config" in log.read_text().splitlines()[-1]
        assert not psutil.wait_procs(readers, timeout=10)[1]


@pytest.mark.fault(
    promise="A run that ends while its reader processes start says so in one line, and leaves no process and no shared memory",
    provoked="as soon as both readers are there: Ctrl-C, which reaches the whole process group; and weights that are missing, while "
    "SIGSTOP has stopped the readers",
    seen="exit code 143, or 2, within a minute; no traceback of a reader, and none of the semaphores that they shared",
    trials=2,
)
@pytest.mark.slow
@pytest.mark.parametrize("end", ["Ctrl-C", "refusal"])
def test_a_run_that_ends_while_readers_start_leaves_nothing(tmp_path, end):
    flags = ["--config.init.source=/nowhere"] if end == "refusal" else LONG
    with reading_run(tmp_path, "--config.data.processes=2", *flags) as (run, log):
        readers = []
        while len(readers) < 2:
            assert run.poll() is None, log.read_text()
            readers = [child for child in psutil.Process(run.pid).children() if "spawn_main" in " ".join(child.cmdline())]
        shared = set(re.findall(r"(\d+) +/dev/shm/", Path(f"/proc/{run.pid}/maps").read_text()))  # by inode, as each is renamed
        assert shared
        if end == "Ctrl-C":
            os.killpg(run.pid, signal.SIGINT)
        else:
            for reader in readers:
                reader.suspend()
        assert run.wait(60) == (143 if end == "Ctrl-C" else 2), log.read_text()
        assert not psutil.wait_procs(readers, timeout=10)[1]
        time.sleep(1)  # Python's resource tracker tidies up after them all
        assert not [entry for entry in os.scandir("/dev/shm") if str(entry.inode()) in shared]
        told = [line for line in log.read_text().splitlines() if "interrupted" in line or "/nowhere" in line]
        assert len(told) == 1, log.read_text()
        assert not re.search("Traceback|leaked", log.read_text()), log.read_text()


@contextlib.contextmanager
def reading_run(tmp_path, *flags):
    """A run on real files in a process group of its own, and the file with its output."""
    data, config = shades.prepared(tmp_path / "data"), Path(tiny.__file__).with_name("tiny_config.py")
    command = [sys.executable, "-m", "vivit_jax", "train", f"--config={config}", f"--workdir={tmp_path / 'run'}"]
    command += ["--config.data.name=shades", f"--config.data.data_dir={data}", "--config.training.batch_size=8", *flags]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    log = tmp_path / "log"
    with log.open("w") as output:
        run = subprocess.Popen(command, stdout=output, stderr=output, env=environment, process_group=0)
    try:
        yield run, log
    finally:
        run.kill()


@pytest.mark.slow
def test_a_batch_that_is_larger_than_an_epoch_is_told_with_what_it_takes(start, tmp_path):
    run = start(tmp_path / "run", "--config.training.batch_size=20000", "--config.training.steps=1")
    assert run.wait() == 0, run.output()
    assert "training.batch_size 20000 is more than the 64 clips of an epoch" in run.output()
    assert "the host holds about 0.2 GB of batches" in run.output()


@pytest.mark.parametrize(("platforms", "told"), [(None, 1), ("cpu", 0), ("cuda,cpu", 0)])
def test_a_gpu_that_jax_does_not_use_is_told(tmp_path, monkeypatch, capsys, platforms, told):
    from vivit_jax import accelerators as devices

    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(devices, "GPUS", (str(tmp_path / "nvidia0"),))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("JAX_PLATFORM_NAME", raising=False)
    monkeypatch.delenv("JAX_PLATFORMS") if platforms is None else monkeypatch.setenv("JAX_PLATFORMS", platforms)
    devices.tell_of_unused_gpu()
    assert capsys.readouterr().out.count("but jax computes on the CPU") == told


@pytest.mark.slow
@pytest.mark.fault(
    promise="If the data set goes away, no trained step is lost",
    provoked="the data set goes away in the middle of an epoch, and in an evaluation; then it is back, and the same command is given",
    seen="the reader's one line, and the step that is saved; the run ends with the bits of an undisturbed one",
    trials=2,
)
@pytest.mark.parametrize("where", ["training", "evaluation"])
def test_data_that_go_away_cost_no_step(tmp_path, monkeypatch, capsys, where):
    experiment = tiny.experiment()

    class Gone(tiny.Batches):
        def __next__(self):
            if self._position == 8:
                raise UserError("the disk is away")
            return super().__next__()

    class GoneInEvaluation(tiny.EvaluationBatches):
        def __iter__(self):
            raise UserError("the disk is away")

    def evaluation(records, preprocess, data, *, views=(1, 1), flip=False, batch_size, shard=(0, 1)):
        return GoneInEvaluation(records.split, batch_size, views, shard)

    def training(records, preprocess, data, augment, *, batch_size, seed, shard=(0, 1)):
        return Gone(batch_size, shard, seed)

    with monkeypatch.context() as patch:
        tiny.take_the_place_of_data(patch.setattr, **{where: training if where == "training" else evaluation})
        with pytest.raises(UserError, match="the disk is away"):
            train(experiment, tmp_path / "cut")
    saved = 8 if where == "training" else experiment.evaluation.every_steps
    assert f"step {saved} of 20 is saved, and the same command resumes from it" in capsys.readouterr().out
    tiny.take_the_place_of_data(monkeypatch.setattr)
    train(experiment, tmp_path / "cut")
    assert f"resuming after step {saved} of 20" in capsys.readouterr().out
    train(experiment, tmp_path / "whole")
    assert tiny.rows(tmp_path / "cut") == tiny.rows(tmp_path / "whole")
    cut, whole = ((tmp_path / name / "model/model.safetensors").read_bytes() for name in ("cut", "whole"))
    assert cut == whole
