"""Soups of models that change, or are damaged, while they are made."""

import shutil

import numpy as np
import pytest
import tiny
from small_models import LABELS, PREPROCESS, SQUARE, random_variables

from vivit_jax.errors import UserError
from vivit_jax.runs.soup import ingredients_of, uniform_soup
from vivit_jax.weights import save_pretrained


@pytest.fixture
def models(tmp_path):
    for name in ("a", "b"):
        save_pretrained(tmp_path / name, SQUARE, random_variables(SQUARE), PREPROCESS, LABELS)
    return [tmp_path / "a", tmp_path / "b"]


@pytest.mark.fault(
    promise="If a model is replaced while a soup is made, the new one is not averaged in its place",
    provoked="another model saved in the place of an ingredient, as by a run that goes on, after it was listed",
    seen="one line that names it; exit code 2",
    trials=1,
)
def test_an_ingredient_that_is_replaced_is_refused(models):
    ingredients = ingredients_of(models)
    variables = random_variables(SQUARE)
    variables["params"]["head"]["bias"] = np.ones(3, np.float32)
    save_pretrained(models[1], SQUARE, variables, PREPROCESS, LABELS)
    with pytest.raises(UserError, match=f"{models[1]} was replaced while the soup was made"):
        uniform_soup(ingredients)


@pytest.mark.slow
@pytest.mark.fault(
    promise="A damaged checkpoint is left out of a soup with a warning",
    provoked="one of three checkpoints of a run loses a file",
    seen="a warning that names the step and the file; the others are averaged",
    trials=1,
)
def test_a_damaged_checkpoint_is_told_of(start, tmp_path, capsys):
    run = start(tmp_path / "run", "--config.checkpoint.keep=9", "--config.training.steps=15", "--config.evaluation.every_steps=5")
    assert run.wait() == 0, run.output()
    assert tiny.rows(tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints/10/facts")
    found = ingredients_of([tmp_path / "run"], checkpoints=True)
    assert [one.name.rpartition(" ")[2] for one in found] == ["5", "15"]
    assert f"warning: checkpoint 10 of {tmp_path / 'run'} is left out: facts" in capsys.readouterr().out.replace("\n", " ")
