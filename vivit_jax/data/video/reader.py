"""Video files in and out: `probe`, `decode_frames`, `stream_frames` and `encode`.

Frame numbers count a video's frames as they are shown, from 0. Pixels are RGB uint8, upright (rotation applied) and square (sample aspect
ratio applied). Everything reads within `Limits`, and whatever is wrong with a file is one `UserError` that names it.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from vivit_jax.data.video.container import LIMITS, Limits, Source
from vivit_jax.data.video.decoder import open_video
from vivit_jax.data.video.encoder import encode
from vivit_jax.data.video.frame_rates import shown_at, tick_count
from vivit_jax.data.video.geometry import Framer, Framing
from vivit_jax.errors import UserError

__all__ = ["SUFFIXES", "VideoInfo", "decode_frames", "encode", "probe", "stream_frames"]

SUFFIXES = (
    *(".mp4", ".avi", ".mkv", ".webm", ".mov", ".gif", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".3gp", ".ogv"),
    *(".mts", ".m2ts", ".vob", ".mxf", ".asf", ".3g2", ".qt"),
)


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """A video's size, rate and frame times.

    Attributes:
      width: pixels, upright and square.
      height: pixels, upright and square.
      fps: frames a second; the mean if the rate varies.
      times: seconds from the first frame to each, float64 (frames,).
    """

    width: int
    height: int
    fps: Fraction
    times: np.ndarray

    @property
    def frames(self) -> int:
        """Frames of the video."""
        return len(self.times)

    @property
    def ticks(self) -> int:
        """How many frames it would have at the constant rate `fps`, as `vivit prepare` would store it."""
        return tick_count(self.times, self.fps)

    def shown_at(self, ticks: np.ndarray) -> np.ndarray:
        """The number of the frame that each tick of that rate shows, in the shape of `ticks`."""
        return shown_at(ticks, self.times, self.fps)

    @property
    def seconds(self) -> float:
        """Duration, to the end of the last frame."""
        return float(self.times[-1] + 1 / self.fps)


def probe(source: Source, *, name: str | None = None, limits: Limits = LIMITS) -> VideoInfo:
    """Reads a video's size and the times of its frames. If the container lists the times, only the first frame is decoded.

    Args:
      source: path or bytes.
      name: what errors call it; its path if None.
      limits: what it may cost.

    Raises:
      UserError: naming the video, if it is missing, no video, damaged or over a limit.
    """
    with open_video(source, name, limits) as video:
        height, width = video.rgb.size_of(video.first_frame())
        return VideoInfo(width, height, video.fps, video.times)


def decode_frames(
    source: Source,
    indices: Sequence[int] | np.ndarray,
    *,
    framer: Framer | None = None,
    stored: bool = False,
    name: str | None = None,
    limits: Limits = LIMITS,
) -> np.ndarray:
    """Decodes the frames at `indices`; of the others, only those between a keyframe and a wanted frame.

    Args:
      source: path or bytes.
      indices: numbers of frames, in any order, repeats allowed.
      framer: chooses what to show of the frames. Each is cut and resized as soon as it is decoded, so that no full frames are held. None
        shows all of them.
      stored: whether `encode` wrote the video, as it did those of prepared data sets: their frames are found without reading all of it.
      name: what errors call the video; its path if None.
      limits: what it may cost.

    Returns:
      uint8 (t, h, w, 3), one frame for each index.

    Raises:
      UserError: naming the video, if it is missing, no video, damaged, over a limit, or has no frame of that number.
    """
    numbers, positions = np.unique(np.asarray(indices, np.int64), return_inverse=True)
    with open_video(source, name, limits, stored=stored) as video:
        if numbers[0] < 0 or numbers[-1] >= len(video):
            raise UserError(f"frames {numbers[0]} to {numbers[-1]} were asked for, but it has {len(video)}")
        frames = video.select(numbers.tolist())
        first = next(frames)
        if numbers[0] and (first.height, first.width) != video.coded_size:  # all are shown in the size of the video's first
            info = probe(source, name=name, limits=limits)
            video.rgb.size = info.height, info.width
        height, width = video.rgb.size or video.rgb.size_of(first)
        framing = framer(height, width) if framer else Framing(slice(height), slice(width), (height, width))
        parts = (video.rgb.read(frame, framing.rows, framing.columns) for frame in itertools.chain([first], frames))
        shown = framing.show(parts, len(numbers))
    return shown if len(positions) == len(numbers) and (np.diff(positions) == 1).all() else shown[positions]


def stream_frames(source: Source, *, name: str | None = None, limits: Limits = LIMITS) -> Iterator[np.ndarray]:
    """All frames of a video in the order shown, one at a time, each uint8 (h, w, 3). Raises as `decode_frames` does."""
    with open_video(source, name, limits) as video:
        for frame in video.decode():
            yield video.rgb.read(frame)
