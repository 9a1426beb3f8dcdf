"""How far a run has come: the plain values that a checkpoint holds beside its arrays, and the check that they are of this run."""

import dataclasses
from typing import Any

import jax

from vivit_jax.config import to_dict
from vivit_jax.data.identity import differences
from vivit_jax.errors import UserError
from vivit_jax.runs.metric_sums import MetricSums
from vivit_jax.runs.patience import Patience
from vivit_jax.runs.run import Run
from vivit_jax.runs.workdir import Workdir
from vivit_jax.training.feed import positions_of_all_hosts


@dataclasses.dataclass
class RunProgress:
    """How far a run has come, besides its training state.

    Attributes:
      patience: when the run ends early.
      step: the last step done.
      position: the place in this host's data after that step's batch, as JSON; None before the first step.
      rows: how many rows of metrics were written up to that step, from its start on.
      evaluated: the last step that was evaluated.
      best: step and validation score of the best model so far; empty before the first evaluation.
      sums: the training metrics since the last row.
    """

    patience: Patience
    step: int = 0
    position: str | None = None
    rows: int = 0
    evaluated: int = 0
    best: dict[str, float] = dataclasses.field(default_factory=dict)
    sums: MetricSums = dataclasses.field(default_factory=MetricSums)

    @classmethod
    def of(cls, facts: dict[str, Any], step: int, patience: Patience) -> "RunProgress":
        """What the checkpoint of `step` recorded; those of older versions record neither rows, interval nor patience."""
        patience.restore(facts.get("patience"))
        position, sums = facts["data"][jax.process_index()], MetricSums(facts.get("interval"))
        return cls(patience, step, position, facts.get("rows", 0), facts["evaluated"], facts["best"], sums)

    def facts(self, run: Run, model_digest: str | None) -> dict[str, Any]:
        """The plain values to save in a checkpoint: this, the digest of the best model's weights, and what makes it this run's."""
        return {
            "step": self.step,
            "data": positions_of_all_hosts(self.position),
            "rows": self.rows,
            "best": self.best,
            "evaluated": self.evaluated,
            "model": model_digest,
            "interval": self.sums.saved(),
            "patience": self.patience.saved(),
            "experiment": to_dict(run.experiment),
            "dataset": run.identity,
        }


def check_facts(facts: dict[str, Any], run: Run, workdir: Workdir) -> None:
    """Checks that a checkpoint with these facts is of this run.

    Raises:
      UserError: if it is of another configuration, data set, or number of processes.
    """
    workdir.check_facts(facts, run.experiment)
    before, now = facts.get("dataset"), run.identity
    if before and now and (difference := differences(before, now)):
        raise UserError(
            f"data set {run.experiment.data.name} is not the one that the run in {workdir.path} was trained on so far: "
            f"{difference}; put the old one back, or give a new --workdir"
        )
    if len(facts["data"]) != jax.process_count():
        raise UserError(f"the checkpoint was saved by {len(facts['data'])} processes and this run has {jax.process_count()}: use as many")
