"""Transforms of a training clip. Each is drawn once a clip and is the same for all its frames.

A clip's draws are made before it is decoded, and those of one transform do not depend on whether another is on.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from vivit_jax.data.augment.colour import random_colours
from vivit_jax.data.augment.erasing import random_erasing
from vivit_jax.data.augment.geometry import Geometry, random_geometry
from vivit_jax.data.augment.randaugment import random_operations
from vivit_jax.data.augment.volume import random_move, random_rotation
from vivit_jax.data.config import AugmentConfig

ClipTransform = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The transforms drawn for one clip.

    Attributes:
      geometry: which part of each frame is decoded, and how it is resized and flipped.
      transforms: functions from clip to clip, uint8 (t, h, w, 3), applied in this order.
      colours: how the device then changes its colours, float32 (5,).
    """

    geometry: Geometry
    transforms: tuple[ClipTransform, ...]
    colours: np.ndarray

    def __call__(self, clip: np.ndarray) -> np.ndarray:
        """Applies `transforms` to a clip whose frames `geometry` has framed; the result goes to the device."""
        for transform in self.transforms:
            clip = transform(clip)
        return clip


def random_augmentation(generator: np.random.Generator, augment: AugmentConfig, short_side: int, crop: tuple[int, int]) -> Augmentation:
    """Draws the transforms of one clip.

    Args:
      generator: random numbers for this clip alone.
      augment: which transforms, how often and how strong.
      short_side: pixels that the short side is scaled to.
      crop: (height, width) in pixels.
    """
    colours, layers, erasing = generator.spawn(3)
    geometry = random_geometry(generator, augment, short_side, crop)
    volume, rotation = generator.spawn(2)  # last, so that the draws before are those of versions without them
    transforms: list[ClipTransform] = []
    if augment.rotation:
        transforms.append(random_rotation(rotation, augment))
    if augment.flip_vertical or augment.flip_time or augment.shift:
        transforms.append(random_move(volume, augment))
    transforms += random_operations(layers, augment.randaugment_layers, augment.randaugment_magnitude, augment.randaugment_geometric)
    if erasing.random() < augment.erasing:
        transforms.append(random_erasing(erasing))
    return Augmentation(geometry, tuple(transforms), random_colours(colours, augment))
