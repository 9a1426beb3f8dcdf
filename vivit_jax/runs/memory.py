"""Tells of a run that does not fit into the memory of a device, and says what to change so that it does."""

import dataclasses
import math

import jax
import psutil

from vivit_jax import console
from vivit_jax.analysis.complexity import variable_tree
from vivit_jax.analysis.training_memory import training_bytes
from vivit_jax.config import Experiment
from vivit_jax.models.families import ModelConfig
from vivit_jax.training.devices.executors import Executor

# A step keeps at most about so many times the bytes of its clips, in float32: smaller ones are not estimated, which takes a second.
MOST_TIMES_CLIPS = 200
# The share of the memory up to which nothing is said: other programs, and XLA's own buffers, take some of it.
NO_WORD_UP_TO = 0.9


def warn_of_large_step(experiment: Experiment, executor: Executor) -> None:
    """Warns of a step that is likely to need more memory than a device has, before minutes are spent on reading and compiling."""
    training, memory = experiment.training, memory_of_device()
    of_device = dataclasses.replace(training, batch_size=training.batch_size // executor.batch_shards)
    clips = of_device.batch_size * 3 * math.prod(experiment.model.clip) * 4
    if memory is None or MOST_TIMES_CLIPS * clips < memory:
        return
    needed = sum(training_bytes(dataclasses.replace(experiment, training=of_device)).values())
    if needed > NO_WORD_UP_TO * memory:
        console.warn(
            f"a training step takes about {needed / 1e9:,.0f} GB, and the device has {memory / 1e9:,.0f} GB, so it is likely to run out of "
            f"memory: {_training_advice(experiment, executor)}"
        )


def memory_of_device() -> int | None:
    """Bytes that a device has for arrays; None if it does not tell. CPU devices share the machine's."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return psutil.virtual_memory().total // jax.local_device_count()
    return (device.memory_stats() or {}).get("bytes_limit")


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
