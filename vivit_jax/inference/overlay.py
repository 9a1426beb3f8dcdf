"""An explanation as a video: heat over the frames that the model saw, under a caption."""

import itertools
import pathlib
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from vivit_jax.data.video.geometry import scaled_size, spatial_crops
from vivit_jax.data.video.reader import decode_frames, probe
from vivit_jax.data.video.streaming import open_stream
from vivit_jax.drawing import captioned, lay_heat
from vivit_jax.inference.explain import Explanation
from vivit_jax.inference.windows import exact
from vivit_jax.preprocess import Preprocess

FRAMES_AT_ONCE = 16


def overlay(video: str | pathlib.Path, explanation: Explanation, preprocess: Preprocess) -> Iterator[np.ndarray]:
    """The video's frames from the first to the last of the clip, uint8 (h, w, 3) with even sides, under heat and a caption."""
    caption = f"{explanation.label}  {explanation.probability:.1%}"
    for number, frame in _frames_of(video, explanation):
        heated = lay_heat(frame, heat_at(explanation, number), seen_box(frame.shape[:2], preprocess))
        yield captioned(heated[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2], caption, full_colour=explanation.full_colour)


def frame_rate(video: str | pathlib.Path, explanation: Explanation) -> Fraction:
    """Frames a second of `overlay`: those of the video, or of the part of it."""
    return explanation.rate or probe(video).fps


def _frames_of(video: str | pathlib.Path, explanation: Explanation) -> Iterator[tuple[int, np.ndarray]]:
    """The frames from the first to the last of the clip, each with its number."""
    numbers = range(int(explanation.frames[0]), int(explanation.frames[-1]) + 1)
    if explanation.part is None:
        yield from _frames_of_video(video, numbers)
    else:
        yield from _frames_of_part(video, exact(explanation.part[0]), numbers)


def _frames_of_video(video: str | pathlib.Path, numbers: range) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(numbers), FRAMES_AT_ONCE):
        together = numbers[start : start + FRAMES_AT_ONCE]
        yield from zip(together, decode_frames(video, together), strict=True)


def _frames_of_part(video: str | pathlib.Path, start: Fraction, numbers: range) -> Iterator[tuple[int, np.ndarray]]:
    """Frames by their numbers from `start`, in seconds."""
    with open_stream(video) as stream:
        part = (frame for seconds, frame in stream.frames(start) if seconds >= start)
        for number, frame in enumerate(itertools.islice(part, numbers.stop)):
            if number in numbers:
                yield number, stream.rgb.read(frame)


def heat_at(explanation: Explanation, number: int) -> np.ndarray:
    """(n_h, n_w) heat in [0, 1] at one of the video's frames, interpolated in time between tokens; 1 is full colour."""
    tokens = np.maximum(explanation.relevance.tokens, 0) / explanation.full_colour
    frames, shown = np.unique(explanation.frames, return_inverse=True)
    middles = np.bincount(shown, np.arange(len(shown))) / np.bincount(shown)  # a frame of a slow video is in the clip several times
    position = np.interp(number, frames, middles)
    times = explanation.relevance.times
    after = int(np.clip(np.searchsorted(times, position), 1, len(times) - 1)) if len(times) > 1 else 0
    before = max(after - 1, 0)
    span = times[after] - times[before]
    share = float(np.clip((position - times[before]) / span, 0, 1)) if span else 0.0
    return (1 - share) * tokens[before] + share * tokens[after]


def seen_box(size: tuple[int, int], preprocess: Preprocess) -> tuple[slice, slice]:
    """The part of a frame of `size` (height, width) that the model sees: its centre crop, in the frame's own pixels."""
    height, width = scaled_size(*size, preprocess.resize, preprocess.crop)
    rows, columns = spatial_crops(height, width, preprocess.crop, 1)[0]
    return _scaled(rows, size[0] / height, size[0]), _scaled(columns, size[1] / width, size[1])


def _scaled(span: slice, factor: float, limit: int) -> slice:
    start = min(round(span.start * factor), limit - 1)
    return slice(start, max(start + 1, min(round(span.stop * factor), limit)))
