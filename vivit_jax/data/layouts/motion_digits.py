"""The embedded data set: nothing to read, every video is made."""

import functools
from fractions import Fraction

import numpy as np

from vivit_jax.data import motion_digits
from vivit_jax.data.layouts.base import Annotations, Clip, Reading


def read(source: None = None, reading: Reading | None = None) -> Annotations:
    """Lists the videos of `vivit_jax.data.motion_digits`; there is no source."""
    clips = [
        Clip(f"{split}/{index:05d}", split, motion_digits.LABELS[index % len(motion_digits.LABELS)], functools.partial(make, split, index))
        for split, count in motion_digits.SPLITS.items()
        for index in range(count)
    ]
    return Annotations(clips, motion_digits.LABELS)


def make(split: str, index: int) -> tuple[np.ndarray, Fraction]:
    """The frames of one video, uint8 (t, h, w, 3), and their rate."""
    return motion_digits.render(split, index)[0], Fraction(motion_digits.FPS)
