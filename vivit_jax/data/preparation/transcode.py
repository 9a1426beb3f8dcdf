"""Turns a labelled clip into the record that is stored: a small mp4 of constant rate, upright, silent, cheap to decode."""

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import av
import numpy as np

from vivit_jax.data.layouts.base import Clip, too_few_frames
from vivit_jax.data.video.container import LIMITS, Limits, naming_errors
from vivit_jax.data.video.decoder import OpenVideo, open_video
from vivit_jax.data.video.encoder import Encoder
from vivit_jax.data.video.frame_rates import first_tick, is_constant, shown_at, tick_count
from vivit_jax.data.video.geometry import resize
from vivit_jax.data.workers import Failure
from vivit_jax.errors import UserError
from vivit_jax.files import sha256

TOGETHER = 32  # the most clips of one video that a worker makes in one go; they share the time limit of one video
SEGMENTED = 10  # how many times the limit of frames a video may have if only segments of it are stored

SHORTER = 0.1  # seconds that a segment may lack without a word: lists and containers round times


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a stored video.

    Attributes:
      frames: how many it has.
      fps: frames a second, constant.
      width: pixels, even.
      height: pixels, even.
      changes: what was done to the original that is not scaling, such as `rotated`.
      bytes: its size.
      origin: the SHA-256 of the file it was made of, in hexadecimal; empty if it was not made of a video file.
    """

    frames: int
    fps: Fraction
    width: int
    height: int
    changes: tuple[str, ...]
    bytes: int
    origin: str = ""

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.frames / self.fps)

    def to_json(self) -> dict:
        """Plain values, which `from_json` reads."""
        return dataclasses.asdict(self) | {"fps": str(self.fps), "changes": list(self.changes)}

    @classmethod
    def from_json(cls, values: dict) -> "Facts":
        """The facts that `to_json` told."""
        return cls(**values | {"fps": Fraction(values["fps"]), "changes": tuple(values["changes"])})


@dataclasses.dataclass(frozen=True)
class Transcoded:
    """A stored video: the bytes of an mp4, and what is known of it."""

    video: bytes
    facts: Facts

    def with_facts(self, **facts: object) -> "Transcoded":
        """The same video with some facts replaced."""
        return Transcoded(self.video, dataclasses.replace(self.facts, **facts))


def transcode(clip: Clip, short_side: int, limits: Limits = LIMITS) -> Transcoded:
    """Reads a clip's video, or makes it, and encodes it for storage.

    The short side becomes `short_side`; a smaller video keeps its size, as enlarging adds bytes and no detail. Sides are made even by
    leaving out the last row or column. A variable frame rate becomes its mean rate, each moment showing the nearest frame.

    Raises:
      UserError: naming the video, if it is missing, damaged, over a limit, or has fewer than two frames.
    """
    source = clip.source if isinstance(clip.source, pathlib.Path) else clip.source()
    if isinstance(source, (pathlib.Path, bytes)):
        with open_video(source, clip.name, _limits([clip], limits), strict=True) as video:
            return _segment(video, clip, short_side, limits)
    frames, fps = source
    return _encode(frames, fps, short_side, [], lossless=clip.lossless)


def transcode_together(clips: Sequence[Clip], short_side: int, limits: Limits = LIMITS) -> list[Transcoded | Failure]:
    """Transcodes clips of one video, which is opened once; a clip that cannot be stored gives a `Failure`.

    Raises:
      UserError: naming the first clip, if the video cannot be opened.
    """
    made = [transcode(clips[0], short_side, limits)] if len(clips) == 1 else _of_open_video(clips, short_side, limits)
    origin = _origin(clips[0].source) if isinstance(clips[0].source, pathlib.Path) else ""
    return [
        result
        if isinstance(result, Failure)
        else result.with_facts(origin=origin, changes=(*result.facts.changes, *_shorter(clip, result.facts)))
        for clip, result in zip(clips, made, strict=True)
    ]


def _shorter(clip: Clip, stored: Facts) -> list[str]:
    """A remark on a video that ends before the segment asked for, as a list; empty for segments by frame numbers."""
    lacking = 0.0 if clip.end is None or clip.by_frames else clip.end - clip.start - stored.duration
    return [f"the video ends {lacking:.2f} s before the segment"] if lacking > SHORTER else []


@functools.lru_cache(maxsize=1)
def _origin(path: pathlib.Path) -> str:
    """The SHA-256 of a file: a worker reads a long video once for all its segments."""
    return sha256(path)


def _of_open_video(clips: Sequence[Clip], short_side: int, limits: Limits) -> list[Transcoded | Failure]:
    results = []
    with open_video(clips[0].source, clips[0].name, _limits(clips, limits), strict=True) as video:
        for clip in clips:
            video.begin_anew()
            try:
                with naming_errors(clip.name):
                    results.append(_segment(video, clip, short_side, limits))
            except UserError as error:
                results.append(Failure(str(error)))
    return results


def grouped_by_video(clips: Iterable[Clip]) -> Iterator[list[Clip]]:
    """Groups consecutive clips of one file, at most `TOGETHER` to a group; a clip that is made and not read is a group of its own."""
    for source, following in itertools.groupby(clips, key=lambda clip: clip.source):
        together = TOGETHER if isinstance(source, pathlib.Path) else 1
        while some := list(itertools.islice(following, together)):
            yield some


def _limits(clips: Sequence[Clip], limits: Limits) -> Limits:
    """The limits on a video, which may be longer if only segments of it are read."""
    return limits if any(clip.end is None for clip in clips) else dataclasses.replace(limits, frames=SEGMENTED * limits.frames)


def _segment(video: OpenVideo, clip: Clip, short_side: int, limits: Limits) -> Transcoded:
    """The stored form of a clip of an open video: only what it shows is decoded, from the keyframe before."""
    if clip.by_frames:
        numbers, constant, fps = _of_frames(video, int(clip.start), None if clip.end is None else int(clip.end))
    else:
        fps = video.fps
        numbers, constant = frames_at_constant_rate(video.times, fps, clip.start, clip.end)
    if len(numbers) < 2:
        of_seconds = () if clip.by_frames else (clip.start, clip.end, float(video.times[-1] + 1 / video.fps))
        raise UserError(too_few_frames(len(numbers), *of_seconds))
    if len(numbers) > limits.frames:
        raise UserError(f"it has more frames than the limit of {limits.frames}")
    changes = [*video.changes, *([] if constant else ["made constant in rate"])]
    frames = _repeated(video.select(np.unique(numbers).tolist()), numbers)
    images = (video.rgb.read(frame) for frame in _whole(frames))
    stored = _encode(images, fps, short_side, changes, lossless=video.is_h264_in_rgb)
    seen = {"laid over black": video.rgb.blended, "scaled to one size": video.rgb.rescaled}
    return stored.with_facts(changes=(*stored.facts.changes, *(change for change, happened in seen.items() if happened)))


def _of_frames(video: OpenVideo, start: int, end: int | None) -> tuple[np.ndarray, bool, Fraction]:
    """What `frames_at_constant_rate` returns for the frames from `start` to before `end` alone, and the rate of these frames."""
    end = len(video) if end is None else end
    if end > len(video) or start >= end:
        raise UserError(f"it has {len(video)} frames, but frames {start} to {end} (not included), counted from 0, are asked for")
    fps = video.rate_of(start, end)
    numbers, constant = frames_at_constant_rate(video.times[start:end] - video.times[start], fps)
    return start + numbers, constant, fps


def frames_at_constant_rate(times: np.ndarray, fps: Fraction, start: float = 0.0, end: float | None = None) -> tuple[np.ndarray, bool]:
    """Which frame to show at each tick of a constant rate.

    Args:
      times: seconds of each frame, float64 (frames,), from 0, ascending.
      fps: ticks a second.
      start: seconds where to begin.
      end: seconds where to end; None is after the last frame.

    Returns:
      Frame numbers, int64 (ticks,), and whether the frames were at a constant rate to begin with; then each is shown once.
    """
    ticks = np.arange(tick_count(times, fps))[first_tick(start, fps) : None if end is None else first_tick(end, fps)]
    return shown_at(ticks, times, fps), is_constant(times, fps)


def _encode(images: Iterable[np.ndarray], fps: Fraction, short_side: int, changes: list[str], *, lossless: bool = False) -> Transcoded:
    encoder, size = Encoder(fps, lossless=lossless), None
    for image in images:
        height, width = image.shape[:2]
        if size is None:
            size = image.shape
            stored = _stored_size(height, width, short_side)
            if min(stored) < 2:
                raise UserError(f"it has {height}x{width} pixels, too few to be stored")
            if (height % 2 or width % 2) and stored == (height - height % 2, width - width % 2):
                changes.append("cropped to even sides")
        if min(height, width) > short_side:
            image = resize(image, *stored)
        encoder.add(image[: stored[0], : stored[1]])
    video = encoder.finish()
    return Transcoded(video, Facts(encoder.frames, encoder.rate, stored[1], stored[0], tuple(changes), len(video)))


def _stored_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """(height, width), even: scaled if larger than `short_side`, else without the odd row or column."""
    if min(height, width) <= short_side:
        return height - height % 2, width - width % 2
    half = short_side / min(height, width) / 2
    return 2 * round(height * half), 2 * round(width * half)


def _repeated(frames: Iterator[av.VideoFrame], numbers: np.ndarray) -> Iterator[av.VideoFrame]:
    """Yields each frame as often as its number occurs in `numbers`, which ascend; `frames` holds each once."""
    last, frame = None, None
    for number in numbers:
        if number != last:
            last, frame = number, next(frames)
        yield frame


def _whole(frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    for position, frame in enumerate(frames):
        if frame.is_corrupt:
            raise UserError(f"frame {position} is damaged")
        yield frame
