"""`vivit predict` and `predict`: what a forward pass by hand says, and every file accounted for."""

import json

import jax
import numpy as np
import pytest

from vivit_jax import accelerators, from_pretrained
from vivit_jax.data.sampling import views_of_video
from vivit_jax.inference.predict import predict, predict_many
from vivit_jax.weights.model_dir import load_model_dir


@pytest.mark.parametrize("views", [(1, 1), (2, 3)])
def test_predictions_are_the_softmax_of_the_mean_logits_of_the_views(model_dir, videos, views):
    pretrained = from_pretrained(model_dir)
    pixels = views_of_video(videos[1], pretrained.preprocess, views).astype(np.float32)
    assert pixels.shape == (views[0] * views[1], 4, 16, 16, 3)
    logits = np.asarray(jax.jit(pretrained.model.apply)(pretrained.variables, pixels / 127.5 - 1), np.float64).mean(0)
    by_hand = np.exp(logits) / np.exp(logits).sum()
    ranking = predict(pretrained, videos[1], top_k=2, views=views)
    assert [label for label, _ in ranking] == [pretrained.labels[i] for i in np.argsort(-by_hand)[:2]]
    np.testing.assert_allclose([probability for _, probability in ranking], np.sort(by_hand)[::-1][:2], rtol=1e-4)
    assert pretrained.predict(videos[1], top_k=2, views=views) == ranking


def test_of_several_classes_a_video_each_has_the_sigmoid_of_its_mean_logit(multi_label_model_dir, videos):
    pretrained = load_model_dir(multi_label_model_dir)
    pixels = views_of_video(videos[0], pretrained.preprocess, (2, 1)).astype(np.float32)
    logits = np.asarray(jax.jit(pretrained.model.apply)(pretrained.variables, pixels / 127.5 - 1), np.float64).mean(0)
    expected = dict(zip(pretrained.labels, 1 / (1 + np.exp(-logits)), strict=True))
    assert dict(predict(pretrained, videos[0], views=(2, 1))) == pytest.approx(expected, rel=1e-4)


def test_many_files_are_predicted_as_each_alone(model_dir, videos):
    pretrained = from_pretrained(model_dir)
    several = videos * 5
    outcomes = list(predict_many(pretrained, several, views=(1, 1)))
    assert [outcome.video for outcome in outcomes] == several
    alone = {video: dict(predict(pretrained, video, views=(1, 1))) for video in videos}
    assert len({max(ranking, key=ranking.get) for ranking in alone.values()}) > 1 or len({str(r) for r in alone.values()}) == 3
    for outcome in outcomes:
        assert dict(outcome.prediction) == pytest.approx(alone[outcome.video], rel=1e-4)


def test_several_heads_are_predicted_by_name(two_headed_model_dir, videos, vivit):
    code, out, _ = vivit("predict", "--model", two_headed_model_dir, videos[0], "--views", "1x1", "--json")
    (row,) = json.loads(out)
    assert code == 0
    assert {head: {entry["label"] for entry in ranking} for head, ranking in row["predictions"].items()} == {
        "verb": {"take", "put"},
        "noun": {"cup", "pan", "lid"},
    }
    assert sum(entry["probability"] for entry in row["predictions"]["noun"]) == pytest.approx(1)


def test_a_table_for_people_and_json_for_programs_say_the_same(model_dir, videos, vivit):
    arguments = ("predict", "--model", model_dir, *videos, "--top_k", "1", "--views", "2x1")
    code, out, err = vivit(*arguments)
    assert (code, err) == (0, "")
    rows = json.loads(vivit(*arguments, "--json")[1])
    assert [row["video"] for row in rows] == videos
    for row in rows:
        (best,) = row["predictions"]
        assert row["video"] in out
        assert f"{best['probability']:.1%}" in out
        assert best["label"] in out


def test_a_warning_does_not_stand_among_json(model_dir, videos, vivit, monkeypatch, tmp_path):
    monkeypatch.setattr(accelerators, "GPUS", (str(tmp_path),))
    for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    code, out, err = vivit("predict", "--model", model_dir, videos[0], "--views", "1x1", "--json")
    assert (code, [row["video"] for row in json.loads(out)]) == (0, videos[:1])
    assert "but jax computes on the CPU" in err


def test_a_bad_file_is_named_and_the_others_are_predicted(model_dir, videos, tmp_path, vivit):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video" * 100)
    code, out, err = vivit("predict", "--model", model_dir, videos[0], broken, tmp_path / "missing.mp4", videos[1], "--json")
    assert code == 2
    lines = err.splitlines()
    assert len(lines) == 3
    assert str(broken) in lines[0]
    assert "missing.mp4" in lines[1]
    assert lines[2] == "vivit: 2 of 4 videos could not be classified"
    rows = json.loads(out)
    assert [("predictions" in row, "error" in row) for row in rows] == [(True, False), (False, True), (False, True), (True, False)]


@pytest.mark.parametrize("views", ["4", "0x3", "4x", "axb"])
def test_views_that_are_none_are_refused_in_one_line(views, model_dir, videos, vivit):
    code, _, err = vivit("predict", "--model", model_dir, videos[0], "--views", views)
    assert code == 2
    assert "such as 4x3" in err
    assert err.count("\n") == 1


def test_a_model_that_is_not_there_is_one_line(tmp_path, videos, vivit):
    code, _, err = vivit("predict", "--model", tmp_path / "nowhere", videos[0])
    assert code == 2
    assert "nowhere" in err
    assert err.count("\n") == 1
