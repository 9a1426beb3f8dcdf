"""Classes of a model and of a data set: matched by name, told where they differ in spelling, never assumed in silence."""

import dataclasses
import json

import pytest
from toys import CONFIG, LABELS, PREPROCESS, random_variables, write_dataset

import vivit_jax
from vivit_jax.weights.model_dir import save_pretrained


@pytest.fixture(scope="module")
def unnamed(tmp_path_factory):
    return save_pretrained(tmp_path_factory.mktemp("models") / "unnamed", CONFIG, random_variables(CONFIG), PREPROCESS, None)


def test_an_order_that_nothing_tells_is_assumed_aloud_and_in_the_scores(unnamed, data_dir, tmp_path, vivit):
    arguments = ("evaluate", "--model", unnamed, "--name", "toys", "--data_dir", data_dir, "--views", "1x1", "--out", tmp_path / "a.json")
    code, out, err = vivit(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith("warning: the model's classes have no names: they are assumed to be those of data set toys, in its order;")
    assert json.loads((tmp_path / "a.json").read_text())["labels_from"] == "assumed from the data set"


def test_it_is_assumed_aloud_from_python_too(unnamed, data_dir, capsys):
    vivit_jax.evaluate(unnamed, "toys", data_dir=data_dir, views=(1, 1), progress=False)
    assert "the model's classes have no names: they are assumed to be those of data set toys" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        "owl\ndog\ncat\n",
        *(
            pytest.param(text, marks=pytest.mark.slow)
            for text in ('["owl", "dog", "cat"]', '{"id2label": {"0": "owl", "1": "dog", "2": "cat"}}')
        ),
    ],
)
def test_names_from_a_file_are_those_of_the_logits(text, unnamed, model_dir, data_dir, tmp_path, vivit):
    names = tmp_path / "names.txt"
    names.write_text(text)
    common = ("--name", "toys", "--data_dir", data_dir, "--views", "1x1")
    code, out, _ = vivit("evaluate", "--model", unnamed, *common, "--labels", names, "--out", tmp_path / "named.json")
    assert (code, "warning" in out) == (0, False)
    vivit("evaluate", "--model", model_dir, *common, "--out", tmp_path / "own.json")
    named, own = (json.loads((tmp_path / name).read_text()) for name in ("named.json", "own.json"))
    swapped = dict(zip(LABELS, LABELS[::-1], strict=True))
    assert [row["prediction"] for row in named["predictions"]] == [swapped[row["prediction"]] for row in own["predictions"]]
    assert (named["labels_from"], own["labels_from"]) == ("file", "model")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cat\ndog\n", "names 2 classes, but the model has 3"),
        ("cat\ncat\ndog\n", "'cat' twice"),
        ('["cat", 1, 2]', "must hold a list of names"),
        ("{", "neither"),
    ],
)
def test_a_file_of_other_names_is_refused(text, told, unnamed, data_dir, tmp_path, vivit):
    names = tmp_path / "names.txt"
    names.write_text(text)
    code, _, err = vivit("evaluate", "--model", unnamed, "--name", "toys", "--data_dir", data_dir, "--labels", names)
    assert code == 2
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("spelt", ["Big_Cat", "big-cat", "BIG CAT", "\uff42\uff49\uff47 cat"])
def test_names_that_differ_in_spelling_alone_are_pointed_out(spelt, tmp_path, vivit):
    labels = ("big cat", "dog", "owl")
    model = save_pretrained(tmp_path / "model", CONFIG, random_variables(CONFIG), PREPROCESS, labels)
    write_dataset("spelt", tmp_path, (spelt, "dog", "owl"))
    code, _, err = vivit("evaluate", "--model", model, "--name", "spelt", "--data_dir", tmp_path)
    assert code == 2
    assert f"did you mean 'big cat' by {spelt!r}?" in err


def test_two_classes_of_one_name_are_never_scored_as_one(data_dir, tmp_path, vivit):
    """Hugging Face's id2label may have them, as that of ImageNet has two cranes."""
    model = save_pretrained(tmp_path / "model", CONFIG, random_variables(CONFIG), PREPROCESS, (LABELS[0], *LABELS[1:2] * 2))
    write_dataset("two", tmp_path, LABELS[:2])
    code, _, err = vivit("evaluate", "--model", model, "--name", "two", "--data_dir", tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert f"calls two classes {LABELS[1]!r}, numbers 1 and 2" in err


def test_a_model_that_gives_nan_has_no_score(model_dir, data_dir, tmp_path):
    from vivit_jax.data.dataset import open_dataset
    from vivit_jax.errors import UserError
    from vivit_jax.inference.evaluate import evaluate
    from vivit_jax.weights.model_dir import load_model_dir

    pretrained = load_model_dir(model_dir)
    broken = {"params": dict(pretrained.variables["params"])}
    head = broken["params"].popitem()
    import jax
    import numpy as np

    broken["params"][head[0]] = jax.tree.map(lambda x: np.full_like(x, np.nan), head[1])
    pretrained = dataclasses.replace(pretrained, variables=broken)
    with pytest.raises(UserError, match=r"gives NaN or infinity for 7 of 7 videos, the first is test[0-6]"):
        evaluate(pretrained, open_dataset("toys", data_dir), "test", views=(1, 1), progress=False)
