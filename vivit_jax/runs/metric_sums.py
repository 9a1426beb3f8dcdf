"""Training metrics between two rows of `metrics.jsonl`: means over all steps in between, the same whether a run was interrupted or not."""

from collections.abc import Mapping
from typing import Any

MEANS = ("loss", "top1", "grad_norm")
STEPS = "steps"


class MetricSums:
    """Sums of the metrics since the last row, in float64. All steps have equally many clips, so a mean over steps is one over clips.

    Args:
      saved: what the method `saved` returned when a checkpoint was written; None begins anew.
    """

    def __init__(self, saved: Mapping[str, float] | None = None) -> None:
        self._sums = dict.fromkeys((STEPS, *MEANS), 0) | dict(saved or {})
        self._learning_rate = 0.0

    def add(self, metrics: Mapping[str, Any]) -> None:
        """Adds the metrics of a step."""
        self._sums[STEPS] += 1
        for name in MEANS:
            self._sums[name] += float(metrics[name])
        self._learning_rate = float(metrics["learning_rate"])

    def row(self) -> dict[str, float]:
        """Returns the means as metrics, with the learning rate of the last step, and begins the next interval."""
        steps = self._sums[STEPS]
        row = {f"train/{name}": self._sums[name] / steps for name in MEANS} | {"train/learning_rate": self._learning_rate}
        self._sums = dict.fromkeys(self._sums, 0)
        return row

    def saved(self) -> dict[str, float]:
        """The sums as plain values, for a checkpoint."""
        return dict(self._sums)
