"""Stored clips as pictures that play in a page."""

import base64
import io

import numpy as np
from PIL import Image

from vivit_jax.data.dataset import VideoDataset
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.errors import UserError

CLIP_FRAMES = 16
CLIP_PIXELS = 128


def playing(dataset: VideoDataset, split: str, index: int) -> tuple[str, str]:
    """The name of a clip, and the clip itself as a data URI: an animated WebP at its own speed.

    Args:
      dataset: the data set that has the clip.
      split: its split, by name or expression.
      index: number of the clip in the split.

    Raises:
      UserError: if the data set has no such clip, or the clip is damaged.
    """
    source = dataset.source(split)
    if index >= len(source):
        raise UserError(f"split {split} of data set {dataset.name} has {len(source)} videos, and number {index} was scored")
    record = source[index]
    count = int(record["frames"])
    frames = decode_frames(record["video"], np.linspace(0, count - 1, min(CLIP_FRAMES, count)).round().astype(int))
    return record["name"], _animation(frames, seconds=count / float(record["fps"]))


def _animation(frames: np.ndarray, seconds: float) -> str:
    """Frames (t, h, w, 3) as an animated WebP that lasts `seconds`."""
    images = [Image.fromarray(frame) for frame in frames]
    for image in images:
        image.thumbnail((2 * CLIP_PIXELS, CLIP_PIXELS))
    buffer = io.BytesIO()
    images[0].save(buffer, "WEBP", save_all=True, append_images=images[1:], duration=max(20, round(1000 * seconds / len(images))), loop=0)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
