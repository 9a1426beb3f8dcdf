"""The README's commands, one after the other as a reader pastes them, on a few tiny videos and with a stand-in of the hub."""

import pathlib
import shutil

import films
import numpy as np
import pytest
import small_sets
from image_vit import random_vit
from terminal import in_blocks

ROOT = pathlib.Path(__file__).parents[2]
# What a command is given beside what is printed, so that a CPU has its answer in seconds.
SMALLER = {
    "python train.py": "--config.model.clip=(2,32,32) --config.data.resize=36 --config.training.batch_size=4 --config.training.steps=2 "
    "--config.checkpoint.every_percent=100",
    "vivit convert hf://WinKawaks": "--clip 2,32,32",
}
ELSEWHERE = ("pip ", "vivit serve ")  # `.ci/run` and the tests of the server


@pytest.fixture
def folder(tmp_path):
    """Where the reader stands: a clone, and the reader's own files beside it."""
    for name in ("train.py", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    small_sets.folder(tmp_path / "my_videos")
    for name, frames in {"clip.mp4": 12, "another.webm": 12, "film.mp4": 200}.items():
        small_sets.video(tmp_path / name, seed=99, frames=frames)
    np.savez(tmp_path / "vit_b16.npz", **random_vit(patch=16, grid=2))
    return tmp_path


@pytest.mark.slow
def test_the_commands_of_the_readme_do_as_they_are_pasted(folder, hub, terminal):
    pytest.importorskip("onnx")
    for line in in_blocks((ROOT / "README.md").read_text()):
        if line.startswith(ELSEWHERE):
            continue
        if line.startswith("vivit compare"):  # with a run that the reader made before
            shutil.copytree(folder / "runs/mine", folder / "runs/another")
        done = terminal.run(line, folder, next((flags.split() for start, flags in SMALLER.items() if line.startswith(start)), ()))
        assert done.code == 0, f"{line}\n{done.err}"
    made = [
        "runs/mine/report.html",
        "overlay.mp4",
        "comparison",
        "film.csv",
        "film.png",
        "mine.onnx",
        "models/probe",
        "models/fe",
        "exported",
    ]
    assert [path for path in made if not (folder / path).exists()] == []
    assert len((folder / "film.csv").read_text().splitlines()) > 200 / films.FPS - 2
    assert hub.repositories["my-lab/clips"]["private"]
