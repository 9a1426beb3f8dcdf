"""Frame rates: the rate of a file's frames, and the frames to show at the ticks of a constant rate.

`vivit prepare` stores videos at a constant rate, and models are trained so: each tick shows the frame that is nearest in time.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

# The rate that a file names is right if at least MOSTLY of its frames come at it, within STEADY of a frame's duration.
STEADY, MOSTLY = 0.1, 0.8
JITTER = 0.2  # of a frame's duration that frame times may be off a constant rate's: containers round them


def simple_rate(fps: Fraction) -> Fraction:
    """The nearest fraction that containers can hold: the smaller of its two numbers is at most 1001."""
    return fps.limit_denominator(1001) if fps >= 1 else 1 / (1 / fps).limit_denominator(1001)


def frame_rate(ticks: Sequence[int], time_base: Fraction, nominal: Fraction | None) -> Fraction:
    """Frames a second: the rate that the file names if the frames come at it, else their mean rate.

    Args:
      ticks: when each frame is shown, ascending.
      time_base: seconds of a tick.
      nominal: the rate that the file names, if it does.
    """
    if len(ticks) < 2:
        return nominal or Fraction(1)
    times = (np.asarray(ticks, np.int64) - ticks[0]) * float(time_base)
    span = (ticks[-1] - ticks[0]) * time_base
    if not span:  # a time base too coarse for its rate gives all frames one time
        return nominal or Fraction(len(ticks))
    mean = simple_rate((len(ticks) - 1) / span)
    if nominal and np.mean(np.abs(np.diff(times) * float(nominal) - 1) < STEADY) >= MOSTLY:
        # Else pictures are missing here and there. A last frame that is shown for longer makes a file name a lower rate than all have.
        return mean if is_constant(times, mean) and not is_constant(times, nominal) else nominal
    return nominal if nominal and abs(nominal / mean - 1) < 1e-3 else mean


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
