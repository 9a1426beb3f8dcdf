"""The commands of every shipped config, as its docstring and docs/gallery.md have them, on small sets that are laid out like the real ones.

The model alone is tiny, and the run short.
"""

import functools
import json
import os
import pathlib
import re
import shlex

import pytest
import small_sets
from terminal import ROOT, Terminal, in_blocks

from vivit_jax.config_file import read_config
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.runs.train import train

CONFIGS = ROOT / "configs"
STEPS = 3


def prepared(layout, make, name):
    """Puts a set that the commands take as made before."""

    def put(root):
        prepare(layout, make(root / f"source of {name}"), name=name, data_dir=root / "data", workers=1)

    return put


def source(make, name):
    """Puts the files of a publisher into a folder of this name."""
    return lambda root: make(root / name)


def apart(make, videos, lists):
    """The same, with the lists in a folder of their own."""

    def put(root):
        make(root / videos)
        (root / lists).mkdir()
        for path in [*(root / videos).glob("*.csv"), *(root / videos).glob("*.txt")]:
            path.rename(root / lists / path.name)

    return put


def digits(root):
    """The embedded data set, small, where the command finds it made."""
    small_sets.digits(root / "tfds")


def volumes(root):
    small_sets.medmnist3d(root / "volumes", "adrenalmnist3d", 2).rename(root / "adrenalmnist3d.npz")


kinetics400, kinetics600 = (functools.partial(small_sets.kinetics, classes=classes) for classes in (400, 600))
MY_VIDEOS = (source(small_sets.folder, "my_videos"),)
DRONES = (source(small_sets.drone_ir, "drone_ir_crops"),)
SPORTS = source(small_sets.sports1m, "sports1m")
# By config, what lies in the reader's folder before its commands.
RUNS = {
    "motion_digits": (digits,),
    "video_folder": MY_VIDEOS,
    "few_clips": MY_VIDEOS,
    "small_data": MY_VIDEOS,
    "drone_ir": DRONES,
    "drone_ir_finetune": DRONES,
    "drone_ir_ablation": DRONES,
    "medmnist3d": (volumes,),
    "cnn_or_vivit": (prepared("csv", small_sets.drone_ir, "drone_ir"),),
    "vivit_kinetics400": (source(kinetics400, "kinetics400"),),
    "vivit_kinetics600": (source(kinetics600, "kinetics600"),),
    "vivit_moments": (source(small_sets.moments, "Moments_in_Time_Raw"),),
    "vivit_epic_kitchens100": (
        prepared("kinetics", kinetics400, "kinetics400"),
        apart(small_sets.epic, "EPIC-KITCHENS", "epic-kitchens-100-annotations"),
    ),
    "vivit_ssv2": (small_sets.ssv2,),
    "sports1m_cnn": (SPORTS,),
    "ucf101_cnn": (prepared("sports1m", small_sets.sports1m, "sports1m"), apart(small_sets.ucf101, "UCF-101", "ucfTrainTestlist")),
    "kinetics_x3d": (source(kinetics400, "kinetics400"),),
}
TINY_MODELS = {
    "vivit": {
        "model.clip": "(4, 32, 32)",
        "model.tubelet": "(2, 16, 16)",
        "model.hidden_size": "16",
        "model.num_layers": "1",
        "model.temporal_layers": "1",
        "model.num_heads": "2",
        "model.mlp_dim": "16",
    },
    "x3d": {"model.width": "8", "model.convolutions": "3d", "model.clip": "(4, 32, 32)", "evaluation.test_views": "(2, 1)"},
    "fusion_cnn": {"model.filters": "(4, 4, 4, 4, 4)", "model.hidden": "(8, 8)", "model.clip": "(10, 32, 32)"},
    "resnet3d": {"model.width": "8", "model.clip": "(4, 32, 32)"},
}
TINY = {
    "model.dtype": "float32",
    "data.resize": "32",
    "data.readers": "2",
    "training.batch_size": "8",
    "training.examples": "None",
    "training.tensorboard": "False",
    "evaluation.batch_size": "8",
    "schedule.warmup_epochs": "0.0",
}
# Once, at the end, and not after each of the tiny set's epochs.
SHORT = {"training.steps": str(STEPS)} | {
    f"{what}.{key}": value
    for what in ("evaluation", "checkpoint")
    for key, value in (("every_steps", str(STEPS)), ("every_percent", "None"))
}


