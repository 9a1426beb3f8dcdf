"""Augments volumes that are stored as clips: their three axes are alike, so each may be flipped and shifted."""

import dataclasses

import numpy as np

from vivit_jax.data.config import AugmentConfig


@dataclasses.dataclass(frozen=True)
class Move:
    """A flip and a shift along each axis, (time, height, width).

    Attributes:
      backwards: whether the order along each axis is reversed.
      shift: frames or pixels by which the clip is then moved along each axis, towards the end if positive; its edge fills the gap.
    """

    backwards: tuple[bool, bool, bool]
    shift: tuple[int, int, int]

    def __call__(self, clip: np.ndarray) -> np.ndarray:
        """Flips and then shifts a clip, uint8 (t, h, w, 3); the shape stays."""
        axes = []
        for extent, backwards, shift in zip(clip.shape[:3], self.backwards, self.shift, strict=True):
            numbers = np.arange(extent)[::-1] if backwards else np.arange(extent)
            axes.append(numbers[np.clip(np.arange(extent) - shift, 0, extent - 1)])
        return clip[np.ix_(*axes)]


def random_move(generator: np.random.Generator, augment: AugmentConfig) -> Move:
    """Draws the shifts and the flips along time and height. The flip along width is drawn with the crop, by `random_geometry`."""
    time, height = generator.random(2)
    shift = generator.integers(-augment.shift, augment.shift, size=3, endpoint=True)
    return Move((bool(time < augment.flip_time), bool(height < augment.flip_vertical), False), tuple(shift.tolist()))
