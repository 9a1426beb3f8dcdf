"""The README's commands, one after the other as a reader pastes them, on a few tiny videos and with a stand-in of the hub."""

import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import films
import numpy as np
import pytest
import small_sets
from hub_stand_in import Hub, environment
from image_vit import random_vit

ROOT = pathlib.Path(__file__).parents[2]
HERE = {"vivit": [sys.executable, "-m", "vivit_jax"], "python": [sys.executable]}
# What a command is given beside what is printed, so that a CPU has its answer in seconds.
SMALLER = {
    "python train.py": "--config.model.clip=(2,32,32) --config.data.resize=36 --config.training.batch_size=4 --config.training.steps=2 "
    "--config.checkpoint.every_percent=100",
    "vivit convert hf://WinKawaks": "--clip 2,32,32",
}
ELSEWHERE = ("pip ", "vivit serve ")  # `.ci/run` and the tests of the server


def commands():
    """Those of the README's blocks, each in one line without its comment."""
    for block in re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if not line.startswith(ELSEWHERE):
                yield " ".join(shlex.split(line, comments=True))


@pytest.fixture
def hub(tmp_path):
    """The hub, with what the README takes from it: an image ViT-S/16 with its size, and a ViViT with its name."""
    transformers = pytest.importorskip("transformers")
    small = {"num_hidden_layers": 12, "num_attention_heads": 6, "hidden_size": 384, "intermediate_size": 1536}
    tiny = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32}
    models = {
        "WinKawaks/vit-small-patch16-224": transformers.ViTForImageClassification(transformers.ViTConfig(**small)),
        "google/vivit-b-16x2-kinetics400": transformers.VivitForVideoClassification(transformers.VivitConfig(**tiny, num_labels=400)),
    }
    hub = Hub()
    for name, model in models.items():
        folder = tmp_path / "published" / name
        model.save_pretrained(folder)
        hub.publish(name, folder)
    yield hub
    hub.shutdown()


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
def test_the_commands_of_the_readme_do_as_they_are_pasted(folder, hub):
    pytest.importorskip("onnx")
    told = environment(folder, hub.url) | {"PYTHONPATH": str(ROOT)}
    told["XLA_FLAGS"] = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"  # and one device, as a reader has
    for line in commands():
        if line.startswith("vivit compare"):  # with a run that the reader made before
            shutil.copytree(folder / "runs/mine", folder / "runs/another")
        first, *others = shlex.split(line)
        extra = next((shlex.split(flags) for start, flags in SMALLER.items() if line.startswith(start)), [])
        done = subprocess.run([*HERE[first], *others, *extra], cwd=folder, env=told, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
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
