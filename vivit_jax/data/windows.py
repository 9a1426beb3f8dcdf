"""A long video cut into windows of time: it is decoded once, and only the frames that a window still needs are kept."""

import collections
import dataclasses
import math
import os
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from vivit_jax.data.sampling import check_views, evaluation_clips
from vivit_jax.data.times import clock
from vivit_jax.data.video.frame_rates import frame_rate, shown_at, tick_count
from vivit_jax.data.video.geometry import resize, scaled_size, spatial_crops
from vivit_jax.data.video.streaming import STANDARD_INPUT, StreamedVideo, open_stream
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Preprocess, Views

LARGEST_WINDOW = 1 << 29  # bytes of the frames of one window
DIGITS = 1_000_000  # of a second: times given as floats are taken to the microsecond
PATIENCE = 1.0  # seconds of wall-clock time without a word from here
OVERHANG = 0.1  # of a clip: so much of a window may lie outside its clips before there is one clip more
REST = Fraction(1, 10)  # of a window: a shorter rest of a video gets no window of its own

Held = collections.deque[tuple[Fraction, np.ndarray]]  # the frames that a window still needs, each with its time in seconds


@dataclasses.dataclass(frozen=True)
class WindowPlan:
    """How a video is cut. Window k begins at k * every and is `window` seconds long.

    Attributes:
      window: seconds, exact.
      every: seconds from the start of one window to that of the next, exact.
      preprocess: frames, stride, scale and crop of a clip.
      views: (temporal clips, spatial crops) of each window; None is as many clips as cover it, and the centre crop.
      at_once: the most views that are given together, unless one window has more.
    """

    window: Fraction
    every: Fraction
    preprocess: Preprocess
    views: Views | None = None
    at_once: int = 12

    def __post_init__(self) -> None:
        if self.window <= 0 or self.every <= 0:
            raise UserError(f"a window and the time to the next must be above 0 s, got {float(self.window):g} and {float(self.every):g}")
        if self.views is not None:
            check_views(self.views)

    def start(self, number: int) -> Fraction:
        """When window `number` begins, in seconds."""
        return number * self.every

    def end(self, number: int) -> Fraction:
        """When window `number` ends, in seconds; before 0 for the one before the first."""
        return number * self.every + self.window if number >= 0 else Fraction(-1)

    def clips(self, times: np.ndarray, fps: Fraction) -> np.ndarray:
        """Which of the frames of a window make its clips, int64 (clips, t).

        Args:
          times: seconds from the window's first frame to each, float64 (frames,).
          fps: frames a second; the mean if the rate varies.
        """
        ticks, rate = tick_count(times, fps), float(fps)
        count = self.views[0] if self.views else min(self._covering(ticks, rate), len(times))
        return shown_at(evaluation_clips(count, self.preprocess, ticks, rate), times, fps)

    def _covering(self, frames: int, fps: float) -> int:
        """How many clips cover a window; one does if it takes a frame from each segment."""
        if self.preprocess.sampling == "segments":
            return 1
        stride = fps / self.preprocess.rate if self.preprocess.rate else self.preprocess.stride
        return max(1, math.ceil(frames / (self.preprocess.frames * stride) - OVERHANG))


@dataclasses.dataclass(frozen=True)
class Window:
    """A window of a video.

    Attributes:
      number: the window's place in the video, from 0.
      start: seconds from the video's first frame.
      end: seconds from the video's first frame; the last window ends with the video.
      views: uint8 (v, t, h, w, 3).
    """

    number: int
    start: float
    end: float
    views: np.ndarray


def cut(task: tuple[str | os.PathLike, int], plan: WindowPlan) -> Iterator[list[Window] | str]:
    """The windows of a video in order, some at a time.

    A frame belongs to a window if it is first shown within it. A window within which no frame is first shown is left out, and
    so are windows after the first that reaches the video's end. A rest of less than a tenth of a window gets none either.

    Args:
      task: a video file, or `-` for standard input; and the number of the first window to give.
      plan: how to cut.

    Yields:
      As many windows as have at most `plan.at_once` views altogether, but one at least; for standard input, what is there after a second.
      An empty list, each second, says that a file is still being decoded. A last line of text says what was damaged, if anything was.

    Raises:
      UserError: naming the video, if it cannot be read, or a window is too long to be held.
    """
    source, first = task
    with open_stream(source) as stream:
        waiting, since = [], time.monotonic()
        for windows in _windows(stream, plan, first):
            for window in windows:
                if waiting and sum(len(one.views) for one in (*waiting, window)) > plan.at_once:
                    yield waiting
                    waiting, since = [], time.monotonic()
                waiting.append(window)
            if time.monotonic() - since > PATIENCE:
                is_live = source == STANDARD_INPUT
                yield waiting if is_live else []
                waiting, since = [] if is_live else waiting, time.monotonic()
        if waiting:
            yield waiting
        if stream.damaged:
            yield f"{stream.damaged} damaged pictures left out"


