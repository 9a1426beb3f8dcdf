"""`vivit evaluate`: exact counts, and classes matched by name."""

import csv
import json

import jax
import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from toys import LABELS, TEST_VIDEOS

from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.sampling import views_of_video
from vivit_jax.inference.predict import predict
from vivit_jax.weights.model_dir import load_model_dir


@pytest.fixture(scope="module")
def by_hand(model_dir, data_dir):
    """Each test video's class and the most probable one, predicted one by one."""
    pretrained = load_model_dir(model_dir)
    records = open_dataset("toys", data_dir).source("test")
    predicted = [predict(pretrained, records[i]["video"], views=(2, 1))[0] for i in range(len(records))]
    return [(LABELS[records[i]["label"]], *predicted[i]) for i in range(len(records))]


def test_counts_are_exact_with_a_partial_last_batch(by_hand, model_dir, data_dir, tmp_path, vivit):
    out = tmp_path / "new" / "scores.json"
    code, text, err = vivit(
        *("evaluate", "--model", model_dir, "--name", "toys", "--data_dir", data_dir, "--views", "2x1", "--batch_size", 4, "--out", out)
    )
    assert (code, err) == (0, "")
    scores = json.loads(out.read_text())
    hits = sum(truth == said for truth, said, _ in by_hand)
    assert (scores["name"], scores["split"], scores["examples"], scores["hits"]) == ("toys", "test", TEST_VIDEOS, hits)
    assert scores["top1"] == hits / TEST_VIDEOS
    assert scores["top5"] == 1.0
    assert (scores["temporal_views"], scores["spatial_views"]) == (2, 1)
    assert {label: row["examples"] for label, row in scores["per_class"].items()} == {
        label: sum(truth == label for truth, _, _ in by_hand) for label in LABELS
    }
    assert [(row["label"], row["prediction"]) for row in scores["predictions"]] == [row[:2] for row in by_hand]
    assert [row["probability"] for row in scores["predictions"]] == pytest.approx([row[2] for row in by_hand], rel=1e-4)
    assert f"{hits} of {TEST_VIDEOS}" in text
    assert f"clip_top1 {scores['clip_top1']:.4f}, 2x1 views of {scores['gmac_view']:.4g} GMAC" in text


def test_classes_are_matched_by_name_whatever_their_order(model_dir, data_dir, tmp_path, vivit):
    pretrained = load_model_dir(model_dir)
    dataset = open_dataset("toys_in_another_order", data_dir)
    records = dataset.source("test")
    records = [records[i] for i in range(len(records))]
    said = [(dataset.labels[record["label"]], predict(pretrained, record["video"], views=(1, 1))[0][0]) for record in records]
    out = tmp_path / "scores.json"
    code, _, _ = vivit(
        *("evaluate", "--model", model_dir, "--name", "toys_in_another_order", "--data_dir", data_dir, "--views", "1x1", "--out", out)
    )
    assert code == 0
    assert json.loads(out.read_text())["hits"] == sum(truth == prediction for truth, prediction in said)


def test_several_labels_a_video_are_scored_by_name_and_each_class_by_itself(multi_label_model_dir, model_dir, data_dir, tmp_path, vivit):
    pretrained, dataset = load_model_dir(multi_label_model_dir), open_dataset("several", data_dir)
    records = [dataset.source("test")[i] for i in range(TEST_VIDEOS)]
    said = [dict(predict(pretrained, record["video"], views=(1, 1))) for record in records]
    present = [{dataset.labels[i] for i in np.flatnonzero(record["label"])} for record in records]
    out = tmp_path / "scores.json"
    arguments = ("--name", "several", "--data_dir", data_dir, "--views", "1x1", "--out", out)
    code, text, err = vivit("evaluate", "--model", multi_label_model_dir, *arguments)
    assert (code, err) == (0, "")
    scores = json.loads(out.read_text())
    for label in LABELS:
        truth, score = [label in labels for labels in present], [row[label] for row in said]
        assert scores["per_class"][label]["examples"] == sum(truth)
        assert scores["per_class"][label]["average_precision"] == pytest.approx(average_precision_score(truth, score))
    assert scores["mAP"] == pytest.approx(np.mean([row["average_precision"] for row in scores["per_class"].values()]))
    assert [set(row["label"]) for row in scores["predictions"]] == present
    assert [row["probability"] for row in scores["predictions"]] == pytest.approx([max(row.values()) for row in said], rel=1e-4)
    assert f"mAP {scores['mAP']:.4f} (of 3 classes in 7)" in text
    code, _, err = vivit("evaluate", "--model", model_dir, *arguments)
    assert (code, "may have several classes, and the model was trained for one" in err) == (2, True)


def test_a_class_that_the_model_has_not_is_refused(model_dir, data_dir, tmp_path, vivit):
    out = tmp_path / "scores.json"
    code, _, err = vivit("evaluate", "--model", model_dir, "--name", "tools", "--data_dir", data_dir, "--out", out)
    assert code == 2
    assert err == (
        "vivit: 1 of the 3 classes of data set tools are not among the model's 3: the first is 'saw'; the model's first is 'cat'; "
        "it can be scored on a set of its own classes only, or after `vivit probe` has fitted it a head for these\n"
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--name", "nothing"), "nothing"),
        (("--name", "toys", "--split", "dev"), "dev"),
        ((), "--name"),
    ],
)
def test_what_is_not_there_is_named_in_one_line(arguments, told, model_dir, data_dir, vivit):
    code, _, err = vivit("evaluate", "--model", model_dir, "--data_dir", data_dir, *arguments)
    assert code == 2
    assert told in err
    assert err.count("\n") == 1


