"""The geometric operations of RandAugment. Each takes a clip, uint8 (t, h, w, 3), and gives another of the same shape, holes in grey."""

import cv2
import numpy as np

from vivit_jax.data.augment.operations import GREY


def rotate(clip: np.ndarray, degrees: float) -> np.ndarray:
    """Turns the frames counterclockwise about their centre."""
    h, w = clip.shape[1:3]
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cosine, -sine], [sine, cosine]])
    centre = np.array([w, h]) / 2
    return _warp(clip, turn, centre - turn @ centre)


def shear_x(clip: np.ndarray, amount: float) -> np.ndarray:
    """Moves each row to the left by `amount` times its distance from the top."""
    return _warp(clip, np.array([[1, amount], [0, 1]]), np.zeros(2))


def shear_y(clip: np.ndarray, amount: float) -> np.ndarray:
    """Moves each column up by `amount` times its distance from the left."""
    return _warp(clip, np.array([[1, 0], [amount, 1]]), np.zeros(2))


def translate_x(clip: np.ndarray, pixels: float) -> np.ndarray:
    """Moves the frames to the left by `pixels`."""
    return _warp(clip, np.eye(2), np.array([pixels, 0]))


def translate_y(clip: np.ndarray, pixels: float) -> np.ndarray:
    """Moves the frames up by `pixels`."""
    return _warp(clip, np.eye(2), np.array([0, pixels]))


def _warp(clip: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Fills each point (x, y) with what was at `matrix @ (x, y) + offset`, interpolated bilinearly. (0, 0) is the frame's corner."""
    half = np.full(2, 0.5)
    pixels = np.column_stack([matrix, matrix @ half + offset - half])  # OpenCV counts from the first pixel's centre
    result = np.empty_like(clip)
    for frame, target in zip(clip, result, strict=True):
        cv2.warpAffine(
            frame,
            pixels,
            (clip.shape[2], clip.shape[1]),
            target,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderValue=(GREY, GREY, GREY),
        )
    return result
