"""Scale, crop and flip."""

import dataclasses

import numpy as np

from vivit_jax.data.config import AugmentConfig
from vivit_jax.data.geometry import resize, scaled_size


@dataclasses.dataclass(frozen=True)
class Geometry:
    """What happens to the shape of each frame: scale, crop, flip. Drawn before the frame's size is known.

    Attributes:
      short_side: pixels that the short side is scaled to.
      crop: (height, width) in pixels.
      corner: where the crop lies in the room it has, (down, right), each in [0, 1).
      flip: whether left and right change places.
    """

    short_side: float
    crop: tuple[int, int]
    corner: tuple[float, float]
    flip: bool

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """A frame, uint8 (h, w, 3), to its crop."""
        height, width = scaled_size(*frame.shape[:2], self.short_side, self.crop)
        rows = _window(self.corner[0], self.crop[0], height, frame.shape[0])
        columns = _window(self.corner[1], self.crop[1], width, frame.shape[1])
        crop = resize(frame[rows, columns], *self.crop)  # what is cropped away need not be scaled
        return crop[:, ::-1] if self.flip else crop


def _window(corner: float, crop: int, scaled: int, extent: int) -> slice:
    """Where the crop lies along a side of `extent` pixels, if it lies at `corner` of its room once the side is scaled to `scaled`."""
    start = int(corner * (scaled - crop + 1))
    return slice(round(start * extent / scaled), round((start + crop) * extent / scaled))


def random_geometry(generator: np.random.Generator, augment: AugmentConfig, short_side: int, crop: tuple[int, int]) -> Geometry:
    """Draws scale, crop and flip of one clip. The same draws are made whatever `augment` uses of them."""
    scale, down, right, flip = generator.random(4)
    low, high = augment.scale_jitter or (1.0, 1.0)
    return Geometry(short_side * (low + (high - low) * scale), crop, (down, right), bool(flip < augment.flip))
