"""Decodes the views of a video a few at a time, so that memory does not grow with their number.

It imports no JAX: neither do the processes that decode, which would start a second later.
"""

import math
import os

import numpy as np

from vivit_jax.data.sampling import check_views, judged_clips
from vivit_jax.data.video.geometry import Framing, scaled_size, spatial_crops
from vivit_jax.data.video.reader import decode_frames, probe
from vivit_jax.errors import UserError, in_one_line
from vivit_jax.preprocess import Preprocess, Views


def groups(views: Views, size: int) -> list[range]:
    """The numbers of all (temporal, spatial) views, in groups of at most `size`; the crops of a clip follow each other."""
    total = math.prod(check_views(views))
    return [range(start, min(start + size, total)) for start in range(0, total, size)]


def decode_group(video: str | os.PathLike | bytes, group: range, preprocess: Preprocess, views: Views) -> np.ndarray:
    """Decodes some of the views of a video.

    Args:
      video: its path, or its bytes.
      group: numbers of views; view v is crop v % spatial of clip v // spatial.
      preprocess: frames, stride, scale and crop of a clip.
      views: (temporal, spatial): how many clips there are in time, and crops of each.

    Returns:
      uint8 (v, t, h, w, 3).

    Raises:
      UserError: naming the video, if it cannot be read.
    """
    info = probe(video)
    ticks, rows = _frames_of(group, preprocess, views, info.ticks, float(info.fps))
    frames = decode_frames(video, info.shown_at(ticks), framer=lambda height, width: _whole(height, width, preprocess))
    return _cropped(frames, rows, group, preprocess, views)


def decode_task(task: tuple[int, str, range], *, preprocess: Preprocess, views: Views) -> np.ndarray:
    """`decode_group` of a (number, path, group) in a process of its own, where whatever is wrong with a file is that file's error."""
    _, video, group = task
    try:
        return decode_group(video, group, preprocess, views)
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{video}: there is not enough memory to decode it") from None
    except Exception as error:
        raise UserError(f"{video}: {type(error).__name__}: {in_one_line(error)}") from None


def views_of_frames(frames: np.ndarray, group: range, preprocess: Preprocess, views: Views) -> np.ndarray:
    """`decode_group` for a video whose frames are already decoded, and at the rate that `preprocess` wants, if it wants one.

    Args:
      frames: uint8 (t, h, w, 3), RGB.
      group: as for `decode_group`.
      preprocess: as for `decode_group`.
      views: as for `decode_group`.

    Raises:
      UserError: for frames of another type or shape.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
        raise UserError(f"frames must be uint8 (t, h, w, 3) in 0..255, got {frames.dtype} {frames.shape}")
    numbers, rows = _frames_of(group, preprocess, views, len(frames), None)
    framing = _whole(*frames.shape[1:3], preprocess)
    return _cropped(framing.show((frames[number] for number in numbers), len(numbers)), rows, group, preprocess, views)


def _frames_of(
    group: range, preprocess: Preprocess, views: Views, video_frames: int, fps: float | None
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """The numbers of the frames that a group of views needs, ascending; and for each clip, its frames as positions in that list."""
    temporal, spatial = views
    first, last = group[0] // spatial, group[-1] // spatial
    clips = judged_clips(temporal, preprocess, video_frames, fps)[first : last + 1]
    numbers, positions = np.unique(clips, return_inverse=True)
    return numbers, dict(enumerate(positions.reshape(clips.shape), start=first))


def _whole(height: int, width: int, preprocess: Preprocess) -> Framing:
    return Framing(slice(height), slice(width), scaled_size(height, width, preprocess.resize, preprocess.crop))


def _cropped(frames: np.ndarray, rows: dict[int, np.ndarray], group: range, preprocess: Preprocess, views: Views) -> np.ndarray:
    crops = spatial_crops(*frames.shape[1:3], preprocess.crop, views[1])
    return np.stack([frames[rows[view // views[1]]][(slice(None), *crops[view % views[1]])] for view in group])
