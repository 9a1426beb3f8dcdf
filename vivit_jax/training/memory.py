"""A device that is short of memory: what to change so that the same run fits."""

import jax

from vivit_jax.config import Experiment
from vivit_jax.training.parallel import Executor


def is_out_of_memory(error: BaseException) -> bool:
    """Whether XLA could not allocate what a program or an array needs."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def advice(experiment: Experiment, executor: Executor) -> str:
    """What takes less memory and trains the same, then what does not; each as a flag to add."""
    training, parallel = experiment.training, experiment.parallel
    same = []
    if (accumulation := _next_accumulation(experiment, executor)) is not None:
        same.append(f"--config.training.accumulation={accumulation}")
    if not experiment.model.remat:
        same.append("--config.model.remat=True")
    if parallel.mode == "jit" and parallel.fsdp * parallel.tensor < jax.device_count():
        same.append(f"--config.parallel.fsdp={jax.device_count() // parallel.tensor}")
    if same:
        return f"add {' or '.join(same)}, and the numbers stay the same"
    if training.batch_size > executor.batch_shards:
        return f"lower training.batch_size, now {training.batch_size}, or use more devices"
    return "use more devices, or a smaller model or clip"


def _next_accumulation(experiment: Experiment, executor: Executor) -> int | None:
    """The smallest number of microbatches above today's that the batch of each device divides into."""
    of_a_device = experiment.training.batch_size // executor.batch_shards
    now = experiment.training.accumulation
    return next((count for count in range(now + 1, of_a_device + 1) if of_a_device % count == 0), None)
