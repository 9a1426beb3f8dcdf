"""The result of a comparison: the runs, the pairs, and how both were scored."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from vivit_jax.console import counted
from vivit_jax.runs.comparison.costs import Costs
from vivit_jax.runs.comparison.pairs import TESTS, Pair
from vivit_jax.runs.comparison.predictions import AlignedPredictions
from vivit_jax.runs.comparison.units import Units
from vivit_jax.statistics.agreement import equal_share, kappa

HARDEST = 12  # videos that every run gets wrong


@dataclasses.dataclass(frozen=True)
class Entry:
    """One run of a comparison.

    Attributes:
      name: its name, which no other has.
      score: top-1 (with several heads, that of all together), or mean average precision if videos may have several classes; in 0..1.
      low: lower end of its interval.
      high: upper end.
      right: videos that the most probable class is right for.
      heads: top-1 of each of several heads.
      costs: what it costs.
      path: its path, as given; None for an ensemble.
      family: family of its network; None if there are only scores.
      model: the network in a few words.
      views: (temporal, spatial) views of each video.
      seen: the same in words, with what else was done to them.
      step: training step of the scored model.
      top5: top-5, from its evaluation.
      loss: loss, from its evaluation.
      members: names of an ensemble's runs.
      on_front: whether no other run is as good for less, or better for as much.
    """

    name: str
    score: float
    low: float
    high: float
    right: int
    heads: Mapping[str, float]
    costs: Costs
    path: str | None = None
    family: str | None = None
    model: str | None = None
    views: tuple[int, int] | None = None
    seen: str | None = None
    step: int | None = None
    top5: float | None = None
    loss: float | None = None
    members: tuple[str, ...] = ()
    on_front: bool = False


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Several runs on the same videos.

    Attributes:
      predictions: what each run predicted for each video.
      entries: the runs, in the order given; an ensemble comes last.
      pairs: the pairs that were tested.
      baseline: the run that all others were compared with; None for each with each.
      units: what the bootstrap draws: videos or groups.
      level: confidence level of the intervals.
      resamples: draws of the bootstrap.
      seed: seed of the draws.
      environment: the machine that speed was measured on; None if it was not.
      batch_size: views at once in that measurement.
    """

    predictions: AlignedPredictions
    entries: tuple[Entry, ...]
    pairs: tuple[Pair, ...]
    baseline: str | None
    units: Units
    level: float
    resamples: int
    seed: int
    environment: Mapping[str, Any] | None
    batch_size: int

    def __repr__(self) -> str:
        scores = ", ".join(f"{entry.name} {entry.score:.4f}" for entry in self.ranked)
        videos = counted(len(self.predictions.videos), "video")
        return f"Comparison({self.metric} on {self.title}, {videos}: {scores})"

    @property
    def title(self) -> str:
        """The data set and its split."""
        return f"{self.predictions.dataset} {self.predictions.split}"

    @property
    def metric(self) -> str:
        """What the score is: `top1` or `mAP`."""
        return "mAP" if self.predictions.multi_label else "top1"

    @property
    def ranked(self) -> list[Entry]:
        """The best run first; of equal ones the cheapest."""
        return sorted(self.entries, key=lambda entry: (-entry.score, entry.costs.gmac_video or np.inf))

    @property
    def test(self) -> str:
        """The test of the pairs, in words."""
        return TESTS[self.pairs[0].test]

    def matrix(self) -> tuple[np.ndarray, list[list[float | None]]]:
        """For each run with each, the share of videos for which both predict the same, and Cohen's kappa."""
        classes = [self.predictions.joint_class(entry.name) for entry in self.entries]
        return np.array([[equal_share(a, b) for b in classes] for a in classes]), [[kappa(a, b) for b in classes] for a in classes]

    def hardest(self) -> list[int]:
        """The videos that every run gets wrong, those first whose label the runs believe in least."""
        wrong = np.all([~self.predictions.right(entry.name) for entry in self.entries], axis=0)
        believed = np.mean([self.predictions.probability_of_label(entry.name) for entry in self.entries], axis=0)
        return [int(video) for video in np.argsort(believed, kind="stable") if wrong[video]]

    def to_dict(self) -> dict:
        """`compare.json`."""
        equal, kappas = self.matrix()
        hardest = self.hardest()
        return {
            "dataset": self.predictions.dataset,
            "split": self.predictions.split,
            "examples": len(self.predictions.videos),
            "metric": self.metric,
            "baseline": self.baseline,
            "interval": {
                "level": self.level,
                "method": "percentile bootstrap",
                "unit": self.units.kind,
                "units": self.units.count,
                "groups_from": self.units.origin or None,
                "resamples": self.resamples,
                "seed": self.seed,
            },
            "test": self.test,
            "correction": "Holm",
            "runs": [self._run(entry) for entry in self.entries],
            "pairs": [dataclasses.asdict(pair) for pair in self.pairs],
            "agreement": {"runs": [entry.name for entry in self.entries], "equal": equal.tolist(), "kappa": kappas},
            "all_wrong": len(hardest),
            "hardest": [self.describe(video) for video in hardest[:HARDEST]],
            "environment": self.environment,
            "batch_size": self.batch_size if self.environment else None,
        }

    def describe(self, video: int) -> dict:
        """A video with its label and what each run predicts."""
        predicted = {entry.name: self.predictions.prediction_of(entry.name, video) for entry in self.entries}
        return {"video": self.predictions.videos[video], "label": self.predictions.labels_of(video), "predictions": predicted}

    def _run(self, entry: Entry) -> dict:
        mean_average_precision = {"mAP": entry.score} if self.predictions.multi_label else {}
        return {
            "name": entry.name,
            "path": entry.path,
            "family": entry.family,
            "model": entry.model,
            "members": list(entry.members),
            "step": entry.step,
            "views": None if entry.views is None else f"{entry.views[0]}x{entry.views[1]}",
            **dataclasses.asdict(entry.costs),
            **mean_average_precision,
            "top1": entry.right / len(self.predictions.videos),
            "low": entry.low,
            "high": entry.high,
            "right": entry.right,
            "top5": entry.top5,
            "loss": entry.loss,
            "heads": dict(entry.heads),
            "pareto": entry.on_front,
        }
