"""Confidence intervals of shares that were counted on a few videos."""

import math

from scipy.special import ndtri  # the normal quantiles of scipy.stats, which takes most of a second to import

from vivit_jax.statistics import LEVEL


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The interval of Wilson (1927) for a share: the true shares that a score test does not refuse.

    It treats the videos as drawn one by one; clips cut from one recording are surer than they look (`vivit compare --groups`).

    Args:
      hits: the videos that count.
      of: all videos, at least one.
    """
    z2 = float(ndtri(0.5 + LEVEL / 2)) ** 2  # SciPy's binomtest gives the same interval, and takes 2 ms for its p value
    share = hits / of
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = math.sqrt(z2 * share * (1 - share) / of + (z2 / (2 * of)) ** 2) / (1 + z2 / of)
    return max(0.0, middle - half), min(1.0, middle + half)
