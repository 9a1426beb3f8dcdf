"""What the commands do, called from Python: `vivit_jax.prepare`, `train` and `evaluate`."""

import json
import shutil
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
        checkpoint={"every_steps": 1, "keep": 2},
        parallel={"data": 1},
    )
    return folder, folder / "run", vivit_jax.train(config, folder / "run")


def test_a_run_gives_the_scores_that_it_writes(shades):
    _, run, scores = shades
    written = json.loads((run / "evaluation.json").read_text())
    assert (scores.examples, scores.summary()["top1"]) == (7, written["top1"])
    assert (run / "report.html").is_file()


@pytest.mark.slow
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


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "5", None])
def test_a_number_is_checked_as_the_command_line_does(shades, wrong):
    folder, run, _ = shades
    pretrained = vivit_jax.from_pretrained(run / "model")
    frames = random_video(9)
    for call in (
        lambda: pretrained.predict(frames, top_k=wrong),
        lambda: pretrained.predict(["one.mp4"], top_k=wrong),
        lambda: next(pretrained.predict_windows("one.mp4", top_k=wrong)),
        lambda: pretrained.predict(frames, views=(1, wrong)),
        lambda: pretrained.predict(frames, views=wrong),
        lambda: vivit_jax.evaluate(pretrained, "shades", data_dir=folder, batch_size=wrong),
        lambda: vivit_jax.evaluate(pretrained, "shades", data_dir=folder, views=wrong),
        lambda: vivit_jax.features(pretrained, "shades", data_dir=folder, batch_size=wrong),
        lambda: vivit_jax.compare([run, run], batch_size=wrong),
        lambda: vivit_jax.prepare("folder", folder, name="new", data_dir=folder, short_side=wrong),
    ):
        with pytest.raises(UserError, match=r"must be .* whole number"):
            call()


def test_a_model_is_evaluated_as_the_command_does(shades, tmp_path):
    folder, run, _ = shades
    scores = vivit_jax.evaluate(run / "model", "shades", data_dir=folder, views=(2, 1), progress=False)
    options = ["--model", str(run / "model"), "--name", "shades", "--data_dir", str(folder), "--views", "2x1"]
    assert cli.main(["evaluate", *options, "--out", str(tmp_path / "scores.json")]) == 0
    written = json.loads((tmp_path / "scores.json").read_text())
    assert {name: written[name] for name in scores.summary()} == scores.summary()
    assert written["examples"] == scores.examples
    with pytest.raises(UserError, match="no data set 'shade'"):
        vivit_jax.evaluate(run / "model", "shade", data_dir=folder)


@pytest.mark.slow
def test_each_checkpoint_of_a_run_is_evaluated(shades, vivit):
    _, run, scores = shades
    own = (run / "evaluation.json").read_bytes()
    for step in (1, 2):
        code, out, err = vivit("evaluate", "--workdir", run, "--checkpoint", step)
        assert (code, err) == (0, "")
        assert f"model of step {step}" in out
    first, last = (json.loads(path.read_text()) for path in sorted(run.glob("evaluation-test-*-step*.json")))
    assert last["loss"] == pytest.approx(scores.summary()["loss"], rel=1e-6)
    assert first["loss"] != last["loss"]
    assert (run / "evaluation.json").read_bytes() == own
    code, _, err = vivit("evaluate", "--workdir", run, "--checkpoint", 3)
    assert code == 2
    assert "no checkpoint of step 3" in err
    assert vivit("evaluate", "--model", run / "model", "--name", "shades", "--checkpoint", 1)[0] == 2


def test_a_run_is_inspected_checkpoint_by_checkpoint(shades, tmp_path, vivit):
    run = shutil.copytree(shades[1], tmp_path / "run")
    code, out, err = vivit("inspect", run)
    assert (code, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines() if line.split()[:1] in (["1"], ["2"])] == [["1", "whole"], ["2", "whole"]]
    metadata = run / "checkpoints" / "1" / "facts" / "metadata"
    metadata.write_bytes(metadata.read_bytes()[:-1])
    code, out, err = vivit("inspect", run)
    assert code == 2
    assert "1 of 2 checkpoints" in err
    assert "damaged: " in out


def test_videos_are_prepared_as_the_command_does(tmp_path):
    for split in ("train", "test"):
        for number, name in enumerate(("cat", "dog")):
            path = tmp_path / "videos" / split / name / "clip.mp4"
            path.parent.mkdir(parents=True)
            path.write_bytes(random_video(number + 10 * (split == "test")))
    summary = vivit_jax.prepare("folder", tmp_path / "videos", name="mine", data_dir=tmp_path / "data", workers=1)
    assert summary.clips == 4
    assert repr(summary) == f"Summary({summary.path}: clips train 2, test 2; 0 refused, 0 changed in form)"
    assert vivit_jax.__dir__().count("prepare") == 1


def test_a_model_predicts_by_itself(shades):
    _, run, _ = shades
    ranking = vivit_jax.from_pretrained(run / "model").predict(random_video(3), top_k=3, views=(1, 1))
    assert sum(probability for _, probability in ranking) == pytest.approx(1)
