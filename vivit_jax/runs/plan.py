"""How long a run is, and after which steps it evaluates, saves and logs."""

import dataclasses
import functools
from collections.abc import Callable

from vivit_jax.config import Experiment
from vivit_jax.errors import UserError
from vivit_jax.training.durations import duration_in_steps, is_given

# Unless the config says otherwise: the rows of training metrics in a short run, and the most steps between two rows in any run.
ROWS, MOST_STEPS = 25, 20

# The most checkpoints of a run, unless the config says when they are due: to save takes longer than the few steps of a small set's epoch.
CHECKPOINTS = 100


@dataclasses.dataclass(frozen=True)
class Plan:
    """Lengths and intervals of a run, in steps.

    Attributes:
      total: steps of the run.
      warmup: steps of the learning rate's warm-up.
      evaluate_every: steps between two evaluations.
      save_every: steps between two checkpoints.
      log_every: steps between two rows of training metrics.
      keep_every: steps between two checkpoints that are kept for good; 0 keeps none.
    """

    total: int
    warmup: int
    evaluate_every: int
    save_every: int
    log_every: int = 1
    keep_every: int = 0

    @classmethod
    def of(cls, experiment: Experiment, examples: int) -> "Plan":
        """The plan for a training split of `examples` clips.

        Raises:
          UserError: for a run of less than one step, or one that ends before the steps to profile.
        """
        training = experiment.training
        steps = functools.partial(duration_in_steps, examples=examples, batch_size=training.batch_size)
        total = steps(training, "")
        if total < 1:
            raise UserError(
                f"the run is shorter than a step of {training.batch_size} clips (an epoch has {examples}): train for longer, as by "
                "--config.training.epochs, or lower training.batch_size"
            )
        if training.profile_steps and training.profile_steps[1] > total:
            raise UserError(f"training.profile_steps {training.profile_steps} go past the run's {total} steps: choose earlier ones")
        return cls(
            total=total,
            warmup=steps(experiment.schedule, "warmup_", total=total),
            evaluate_every=max(1, steps(experiment.evaluation, "every_", total=total)),
            save_every=max(1, _save_every(experiment, steps, total, epoch=round(examples / training.batch_size))),
            log_every=training.log_every or min(MOST_STEPS, max(1, total // ROWS)),
            keep_every=_keep_every(experiment, steps),
        )

    def evaluates(self, step: int) -> bool:
        """Whether the validation split is evaluated after `step`."""
        return step > 0 and (step % self.evaluate_every == 0 or step == self.total)

    def saves(self, step: int) -> bool:
        """Whether a checkpoint is saved after `step`."""
        return step % self.save_every == 0 or step == self.total or (self.keep_every > 0 and step % self.keep_every == 0)

    def logs(self, step: int) -> bool:
        """Whether a row of training metrics is written after `step`."""
        return step % self.log_every == 0 or step == self.total


def _save_every(experiment: Experiment, steps: Callable[..., int], total: int, epoch: int) -> int:
    if is_given(experiment.checkpoint, "every_"):
        return steps(experiment.checkpoint, "every_", total=total)
    return max(epoch, total // CHECKPOINTS)


def _keep_every(experiment: Experiment, steps: Callable[..., int]) -> int:
    return max(1, steps(experiment.checkpoint, "keep_every_")) if is_given(experiment.checkpoint, "keep_every_") else 0
