"""The learning rate over the steps of a run."""

from collections import Counter

import optax

from vivit_jax.errors import UserError
from vivit_jax.training.config import ScheduleConfig


def make_schedule(config: ScheduleConfig, peak: float, *, total: int, warmup: int) -> optax.Schedule:
    """The learning rate of each step: linear from 0 to `peak` over `warmup` steps, then the configured curve up to step `total`.

    Milestones of `step` are rounded to whole steps; where several fall on one step, each of them drops the rate.

    Raises:
      UserError: where the warm-up is longer than the run.
    """
    if warmup >= total:
        raise UserError(
            f"the warm-up of {warmup} steps does not fit into a run of {total} steps: shorten it, as by --config.schedule.warmup_percent=10"
        )
    rest = total - warmup
    drops = Counter(round(milestone * total) - warmup for milestone in config.milestones)
    curve = {
        "cosine": lambda: optax.cosine_decay_schedule(peak, rest, alpha=config.final),
        "constant": lambda: optax.constant_schedule(peak),
        "step": lambda: optax.piecewise_constant_schedule(peak, {step: config.drop**count for step, count in drops.items()}),
    }[config.name]()
    if not warmup:
        return curve
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), curve], [warmup])
