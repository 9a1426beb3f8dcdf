"""Augments volumes that are stored as clips: their three axes are alike, so they may be flipped, shifted and rotated along each."""

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


@dataclasses.dataclass(frozen=True)
class Rotation:
    """A rotation about the centre of the clip.

    Attributes:
      vector: the axis of the rotation, in (time, height, width), whose length is the angle in radians (a rotation vector).
    """

    vector: tuple[float, float, float]

    def __call__(self, clip: np.ndarray) -> np.ndarray:
        """Rotates a clip, uint8 (t, h, w, 3), by trilinear interpolation; its edge fills the gaps, and the shape stays."""
        import scipy.ndimage  # not at the top: every process that reads clips would wait for both, and hardly any rotates
        import scipy.spatial

        back = scipy.spatial.transform.Rotation.from_rotvec(self.vector).inv().as_matrix()
        centre = (np.array(clip.shape[:3]) - 1) / 2
        channels = clip[..., :1] if (clip == clip[..., :1]).all() else clip  # a grey one, as most are, is interpolated once
        rotated = [
            scipy.ndimage.affine_transform(channel, back, centre - back @ centre, order=1, mode="nearest")
            for channel in np.moveaxis(channels, -1, 0)
        ]
        return np.ascontiguousarray(np.broadcast_to(np.stack(rotated, axis=-1), clip.shape))


def random_move(generator: np.random.Generator, augment: AugmentConfig) -> Move:
    """Draws the shifts and the flips along time and height. The flip along width is drawn with the crop, by `random_geometry`."""
    time, height = generator.random(2)
    shift = generator.integers(-augment.shift, augment.shift, size=3, endpoint=True)
    return Move((bool(time < augment.flip_time), bool(height < augment.flip_vertical), False), tuple(shift.tolist()))


def random_rotation(generator: np.random.Generator, augment: AugmentConfig) -> Rotation:
    """Draws an axis of any direction, and an angle of at most `augment.rotation` degrees either way."""
    axis = generator.standard_normal(3)
    degrees = generator.uniform(-augment.rotation, augment.rotation)
    return Rotation(tuple((np.radians(degrees) * axis / np.linalg.norm(axis)).tolist()))
