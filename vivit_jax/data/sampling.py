"""Chooses the frames and the crop of a clip: one at random to train on, several spread evenly to evaluate with (Sec. 4.1)."""

import functools
import numbers
from collections.abc import Callable, Sequence

import numpy as np

from vivit_jax.data.video import reader as video
from vivit_jax.data.video.container import Source
from vivit_jax.data.video.geometry import Framer, Framing, scaled_size, spatial_crops, spread
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Preprocess


def clip_indices(start: int, frames: int, stride: float, video_frames: int, padding: str = "loop") -> np.ndarray:
    """Frame numbers of the clip that begins at `start`, int64 (frames,).

    Args:
      start: the first frame.
      frames: frames of the clip.
      stride: source frames from one to the next; where it is no whole number, the nearest frame is taken.
      video_frames: frames of the video.
      padding: what a video that ends first does: `loop`, it starts over, as in Scenic, or `hold`, its last frame stays.
    """
    numbers = start + _offsets(frames, stride)
    return np.minimum(numbers, video_frames - 1) if padding == "hold" else numbers % video_frames


def random_clip(generator: np.random.Generator, frames: int, stride: float, video_frames: int, padding: str = "loop") -> np.ndarray:
    """Frame numbers of a clip that begins anywhere it fits, int64 (frames,).

    If it fits nowhere, it begins at any frame of a video that starts over, as in Scenic, and at 0 of one whose last frame stays.
    """
    room = video_frames - _length(frames, stride) + 1
    starts = room if room > 0 else video_frames if padding == "loop" else 1
    return clip_indices(int(generator.integers(starts)), frames, stride, video_frames, padding)


def spread_clips(count: int, frames: int, stride: float, video_frames: int, padding: str = "loop") -> np.ndarray:
    """Frame numbers of `count` clips spread evenly from the first frame to the last, int64 (count, frames); one is in the middle."""
    starts = spread(video_frames, _length(frames, stride), count)
    return np.stack([clip_indices(int(start), frames, stride, video_frames, padding) for start in starts])


def segment_frames(places: np.ndarray, video_frames: int) -> np.ndarray:
    """One frame of each of as many equal parts of a video as a clip has frames (Wang et al. 2016, Temporal Segment Networks).

    Args:
      places: the place of each frame within its part, float (..., frames) in [0, 1).
      video_frames: frames of the video; one with fewer than a clip shows some of them again.

    Returns:
      Frame numbers, int64 (..., frames), ascending.
    """
    frames = places.shape[-1]
    numbers = np.floor((np.arange(frames) + places) * video_frames / frames)
    return np.minimum(numbers.astype(np.int64), video_frames - 1)


def training_clip(generator: np.random.Generator, preprocess: Preprocess, video_frames: int, fps: float | None) -> np.ndarray:
    """Frame numbers of a random clip of a video, int64 (frames,).

    Args:
      generator: decides where it begins, or which frame of each segment is taken.
      preprocess: says how clips are taken.
      video_frames: frames of the video.
      fps: its frames a second; None if they are not known, and are taken to be at the rate that `preprocess` wants.
    """
    if preprocess.sampling == "segments":
        return segment_frames(generator.random(preprocess.frames), video_frames)
    return random_clip(generator, preprocess.frames, _stride(preprocess, fps), video_frames, preprocess.padding)


def evaluation_clips(count: int, preprocess: Preprocess, video_frames: int, fps: float | None) -> np.ndarray:
    """Frame numbers of the `count` clips that a video is evaluated with, int64 (count, frames).

    They are spread evenly over the video. With `segments`, each clip takes its frames at another place within the segments; a single clip
    takes those in the middle. The arguments are those of `training_clip`.
    """
    if preprocess.sampling == "segments":
        places = (np.arange(count) + 0.5) / count
        return segment_frames(np.broadcast_to(places[:, None], (count, preprocess.frames)), video_frames)
    return spread_clips(count, preprocess.frames, _stride(preprocess, fps), video_frames, preprocess.padding)


def centre_clip(video_frames: int, preprocess: Preprocess, fps: float | None = None) -> np.ndarray:
    """Frame numbers of the one clip that stands for a video, the middle one, int64 (frames,)."""
    return evaluation_clips(1, preprocess, video_frames, fps)[0]