def middle_clip(source: str | os.PathLike, *, start: float, end: float, preprocess: Preprocess) -> tuple[np.ndarray, np.ndarray, Fraction]:
    """The middle clip of a part of a video, as that part alone would be seen.

    Args:
      source: a video file.
      start: seconds from the video's first frame, to the microsecond.
      end: seconds from the video's first frame; the part may end with the video before.
      preprocess: frames, stride, scale and crop of the clip.

    Returns:
      uint8 (t, h, w, 3), the seconds from the part's first frame to each of its frames, and how many frames it has a second.

    Raises:
      UserError: naming the video, if it cannot be read or shows no frame within the part.
    """
    begin, length = Fraction(start).limit_denominator(DIGITS), Fraction(end - start).limit_denominator(DIGITS)
    plan = WindowPlan(length, length, preprocess, (1, 1))
    with open_stream(source) as stream:
        held: Held = collections.deque()
        for seconds, frame in stream.frames(begin):
            if seconds >= begin + length:
                break
            if seconds >= begin:
                _hold(held, seconds - begin, stream.rgb.read(frame), plan)
        if not held:
            raise UserError(f"shows no frame from {clock(start)} to {clock(end)}; it ends at {clock(float(stream.end))}")
        return _window(0, plan, held, length, stream.rate).views[0], _times(held), _rate(held, stream.rate)


def _windows(stream: StreamedVideo, plan: WindowPlan, number: int) -> Iterator[list[Window]]:
    """For each frame, yields the windows that end before it, from window `number` on; at last the one that the video's end cuts off."""
    held: Held = collections.deque()
    for seconds, frame in stream.frames(plan.start(number)):
        over = []
        while seconds >= plan.end(number):
            if held:
                over.append(_window(number, plan, held, plan.end(number), stream.rate))
                number += 1
            else:  # no frame was shown since: on to the first window that is not over
                number = max(number + 1, math.floor((seconds - plan.window) / plan.every) + 1)
            while held and held[0][0] < plan.start(number):
                held.popleft()
        if seconds >= plan.start(number):
            _hold(held, seconds, stream.rgb.read(frame), plan)
        yield over
    is_whole = stream.end > plan.end(number) - 1 / stream.rate
    rest = stream.end - max(plan.start(number), plan.end(number - 1))
    if held and (is_whole or rest >= plan.window * REST or number == 0):
        yield [_window(number, plan, held, plan.end(number) if is_whole else stream.end, stream.rate)]


def _hold(held: Held, seconds: Fraction, frame: np.ndarray, plan: WindowPlan) -> None:
    held.append((seconds, _crops(frame, plan)))
    if len(held) * held[-1][1].nbytes > LARGEST_WINDOW:
        raise UserError(f"a window of {float(plan.window):g} s has more frames than can be held: give a shorter one")


def _crops(frame: np.ndarray, plan: WindowPlan) -> np.ndarray:
    """The crops of a frame (h, w, 3) that a window may need, uint8 (crops, h', w', 3)."""
    height, width = scaled_size(*frame.shape[:2], plan.preprocess.resize, plan.preprocess.crop)
    crops = spatial_crops(height, width, plan.preprocess.crop, plan.views[1] if plan.views else 1)
    scaled = resize(frame, height, width)
    return np.stack([scaled[crop] for crop in crops])


def _window(number: int, plan: WindowPlan, held: Held, end: Fraction, nominal: Fraction) -> Window:
    inside = [(seconds, crops) for seconds, crops in held if seconds < plan.end(number)]
    clips = plan.clips(_times(inside), _rate(inside, nominal))
    views = [np.stack([inside[i][1] for i in clip], axis=1) for clip in clips]  # (crops, t, h, w, 3)
    return Window(number, float(plan.start(number)), float(end), np.concatenate(views))


def _times(held: Sequence[tuple[Fraction, np.ndarray]]) -> np.ndarray:
    """Seconds from the first frame to each, float64 (frames,)."""
    return np.array([float(seconds - held[0][0]) for seconds, _ in held])


def _rate(held: Sequence[tuple[Fraction, np.ndarray]], nominal: Fraction) -> Fraction:
    """Frames a second of a window, as they would be measured on a video that holds nothing else."""
    return frame_rate([round(seconds * DIGITS) for seconds, _ in held], Fraction(1, DIGITS), nominal)