def commands(name):
    """Those of the config's section of the gallery, which test_site.py holds against its docstring."""
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    return in_blocks(page.split(f"### configs/{name}.py\n")[1].split("\n### ")[0].split("\n## ")[0])


def tiny(config):
    """Overrides of a config as it stands on a command line, by which it is tiny; its own images and hubs are no source of weights."""
    family = read_config(config, {"model.num_classes": "3"}).model.family
    sourceless = {} if re.search("epic|ucf101", config) else {"init.source": "None"}
    return TINY | TINY_MODELS[family] | SHORT | sourceless


@pytest.fixture(scope="module")
def terminal(tmp_path_factory):
    terminal = Terminal(tmp_path_factory.mktemp("reader") / "home", dict(os.environ))
    yield terminal
    terminal.close()


def test_every_config_is_run():
    assert {path.stem for path in CONFIGS.glob("*.py")} == set(RUNS), "give each config a small set of its own"


def test_a_recipe_runs(tmp_path):
    volumes(tmp_path)
    prepare("medmnist3d", tmp_path / "adrenalmnist3d.npz", name="adrenalmnist3d", data_dir=tmp_path / "data", workers=1)
    overrides = TINY | TINY_MODELS["vivit"] | SHORT | {"data.data_dir": str(tmp_path / "data"), "evaluation.test_views": "(1, 1)"}
    scores = train(read_config(f"{CONFIGS / 'medmnist3d.py'}:adrenal", overrides), tmp_path / "run")
    assert 0 <= scores.top1 <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_every_recipe_runs_by_its_commands(tmp_path, monkeypatch, terminal, name):
    for file in ("train.py", "configs"):
        (tmp_path / file).symlink_to(ROOT / file)
    for put in RUNS[name]:
        put(tmp_path)
    monkeypatch.chdir(tmp_path)
    flags_of = f"vivit inspect configs/{name}.py --config.model.num_classes=2"  # where a block has flags alone
    lines = [f"{flags_of} {line}" if line.startswith("--") else line for line in commands(name)]
    assert any(line.startswith("python train.py") for line in lines)
    for line in lines:
        words = shlex.split(line)
        config = next((word.removeprefix("--config=") for word in words if word.startswith("--config=")), None)
        extra = {} if config is None else tiny(config)
        done = terminal.run(
            line, tmp_path, [f"--config.{key}={value}" for key, value in extra.items()], {"TFDS_DATA_DIR": str(tmp_path / "tfds")}
        )
        assert done.code == 0, f"{line}\n{done.out}{done.err}"
        if config is not None:
            check_run(next(word.removeprefix("--workdir=") for word in words if word.startswith("--workdir=")), config, extra)


def check_run(workdir, config, overrides):
    """The run took its steps, and was tested with the heads and the views that its config asks for."""
    folder = pathlib.Path(workdir)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert max(row["step"] for row in rows) == STEPS
    assert all(row["train/loss"] > 0 for row in rows if "train/loss" in row)
    scores = json.loads((folder / "evaluation.json").read_text())
    asked = read_config(config, overrides | {"model.num_classes": "3"}).evaluation
    assert scores["examples"] > 0
    assert ("verb" in json.dumps(scores)) == ("epic" in config)
    mirrored = 2 if asked.test_flip else 1
    assert scores["views"] == asked.test_views[0] * asked.test_views[1] * mirrored
