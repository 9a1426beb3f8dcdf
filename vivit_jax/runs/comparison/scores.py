"""The scores of the runs of a comparison, and how far each could be off."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from vivit_jax.runs.comparison.predictions import AlignedPredictions
from vivit_jax.runs.comparison.units import Units
from vivit_jax.statistics.average_precision import mean_average_precision
from vivit_jax.statistics.bootstrap import Statistic, accuracy, bootstrap


@dataclasses.dataclass(frozen=True)
class Scores:
    """The scores of several runs on the same videos.

    Attributes:
      predictions: the predictions that are scored.
      units: what the bootstrap draws: videos or groups.
      score: each run's by its name, in 0..1: top-1, or mean average precision if videos may have several classes.
      samples: each run's scores in the draws of the bootstrap, which all runs share.
    """

    predictions: AlignedPredictions
    units: Units
    score: Mapping[str, float]
    samples: Mapping[str, Float[np.ndarray, " resamples"]]


def score(predictions: AlignedPredictions, units: Units, *, resamples: int, seed: int) -> Scores:
    """Scores each run on all videos, and in `resamples` draws of the bootstrap."""
    statistic = _statistic(predictions)
    scores = statistic(np.ones((1, len(predictions.videos)), int))[0].tolist()
    samples = bootstrap(statistic, units.number, resamples=resamples, seed=seed)
    names = list(predictions.by_run)
    return Scores(predictions, units, dict(zip(names, scores, strict=True)), dict(zip(names, samples.T, strict=True)))


def _statistic(predictions: AlignedPredictions) -> Statistic:
    if predictions.multi_label:
        return mean_average_precision([run.probabilities[""] for run in predictions.by_run.values()], predictions.label[""])
    return accuracy(np.stack([predictions.right(name) for name in predictions.by_run], axis=1).astype(np.float64))
