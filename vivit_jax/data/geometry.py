"""Sizes, resizing and crops of frames."""

import cv2
import numpy as np


def scaled_size(height: int, width: int, short_side: float, crop: tuple[int, int] = (1, 1)) -> tuple[int, int]:
    """(height, width) scaled to a short side of `short_side`, aspect ratio kept; more where a `crop` (height, width) would not fit."""
    scale = max(short_side / min(height, width), crop[0] / height, crop[1] / width)
    return max(crop[0], round(height * scale)), max(crop[1], round(width * scale))


def resize(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """A frame (h, w, 3) at another size: bilinear, or averaged over areas where it shrinks to half or less. Itself if it fits."""
    if frame.shape[:2] == (height, width):
        return frame
    halves = 2 * height <= frame.shape[0] and 2 * width <= frame.shape[1]
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if halves else cv2.INTER_LINEAR)


def spread(extent: int, length: int, count: int) -> np.ndarray:
    """Starts of `count` windows of `length` spread evenly over `extent`, ends included; the middle one if there is only one. int64."""
    room = max(0, extent - length)
    return np.array([room // 2]) if count == 1 else np.round(np.linspace(0, room, count)).astype(np.int64)


def spatial_crops(height: int, width: int, crop: tuple[int, int], count: int) -> list[tuple[slice, slice]]:
    """`count` crops spread along the longer side (left, centre, right or top, centre, bottom for three), centred across it."""
    along_height = height > width
    tops = spread(height, crop[0], count if along_height else 1)
    lefts = spread(width, crop[1], 1 if along_height else count)
    return [(slice(top, top + crop[0]), slice(left, left + crop[1])) for top in tops for left in lefts]
