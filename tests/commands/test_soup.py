"""`vivit soup`: averages against NumPy, the greedy choice against a loop over `vivit evaluate`, and what is refused."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from toys import CONFIG, LABELS, PREPROCESS, random_variables

from vivit_jax.weights.layers import flatten_variables, unflatten_variables
from vivit_jax.weights.model_dir import load_model_dir, save_pretrained


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Four models near each other."""
    folder, base = tmp_path_factory.mktemp("soup"), random_variables(CONFIG)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        moved = jax.tree.map(lambda leaf, rng=rng: leaf + rng.normal(0, 0.3, leaf.shape).astype(np.float32), base)
        save_pretrained(folder / f"seed{seed}", CONFIG, moved, PREPROCESS, LABELS)
    return [folder / f"seed{seed}" for seed in range(4)]


def mean_of(paths):
    flat = [flatten_variables(load_model_dir(path).variables) for path in paths]
    return {name: np.mean([one[name].astype(np.float64) for one in flat], axis=0) for name in flat[0]}


def assert_is(model, expected):
    for name, leaf in flatten_variables(load_model_dir(model).variables).items():
        np.testing.assert_allclose(leaf, expected[name], rtol=1e-6, atol=1e-7, err_msg=name)


def top1(vivit, model, data_dir, tmp_path):
    out = tmp_path / "scores.json"
    code, _, err = vivit("evaluate", "--model", model, "--name", "toys", "--data_dir", data_dir, "--views", "1x1", "--out", out)
    assert code == 0, err
    return json.loads(out.read_text())["top1"]


def test_a_uniform_soup_is_the_mean(vivit, models, tmp_path):
    code, out, err = vivit("soup", *models, "--uniform", "--to", tmp_path / "soup")
    assert code == 0, err
    assert "the average of 4 models" in out
    assert_is(tmp_path / "soup", mean_of(models))


@pytest.mark.slow
def test_a_greedy_soup_keeps_what_does_not_lower_the_score(vivit, models, data_dir, tmp_path):
    options = ("--name", "toys", "--data_dir", data_dir, "--split", "test")
    code, _, err = vivit("soup", *models, *options, "--to", tmp_path / "soup")
    assert code == 0, err
    alone = {path: top1(vivit, path, data_dir, tmp_path) for path in models}
    kept, best = [], -1.0
    for path in sorted(models, key=lambda path: -alone[path]):
        save_pretrained(tmp_path / "tried", CONFIG, tree_of(mean_of([*kept, path])), PREPROCESS, LABELS)
        score = top1(vivit, tmp_path / "tried", data_dir, tmp_path)
        if score >= best:
            kept, best = [*kept, path], score
    assert_is(tmp_path / "soup", mean_of(kept))
    said = json.loads((tmp_path / "soup" / "config.json").read_text())["provenance"]["soup"]
    assert said["kept"] == [str(path) for path in kept]
    assert said["score"] == pytest.approx(best)
    assert said["ingredients"] == {str(path): pytest.approx(score) for path, score in alone.items()}


def tree_of(flat):
    return unflatten_variables({name: leaf.astype(np.float32) for name, leaf in flat.items()})


def test_what_a_soup_refuses(vivit, models, data_dir, tmp_path):
    wider = dataclasses.replace(CONFIG, mlp_dim=48)
    save_pretrained(tmp_path / "wider", wider, random_variables(wider), PREPROCESS, LABELS)
    save_pretrained(tmp_path / "others", CONFIG, random_variables(CONFIG), PREPROCESS, LABELS[::-1])
    for arguments, told in (
        ((models[0], "--uniform"), "two models or more"),
        ((models[0], models[0], models[1], "--uniform"), "is given twice"),
        ((*models,), "or else --uniform"),
        ((*models, "--name", "several", "--data_dir", data_dir, "--split", "test"), "may have several classes"),
        ((models[0], tmp_path / "wider", "--uniform"), "differ in their network"),
        ((models[0], tmp_path / "others", "--uniform"), "differ in their classes"),
        ((models[0], tmp_path, "--uniform"), "neither a model directory nor"),
        ((models[0], models[1], "--uniform", "--checkpoints"), "no whole checkpoint"),
    ):
        code, _, err = vivit("soup", *arguments, "--to", tmp_path / "soup")
        assert (code, told in err, len(err.splitlines())) == (2, True, 1), err
        assert not (tmp_path / "soup").exists()
