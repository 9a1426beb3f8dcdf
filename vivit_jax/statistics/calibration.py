"""Whether probabilities mean what they say: of the predictions made with 80 %, 80 % should be right (Guo et al. 2017)."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

BINS = 15


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Predictions by their probability, in bins of equal width; the bins that hold none are left out.

    Attributes:
      edges: (low, high) of each bin, which holds the probabilities above low and up to high; the lowest bin also holds 0.
      counts: the predictions in it.
      right: those of them that are right.
      probability: the mean of their probabilities.
      by_chance: about the expected calibration error that a perfectly calibrated model would have on so few predictions.
    """

    edges: Float[np.ndarray, "bins 2"]
    counts: Int[np.ndarray, " bins"]
    right: Int[np.ndarray, " bins"]
    probability: Float[np.ndarray, " bins"]
    by_chance: float

    @property
    def accuracy(self) -> Float[np.ndarray, " bins"]:
        """The share of each bin's predictions that are right, in 0..1."""
        return self.right / self.counts

    @property
    def error(self) -> float:
        """The expected calibration error in 0..1: how far accuracy and probability lie apart in a bin, on average over the predictions."""
        return float(np.average(np.abs(self.accuracy - self.probability), weights=self.counts))


def calibration(probability: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> Calibration:
    """Sorts predictions into BINS bins, which divide 0..1 evenly.

    Args:
      probability: each prediction's probability, in 0..1; at least one.
      right: whether it is right.
    """
    edges = np.linspace(0, 1, BINS + 1)
    number = np.clip(np.searchsorted(edges, probability, side="left") - 1, 0, BINS - 1)
    counts = np.bincount(number, minlength=BINS)
    held = counts > 0
    variance = np.bincount(number, weights=probability * (1 - probability), minlength=BINS)  # of the number that are right in a bin
    return Calibration(
        edges=np.stack([edges[:-1], edges[1:]], axis=1)[held],
        counts=counts[held],
        right=np.bincount(number, weights=right, minlength=BINS)[held].astype(int),
        probability=np.bincount(number, weights=probability, minlength=BINS)[held] / counts[held],
        by_chance=float(np.sqrt(2 / np.pi * variance).sum() / len(probability)),  # the mean of |x| for x that is normal
    )
