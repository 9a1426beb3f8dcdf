"""Which part of a frame becomes the crop, and whether it is flipped."""

import dataclasses
import math

import numpy as np

from vivit_jax.data.config import AugmentConfig
from vivit_jax.data.video.geometry import Framing, scaled_size

ASPECT = 4 / 3  # the most by which the aspect of a random resized crop differs from that of the model's crop, as a factor either way


@dataclasses.dataclass(frozen=True)
class ScaledCrop:
    """A crop of the frame scaled to a short side.

    Attributes:
      short_side: pixels that the short side is scaled to.
      stretch: a further factor on the width alone.
      crop: (height, width) in pixels.
      corner: where the crop lies within the room it has to move, (down, right), each in [0, 1).
    """

    short_side: float
    stretch: float
    crop: tuple[int, int]
    corner: tuple[float, float]

    def __call__(self, height: int, width: int) -> tuple[slice, slice]:
        """The rows and columns of a frame of this size that become the crop."""
        scaled_height, scaled_width = scaled_size(height, width, self.short_side, self.crop)
        scaled_width = max(self.crop[1], round(scaled_width * self.stretch))
        return (
            _window(self.corner[0], self.crop[0], scaled_height, height),
            _window(self.corner[1], self.crop[1], scaled_width, width),
        )


@dataclasses.dataclass(frozen=True)
class Box:
    """A part of the frame with some area. Where it would not fit in one direction, it is cut to the frame.

    Attributes:
      area: its share of the frame's area.
      aspect: width over height, in pixels.
      corner: where the box lies within the room it has to move, (down, right), each in [0, 1).
    """

    area: float
    aspect: float
    corner: tuple[float, float]

    def __call__(self, height: int, width: int) -> tuple[slice, slice]:
        """Its rows and columns in a frame of this size."""
        pixels = self.area * height * width
        sides = min(height, max(1, round(math.sqrt(pixels / self.aspect)))), min(width, max(1, round(math.sqrt(pixels * self.aspect))))
        return _window(self.corner[0], sides[0], height, height), _window(self.corner[1], sides[1], width, width)


@dataclasses.dataclass(frozen=True)
class Geometry:
    """What happens to the shape of each frame. Drawn before the frame's size is known.

    Attributes:
      window: the part of the frame that is seen.
      crop: (height, width) in pixels that it is resized to.
      flip: whether left and right change places.
    """

    window: ScaledCrop | Box
    crop: tuple[int, int]
    flip: bool

    def __call__(self, height: int, width: int) -> Framing:
        """What is shown of frames of this size: what is cropped away need not be scaled."""
        return Framing(*self.window(height, width), self.crop, self.flip)


def _window(corner: float, crop: int, scaled: int, extent: int) -> slice:
    """Where the crop lies along a side of `extent` pixels, if it lies at `corner` of its room once the side is scaled to `scaled`."""
    start = int(corner * (scaled - crop + 1))
    return slice(round(start * extent / scaled), round((start + crop) * extent / scaled))


def random_geometry(generator: np.random.Generator, augment: AugmentConfig, short_side: int, crop: tuple[int, int]) -> Geometry:
    """Draws the part of the frame and the flip of one clip.

    The draws do not depend on which of them `augment` uses.
    """
    scale, down, right, flip = generator.random(4)
    (shapes,) = generator.spawn(1)
    if augment.random_resized_crop:
        window = random_box(shapes, augment.random_resized_crop, (1 / ASPECT, ASPECT), (down, right))
        window = dataclasses.replace(window, aspect=window.aspect * crop[1] / crop[0])
    else:
        low, high = augment.scale_jitter or (1.0, 1.0)
        factor = low + (high - low) * scale
        stretch = shapes.uniform(low, high) / factor if augment.scale_jitter_independent else 1.0
        window = ScaledCrop(short_side * factor, stretch, crop, (down, right))
    return Geometry(window, crop, bool(flip < augment.flip))


def random_box(generator: np.random.Generator, area: tuple[float, float], aspect: tuple[float, float], corner: tuple[float, float]) -> Box:
    """Draws a box at `corner`.

    Its share of the frame's area is uniform in the range `area`, and the logarithm of its aspect is uniform in that of the range `aspect`.
    """
    return Box(generator.uniform(*area), math.exp(generator.uniform(*np.log(aspect))), corner)
