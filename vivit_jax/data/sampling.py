"""Which frames and which crop of a video make a clip: one at random to train on, several evenly spread to be judged by (Sec. 4.1)."""

import functools

import numpy as np

from vivit_jax.data.video import reader as video
from vivit_jax.data.video.container import Source
from vivit_jax.data.video.geometry import Framing, scaled_size, spatial_crops, spread
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Preprocess


def clip_indices(start: int, frames: int, stride: int, video_frames: int) -> np.ndarray:
    """Frame numbers of the clip that begins at `start`, int64 (frames,). A video that ends first starts over, as in Scenic."""
    return (start + stride * np.arange(frames)) % video_frames


def random_clip(generator: np.random.Generator, frames: int, stride: int, video_frames: int) -> np.ndarray:
    """Frame numbers of a clip that begins anywhere it fits, int64 (frames,); at 0 if it fits nowhere."""
    return clip_indices(int(generator.integers(_starts(frames, stride, video_frames))), frames, stride, video_frames)


def spread_clips(count: int, frames: int, stride: int, video_frames: int) -> np.ndarray:
    """Frame numbers of `count` clips spread evenly from the first frame to the last, int64 (count, frames); one is in the middle."""
    starts = spread(video_frames, (frames - 1) * stride + 1, count)
    return np.stack([clip_indices(int(start), frames, stride, video_frames) for start in starts])


def centre_clip(video_frames: int, preprocess: Preprocess) -> np.ndarray:
    """Frame numbers of the one clip that stands for a video, the middle one, int64 (frames,)."""
    return spread_clips(1, preprocess.frames, preprocess.stride, video_frames)[0]


def reorder(indices: np.ndarray, order: str, generator: np.random.Generator) -> np.ndarray:
    """A clip's frame numbers in a `temporal_order` of `DataConfig`: `forward`, `shuffled`, or `one_frame` of them repeated."""
    if order == "shuffled":
        return generator.permutation(indices)
    if order == "one_frame":
        return np.full_like(indices, generator.choice(indices))
    return indices


def decode_views(
    source: Source, clips: np.ndarray, preprocess: Preprocess, spatial: int, *, stored: bool = False, name: str | None = None
) -> np.ndarray:
    """Decodes clips of a video, each frame once, and crops each clip `spatial` times.

    Args:
      source: path or bytes.
      clips: frame numbers, int64 (n, t).
      preprocess: the size to scale and crop to.
      spatial: crops spread along the longer side: 1 is the centre, 3 left, centre, right or top, centre, bottom.
      stored: as for `decode_frames`.
      name: what errors call the video.

    Returns:
      uint8 (v, t, h, w, 3), v = n * spatial, the crops of a clip beside each other.
    """
    numbers, positions = np.unique(clips, return_inverse=True)
    frames = video.decode_frames(source, numbers, framer=functools.partial(_scaled, preprocess=preprocess), stored=stored, name=name)
    crops = spatial_crops(*frames.shape[1:3], preprocess.crop, spatial)
    return np.stack([frames[rows][:, top, left] for rows in positions.reshape(clips.shape) for top, left in crops])


def views_of_video(source: Source, preprocess: Preprocess, views: tuple[int, int] = (1, 1)) -> np.ndarray:
    """The views a video is judged by: `views` = (temporal, spatial), spread evenly in time and along the longer side.

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
    video_frames = video.probe(source).frames
    return decode_views(source, spread_clips(temporal, preprocess.frames, preprocess.stride, video_frames), preprocess, spatial)


def check_views(views: tuple[int, int]) -> tuple[int, int]:
    """`views` itself, if it is two numbers of at least 1."""
    if len(views) != 2 or min(views) < 1:
        raise UserError(f"views must be (temporal, spatial), each at least 1, got {tuple(views)}")
    return tuple(views)


def _starts(frames: int, stride: int, video_frames: int) -> int:
    """How many frames a clip can begin at and end within the video; 1 if it does not fit."""
    return max(1, video_frames - (frames - 1) * stride)


def _scaled(height: int, width: int, preprocess: Preprocess) -> Framing:
    return Framing(slice(height), slice(width), scaled_size(height, width, preprocess.resize, preprocess.crop))
