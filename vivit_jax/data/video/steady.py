"""A video at a constant rate, as `vivit prepare` stores it and models are trained: each tick shows the frame that is nearest in time."""

import math
from fractions import Fraction

import numpy as np

JITTER = 0.2  # of a frame's duration that frame times may be off a constant rate's: containers round them


def is_constant(times: np.ndarray, fps: Fraction) -> bool:
    """Whether frames come at a rate.

    Args:
      times: seconds of each frame, float64 (frames,), from 0, ascending.
      fps: frames a second.
    """
    period = float(1 / fps)
    return bool(np.abs(times - np.arange(len(times)) * period).max() <= JITTER * period)


def tick_count(times: np.ndarray, fps: Fraction) -> int:
    """How many ticks of a rate a video lasts; arguments are those of `is_constant`."""
    return len(times) if _in_order(times, fps) else round(times[-1] / float(1 / fps)) + 1


def first_tick(seconds: float, fps: Fraction) -> int:
    """The first tick of a rate that is shown from a time on, or before it by no more than `JITTER` of a tick.

    Rounded, as many a time in hundredths of a second lies `JITTER` of a tick after one, and noise would decide for it.
    """
    return max(0, math.ceil(round(seconds * float(fps) - JITTER, 6)))


def shown_at(ticks: np.ndarray, times: np.ndarray, fps: Fraction) -> np.ndarray:
    """The number of the frame that each tick shows, in the shape of `ticks`.

    Args:
      ticks: numbers of ticks, int64, below `tick_count`.
      times: as in `is_constant`.
      fps: ticks a second.
    """
    if _in_order(times, fps):
        return ticks
    middles = (times[1:] + times[:-1]) / 2
    return np.searchsorted(middles, ticks * float(1 / fps), side="right")


def _in_order(times: np.ndarray, fps: Fraction) -> bool:
    """Whether each frame has one tick: at a constant rate, and where a time base that is too coarse gives all frames one time."""
    return not times[-1] or is_constant(times, fps)
