"""The command: from video files to a report, and one line for whatever is wrong."""

import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest
import shades
import tiny

from vivit_jax import extras
from vivit_jax.cli import train as main
from vivit_jax.config import resolve
from vivit_jax.config_file import read_config
from vivit_jax.errors import UserError
from vivit_jax.runs import train as runs_train
from vivit_jax.weights.model_dir import load_model_dir

CONFIG = f"--config={Path(__file__).with_name('tiny_config.py')}"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return shades.prepared(tmp_path_factory.mktemp("prepared"), {"train": 24, "val": 6, "test": 10})


@pytest.mark.slow
def test_a_run_goes_from_video_files_to_a_report(prepared, tmp_path, capsys):
    workdir = tmp_path / "run"
    flags = ["--config.data.name=shades", f"--config.data.data_dir={prepared}", "--config.data.readers=2"]
    flags += ["--config.training.batch_size=8", "--config.evaluation.test_views=(2, 1)", "--config.training.tensorboard=True"]
    flags += ["--config.training.log_every=1"]
    assert main([CONFIG, f"--workdir={workdir}", *flags]) == 0
    output = capsys.readouterr().out

    evaluation = json.loads((workdir / "evaluation.json").read_text())
    assert evaluation["examples"] == 10
    assert evaluation["views"] == 2
    assert evaluation["top1"] == 1.0
    assert "test top1 1.0000 (10 of 10, 2 views each)" in output
    assert re.search(r"^step 1/\d+  loss [\d.]+$", output, re.MULTILINE), "the first step, which compiles, has no speed"
    assert (workdir / "report.html").is_file()
    assert list(workdir.glob("events.out.tfevents.*"))
    rows = tiny.rows(workdir, timing=True)
    assert {"step", "train/loss", "train/clips_per_second"} <= rows[0].keys()
    assert [row["step"] for row in rows if "val/top1" in row] == [10, 20]
    assert rows[-1]["test/top1"] == 1.0
    recorded = json.loads((workdir / "config.json").read_text())
    assert resolve(recorded["config"]).model.num_classes == 2
    assert recorded["versions"]["jax"] == jax.__version__
    pretrained = load_model_dir(workdir / "model")
    assert pretrained.labels == ("dark", "light")
    video = pretrained.preprocess.normalise(np.full((1, *tiny.CLIP, 3), 200, np.uint8))
    assert pretrained.model.apply(pretrained.variables, video).argmax() == 1

    capsys.readouterr()
    before, untimed = (workdir / "model" / "model.safetensors").read_bytes(), tiny.rows(workdir)
    assert main([CONFIG, f"--workdir={workdir}", *flags]) == 0  # a finished run is only tested again
    assert "resuming after step 20 of 20" in capsys.readouterr().out
    assert tiny.rows(workdir) == untimed
    assert (workdir / "model" / "model.safetensors").read_bytes() == before


