"""Whether two runs differ by more than chance, on the same videos."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from scipy.stats import binomtest


def mcnemar(only_a: int, only_b: int) -> float:
    """McNemar's exact test (1947): the two-sided p of a split at least this uneven of the videos that only one run is right about.

    Args:
      only_a: videos that the first alone is right about.
      only_b: videos that the second alone is right about.
    """
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def mcnemar_of_groups(leads: Int[np.ndarray, " groups"]) -> float:
    """McNemar's test with groups exchanged whole: the two-sided p of a sum of leads at least as far from 0.

    If the two runs were equally good, each group's lead could as well have been the other's. All choices of signs are counted exactly,
    not sampled. Groups of one video each give `mcnemar`.

    Args:
      leads: for each group, the videos that only the first run is right about, less those that only the second is right about.
    """
    sizes = np.abs(leads[leads != 0])
    if set(sizes.tolist()) <= {1}:
        return mcnemar(int((leads > 0).sum()), int((leads < 0).sum()))
    total = int(sizes.sum())
    chance = np.zeros(2 * total + 1)  # of each sum from -total to total
    chance[total] = 1
    for size in sizes:
        chance = (np.roll(chance, size) + np.roll(chance, -size)) / 2  # nothing wraps: no partial sum is larger than `total`
    far = np.abs(np.arange(-total, total + 1)) >= abs(int(leads.sum()))
    return float(min(1.0, chance[far].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm 1979), in the same order: they bound the chance of even one false finding."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
