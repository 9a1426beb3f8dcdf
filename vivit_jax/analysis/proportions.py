"""How sure a share is that was counted on a few videos."""

from scipy.stats import binomtest

LEVEL = 0.95


def wilson(hits: int, of: int, level: float = LEVEL) -> tuple[float, float]:
    """The interval of Wilson (1927) for a share: the true shares that a score test does not refuse at this level.

    It treats the videos as drawn one by one; clips cut from one recording are surer than they look (`vivit compare --groups`).

    Args:
      hits: the videos that count.
      of: all videos, at least one.
      level: how often such an interval holds the true share.
    """
    found = binomtest(hits, of).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)
