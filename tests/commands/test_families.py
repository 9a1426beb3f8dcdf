"""Every command works with every family: with one the house has never seen, registered in one line, and with those it has beside ViViT."""

import dataclasses
import json

import numpy as np
import pytest

from vivit_jax import cli
from vivit_jax.models import families
from vivit_jax.models.resnet3d.config import ARCHITECTURES as RESNETS
from vivit_jax.models.x3d.config import ARCHITECTURES as X3DS
from vivit_jax.weights.model_dir import load_model_dir

CONFIG = """
from vivit_jax.config import base_config

def get_config():
    config = base_config("FAMILY")
    config.model.update(OPTIONS)
    config.data.name = "toys"
    config.data.resize = 20
    config.data.val_split = "test"
    config.optimizer.layer_decay = 0.9
    config.training.batch_size = 2
    config.training.steps = 6
    config.evaluation.every_steps = 3
    config.training.compilation_cache = None
    config.parallel.data = 1
    return config
"""


@dataclasses.dataclass(frozen=True)
class Tried:
    """A family in small: the keys of its model, what its features are called, and a part of it."""

    name: str
    options: dict
    features: str
    part: str

    @property
    def config(self):
        return CONFIG.replace("FAMILY", self.name).replace("OPTIONS", repr(self.options))


TOY = Tried("toy", {"clip": (4, 16, 16)}, "features", "stem")
SLOW_FUSION = {"clip": (10, 20, 20), "multiresolution": True, "filters": (4, 4, 4, 4, 4), "hidden": (8, 8)}
RESNET = {"clip": (8, 32, 32), "width": 4}
X3D = {"clip": (4, 32, 32), "width": 8, "convolutions": "3d"}
OURS = [
    Tried("fusion_cnn", SLOW_FUSION, "boxes", "fovea/conv1"),
    Tried("resnet3d", RESNET, "features", "stem"),
    Tried("x3d", X3D, "features", "neck"),
]


@pytest.fixture(
    scope="module", params=[TOY, *(pytest.param(tried, marks=pytest.mark.slow) for tried in OURS)], ids=lambda tried: tried.name
)
def tried(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(families.FAMILIES, "toy", "toy_family")
        # A block of each kind in each stage: the published depths, which the tests of weights and recipes build, take minutes to compile.
        patch.setitem(X3DS, "x3d_s", (2, 1, 2, 1))
        patch.setitem(RESNETS, "r3d_18", dataclasses.replace(RESNETS["r3d_18"], depths=(1, 1, 1, 1)))
        yield request.param


@pytest.fixture(scope="module")
def config_file(tried, tmp_path_factory):
    path = tmp_path_factory.mktemp("configs") / "tried.py"
    path.write_text(tried.config)
    return path


@pytest.fixture(scope="module")
def finished_run(config_file, data_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "tried"
    arguments = [f"--config={config_file}", f"--workdir={workdir}", f"--config.data.data_dir={data_dir}"]
    assert cli.main(["train", *arguments]) == 0
    return workdir, arguments


def test_it_trains_and_resumes(tried, finished_run, capsys):
    workdir, arguments = finished_run
    weights = (workdir / "model" / "model.safetensors").read_bytes()
    assert json.loads((workdir / "config.json").read_text())["config"]["model"]["family"] == tried.name
    assert json.loads((workdir / "evaluation.json").read_text())["examples"] == 7
    capsys.readouterr()
    assert cli.main(["train", *arguments]) == 0
    assert "resuming after step 6 of 6" in capsys.readouterr().out
    assert (workdir / "model" / "model.safetensors").read_bytes() == weights


def test_its_model_directory_holds_the_statistics(tried, finished_run):
    if tried is not TOY:
        pytest.skip("it has none")
    pretrained = load_model_dir(finished_run[0] / "model")
    statistics = pretrained.variables["batch_stats"]["norm"]
    assert set(pretrained.variables) == {"params", "batch_stats"}
    assert np.abs(statistics["mean"]).max() > 1e-4, "the statistics have moved"
    assert json.loads((finished_run[0] / "model" / "config.json").read_text())["family"] == "toy"


def test_every_command_takes_it(tried, finished_run, config_file, vivit, videos, tmp_path, data_dir):
    workdir, _ = finished_run
    model = workdir / "model"
    for argv, told in (
        (["evaluate", "--model", model, "--name", "toys", "--data_dir", data_dir, "--out", tmp_path / "scores.json"], "top1"),
        (["predict", "--model", model, "--views", "1x1", videos[0]], "cat"),
        (["explain", "--model", model, "--out", tmp_path / "overlay.mp4", videos[0]], "overlay written"),
        (["inspect", model], tried.features),
        (["inspect", config_file], tried.part),
        (["export", "--model", model, "--to", "stablehlo", tmp_path / "exported"], "model.stablehlo"),
        (["bench", "--config", config_file, "--config.model.num_classes", "3", "--mode", "train", "--steps", "2"], "clips"),
    ):
        code, out, err = vivit(*argv)
        assert code == 0, (argv, err)
        assert told in out, (argv, out)
    code, _, err = vivit("export", "--model", model, "--to", "hugging_face", tmp_path / "hf")
    assert code == 2
    assert "stablehlo" in err


@pytest.mark.slow
def test_another_run_starts_from_it(finished_run, config_file, data_dir, tmp_path):
    model = finished_run[0] / "model"
    arguments = [f"--config={config_file}", f"--workdir={tmp_path / 'second'}", f"--config.data.data_dir={data_dir}"]
    assert cli.main(["train", *arguments, f"--config.init.source={model}", "--config.init.head=keep"]) == 0


def test_a_family_that_is_not_there_is_named(vivit, tmp_path):
    (tmp_path / "config.py").write_text(TOY.config.replace('"toy"', '"toi"'))
    code, _, err = vivit("inspect", tmp_path / "config.py")
    assert code == 2
    assert "unknown model.family 'toi'" in err
