"""Every command over a tiny ResNet over time and space, trained by the first of them."""

import numpy as np
import pytest

from vivit_jax import cli
from vivit_jax.weights.model_dir import load_model_dir

CONFIG = """
from vivit_jax.config import base_config

def get_config():
    config = base_config("resnet3d")
    config.model.architecture = "mc3_18"
    config.model.width = 2
    config.model.clip = (4, 32, 32)
    config.data.name = "toys"
    config.data.resize = 36
    config.data.val_split = "test"
    config.optimizer.name = "sgd"
    config.optimizer.layer_decay = 0.9
    config.training.batch_size = 2
    config.training.steps = 4
    config.evaluation.every_steps = 2
    config.training.compilation_cache = None
    config.parallel.data = 1
    return config
"""


@pytest.fixture(scope="module")
def run(data_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("resnet3d")
    (folder / "config.py").write_text(CONFIG)
    arguments = [f"--config={folder / 'config.py'}", f"--workdir={folder / 'run'}", f"--config.data.data_dir={data_dir}"]
    assert cli.main(["train", *arguments]) == 0
    return folder


def test_its_statistics_have_moved(run):
    statistics = load_model_dir(run / "run" / "model").variables["batch_stats"]["stage_4"]["block_01"]["norm_2"]
    assert np.abs(statistics["mean"]).max() > 1e-3


def test_every_command_takes_it(run, vivit, videos, tmp_path, data_dir):
    model = run / "run" / "model"
    for argv, told in (
        (["evaluate", "--model", model, "--name", "toys", "--data_dir", data_dir, "--out", tmp_path / "scores.json"], "top1"),
        (["predict", "--model", model, "--views", "1x1", videos[0]], "cat"),
        (["explain", "--model", model, "--out", tmp_path / "overlay.mp4", videos[0]], "overlay written"),
        (["inspect", model], "4 x 2 x 2 features"),
        (["inspect", run / "config.py"], "stage_4/blocks/conv_2"),
        (["export", "--model", model, "--to", "stablehlo", tmp_path / "exported"], "model.stablehlo"),
    ):
        code, out, err = vivit(*argv)
        assert code == 0, (argv, err)
        assert told in out, (argv, out)
    for to, out, told in (("torchvision", "ours.pth", "has width 64 only"), ("hugging_face", "hf", "stablehlo")):
        code, _, err = vivit("export", "--model", model, "--to", to, tmp_path / out)
        assert (code, told in err) == (2, True), err
    code, _, err = vivit("convert", model, "--to", tmp_path / "again", "--num_classes", "2")
    assert code == 2
    assert "only a ViViT can be made into another" in err
