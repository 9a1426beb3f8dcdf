"""Stored clips as small videos that play in a page."""

import base64

import cv2
import numpy as np

from vivit_jax.data.dataset import VideoDataset
from vivit_jax.data.video.encoder import encode
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.errors import UserError
from vivit_jax.runs.pages.page import text

SCRIPT = "clips.js"
CLIP_FRAMES = 32
CLIP_PIXELS = 128  # of the shorter side


def clip_as_uri(dataset: VideoDataset, split: str, index: int) -> tuple[str, str]:
    """The name of a clip, and the clip itself as a data URI: an mp4 of at most CLIP_FRAMES frames, at its own speed.

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
    video = encode(map(_small, frames), len(frames) * float(record["fps"]) / count)
    return record["name"], f"data:video/mp4;base64,{base64.b64encode(video).decode()}"


def player(uri: str, label: str) -> str:
    """A clip on the page, which begins to play by itself, without end; `label` describes it for readers who cannot see it."""
    return f'<video src="{uri}" aria-label="{text(label)}" autoplay loop muted playsinline controls></video>'


def _small(frame: np.ndarray) -> np.ndarray:
    """A frame with a shorter side of at most CLIP_PIXELS, and even sides."""
    height, width = frame.shape[:2]
    scale = min(1, CLIP_PIXELS / min(height, width))
    size = [min(max(2, round(side * scale / 2) * 2), 3 * CLIP_PIXELS) for side in (width, height)]
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
