"""The state and the step of a training run, made once for the loop, for `vivit bench` and for the benchmarks."""

from collections.abc import Mapping
from typing import Any, Protocol

import flax.linen as nn

from vivit_jax.models.families import ModelConfig
from vivit_jax.preprocess import Preprocess
from vivit_jax.training.config import LossConfig, OptimizerConfig, ScheduleConfig, TrainingConfig
from vivit_jax.training.devices.executors import Executor
from vivit_jax.training.lora import check_full, trained_by
from vivit_jax.training.losses import ClassWeights
from vivit_jax.training.moving_average import make_decay
from vivit_jax.training.optimizer import Optimizer, make_optimizer
from vivit_jax.training.schedule import make_schedule
from vivit_jax.training.state import TrainState, create_state
from vivit_jax.training.step import TrainStep, make_train_step


class Sections(Protocol):
    """The sections of an experiment that its step depends on."""

    loss: LossConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    training: TrainingConfig


def optimizer_of(sections: Sections, params: Any, model: ModelConfig, *, total: int, warmup: int) -> Optimizer:
    """The optimiser of a run; arguments and errors are as for `set_up`."""
    lora = sections.training.lora
    check_full(lora, params)
    learning_rate = make_schedule(sections.schedule, sections.optimizer.learning_rate, total=total, warmup=warmup)
    return make_optimizer(sections.optimizer, learning_rate, params, model, trained_by(lora, model))


def set_up(
    sections: Sections,
    module: nn.Module,
    variables: Mapping[str, Any],
    preprocess: Preprocess,
    executor: Executor,
    *,
    total: int,
    warmup: int,
    class_weights: ClassWeights | None = None,
) -> tuple[TrainState, TrainStep]:
    """The state before the first step, on its devices, and the step, to be compiled by the executor.

    Args:
      sections: an experiment, or these parts of one.
      module: the model, built for the executor's axis; `module.config` describes it.
      variables: `params`, with the adapters of LoRA if there are any, and the model's other collections by name, on the host.
      preprocess: normalises the uint8 video.
      executor: the devices.
      total: steps of the run.
      warmup: how many steps, at the start, the learning rate rises for.
      class_weights: the weight of each class in the loss, by head; None weights all by 1.

    Raises:
      UserError: for patterns of the optimiser or of LoRA that match no parameter, or a warm-up longer than the run.
    """
    optimizer = optimizer_of(sections, variables["params"], module.config, total=total, warmup=warmup)
    state = executor.place(lambda tree: create_state(tree, optimizer, averaged=sections.training.averages), variables)
    step = make_train_step(
        module,
        preprocess,
        optimizer,
        sections.loss,
        sections.training,
        average_decay=make_decay(sections.training, total),
        axis_name=executor.axis_name,
        gather=executor.gather,
        class_weights=class_weights,
    )
    return state, step
