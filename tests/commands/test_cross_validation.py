"""`vivit train --folds`: a run for each fold, their scores in one table and one file."""

import json
import pathlib

import films
import numpy as np
import pytest
from scipy import stats

from vivit_jax.cli import main
from vivit_jax.data.layouts import Reading
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.errors import Stopped
from vivit_jax.runs import folds
from vivit_jax.runs.folds import summarised

CONFIG = pathlib.Path(__file__).parents[1] / "training/tiny_config.py"


def test_mean_deviation_and_interval_are_those_of_scipy():
    scores = [{"top1": value, "loss": 1 - value} for value in (0.5, 0.75, 0.625, 0.7, 0.55)]
    values = np.array([of_fold["top1"] for of_fold in scores])
    told = summarised(scores)
    assert told["mean"]["top1"] == pytest.approx(np.mean(values))
    assert told["std"]["top1"] == pytest.approx(np.std(values, ddof=1))
    interval = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    assert told["interval"]["top1"] == pytest.approx(interval)
    assert set(summarised([{"top1": 0.5, "auc": 1.0}, {"top1": 0.6}])["mean"]) == {"top1"}
    wide = summarised([{"top1": 0.2, "loss": 0.1}, {"top1": 1.0, "loss": 9.0}])["interval"]
    assert wide["top1"] == [0, 1] and wide["loss"][0] == 0 and wide["loss"][1] > 9


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    root, rows = tmp_path_factory.mktemp("people"), ["path,label,person"]
    for number in range(12):
        films.write(root / f"{number}.mp4", films.scene(8, 16, 16, number))
        rows.append(f"{number}.mp4,{'ab'[number % 2]},person {number % 6}")
    (root / "list.csv").write_text("\n".join([*rows, ""]))
    prepare("csv", root / "list.csv", name="people", reading=Reading(group="person"), data_dir=root / "data", workers=1)
    return root / "data"


def command(workdir, data_dir, *more):
    keys = {"data.name": "people", "data.data_dir": data_dir, "training.batch_size": 8, "training.steps": 2, "training.log_every": 1}
    return ["train", f"--config={CONFIG}", f"--workdir={workdir}", *(f"--config.{key}={value}" for key, value in keys.items()), *more]


@pytest.mark.slow
def test_each_fold_is_a_run_and_all_of_them_one_table(people, tmp_path, capfd):
    workdir = tmp_path / "runs"
    assert main(command(workdir, people, "--folds", "2", "--group", "group", "--fold_seed", "3")) == 0
    out = capfd.readouterr().out
    assert "trained on as well" not in out
    result = json.loads((workdir / "folds.json").read_text())
    videos = []
    for run in result["runs"]:
        scores = json.loads((workdir / run["workdir"] / "evaluation.json").read_text())
        assert run["scores"]["top1"] == scores["top1"]
        assert f"{scores['top1']:.4f}" in out
        assert (workdir / run["workdir"] / "report.html").exists()
        videos.append([row["video"] for row in scores["predictions"]])
        assert (run["train"], run["test"]) == (12 - len(videos[-1]), len(videos[-1]))
    assert sorted(name for names in videos for name in names) == sorted(f"{number}.mp4" for number in range(12))
    assert not {int(name.split(".")[0]) % 6 for name in videos[0]} & {int(name.split(".")[0]) % 6 for name in videos[1]}
    assert result["pooled"] == {
        "top1": pytest.approx(sum(run["hits"] for run in result["runs"]) / 12),
        "examples": 12,
        "hits": result["pooled"]["hits"],
    }
    assert main(["evaluate", "--workdir", str(workdir / "fold-1")]) == 0
    assert main(command(workdir, people, "--folds", "2", "--group", "group", "--fold_seed", "3")) == 0
    assert "resuming after step 2 of 2" in capfd.readouterr().out
    assert json.loads((workdir / "folds.json").read_text()) == result


@pytest.mark.slow
def test_a_restart_that_is_interrupted_goes_on_with_new_runs_alone(people, tmp_path, capfd, monkeypatch):
    workdir = tmp_path / "runs"
    assert main(command(workdir, people, "--folds", "2")) == 0
    before = json.loads((workdir / "folds.json").read_text())

    def interrupted(*arguments, **options):
        raise Stopped("interrupted as the first fold begins")

    with monkeypatch.context() as patch:
        patch.setattr(folds, "train", interrupted)
        assert main(command(workdir, people, "--folds", "2", "--restart")) == 1
    assert sorted(path.name for path in workdir.iterdir()) == ["before-1-folds.json", "fold-1", "fold-2"]
    for number in (1, 2):
        assert (workdir / f"fold-{number}/before-1/evaluation.json").exists()
        assert not (workdir / f"fold-{number}/checkpoints").exists()
    capfd.readouterr()
    assert main(command(workdir, people, "--folds", "2")) == 0
    assert "going on" not in capfd.readouterr().out
    assert json.loads((workdir / "folds.json").read_text()) == before


@pytest.mark.slow
def test_a_column_of_any_name_reaches_no_other_folder(tmp_path, capfd):
    rows = ["path,label,who/../../where:at"]
    for number in range(4):
        films.write(tmp_path / f"{number}.mp4", films.scene(8, 16, 16, number))
        rows.append(f"{number}.mp4,{'ab'[number % 2]},../{number}")
    (tmp_path / "list.csv").write_text("\n".join([*rows, ""]))
    data_dir, group = tmp_path / "data", "who/../../where:at"
    prepare("csv", tmp_path / "list.csv", name="people", reading=Reading(group=group), data_dir=data_dir, workers=1)
    workdir = tmp_path / "in" / "runs"
    assert main(command(workdir, data_dir, "--folds", "2", "--group", group)) == 0
    held = {path.name for path in tmp_path.iterdir()}
    assert main(["evaluate", "--workdir", str(workdir / "fold-1"), "--split", f"all@fold2of2:{group.replace(':', '%3A')}"]) == 0
    (written,) = (workdir / "fold-1").glob("evaluation-*.json")
    assert "who%2f..%2f..%2fwhere" in written.name
    assert {path.name for path in tmp_path.iterdir()} == held


def test_what_cannot_be_folded_is_refused_before_anything_is_trained(people, tmp_path, capfd):
    for more, message in (
        (("--folds", "1"), "--folds must be at least 2"),
        (("--folds", "2", "--fold_validation"), "at least 3 with --fold_validation"),
        (("--folds", "7"), "6 groups of clips are too few for 7 folds"),
        (("--folds", "2", "--group", "kitchen"), "no column 'kitchen'"),
        (("--folds", "2", "--config.evaluation.patience=2"), "give --fold_validation"),
        (("--group", "person"), "have no effect without --folds"),
        (("--folds", "2", "--config.data.train_split=train"), "leave --config.data.train_split out"),
    ):
        assert main(command(tmp_path / "runs", people, *more)) == 2
        assert message in capfd.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_patience_without_clips_to_validate_on_is_refused(people, tmp_path, capfd):
    for more in ((), ("--config.data.val_split=None",)):
        assert main(command(tmp_path / "runs", people, "--config.evaluation.patience=2", *more)) == 2
        assert "evaluation.patience needs clips to validate on" in capfd.readouterr().err
