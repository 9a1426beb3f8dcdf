"""How far a score could be off because other videos might have been drawn: the bootstrap, over videos or over groups of them.

Videos are drawn again with replacement, as many as there are. Where videos come in groups (windows of one flight, scenes of one film), the
groups are drawn and each brings all its videos: those of one group resemble each other, and tell less than as many independent ones.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int

from vivit_jax.statistics import LEVEL

RESAMPLES = 10_000
SEED = 0
CHUNK = 2**22  # counts that are held at once, which bounds memory

# Maps how often each draw took each video, (b, n), to the k scores of each draw, (b, k).
Statistic = Callable[[Int[np.ndarray, "b n"]], Float[np.ndarray, "b k"]]


def bootstrap(
    statistic: Statistic, units: Int[np.ndarray, " n"], *, resamples: int = RESAMPLES, seed: int = SEED
) -> Float[np.ndarray, "resamples k"]:
    """The scores of `resamples` draws. All k scores use the same draws, so that their differences are those of a paired bootstrap.

    Args:
      statistic: computes the scores.
      units: the unit that each of the n videos is drawn with, numbered from 0 without gaps: its group, or itself.
      resamples: how many draws.
      seed: seed of the draws.
    """
    return np.concatenate([statistic(drawn) for drawn in _draws(units, resamples, seed)])


def interval(samples: Float[np.ndarray, " resamples"]) -> tuple[float, float]:
    """The percentile interval, which leaves (1 - LEVEL) / 2 of the samples on each side; NaN samples are ignored."""
    low, high = np.nanquantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def p_value(differences: Float[np.ndarray, " resamples"]) -> float:
    """The two-sided p for no difference: twice the share of draws on the rarer side of 0, counting one more than there are."""
    known = differences[~np.isnan(differences)]
    rarer = min((known <= 0).sum(), (known >= 0).sum())
    return float(min(1.0, 2 * (rarer + 1) / (len(known) + 1)))


def accuracy(right: Float[np.ndarray, "n k"]) -> Statistic:
    """Makes a statistic: the share of videos that each of k runs is right about, given 1 for right and 0 for wrong."""

    def statistic(drawn: Int[np.ndarray, "b n"]) -> Float[np.ndarray, "b k"]:
        drawn = drawn.astype(np.float64)
        return drawn @ right / drawn.sum(axis=1, keepdims=True)

    return statistic


def _draws(units: Int[np.ndarray, " n"], resamples: int, seed: int) -> Iterator[Int[np.ndarray, "b n"]]:
    generator, count = np.random.default_rng(seed), int(units.max()) + 1
    rows = max(1, CHUNK // max(count, len(units)))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = generator.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)[:, units]
