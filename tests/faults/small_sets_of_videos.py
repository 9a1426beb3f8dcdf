"""Small prepared data sets and lists of videos, to be damaged: fixtures for `conftest.py`, and what tests do with them."""

import json
import os
import shutil
import sys

import films
import pytest

from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.data.preparation.prepare import prepare

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "JAX_PLATFORMS": "cpu"}
VIDEOS = ("train/run/a.mp4", "train/run/b.mp4", "train/sit/c.mp4", "val/run/d.mp4", "test/sit/e.mp4")


@pytest.fixture(scope="session")
def contents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contents")
    return [films.write(folder / f"{seed}.mp4", films.scene(6, 16, 16, seed)).read_bytes() for seed in range(12)]


def make(root, names, contents):
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(contents[number])
    return root


@pytest.fixture(scope="session")
def original(tmp_path_factory, contents):
    root = tmp_path_factory.mktemp("original")
    make(root / "videos", VIDEOS, contents)
    prepare("folder", root / "videos", name="mine", data_dir=root / "data", workers=1)
    return root


@pytest.fixture
def stored(tmp_path, original):
    """A copy of the prepared set: the folder of its version."""
    shutil.copytree(original / "data", tmp_path / "data")
    return tmp_path / "data/mine/1.0.0"


@pytest.fixture
def stored_before(stored):
    """The set as the version before wrote it: without a manifest."""
    for name in ("manifest.json", "records.sha256"):
        (stored / name).unlink()
    report = json.loads((stored / "preparation.json").read_text())
    del report["manifest"]
    (stored / "preparation.json").write_text(json.dumps(report, indent=1) + "\n")
    return stored


def read_all(stored):
    dataset = open_dataset("mine", stored.parents[1])
    return [record for split in dataset.splits for record in dataset.source(split)]


def one_line(error, name):
    text = str(error.value)
    assert "\n" not in text
    assert name in text, text


@pytest.fixture
def listed(tmp_path, contents):
    """Reads a list of the videos a.mp4 to d.mp4 and train/run/e.mp4."""
    make(tmp_path, ("a.mp4", "b.mp4", "c.mp4", "d.mp4", "train/run/e.mp4"), contents)

    def read(text, **reading):
        (tmp_path / "list.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_layout("csv", tmp_path / "list.csv", Reading(**reading))

    return read
