"""When to end a run before its last step: once its validation score has not improved for long enough (`evaluation.patience`)."""

import dataclasses
import math
from collections.abc import Sequence

from vivit_jax.config import Experiment
from vivit_jax.training.config import EvaluationConfig

WAITED = "val/without_improvement"  # the row of metrics that counts the evaluations


@dataclasses.dataclass
class Patience:
    """Counts the evaluations since the score last improved; its state goes into checkpoints, so that a resumed run ends at the same step.

    Attributes:
      limit: how many evaluations without improvement end the run; None ends none early.
      delta: how much better than the best a score must be to count as an improvement.
      best: the score that the others are compared with; None before the first.
      waited: evaluations since the best.
    """

    limit: int | None
    delta: float = 0.0
    best: float | None = None
    waited: int = 0

    @classmethod
    def of(cls, evaluation: EvaluationConfig) -> "Patience":
        """The patience that a config asks for, before the first evaluation."""
        return cls(evaluation.patience, evaluation.patience_delta)

    @property
    def exhausted(self) -> bool:
        """Whether the run ends here."""
        return self.limit is not None and self.waited >= self.limit

    def note(self, name: str, score: float) -> dict[str, float]:
        """Takes in the score of an evaluation, and returns what its row of metrics adds. Less is better for `loss` alone.

        NaN is never an improvement: as the best it would stay so, since no score is better than NaN.
        """
        gain = math.inf if self.best is None else self.best - score if name == "loss" else score - self.best
        if gain > self.delta and not math.isnan(score):
            self.best, self.waited = score, 0
        else:
            self.waited += 1
        return {} if self.limit is None else {WAITED: self.waited}

    def saved(self) -> dict:
        """The state as plain values."""
        return {"best": self.best, "waited": self.waited}

    def restore(self, saved: dict | None) -> None:
        """Goes on from what `saved` gave; None, in checkpoints of older versions, leaves all as it is."""
        if saved:
            self.best, self.waited = saved["best"], saved["waited"]

    def reason(self, name: str) -> str:
        """Why the run ends, in one phrase."""
        by = f" by more than {self.delta:g}" if self.delta else ""
        return f"val/{name} has not improved{by} in {self.waited} evaluations (evaluation.patience)"


def ended_early(experiment: Experiment, metrics: Sequence[dict]) -> str | None:
    """A sentence on a run that ended early, from its rows of metrics; None for one that did not."""
    patience = Patience.of(experiment.evaluation)
    counts = [(row["step"], row[WAITED]) for row in metrics if row.get(WAITED) is not None]
    step, patience.waited = counts[-1] if counts else (0, 0)
    if not patience.exhausted or any(row["step"] > step for row in metrics):
        return None
    return f"The run ended early, after step {step}: {patience.reason(experiment.best)}."
