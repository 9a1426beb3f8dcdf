"""What else befalls a training run: full disks of its writers, another data set, another machine, evaluations that are cut short."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny

from vivit_jax.runs.manifest import read_facts
from vivit_jax.runs.writers import JsonLines, TensorBoard, Writers


@pytest.mark.fault(
    promise="A metrics writer whose disk is full never stops a run nor makes it wait",
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


MISSPELT = {
    "config.optimizer.learning_rat = 1": "key in config.optimizer 'learning_rat': did you mean 'learning_rate'?",
    "config.optimizer.update(learning_rat=1)": "key in config.optimizer 'learning_rat': did you mean 'learning_rate'?",
    "config.optimiser.learning_rate = 1": "key in config 'optimiser': did you mean 'optimizer'?",
    "config['trainning']": "key in config 'trainning': did you mean 'training'?",
    "config.seed = config.training.batch_sise": "key in config.training 'batch_sise': did you mean 'batch_size'?",
}


@pytest.mark.fault(
    promise="A misspelt key in a config file is named with its line and the nearest right one, by every command",
    provoked="config files that set, update and read keys that no experiment has",
    seen="one line with file, line and the key that was meant; exit code 2",
    trials=10,
)
@pytest.mark.parametrize("line", MISSPELT)
@pytest.mark.parametrize("command", ["train", "inspect"])
def test_a_misspelt_key_in_a_config_file(tmp_path, capsys, line, command):
    from vivit_jax import cli

    path = tmp_path / "misspelt.py"
    path.write_text(
        f"from vivit_jax.config import base_config\n\ndef get_config():\n    config = base_config()\n    {line}\n    return config\n"
    )
    code = cli.train([f"--config={path}", f"--workdir={tmp_path / 'run'}"]) if command == "train" else cli.main(["inspect", str(path)])
    error = capsys.readouterr().err
    assert code == 2
    assert f"{path} line 5: unknown {MISSPELT[line]}" in error
    assert len(error.splitlines()) == 1


def test_overrides_take_what_the_type_of_a_key_allows(tmp_path):
    from vivit_jax import cli
    from vivit_jax.commands.config_arguments import experiment_of
    from vivit_jax.errors import UserError

    config = Path(tiny.__file__).with_name("tiny_config.py")

    def parsed(*flags):
        return experiment_of(cli.parse("train", [f"--config={config}", "--workdir", "x", *flags])[1])

    assert parsed("--config.training.compilation_cache=~/here").training.compilation_cache == "~/here"  # None in the file
    assert parsed("--config.name=2024", "--config.model.clip=4,16,16").name == "2024"
    assert parsed("--config.training.wandb=None", "--config.optimizer.learning_rate", "3").optimizer.learning_rate == 3.0
    assert parsed("--config.optimizer.nesterov").optimizer.nesterov
    assert not parsed("--config.training.tensorboard=true", "--noconfig.training.tensorboard").training.tensorboard
    for flag in ("--config.training.batch_size=1.5", "--config.optimizer.nesterov=3", "--config.model=5", "--processes=two"):
        with pytest.raises(UserError, match=flag.partition("=")[0]):
            parsed(flag)


@pytest.mark.parametrize("restart", [["--restart"], ["--restart=True"], ["-restart", "true"]])
@pytest.mark.parametrize(("argv", "said"), [(["train"], "vivit train --config"), ([], "train.py --config")])
def test_the_command_is_told_as_it_was_typed(tmp_path, monkeypatch, argv, said, restart):
    from vivit_jax.commands.train import as_typed

    script = tmp_path / ("vivit" if argv else "train.py")
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    if argv:
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    flags = [*restart, "--config=a.py", "--workdir=b"]
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, str(script), *argv, *flags])
    assert as_typed(flags).endswith(f"{said}=a.py --workdir=b")
    assert as_typed(flags).startswith("vivit" if argv else Path(sys.executable).name)


def shades(root, *, swapped=False):
    """A data set of two classes of real files; `swapped` exchanges what they are called."""
    from vivit_jax.data.preparation.prepare import prepare
    from vivit_jax.data.video.reader import encode

    generator = np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 4), ("test", 4)):
        for number in range(count):
            folder = root / "videos" / split / ("dark", "light")[(number + swapped) % 2]
            folder.mkdir(parents=True, exist_ok=True)
            frames = generator.integers(0, 60, (8, 16, 16, 3), np.uint8) + np.uint8(150 * (number % 2))
            (folder / f"{number}.mp4").write_bytes(encode(frames, 8))
    prepare("folder", root / "videos", name="shades", data_dir=root, short_side=16)
    return root


@pytest.mark.fault(
    promise="A run goes on only with the data set it was trained on",
    provoked="the data set's folder replaced by one of the same name whose videos have other labels",
    seen="one line that says what differs, exit code 2; with the old set moved to another folder the run goes on",
    trials=1,
)
@pytest.mark.slow
def test_another_data_set_under_a_run_is_refused(tmp_path, capsys):
    from vivit_jax.cli import train as main

    first, other = shades(tmp_path / "first"), shades(tmp_path / "other", swapped=True)
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
    import psutil

    data = shades(tmp_path / "data")
    config = Path(tiny.__file__).with_name("tiny_config.py")
    command = [sys.executable, "-m", "vivit_jax", "train", f"--config={config}", f"--workdir={tmp_path / 'run'}"]
    command += [
        "--config.data.name=shades",
        f"--config.data.data_dir={data}",
        "--config.data.processes=1",
        "--config.training.batch_size=8",
    ]
    command += [
        "--config.training.batch_size=8",
        "--config.training.steps=1000000",
        "--config.training.log_every=50",
        "--config.evaluation.every_steps=1000000",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    with (tmp_path / "log").open("w") as log:
        run = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        while "step 50/" not in (tmp_path / "log").read_text():
            assert run.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.2)
        readers = psutil.Process(run.pid).children(recursive=True)
        assert readers
        for reader in readers:
            reader.suspend()
        time.sleep(3)
        run.terminate()
        assert run.wait(60) == 143, (tmp_path / "log").read_text()
        assert "interrupted after step" in (tmp_path / "log").read_text()
        assert "vivit_jax train --config" in (tmp_path / "log").read_text().splitlines()[-1]
        assert not [reader for reader in readers if reader.is_running() and reader.status() != psutil.STATUS_ZOMBIE]
    finally:
        run.kill()


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
    promise="Weights & Biases that fails never stops a run",
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
    assert run.output().count("do not reach Weights & Biases, training goes on") == 1
    assert tiny.rows(tmp_path / "run")[-1]["step"] == 4


@pytest.mark.slow
def test_weights_and_biases_offline_takes_every_row(start, tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed")
    run = start(tmp_path / "run", "--config.training.wandb=project", "--config.training.steps=4", WANDB_MODE="offline", WANDB_SILENT="true")
    assert run.wait() == 0, run.output()
    assert "do not reach" not in run.output()
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))


def test_a_wandb_that_cannot_be_imported_is_one_line(tmp_path, monkeypatch):
    from vivit_jax.errors import UserError
    from vivit_jax.runs.writers import check_wandb

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    for broken in ("import nowhere_to_be_found\n", "raise TypeError('Descriptors cannot be created directly.\\nRegenerate')\n"):
        (tmp_path / "wandb.py").write_text(broken)
        importlib.invalidate_caches()
        with pytest.raises(
            UserError, match=r"the package wandb cannot be imported \((ModuleNotFound|Type)Error: .*install it again"
        ) as error:
            check_wandb()
        assert "\n" not in str(error.value)


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
    seen="one warning; the rows are handed over in no time, and closing gives up after a while",
    trials=1,
)
def test_a_hanging_service_holds_up_nothing(tmp_path, capsys, monkeypatch):
    from vivit_jax.runs import writers

    monkeypatch.setattr(writers, "CLOSE_SECONDS", 0.2)
    os.mkfifo(tmp_path / "service")
    several = Writers({"service": lambda: writers.Detached(lambda: Hanging(tmp_path / "service"))})
    begun = time.monotonic()
    for step in range(12_000):
        several.write(step, {"train/loss": 1.0})
    several.close()
    assert time.monotonic() - begun < 10
    assert capsys.readouterr().out.count("do not reach service, training goes on") == 1
    (tmp_path / "service").write_bytes(b"")  # lets the thread go


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