def frames_once(video_frames: int, preprocess: Preprocess, fps: float | None = None) -> np.ndarray:
    """Frame numbers of the middle clip, int64 (t,), ascending, without what is repeated because the video ends before the clip."""
    clip = centre_clip(video_frames, preprocess, fps)
    if preprocess.sampling == "segments":
        return clip
    return clip[clip[0] + _offsets(preprocess.frames, _stride(preprocess, fps)) < video_frames]


def reorder(indices: np.ndarray, order: str, generator: np.random.Generator) -> np.ndarray:
    """A clip's frame numbers (t,) in a `temporal_order` of `DataConfig`: `forward`, `shuffled`, or `one_frame` of them repeated."""
    if order == "shuffled":
        return generator.permutation(indices)
    if order == "one_frame":
        return np.full_like(indices, generator.choice(indices))
    return indices


def cropped_views(show: Callable[[np.ndarray, Framer], np.ndarray], clips: np.ndarray, preprocess: Preprocess, spatial: int) -> np.ndarray:
    """Takes clips of a video, each frame once, and crops each clip `spatial` times.

    Args:
      show: gives the frames at numbers, int64 (n,), as a framer shows them: uint8 (n, h, w, 3).
      clips: frame numbers, int64 (n, t).
      preprocess: the size to scale and crop to.
      spatial: crops spread along the longer side: 1 is the centre, 3 left, centre, right or top, centre, bottom.

    Returns:
      uint8 (v, t, h, w, 3), v = n * spatial, the crops of a clip beside each other.
    """
    numbers, positions = np.unique(clips, return_inverse=True)
    frames = show(numbers, functools.partial(_scaled, preprocess=preprocess))
    crops = spatial_crops(*frames.shape[1:3], preprocess.crop, spatial)
    return np.stack([frames[rows][:, top, left] for rows in positions.reshape(clips.shape) for top, left in crops])


def views_of_video(source: Source, preprocess: Preprocess, views: tuple[int, int] = (1, 1)) -> np.ndarray:
    """Decodes the views that a video is evaluated with: `views` = (temporal, spatial), spread evenly in time and along the longer side.

    Args:
      source: path or bytes.
      preprocess: frames, stride, scale and crop of a clip.
      views: how many clips in time, how many crops of each.

    Returns:
      uint8 (v, t, h, w, 3), v = temporal * spatial.

    Raises:
      UserError: naming the video, if it cannot be read.
    """
    temporal, spatial = check_views(views)
    info = video.probe(source)
    clips = info.shown_at(evaluation_clips(temporal, preprocess, info.ticks, float(info.fps)))
    return cropped_views(lambda numbers, framer: video.decode_frames(source, numbers, framer=framer), clips, preprocess, spatial)


def check_views(views: tuple[int, int]) -> tuple[int, int]:
    """`views` itself, if it is two numbers of at least 1."""
    if not isinstance(views, Sequence) or len(views) != 2 or not all(isinstance(n, numbers.Integral) and n >= 1 for n in views):
        raise UserError(f"views must be (temporal, spatial), two whole numbers, each at least 1, got {views!r}")
    return tuple(views)


def _stride(preprocess: Preprocess, fps: float | None) -> float:
    """Source frames between two frames of a clip."""
    if preprocess.rate is None:
        return preprocess.stride
    return 1.0 if fps is None else fps / preprocess.rate


def _offsets(frames: int, stride: float) -> np.ndarray:
    """Source frames from the first frame of a clip to each; rounded twice, so that a rate stored in 32 bits gives the same ones."""
    return np.floor(np.round(stride * np.arange(frames), 3) + 0.5).astype(np.int64)


def _length(frames: int, stride: float) -> int:
    """Source frames from the first frame of a clip to its last, both counted."""
    return int(_offsets(frames, stride)[-1]) + 1


def _scaled(height: int, width: int, preprocess: Preprocess) -> Framing:
    return Framing(slice(height), slice(width), scaled_size(height, width, preprocess.resize, preprocess.crop))
