"""What the commands do, called from Python: `vivit_jax.prepare`, `train` and `evaluate`."""

import json
from pathlib import Path

import pytest
import tiny
from toys import random_video, write_dataset

import vivit_jax
from vivit_jax import cli
from vivit_jax.errors import UserError


@pytest.fixture(scope="module")
def shades(tmp_path_factory):
    """A folder of data sets with one of three classes, and a run on it: (folder, run, its scores)."""
    folder = tmp_path_factory.mktemp("shades")
    write_dataset("shades", folder, ("dark", "grey", "light"))
    config = tiny.experiment(
        model={"num_classes": None},
        data={"name": "shades", "data_dir": str(folder), "val_split": None, "readers": 1, "processes": 0},
        training={"batch_size": 3, "steps": 2},
        parallel={"data": 1},
    )
    return folder, folder / "run", vivit_jax.train(config, folder / "run")


def test_a_run_gives_the_scores_that_it_writes(shades):
    _, run, scores = shades
    written = json.loads((run / "evaluation.json").read_text())
    assert (scores.examples, scores.summary()["top1"]) == (7, written["top1"])
    assert (run / "report.html").is_file()


def test_a_config_file_is_trained_by_its_name(shades, tmp_path):
    folder = shades[0]
    text = Path(tiny.__file__).with_name("tiny_config.py").read_text()
    lines = f"""
    config.data.update(name="shades", data_dir={str(folder)!r}, val_split=None, readers=1, processes=0)
    config.training.update(batch_size=3, steps=2)
    config.parallel.data = 1
    return config"""
    (tmp_path / "shades.py").write_text(text.replace("    return config", lines))
    scores = vivit_jax.train(tmp_path / "shades.py", tmp_path / "run")
    assert scores.summary()["top1"] == json.loads((tmp_path / "run" / "evaluation.json").read_text())["top1"]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["model"]["num_layers"] == 1


def test_a_model_is_evaluated_as_the_command_does(shades, tmp_path):
    folder, run, _ = shades
    scores = vivit_jax.evaluate(run / "model", "shades", data_dir=folder, views=(2, 1), progress=False)
    options = ["--model", str(run / "model"), "--name", "shades", "--data_dir", str(folder), "--views", "2x1"]
    assert cli.main(["evaluate", *options, "--out", str(tmp_path / "scores.json")]) == 0
    written = json.loads((tmp_path / "scores.json").read_text())
    assert (scores.summary()["top1"], scores.examples) == (written["top1"], written["examples"])
    with pytest.raises(UserError, match="no data set 'shade'"):
        vivit_jax.evaluate(run / "model", "shade", data_dir=folder)


def test_videos_are_prepared_as_the_command_does(tmp_path):
    for split in ("train", "test"):
        for number, name in enumerate(("cat", "dog")):
            path = tmp_path / "videos" / split / name / "clip.mp4"
            path.parent.mkdir(parents=True)
            path.write_bytes(random_video(number + 10 * (split == "test")))
    summary = vivit_jax.prepare("folder", tmp_path / "videos", name="mine", data_dir=tmp_path / "data", workers=1)
    assert summary.clips == 4
    assert vivit_jax.__dir__().count("prepare") == 1


def test_a_model_predicts_by_itself(shades):
    _, run, _ = shades
    ranking = vivit_jax.from_pretrained(run / "model").predict(random_video(3), top_k=3, views=(1, 1))
    assert sum(probability for _, probability in ranking) == pytest.approx(1)
