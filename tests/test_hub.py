import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from hub_stand_in import Hub, environment
from huggingface_hub import ModelCard
from toys import CONFIG, PREPROCESS, random_variables

from vivit_jax import cli
from vivit_jax.errors import UserError
from vivit_jax.models.families import create_model
from vivit_jax.preprocess import Preprocess
from vivit_jax.runs.model_card import model_card
from vivit_jax.weights import Pretrained, load_model_dir, save_pretrained
from vivit_jax.weights.hub import repository_named

LABELS = ("jump", "run`|\n", "sit")
DATA = {"name": "clips", "sha256": "0" * 64, "labels": {"": list(LABELS)}, "splits": {"train": 1200, "val": 90, "test": 40}}
RIGHT = 30  # of 40


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The files of a run that a card tells of: a model, its evaluation, its config."""
    workdir = tmp_path_factory.mktemp("run")
    widths = {"hidden_size": 8, "num_layers": 1, "num_heads": 2, "mlp_dim": 16, "temporal_layers": 1}
    model = create_model(factorisation="factorised_encoder", tubelet=(2, 4, 4), clip=(4, 8, 8), num_classes=3, **widths)
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 4, 8, 8, 3), np.float32))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
    provenance = {"step": 700, "top1": 0.8, "data": DATA, "vivit_jax": "0.1.0"}
    save_pretrained(workdir / "model", model.config, variables, Preprocess(4, 2, 9, (8, 8)), LABELS, provenance=provenance)
    config = {"data": {"name": "clips", "data_dir": "/home/me/secret"}, "init": {"source": "/home/me/vit_b16.npz"}, "seed": 3}
    config["training"] = {"steps": 700, "compilation_cache": "/home/me/cache"}
    (workdir / "config.json").write_text(json.dumps({"config": config, "versions": {"jax": "0.10.2"}}))
    rows = [
        {"index": i, "video": f"{i}", "label": "jump", "prediction": "jump" if i < RIGHT else "sit", "probability": 0.5} for i in range(40)
    ]
    evaluation = {"name": "clips", "split": "test", "step": 700, "examples": 40, "views": 12, "hits": RIGHT, "top1": 0.75, "top5": 1.0}
    evaluation |= {"loss": 1.0, "temporal_views": 4, "spatial_views": 3, "predictions": rows}
    evaluation["per_class"] = {name: {"examples": 40 * (name == "jump"), "top1": 0.75 if name == "jump" else None} for name in LABELS}
    (workdir / "evaluation.json").write_text(json.dumps(evaluation))
    return workdir


READ_BACK = """
import sys, numpy as np, vivit_jax
source, out = sys.argv[1:]
pretrained = vivit_jax.from_pretrained(source)
np.save(out, pretrained.model.apply(pretrained.variables, np.ones((1, 4, 8, 8, 3), np.float32)))
"""


def test_a_pushed_model_comes_back_bit_by_bit(tmp_path, run):
    hub = Hub()
    try:
        arguments = ["push", "--model", str(run / "model"), "lab/clips", "--private", "--revision", "v1", "--message", "The first"]
        push = [sys.executable, "-m", "vivit_jax", *arguments]
        done = subprocess.run(push, env=environment(tmp_path, hub.url), capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert 'from_pretrained("hf://lab/clips@v1")' in done.stdout
        read = [sys.executable, "-c", READ_BACK, "hf://lab/clips@v1", str(tmp_path / "logits.npy")]
        done = subprocess.run(read, env=environment(tmp_path, hub.url), capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    finally:
        hub.shutdown()
    assert hub.repositories["lab/clips"]["private"]
    assert hub.repositories["lab/clips"]["branches"]["v1"][-1]["message"] == "The first"
    files = hub.files("lab/clips", "v1")
    assert sorted(files) == ["README.md", "config.json", "model.safetensors", "preprocess.json"]
    assert all(files[name] == (run / "model" / name).read_bytes() for name in files if name != "README.md")
    ours = load_model_dir(run / "model")
    expected = ours.model.apply(ours.variables, np.ones((1, 4, 8, 8, 3), np.float32))
    np.testing.assert_array_equal(np.load(tmp_path / "logits.npy"), expected)
    assert files["README.md"].decode() == model_card(run / "model", ours, "lab/clips")


@pytest.mark.slow
def test_what_the_hub_refuses_is_told_in_one_line(tmp_path, run):
    hub = Hub()
    try:
        for token, told in ((None, "hf auth login"), ("hf_wrong", "hf://lab/clips cannot be pushed")):
            push = [sys.executable, "-m", "vivit_jax", "push", "--model", str(run / "model"), "lab/clips"]
            done = subprocess.run(push, env=environment(tmp_path, hub.url, token), capture_output=True, text=True, cwd=tmp_path)
            assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
            assert told in done.stderr
        assert not hub.repositories
        hub.repositories["lab/clips"] = {"private": False, "branches": {"main": [{"files": {}, "message": "initial commit"}]}}
        done = subprocess.run([*push, "--private"], env=environment(tmp_path, hub.url), capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "exists already and is public" in done.stderr
    finally:
        hub.shutdown()
    assert len(hub.repositories["lab/clips"]["branches"]["main"]) == 1


@pytest.mark.parametrize(("name", "told"), [("clips", "organisation/name"), ("a/b/c", "organisation/name"), ("lab/-x", "Repo id must")])
def test_a_name_that_the_hub_does_not_take_is_refused(name, told):
    with pytest.raises(UserError, match=told):
        repository_named(name)
    assert repository_named("hf://lab/clips") == "lab/clips"


def test_a_directory_that_is_no_model_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    assert cli.main(["push", "--model", str(tmp_path), "lab/clips"]) == 2
    assert "is not of a vivit_jax model" in capsys.readouterr().err


def test_a_card_replaces_no_file(run, tmp_path, capsys):
    card = tmp_path / "made" / "README.md"  # in a folder that is made for it, as for whatever a command writes
    command = ["push", "--model", str(run / "model"), "lab/clips", "--card", str(card)]
    assert cli.main(command) == 0
    card.write_text("of another hand")
    assert cli.main(command) == 2
    assert card.read_text() == "of another hand"
    assert "exists already" in capsys.readouterr().err


def test_the_card_tells_what_is_known(run):
    text = model_card(run / "model", load_model_dir(run / "model"), "lab/clips")
    card = ModelCard(text)  # reads the YAML
    assert (card.data.library_name, card.data.pipeline_tag) == ("vivit_jax", "video-classification")
    assert {"vivit", "factorised_encoder"} <= set(card.data.tags)
    accuracy = card.data.eval_results[0]
    assert (accuracy.metric_type, accuracy.metric_value, accuracy.dataset_name, accuracy.dataset_split) == (
        "accuracy",
        0.75,
        "clips",
        "test",
    )
    assert len(card.data.eval_results) == 1  # top-5 of three classes says nothing
    spread = 1.96 * (0.75 * 0.25 / 40) ** 0.5  # of the binomial distribution, which a bootstrap of 40 independent videos follows
    assert [accuracy.metric_args["low"], accuracy.metric_args["high"]] == pytest.approx([0.75 - spread, 0.75 + spread], abs=0.025)
    for told in (
        "step 700",
        "train 1,200, val 90, test 40",
        "started from vit_b16.npz",
        '"seed": 3',
        "not claimed",
        "jax 0.10.2",
        "`run'|",
    ):
        assert told in text, told
    assert "/home/me" not in text


@pytest.mark.parametrize(
    ("sampling", "told"),
    [
        ({}, "2 frames of the video apart; a shorter video starts over"),
        ({"rate": 12.5, "padding": "hold"}, "12.5 a second; a shorter video holds its last frame"),
        ({"sampling": "segments"}, "one from each of as many equal parts"),
    ],
)
def test_the_card_tells_how_a_clip_was_taken_and_scored(sampling, told, run, tmp_path):
    pretrained = load_model_dir(run / "model")
    pretrained = dataclasses.replace(pretrained, preprocess=dataclasses.replace(pretrained.preprocess, **sampling))
    evaluation = json.loads((run / "evaluation.json").read_text()) | {"average": "probabilities", "flip": True}
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    text = model_card(tmp_path / "model", pretrained, "lab/clips")
    assert told in text
    assert ("2 frames of the video" in text) == (not sampling)
    assert "the probabilities of 4x3 views (clips x crops, each also mirrored) averaged" in text


def test_the_card_tells_what_a_file_of_several_heads_has(run, tmp_path):
    config = dataclasses.replace(CONFIG, num_classes={"verb": 2, "noun": 3})
    labels = {"verb": ("take", "put"), "noun": ("cup", "pan", "lid")}
    model = save_pretrained(tmp_path / "model", config, random_variables(config), PREPROCESS, labels, provenance={"step": 700})
    heads = {head: {"per_class": {name: {"examples": 2} for name in names}} for head, names in labels.items()}
    heads["verb"]["top1"] = 0.75
    file = {"name": "kitchen", "split": "val", "views": 1, "examples": 4, "hits": 2, "top1": 0.5, "top5": 1.0, "loss": 0.1, "step": 700}
    (tmp_path / "evaluation.json").write_text(json.dumps(file | {"heads": heads, "predictions": [{"index": 0}, {"index": 1}]}))
    text = model_card(model, load_model_dir(model), "lab/clips")
    results = {result.metric_name: result.metric_value for result in ModelCard(text).data.eval_results}
    assert results == {"top-1 accuracy of verb": 0.75, "top-1 accuracy of all heads together": 0.5}


def test_running_statistics_are_no_parameters(tmp_path):
    """torchvision's R3D-18 of 400 classes has 33,371,472 parameters, as its documentation says."""
    model = create_model(family="resnet3d", architecture="r3d_18", clip=(4, 16, 16), num_classes=400)
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 4, 16, 16, 3), np.float32))
    labels = tuple(f"class {number}" for number in range(400))
    text = model_card(tmp_path / "model", Pretrained(model, shapes, Preprocess(4, 1, 16, (16, 16)), labels), "lab/clips")
    assert "- family `resnet3d`, 33,371,472 parameters in float32" in text


def test_scores_of_another_step_are_not_claimed(run, tmp_path, capsys):
    (tmp_path / "model").symlink_to(run / "model")
    (tmp_path / "evaluation.json").write_text((run / "evaluation.json").read_text().replace('"step": 700', '"step": 600'))
    text = model_card(tmp_path / "model", load_model_dir(tmp_path / "model"), "lab/clips")
    assert "none is claimed" in text
    assert "model-index" not in text
    assert "of another model or step" in capsys.readouterr().out