def test_a_run_is_evaluated_on_its_own_data_set(by_hand, workdir, vivit):
    code, text, err = vivit("evaluate", "--workdir", workdir)
    assert (code, err) == (0, "")
    scores = json.loads((workdir / "evaluation.json").read_text())
    assert scores["hits"] == sum(truth == said for truth, said, _ in by_hand)
    assert (scores["name"], scores["split"], scores["views"]) == ("toys", "test", 2)
    assert str(workdir / "evaluation.json") in text
    assert f"{scores['hits']} of 7" in (workdir / "report.html").read_text()


def test_mirrored_views_count_as_much_as_the_others(model_dir, data_dir, workdir, tmp_path, vivit):
    pretrained, out = load_model_dir(model_dir), tmp_path / "scores.json"
    arguments = ("--name", "toys", "--data_dir", data_dir, "--views", "2x3", "--out", out)
    assert vivit("evaluate", "--model", model_dir, *arguments)[0] == 0
    plain = json.loads(out.read_text())
    code, text, _ = vivit("evaluate", "--model", model_dir, *arguments, "--flip")
    scores = json.loads(out.read_text())
    assert (code, scores["flip"], scores["views"], "flip" in plain, plain["views"]) == (0, True, 12, False, 6)
    assert "2x3 views, each mirrored too" in text
    records, logits = open_dataset("toys", data_dir).source("test"), jax.jit(pretrained.model.apply)
    for i, row in enumerate(scores["predictions"]):
        views = views_of_video(records[i]["video"], pretrained.preprocess, (2, 3))
        seen = [logits(pretrained.variables, pretrained.preprocess.normalise(v)) for v in (views, views[..., ::-1, :].copy())]
        expected = np.asarray(pretrained.activation(np.concatenate(seen).mean(0)))
        assert list(row["probabilities"].values()) == pytest.approx(expected.tolist(), rel=1e-4)
    assert scores["loss"] != plain["loss"]
    assert vivit("evaluate", "--workdir", workdir, "--flip")[0] == 0
    assert "and mirrored" in (workdir / "report.html").read_text()
    assert [path.name for path in workdir.glob("evaluation*.json")] == ["evaluation-test-2x1-flip.json"]


def test_a_directory_that_is_no_run_is_refused(model_dir, vivit):
    code, _, err = vivit("evaluate", "--workdir", model_dir)
    assert code == 2
    assert "not the work directory of a run" in err


def test_no_other_scores_take_the_place_of_a_runs_own_test(workdir, model_dir, data_dir, vivit, monkeypatch):
    other = ("evaluate", "--model", model_dir, "--name", "toys", "--data_dir", data_dir, "--views", "1x1")
    monkeypatch.chdir(workdir)
    for argv in (other, (*other, "--out", workdir / "evaluation.json"), ("evaluate", "--workdir", ".", "--out", "evaluation.json")):
        code, _, err = vivit(*argv)
        assert (code, err.count("\n")) == (2, 1)
        assert f"is the place of the test of the run in {workdir}: give --out another file" in err
    assert not (workdir / "evaluation.json").exists()


def test_predictions_name_videos_and_give_all_probabilities_as_json_and_csv(model_dir, data_dir, tmp_path, vivit, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "table.csv"
    (tmp_path / "evaluation.json").write_text("of another model")
    code, text, _ = vivit("evaluate", "--model", model_dir, "--name", "toys", "--data_dir", data_dir, "--views", "2x1", "--out", table)
    assert code == 0
    assert "warning: evaluation.json is in this folder already and will be replaced" in text
    rows = json.loads((tmp_path / "evaluation.json").read_text())["predictions"]
    records = open_dataset("toys", data_dir).source("test")
    assert [row["video"] for row in rows] == [records[i]["name"] for i in range(TEST_VIDEOS)]
    for row in rows:
        assert list(row["probabilities"]) == list(LABELS)
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert row["probability"] == row["probabilities"][row["prediction"]] == max(row["probabilities"].values())
    with table.open(newline="") as file:
        cells = list(csv.reader(file))
    assert cells[0] == ["video", "label", "prediction", "probability", *LABELS]
    assert [line[:3] for line in cells[1:]] == [[row["video"], row["label"], row["prediction"]] for row in rows]
    assert [[float(cell) for cell in line[4:]] for line in cells[1:]] == [list(row["probabilities"].values()) for row in rows]


def test_an_exploration_never_replaces_the_runs_own_test(workdir, vivit):
    assert vivit("evaluate", "--workdir", workdir)[0] == 0
    own = (workdir / "evaluation.json").read_bytes()
    assert vivit("evaluate", "--workdir", workdir, "--split", "train", "--views", "1x1")[0] == 0
    assert vivit("evaluate", "--workdir", workdir, "--views", "4x3")[0] == 0
    assert vivit("evaluate", "--workdir", workdir, "--name", "toys_in_another_order")[0] == 0
    assert vivit("evaluate", "--workdir", workdir, "--split", "testing")[0] == 0  # the same split, so its own test again
    assert (workdir / "evaluation.json").read_bytes() == own
    found = {path.name for path in workdir.glob("evaluation-*.json")}
    assert found == {"evaluation-train-1x1.json", "evaluation-test-4x3.json", "evaluation-toys_in_another_order-test-2x1.json"}
    report = (workdir / "report.html").read_text()
    assert all(name in report for name in found)
    assert report.index("7 examples of toys test") < report.index("Other evaluations")
