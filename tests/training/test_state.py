"""The moving average of the weights is what it says, and what is evaluated and saved."""

import functools

import jax
import numpy as np
import optax
import pytest
import tiny
from brightness import VARIABLES, Brightness

from vivit_jax.training.config import LossConfig, OptimizerConfig, TrainingConfig
from vivit_jax.training.moving_average import make_decay
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.state import create_state
from vivit_jax.training.step import make_train_step


@pytest.mark.parametrize(("decay", "percent"), [(0.5, None), (0.999, None), (0.8, 50.0)])
def test_the_moving_average_follows_the_weights(decay, percent):
    """It keeps min(decay, (1 + n) / (10 + n)) of itself at step n, counted from 0; with a share of the run it keeps `decay` at each."""
    params = VARIABLES["params"]
    config = OptimizerConfig(name="sgd", momentum=0.0, weight_decay_pattern="offset")
    optimizer = make_optimizer(config, optax.constant_schedule(1.0), params, None)
    average_decay = make_decay(TrainingConfig(ema_decay=decay, ema_percent=percent), total=10)
    step = jax.jit(make_train_step(Brightness(), tiny.PREPROCESS, optimizer, LossConfig(), TrainingConfig(), average_decay=average_decay))
    state = jax.jit(functools.partial(create_state, optimizer=optimizer, averaged=True))({"params": params})
    batches, expected = tiny.Batches(8), np.float64(params["offset"])
    for number in range(12):
        state, _ = step(state, next(batches), 0)
        kept = decay if percent else min(decay, (1 + number) / (10 + number))
        expected = kept * expected + (1 - kept) * np.float64(state.params["offset"])
    np.testing.assert_allclose(state.average["offset"], expected, rtol=1e-5)
    np.testing.assert_array_equal(state.model_variables["params"]["offset"], state.average["offset"])
    assert not np.allclose(state.params["offset"], expected, rtol=1e-3)
