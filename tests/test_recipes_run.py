"""Every shipped config trains on a small set that is laid out like the real one and prepared by its own layout; the model alone is tiny."""

import functools
import json
import pathlib

import pytest
import small_sets

from vivit_jax.config_file import read_config
from vivit_jax.data import motion_digits
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.runs.train import train

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"

# By config file: the layout, what makes its source, the data set's name, and the argument.
RUNS = {
    "vivit_kinetics400.py": ("kinetics", functools.partial(small_sets.kinetics, classes=400), "kinetics400", "B/16x2,3"),
    "kinetics_x3d.py": ("kinetics", functools.partial(small_sets.kinetics, classes=400), "kinetics400", "x3d_s"),
    "vivit_kinetics600.py": ("kinetics", functools.partial(small_sets.kinetics, classes=600), "kinetics600", "B/16x2,2"),
    "vivit_moments.py": ("moments", small_sets.moments, "moments", "B/16x2,1"),
    "vivit_ssv2.py": ("ssv2", small_sets.ssv2, "ssv2", "L/16x2,2"),
    "vivit_epic_kitchens100.py": ("epic", small_sets.epic, "epic_kitchens100", ""),
    "drone_ir.py": ("csv", small_sets.drone_ir, "drone_ir", ""),
    "drone_ir_ablation.py": ("csv", small_sets.drone_ir, "drone_ir", "mixup"),
    "drone_ir_finetune.py": ("csv", small_sets.drone_ir, "drone_ir", "scratch"),
    "video_folder.py": ("folder", small_sets.folder, "mine", ""),
    "small_data.py": ("folder", small_sets.folder, "mine", ""),
    "cnn_or_vivit.py": ("csv", small_sets.drone_ir, "drone_ir", "drone_ir,2"),
    "few_clips.py": ("folder", small_sets.folder, "mine", ""),
    "motion_digits.py": ("motion_digits", None, "motion_digits", "4"),
    "sports1m_cnn.py": ("sports1m", small_sets.sports1m, "sports1m", "slow,multiresolution"),
    "ucf101_cnn.py": ("ucf101", small_sets.ucf101, "ucf101", "scratch"),
    "medmnist3d.py": (
        "medmnist3d",
        functools.partial(small_sets.medmnist3d, name="adrenalmnist3d", classes=2),
        "adrenalmnist3d",
        "adrenal",
    ),
}
TINY_MODELS = {
    "vivit": {
        "model.clip": "(4, 32, 32)",
        "model.tubelet": "(2, 16, 16)",
        "model.hidden_size": "16",
        "model.num_layers": "1",
        "model.num_heads": "2",
        "model.mlp_dim": "16",
    },
    "x3d": {
        "model.width": "8",
        "model.clip": "(4, 32, 32)",
        "model.convolutions": "3d",
        "evaluation.test_views": "(2, 1)",
        "training.batch_size": "8",
    },
    "fusion_cnn": {"model.filters": "(4, 4, 4, 4, 4)", "model.hidden": "(8, 8)", "model.clip": "(10, 32, 32)"},
}
TINY = {
    "model.dtype": "float32",
    "init.source": "None",
    "data.resize": "32",
    "data.readers": "2",
    "training.batch_size": "16",
    "training.examples": "None",
    "training.tensorboard": "False",
    "training.compilation_cache": "None",
    "evaluation.batch_size": "8",
    "schedule.warmup_epochs": "0.0",
}


def family_of_config(name):
    return "fusion_cnn" if name.endswith("_cnn.py") else "x3d" if name.endswith("_x3d.py") else "vivit"


def run(tmp_path, monkeypatch, name, steps, **overrides):
    layout, make, data, argument = RUNS[name]
    monkeypatch.setattr(motion_digits, "SPLITS", {"train": 16, "val": 8, "test": 8})
    source = None if make is None else make(tmp_path / "source")
    prepare(layout, source, name=data, data_dir=tmp_path / "data", workers=1)
    tiny = TINY | TINY_MODELS[family_of_config(name)]
    overrides = tiny | {"data.data_dir": str(tmp_path / "data"), "data.name": data, "training.steps": str(steps)} | overrides
    experiment = read_config(f"{CONFIGS / name}:{argument}" if argument else str(CONFIGS / name), overrides)
    scores = train(experiment, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert max(row["step"] for row in rows) == steps
    assert all(row["train/loss"] > 0 for row in rows if "train/loss" in row)
    return experiment, scores


def test_every_config_is_run():
    assert {path.name for path in CONFIGS.glob("*.py")} == set(RUNS), "give each config a small set of its own"


def test_a_recipe_runs(tmp_path, monkeypatch):
    _, scores = run(tmp_path, monkeypatch, "medmnist3d.py", steps=2, **{"evaluation.test_views": "(1, 1)"})
    assert 0 <= scores.top1 <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_every_recipe_runs(tmp_path, monkeypatch, name):
    # Not after each of the tiny set's epochs.
    rarely = {}  # not after each of the tiny set's epochs
    for what in ("evaluation", "checkpoint"):
        rarely |= {f"{what}.every_steps": "10", f"{what}.every_percent": "None"}
    experiment, scores = run(tmp_path, monkeypatch, name, 20, **rarely)
    assert scores.examples > 0
    assert set(scores.heads) == ({"verb", "noun"} if name.startswith("vivit_epic") else {""})
    asked = experiment.evaluation
    assert scores.views == asked.test_views[0] * asked.test_views[1] * (2 if asked.test_flip else 1)
