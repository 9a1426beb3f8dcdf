"""`init.head=keep`: each class of the data set starts with the weights that the source has for it, whatever its number there."""

import dataclasses

import numpy as np
import pytest
import tiny

from vivit_jax.analysis.random_input import random_variables
from vivit_jax.errors import UserError
from vivit_jax.models.families import make_config
from vivit_jax.runs.assembly import complete
from vivit_jax.weights import save_pretrained
from vivit_jax.weights.layers import flatten_variables

FAMILIES = {"vivit": tiny.experiment().model, "resnet3d": make_config("resnet3d", {"clip": (4, 16, 16), "width": 8})}


def source_of(path, model, labels):
    """A model directory of random weights, and these by path."""
    heads = {head: len(names) for head, names in labels.items()} if isinstance(labels, dict) else len(labels)
    model = dataclasses.replace(model, num_classes=heads)
    variables = random_variables(model)
    save_pretrained(path, model, variables, tiny.PREPROCESS, labels)
    return flatten_variables(variables)


def kept(path, model, labels):
    """The weights that a run on a data set of these classes starts from, by path, and what is told of them."""
    experiment = dataclasses.replace(tiny.experiment(init={"source": str(path), "head": "keep"}), model=model)
    _, variables, report = complete(dataclasses.replace(experiment, model=dataclasses.replace(model, num_classes=None)), labels)
    return flatten_variables(variables), [line.done for line in report]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("spelt", [lambda name: name, lambda name: name.replace("_", " ").title()])
def test_the_classes_of_a_kept_head_are_found_by_name(tmp_path, family, spelt):
    of_source, of_data = ("wave_hand", "run", "sit"), ("run", "sit", "wave_hand")
    given = source_of(tmp_path / "model", FAMILIES[family], tuple(map(spelt, of_source)))
    found, told = kept(tmp_path / "model", FAMILIES[family], of_data)
    for path, leaf in given.items():
        np.testing.assert_array_equal(found[path], leaf[..., [1, 2, 0]] if path.startswith("head/") else leaf)
    assert "its classes put in the order of the data set, by name" in told


def test_each_of_several_heads_is_put_in_order_alone(tmp_path):
    model = dataclasses.replace(FAMILIES["vivit"], scan_layers=True)
    given = source_of(tmp_path / "model", model, {"verb": ("cut", "wash"), "noun": ("cup", "pan", "tap")})
    found, _ = kept(tmp_path / "model", model, {"verb": ("cut", "wash"), "noun": ("tap", "cup", "pan")})
    np.testing.assert_array_equal(found["head_verb/kernel"], given["head_verb/kernel"])
    np.testing.assert_array_equal(found["head_noun/bias"], given["head_noun/bias"][[2, 0, 1]])


def test_a_head_of_other_classes_is_refused_and_one_without_names_is_taken_as_it_is(tmp_path):
    model = FAMILIES["vivit"]
    source_of(tmp_path / "other", model, ("run", "swim"))
    with pytest.raises(UserError, match=r"its head has 'swim', which the data set does not have: set init\.head to fresh"):
        kept(tmp_path / "other", model, ("run", "wave"))
    given = source_of(tmp_path / "unnamed", model, ("LABEL_0", "LABEL_1"))
    found, told = kept(tmp_path / "unnamed", model, ("run", "wave"))
    assert "its classes have no names: those of the data set are assumed, in its order" in told
    np.testing.assert_array_equal(found["head/kernel"], given["head/kernel"])
