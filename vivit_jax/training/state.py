"""Everything that a training run carries from step to step. No random state: draws are a function of the seed and the step.

A model may keep collections beside its parameters, such as the running statistics of batch normalisation (`batch_stats`). How
training treats them is said here, once:

- A step takes a batch's statistics over the whole batch: over all devices under `jit` and `pmap` alike.
- Under accumulation each microbatch is normalised by its own statistics, and updates the running ones in its turn.
- Under sharpness-aware minimisation the first pass moves them; the second, away from the parameters, does not.
- The moving average of the parameters has a moving average of the collections beside it, of the same decay.
- Evaluation uses the running statistics and changes nothing.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Int

from vivit_jax.training.lora import merged
from vivit_jax.training.optimizer import Optimizer

OPTIONAL = ("collections", "average_collections")


@flax.struct.dataclass
class TrainState:
    """The state after `step` steps.

    Attributes:
      step: steps taken.
      params: the model's parameters, float32, with the adapters of `training.lora` beside them.
      opt_state: optax's.
      average: the moving average of the parameters, or None where `training.ema_decay` is 0.
      collections: the model's other collections by name; empty for a model that has none.
      average_collections: their moving averages; empty where there is no average, or no collection.
    """

    step: Int[Array, ""]
    params: Any
    opt_state: Any
    average: Any
    collections: Any = flax.struct.field(default_factory=dict)
    average_collections: Any = flax.struct.field(default_factory=dict)

    @property
    def model_variables(self) -> dict[str, Any]:
        """The variables that are evaluated and saved: `params`, adapters merged into them, and the model's other collections by name."""
        if self.average is None:
            return {"params": merged(self.params), **self.collections}
        return {"params": merged(self.average), **self.average_collections}


def saved_fields(state: TrainState) -> dict[str, Any]:
    """The fields of a state as a checkpoint holds them: a model without collections has no such fields there."""
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return {name: value for name, value in fields.items() if name not in OPTIONAL or value}


def create_state(variables: Mapping[str, Any], optimizer: Optimizer, *, averaged: bool) -> TrainState:
    """The state before the first step of a model with these variables: `params`, and its other collections by name."""
    params, collections = variables["params"], {name: tree for name, tree in variables.items() if name != "params"}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.transform.init(params),
        average=params if averaged else None,
        collections=collections,
        average_collections=collections if averaged else {},
    )
