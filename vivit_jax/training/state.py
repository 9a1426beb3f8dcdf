"""Everything a training run carries from step to step. Nothing random: draws are a function of the seed and the step."""

from typing import Any

import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Int

from vivit_jax.training.optimizer import Optimizer


@flax.struct.dataclass
class TrainState:
    """The state after `step` steps.

    Attributes:
      step: steps taken.
      params: the parameters that are trained, float32.
      opt_state: optax's.
      average: the moving average of the parameters, or None where `training.ema_decay` is 0.
    """

    step: Int[Array, ""]
    params: Any
    opt_state: Any
    average: Any

    @property
    def model_params(self) -> Any:
        """What is evaluated and saved as the model."""
        return self.params if self.average is None else self.average


def create_state(params: Any, optimizer: Optimizer, *, averaged: bool) -> TrainState:
    """The state before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.transform.init(params),
        average=params if averaged else None,
    )
