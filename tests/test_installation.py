"""The README's commands, run in a fresh environment: with the lowest versions that pyproject.toml allows, and with the newest."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from vivit_jax.data.video.reader import encode

ROOT = pathlib.Path(__file__).parents[1]
SMALL = {
    "model.hidden_size": "16",
    "model.num_layers": "1",
    "model.num_heads": "2",
    "model.mlp_dim": "32",
    "model.clip": "(4,32,32)",
    "model.tubelet": "(2,16,16)",
    "data.stride": "1",
    "data.resize": "32",
    "training.batch_size": "4",
    "training.steps": "4",
    "training.compilation_cache": "None",
    "evaluation.test_views": "(1,1)",
    "schedule.warmup_epochs": "0.0",
}


def run(cwd, *command):
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "XLA_FLAGS")} | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(params=["lowest-direct", "highest"])
def environment(request, tmp_path):
    """The `bin` folder of an environment with the package; skips without uv, or without the network."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed, which resolves the lowest versions: pip install uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "env"], check=True)
    shutil.copytree(ROOT, tmp_path / "source", ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "tests", "docs"))
    install = [uv, "pip", "install", "--quiet", "--python", tmp_path / "env", "--resolution", request.param, tmp_path / "source"]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode and re.search("dns error|error sending request|Failed to fetch|Connection", done.stderr):
        pytest.skip(f"no network: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return tmp_path / "env" / "bin"


@pytest.mark.slow
@pytest.mark.fault(
    promise="The lowest and the newest versions that the package allows run the README's commands",
    provoked="a fresh environment by `uv pip install --resolution lowest-direct`, and one by `highest`",
    seen="prepare, train, evaluate, predict, explain, compare, convert, export and the Python block end with exit code 0",
    trials=2,
    subject="operations",
)
def test_the_commands_of_the_readme_run(environment, tmp_path):
    python, vivit = environment / "python", environment / "vivit"
    generator = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for number in range(count):
            path = tmp_path / "my_videos" / split / ("dark", "light")[number % 2] / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(generator.integers(0, 60, (8, 32, 32, 3), np.uint8) + np.uint8(150 * (number % 2)), 8))
    clip = tmp_path / "my_videos/test/dark/0.mp4"
    run(tmp_path, vivit, "prepare", "folder", "my_videos", "--name", "my_videos", "--data_dir", "data")
    overrides = SMALL | {"data.name": "my_videos", "data.data_dir": "data"}
    config = [f"--config={ROOT / 'configs/video_folder.py'}", *(f"--config.{key}={value}" for key, value in overrides.items())]
    run(tmp_path, python, ROOT / "train.py", *config, "--workdir=runs/mine")
    assert "top1" in run(tmp_path, vivit, "evaluate", "--workdir", "runs/mine", "--split", "test", "--views", "4x3")
    assert "dark" in run(tmp_path, vivit, "predict", "--model", "runs/mine/model", clip)
    run(tmp_path, vivit, "explain", "--model", "runs/mine/model", clip, "--out", "overlay.mp4")
    shutil.copytree(tmp_path / "runs/mine", tmp_path / "runs/another")
    run(tmp_path, vivit, "compare", "runs/mine", "runs/another", "--out", "comparison")
    run(tmp_path, vivit, "convert", "runs/mine/model", "--to", "models/joint", "--factorisation", "spatio_temporal_attention")
    run(tmp_path, vivit, "export", "--model", "models/joint", "--to", "stablehlo", "exported")
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    run(tmp_path, python, "-c", block)
