"""Says what to change so that a run fits into the memory of a device."""

import jax

from vivit_jax.analysis.complexity import variable_tree
from vivit_jax.config import Experiment
from vivit_jax.models.families import ModelConfig
from vivit_jax.training.devices.executors import Executor


def is_out_of_memory(error: BaseException) -> bool:
    """Whether XLA could not allocate the memory for a program or an array."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def advice(experiment: Experiment, executor: Executor) -> str:
    """Changes that take less memory: flags that leave the numbers the same, or if there are none, others."""
    evaluated = experiment.evaluation.batch_size or experiment.training.batch_size
    return f"{_training_advice(experiment, executor)}; or, if it came while evaluating, lower evaluation.batch_size, now {evaluated}"


def _training_advice(experiment: Experiment, executor: Executor) -> str:
    training, parallel = experiment.training, experiment.parallel
    same, accumulation = [], _next_accumulation(experiment, executor)
    in_parts = f"--config.training.accumulation={accumulation}"
    if accumulation is not None and not _normalises_batches(experiment.model):
        same.append(in_parts)
    if not getattr(experiment.model, "remat", True):  # some families have no such key
        same.append("--config.model.remat=True")
    if parallel.mode == "jit" and parallel.fsdp * parallel.tensor < jax.device_count():
        rest = "" if parallel.data in (-1, 1) else "--config.parallel.data=1 "
        same.append(f"{rest}--config.parallel.fsdp={jax.device_count() // parallel.tensor}")
    if same:
        return f"add {' or '.join(same)}, and the numbers stay the same"
    if accumulation is not None:
        return f"add {in_parts}, and each part of the batch is normalised by its own statistics"
    if training.batch_size > executor.batch_shards:
        return f"lower training.batch_size, now {training.batch_size}, or use more devices"
    return "use more devices, or a smaller model or clip"


def _normalises_batches(model: ModelConfig) -> bool:
    """Whether a step depends on how its batch is divided, as that of batch normalisation does."""
    return "batch_stats" in variable_tree(model) and not getattr(model, "frozen_statistics", False)


def _next_accumulation(experiment: Experiment, executor: Executor) -> int | None:
    """The next larger number of microbatches that divides the batch of each device."""
    of_a_device = experiment.training.batch_size // executor.batch_shards
    now = experiment.training.accumulation
    return next((count for count in range(now + 1, of_a_device + 1) if of_a_device % count == 0), None)
