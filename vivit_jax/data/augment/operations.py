"""The photometric operations of RandAugment, defined as in PIL. Statistics such as a histogram are taken over the whole clip.

Each takes a clip, uint8 (t, h, w, 3), and gives another of the same shape.
"""

import cv2
import numpy as np

GREY = 128  # what fills holes
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R 601
SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13


def autocontrast(clip: np.ndarray) -> np.ndarray:
    """Stretches each channel so that its darkest value becomes 0 and its brightest 255."""
    tables = []
    for counts in _histograms(clip):
        present = np.flatnonzero(counts)
        low, high = present[0], present[-1]
        tables.append((np.arange(256) - low) * 255 // (high - low) if high > low else np.arange(256))
    return _look_up(clip, np.stack(tables, 1))


def equalise(clip: np.ndarray) -> np.ndarray:
    """Spreads each channel's values so that all are about as frequent."""
    tables = []
    for counts in _histograms(clip):
        present = counts[counts > 0]
        step = (present.sum() - present[-1]) // 255
        tables.append((step // 2 + np.cumsum(counts) - counts) // step if step else np.arange(256))
    return _look_up(clip, np.stack(tables, 1))


def invert(clip: np.ndarray) -> np.ndarray:
    """Replaces each value by 255 minus it."""
    return 255 - clip


def posterise(clip: np.ndarray, bits: int) -> np.ndarray:
    """Keeps the highest `bits` of each value's 8."""
    return clip & np.uint8(256 - (1 << 8 - bits))


def solarise(clip: np.ndarray, threshold: int) -> np.ndarray:
    """Replaces each value of at least `threshold` by 255 minus it."""
    levels = np.arange(256)
    return _look_up(clip, np.where(levels < threshold, levels, 255 - levels))


def solarise_add(clip: np.ndarray, addition: int) -> np.ndarray:
    """Adds `addition` to each value below 128."""
    levels = np.arange(256)
    return _look_up(clip, np.where(levels < 128, levels + addition, levels))


def colour(clip: np.ndarray, factor: float) -> np.ndarray:
    """Scales the distance of each pixel from its grey by `factor`; 0 gives grey, 1 the clip itself."""
    return cv2.transform(_tall(clip), factor * np.eye(3) + (1 - factor) * LUMINANCE).reshape(clip.shape)


def contrast(clip: np.ndarray, factor: float) -> np.ndarray:
    """Scales the distance of each value from the mean luminance by `factor`; 0 gives the mean everywhere, 1 the clip itself."""
    mean = round(LUMINANCE @ cv2.mean(_tall(clip))[:3])
    return _look_up(clip, mean + factor * (np.arange(256) - mean))


def brightness(clip: np.ndarray, factor: float) -> np.ndarray:
    """Multiplies each value by `factor`; 0 gives black, 1 the clip itself."""
    return _look_up(clip, factor * np.arange(256))


def sharpness(clip: np.ndarray, factor: float) -> np.ndarray:
    """Scales the difference from the smoothed clip by `factor`; 0 gives the smoothed clip, 1 the clip itself. The outermost pixels stay."""
    kernel = (1 - factor) * SMOOTH
    kernel[1, 1] += factor
    result = clip.copy()
    for frame, target in zip(clip, result, strict=True):
        target[1:-1, 1:-1] = cv2.filter2D(frame, -1, kernel)[1:-1, 1:-1]
    return result


def cutout(clip: np.ndarray, half_side: int, centre: tuple[int, int]) -> np.ndarray:
    """Covers a square of side 2 `half_side` around `centre` (row, column) in grey, as much of it as lies inside."""
    top, left = (max(0, position - half_side) for position in centre)
    result = clip.copy()
    result[:, top : centre[0] + half_side, left : centre[1] + half_side] = GREY
    return result


def _tall(clip: np.ndarray) -> np.ndarray:
    """The frames below one another, (t h, w, 3)."""
    return clip.reshape(-1, *clip.shape[2:])


def _look_up(clip: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Values replaced by a table, (256,) or a column for each channel, (256, 3)."""
    table = np.clip(np.round(table), 0, 255).astype(np.uint8)
    return cv2.LUT(_tall(clip), table.reshape(1, 256, -1)).reshape(clip.shape)


def _histograms(clip: np.ndarray) -> list[np.ndarray]:
    """Counts of the 256 values in each channel."""
    return [cv2.calcHist([_tall(clip)], [channel], None, [256], [0, 256]).ravel().astype(np.int64) for channel in range(3)]