@pytest.mark.fault(
    promise="A mistake on the command line gives one line",
    provoked="misspelt keys, values and flags, sizes that do not fit",
    seen="what, what was expected and what came; exit code 2; no directory is made",
    trials=15,
)
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--config.optimizer.learning_rat=1"], "unknown key in --config.optimizer 'learning_rat': did you mean 'learning_rate'?"),
        (["--config.optimiser.learning_rate=1"], "unknown key in --config 'optimiser': did you mean 'optimizer'?"),
        (["--config.optimizer.name=adamv"], "unknown optimizer.name 'adamv': did you mean 'adamw'?"),
        (["--config.training.batch_size=many"], "--config.training.batch_size=many"),
        (["--config.training.batch_size=12"], "training.batch_size 12 cannot be divided over 8 devices: set it to 8 or 16"),
        (["--config.model.num_classes=7", "--config.data.name=shades"], "model.num_classes is 7 and data set shades has 2"),
        (["--config.model.clip=(5, 16, 16)"], "not divisible by model.tubelet"),
        (["--config.parallel.mode=pmap", "--config.parallel.fsdp=2"], "fsdp 2 and tensor 1 need mode jit"),
        (["--config.training.wandb=project"], f"training.wandb needs the extra wandb: {extras.install('wandb')}"),
        (["--config.seed=-1"], "seed must be from 0 to 4294967295, got -1"),
        (["--worckdir=x"], "workdir"),
        (["--config.schedule.warmup_steps=1000"], "the warm-up of 1000 steps does not fit into a run"),
        (["extra"], "unrecognized arguments: extra"),
        (["--config=nowhere.py"], "config nowhere.py does not exist"),
        (["--workdir="], "--workdir is empty"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(prepared, tmp_path, capsys, flags, expected):
    common = [CONFIG, f"--workdir={tmp_path / 'run'}", "--config.data.name=shades", f"--config.data.data_dir={prepared}"]
    assert main([*common, *flags]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.fault(
    promise="A command that cannot work is refused before it makes a data set, computes features, or moves a run aside",
    provoked="motion_digits, which is not made yet, with keys that do not fit it; --restart with a pattern that matches nothing",
    seen="one line; exit code 2; nothing is made, and the run is as it was",
    trials=7,
)
@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("schedule.warmup_steps=2000", "the warm-up of 2000 steps does not fit into a run of"),
        ("training.batch_size=12", "cannot be divided over 8 devices"),
        ("evaluation.best=topp", "unknown evaluation.best 'topp': did you mean 'top5'"),
        ("data.train_split=trian", "data set motion_digits has no split 'trian'"),
        ("loss.class_weights=(1.0, 2.0)", "got 2 numbers for classes 8"),
        ("augment.repeats=3", "is not divisible by augment.repeats 3"),
    ],
)
def test_what_cannot_work_is_refused_before_a_data_set_is_made(flag, expected, tmp_path, capsys):
    config = Path(__file__).parents[2] / "configs/motion_digits.py"
    assert main([f"--config={config}", f"--workdir={tmp_path / 'run'}", f"--config.data.data_dir={tmp_path}", f"--config.{flag}"]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("planned", [None, "planned"])
def test_an_experiment_is_checked_and_warned_of_once(planned, monkeypatch):
    checked = []
    monkeypatch.setattr(runs_train, "dataset_to_be", lambda name, data_dir: planned)
    monkeypatch.setattr(runs_train, "ensure_dataset", lambda name, data_dir: "made")
    monkeypatch.setattr(runs_train, "check_experiment", lambda experiment, executor, dataset: checked.append(dataset))
    assert runs_train.checked_dataset(tiny.experiment(), None) == "made"
    assert checked == [planned or "made"]


def test_what_cannot_work_puts_no_run_aside(prepared, tmp_path, capsys):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    common = [CONFIG, f"--workdir={tmp_path}", "--config.data.name=shades", f"--config.data.data_dir={prepared}"]
    assert main([*common, "--restart", "--config.optimizer.multipliers=(('haed', 0.0),)"]) == 2
    assert "matches no parameter" in capsys.readouterr().err
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1}\n'


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise RuntimeError('two\\nlines')", "cannot be read: RuntimeError: two lines"),
        ("def get_config(): return 3", "get_config() must return the ConfigDict of base_config(), got int"),
        ("def get_config(argument): raise KeyError(argument)", "cannot be read: KeyError: 'B/16'"),
        ("def get_config(", "cannot be read: SyntaxError"),
    ],
)
def test_a_config_file_that_fails_is_one_line(tmp_path, capsys, code, expected):
    (tmp_path / "broken.py").write_text(code)
    argument = ":B/16" if "argument" in code else ""
    assert main([f"--config={tmp_path / 'broken.py'}{argument}", f"--workdir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("train: ")
    assert expected in error
    assert len(error.splitlines()) == 1


def test_help_has_an_example(capsys):
    assert main(["--help"]) == 0
    assert "python train.py --config=configs/motion_digits.py --workdir=runs/digits" in capsys.readouterr().out


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "configs").glob("*.py")), ids=lambda path: path.stem)
def test_every_config_file_resolves(path):

    assert read_config(str(path), {}).name


def test_a_config_without_a_model_says_so():
    with pytest.raises(UserError, match=r"config has no model: begin with base_config\(\)"):
        resolve({"seed": 1})
