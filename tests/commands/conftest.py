"""A small model, a small data set and a few videos on disk, and `vivit` as a person runs it."""

import dataclasses
import json
import shutil

import pytest
from chromium import browser, visits
from toys import CONFIG, LABELS, PREPROCESS, random_variables, random_video, write_dataset

from vivit_jax import cli, config
from vivit_jax.data.config import DataConfig
from vivit_jax.training.config import EvaluationConfig
from vivit_jax.weights.model_dir import save_pretrained

__all__ = ["browser", "visits"]


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    return save_pretrained(tmp_path_factory.mktemp("models") / "small", CONFIG, random_variables(CONFIG), PREPROCESS, LABELS)


@pytest.fixture(scope="session")
def multi_label_model_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "several"
    return save_pretrained(folder, CONFIG, random_variables(CONFIG), PREPROCESS, LABELS, multi_label=True)


@pytest.fixture(scope="session")
def two_headed_model_dir(tmp_path_factory):
    config = dataclasses.replace(CONFIG, num_classes={"verb": 2, "noun": 3})
    labels = {"verb": ("take", "put"), "noun": ("cup", "pan", "lid")}
    return save_pretrained(tmp_path_factory.mktemp("models") / "two_heads", config, random_variables(config), PREPROCESS, labels)


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    paths = [folder / f"{name}.mp4" for name in ("one", "two", "three")]
    for seed, path in enumerate(paths):
        path.write_bytes(random_video(seed, frames=12 + 5 * seed))
    return [str(path) for path in paths]


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dataset("toys", folder, LABELS)
    write_dataset("toys_in_another_order", folder, LABELS[::-1])
    write_dataset("several", folder, LABELS[::-1], multi_label=True)
    write_dataset("tools", folder, ("cat", "saw", "owl"))
    return str(folder)


@pytest.fixture
def workdir(tmp_path, model_dir, data_dir):
    """What a run of the small model on the small data set leaves, but for its scores."""
    experiment = config.Experiment(
        model=CONFIG,
        name="toys & <b>others</b>",
        data=DataConfig(name="toys", data_dir=data_dir, resize=20),
        evaluation=EvaluationConfig(test_views=(2, 1)),
    )
    folder = tmp_path / "run"
    shutil.copytree(model_dir, folder / "model")
    recorded = {"config": config.to_dict(experiment), "versions": {"jax": "0.0.1"}, "git": None}
    (folder / "config.json").write_text(json.dumps(recorded))
    rows = [{"step": step, "train/loss": 1 / step, "train/learning_rate": 0.1} for step in range(1, 6)]
    rows += [{"step": 5, "val/top1": 0.5, "val/loss": 0.7}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def vivit(capsys):
    """Runs `vivit` with these arguments; its exit code, and what it printed to each stream."""

    def run(*argv):
        try:
            code = cli.main([str(argument) for argument in argv])
        except SystemExit as exit:
            code = exit.code
        out, err = capsys.readouterr()
        return code, out, err

    return run
