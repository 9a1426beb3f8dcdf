"""Which model a run keeps where no score chooses it, and how far its moving average looks back."""

import json

import numpy as np
import pytest
import safetensors.numpy

from vivit_jax.errors import UserError
from vivit_jax.runs.restore import model_variables
from vivit_jax.training.config import EvaluationConfig, TrainingConfig
from vivit_jax.training.moving_average import make_decay

STEPS = (
    "--config.training.steps=6",
    "--config.evaluation.every_steps=2",
    "--config.checkpoint.every_steps=1",
    "--config.checkpoint.keep=6",
    "--config.optimizer.learning_rate=0.3",
    "--config.schedule.name=constant",
)


@pytest.mark.slow
def test_the_last_model_is_kept_with_its_average_whatever_its_score(start, tmp_path):
    flags = (*STEPS, "--config.evaluation.best=last", "--config.training.ema_percent=50")
    run = start(tmp_path / "run", *flags)
    assert run.wait() == 0, run.output()
    assert "after the last step, 6" in run.output()
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["step"] == 6
    model = safetensors.numpy.load_file(tmp_path / "run" / "model" / "model.safetensors")
    average = model_variables(tmp_path / "run", 6)["params"]["head"]["kernel"]
    np.testing.assert_array_equal(model["head/kernel"], average)


def test_the_average_looks_back_over_its_share_of_the_run():
    for total in (40, 1000):
        decay = make_decay(TrainingConfig(ema_percent=50.0), total)
        average, weights = 1.0, 0.0  # the first weights are 1, and all later ones 0
        for step in range(total):
            average = decay(step) * average + (1 - decay(step)) * weights
        assert average == pytest.approx(np.exp(-2), abs=0.01), "an eighth of the first weights is left, however long the run"
    assert (TrainingConfig().averages, TrainingConfig(ema_percent=1.0).averages) == (False, True)


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match=r"training.ema_percent must be above 0"):
        TrainingConfig(ema_percent=0.0)
    with pytest.raises(UserError, match=r"evaluation.patience waits for a better score, and evaluation.best is last"):
        EvaluationConfig(best="last", patience=2)
