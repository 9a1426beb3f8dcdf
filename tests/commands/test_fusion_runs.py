"""The recipes of Karpathy et al. 2014 from end to end, in small: a network trained on one data set, its top on another, and its test."""

import json
from pathlib import Path

import numpy as np
import pytest

from vivit_jax.weights.model_dir import load_model_dir

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = {
    "model.filters": "(4, 4, 4, 4, 4)",
    "model.hidden": "(6, 5)",
    "model.clip": "(2, 22, 22)",
    "data.stride": 5,
    "data.resize": 24,
    "training.batch_size": 2,
    "training.tensorboard": False,
    "training.compilation_cache": "none",
    "evaluation.test_views": "(2, 2)",
    "parallel.data": 1,
}


@pytest.mark.slow
def test_the_top_of_a_late_fusion_network_is_trained_on_another_data_set(vivit, data_dir, tmp_path):
    def train(config, workdir, name, **more):
        values = SMALL | {"data.name": name, "data.data_dir": data_dir, "data.val_split": "none"} | more
        options = [f"--config.{key}={value}" for key, value in values.items()]
        return vivit("train", f"--config={CONFIGS / config}", f"--workdir={tmp_path / workdir}", *options)

    code, _, err = train("sports1m_cnn.py:late", "sports", "tools", **{"training.examples": 4})
    assert code == 0, err
    model = tmp_path / "sports" / "model"
    code, _, err = train("ucf101_cnn.py:top_3,late", "ucf", "toys", **{"training.steps": 2, "init.source": model})
    assert code == 0, err

    before, after = (load_model_dir(tmp_path / name / "model") for name in ("sports", "ucf"))
    assert before.labels == ("cat", "saw", "owl")
    assert after.labels == ("cat", "dog", "owl")
    assert after.preprocess.stride == 5
    for layer, values in before.variables["params"]["stream"].items():
        np.testing.assert_array_equal(after.variables["params"]["stream"][layer]["kernel"], values["kernel"])
    assert np.abs(after.variables["params"]["head"]["bias"]).max() > 0

    of_training = json.loads((tmp_path / "ucf" / "evaluation.json").read_text())
    assert (of_training["views"], of_training["flip"], of_training["examples"]) == (8, True, 7)
    assert vivit("evaluate", "--workdir", tmp_path / "ucf")[0] == 0
    again = json.loads((tmp_path / "ucf" / "evaluation.json").read_text())
    assert (again["views"], again["flip"], again["hits"]) == (8, True, of_training["hits"])
    assert vivit("evaluate", "--workdir", tmp_path / "ucf", "--no-flip")[0] == 0
    assert json.loads((tmp_path / "ucf" / "evaluation-test-2x2.json").read_text())["views"] == 4
