"""`evaluation.average` lies in the model directory, and whatever averages views follows it: the mean of probabilities, against NumPy."""

import dataclasses
import json

import numpy as np
import pytest
from toys import CONFIG, LABELS, PREPROCESS, random_variables

import vivit_jax
from vivit_jax.data.dataset import open_dataset
from vivit_jax.errors import UserError
from vivit_jax.inference import outputs
from vivit_jax.inference.evaluate import evaluate
from vivit_jax.inference.features import features
from vivit_jax.inference.outputs import logits_of_views
from vivit_jax.inference.rows import fingerprint
from vivit_jax.inference.views import decode_group
from vivit_jax.inference.windows import predict_windows
from vivit_jax.weights import load_model_dir, save_pretrained

VIEWS = (3, 3)


@pytest.fixture(scope="module")
def probabilities_dir(tmp_path_factory, videos):
    """A model that is sure of each view and of different classes, so that the two averages differ."""
    folder, variables = tmp_path_factory.mktemp("models") / "sure", random_variables(CONFIG)
    head = variables["params"]["head"]
    head["kernel"] *= 400
    undecided = load_model_dir(save_pretrained(folder, CONFIG, variables, PREPROCESS, LABELS))
    head["bias"] -= logits_of(undecided, videos[0]).mean(axis=0)
    return save_pretrained(folder, CONFIG, variables, PREPROCESS, LABELS, average="probabilities")


def logits_of(pretrained, video):
    """Of each view, (v, classes)."""
    parts = logits_of_views(pretrained, lambda group, *how: decode_group(video, group, *how), VIEWS)
    return np.concatenate([part[""] for part in parts])


def softmax(logits):
    powers = np.exp(np.float64(logits) - np.max(logits, axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def by_hand(pretrained, video):
    """The mean over the views of the probabilities, and the probabilities of the mean."""
    logits = logits_of(pretrained, video)
    return softmax(logits).mean(axis=0), softmax(logits.mean(axis=0))


def test_predictions_follow_the_model(probabilities_dir, videos, monkeypatch):
    model = vivit_jax.from_pretrained(probabilities_dir)
    wanted, other = by_hand(model, videos[0])
    assert np.abs(wanted - other).max() > 1e-2
    as_array = lambda prediction: [dict(prediction)[label] for label in LABELS]  # noqa: E731
    np.testing.assert_allclose(as_array(model.predict(videos[0], views=VIEWS)), wanted, atol=1e-5)
    np.testing.assert_allclose(as_array(model.predict(videos[:1], views=VIEWS)[0]), wanted, atol=1e-5)
    monkeypatch.setattr(outputs, "VIEWS_AT_ONCE", 2)
    np.testing.assert_allclose(as_array(model.predict(videos[:1], views=VIEWS)[0]), wanted, atol=1e-5, err_msg="in groups")
    monkeypatch.undo()
    ((_, _, window),) = predict_windows(model, videos[0], 1.2, views=VIEWS)
    np.testing.assert_allclose(as_array(window), wanted, atol=1e-5)
    several = dataclasses.replace(model, multi_label=True)
    logits = logits_of(several, videos[0])
    np.testing.assert_allclose(as_array(several.predict(videos[0], views=VIEWS)), (1 / (1 + np.exp(-logits))).mean(axis=0), atol=1e-5)


def test_evaluations_and_soups_follow_the_model(probabilities_dir, data_dir, vivit, tmp_path):
    options = ("--name", "toys", "--data_dir", data_dir, "--views", "3x1")
    assert vivit("evaluate", "--model", probabilities_dir, *options, "--out", tmp_path / "own.json")[0] == 0
    assert vivit("evaluate", "--model", probabilities_dir, *options, "--average", "logits", "--out", tmp_path / "other.json")[0] == 0
    own, other = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("own", "other"))
    assert own["average"] == "probabilities"
    assert "average" not in other
    dataset = open_dataset("toys", data_dir)
    assert evaluate(str(probabilities_dir), dataset, views=(3, 1), progress=False).loss == pytest.approx(own["loss"], abs=1e-6)
    assert own["loss"] != pytest.approx(other["loss"], abs=1e-3)
    logits = dataclasses.replace(load_model_dir(probabilities_dir), average="logits")
    logits.save(tmp_path / "logits")
    code, _, err = vivit("soup", probabilities_dir, tmp_path / "logits", "--uniform", "--to", tmp_path / "soup")
    assert (code, "average over views" in err) == (2, True)
    logits.save(tmp_path / "twin")
    for name in ("logits", "twin"):
        config = json.loads((tmp_path / name / "config.json").read_text())
        assert "average" not in config, "as before there was a choice"
    dataclasses.replace(logits, average="probabilities").save(tmp_path / "twin")
    assert vivit("soup", probabilities_dir, tmp_path / "twin", "--uniform", "--to", tmp_path / "soup")[0] == 0
    assert load_model_dir(tmp_path / "soup").average == "probabilities"
    assert fingerprint(logits) != fingerprint(load_model_dir(tmp_path / "soup"))


def test_features_are_averaged_themselves(probabilities_dir, videos):
    model = load_model_dir(probabilities_dir)
    other = features(dataclasses.replace(model, average="logits"), videos, views=(3, 1), progress=False)
    assert np.array_equal(features(model, videos, views=(3, 1), progress=False).features, other.features)


def test_an_unknown_average_is_named(probabilities_dir, tmp_path):
    load_model_dir(probabilities_dir).save(tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    del config["contents_sha256"]
    (tmp_path / "model/config.json").write_text(json.dumps(config | {"average": "medians"}))
    with pytest.raises(UserError, match=r"unknown average in .*'medians'"):
        load_model_dir(tmp_path / "model")


def test_a_name_is_of_a_data_set_though_a_file_here_is_called_so(model_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").touch()
    with pytest.raises(UserError, match="no data set 'clips'"):
        vivit_jax.features(model_dir, "clips", data_dir=tmp_path)
