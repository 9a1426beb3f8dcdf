"""RandAugment (Cubuk et al. 2020) on clips: a few operations drawn from a set, all at one magnitude.

The sets and what a magnitude means are Scenic's, whose RandAugment is photometric: magnitude 10 is the full strength of an operation, and
the paper's 15 and 20 go beyond. Two operations grow weaker with the magnitude instead, until they change nothing: `posterise`
keeps more bits, `solarise` begins at brighter values. The geometric set is for magnitudes up to 10: beyond, it leaves little of a frame.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from vivit_jax.data.augment import operations, warps


@dataclasses.dataclass(frozen=True)
class Draw:
    """What an operation depends on.

    Attributes:
      level: the magnitude over 10.
      sign: -1 or 1, the direction of a warp.
      centre: (down, right) of a cutout, as shares of the frame.
    """

    level: float
    sign: int
    centre: tuple[float, float]

    @property
    def factor(self) -> float:
        """The factor that colour, contrast, brightness and sharpness use."""
        return 0.1 + 1.8 * self.level

    @property
    def signed(self) -> float:
        """The level in the drawn direction."""
        return self.sign * self.level


def _cutout(clip: np.ndarray, draw: Draw) -> np.ndarray:
    h, w = clip.shape[1:3]
    centre = (int(draw.centre[0] * h), int(draw.centre[1] * w))
    return operations.cutout(clip, int(draw.level * min(h, w) * 40 / 224), centre)  # Scenic's 40 pixels, of its crop of 224


PHOTOMETRIC: dict[str, Callable[[np.ndarray, Draw], np.ndarray]] = {
    "identity": lambda clip, draw: clip,
    "autocontrast": lambda clip, draw: operations.autocontrast(clip),
    "equalise": lambda clip, draw: operations.equalise(clip),
    "invert": lambda clip, draw: operations.invert(clip),
    "posterise": lambda clip, draw: operations.posterise(clip, min(8, max(1, int(4 * draw.level)))),
    "solarise": lambda clip, draw: operations.solarise(clip, int(256 * draw.level)),
    "solarise_add": lambda clip, draw: operations.solarise_add(clip, int(110 * draw.level)),
    "colour": lambda clip, draw: operations.colour(clip, draw.factor),
    "contrast": lambda clip, draw: operations.contrast(clip, draw.factor),
    "brightness": lambda clip, draw: operations.brightness(clip, draw.factor),
    "sharpness": lambda clip, draw: operations.sharpness(clip, draw.factor),
    "cutout": _cutout,
}

GEOMETRIC: dict[str, Callable[[np.ndarray, Draw], np.ndarray]] = {
    "rotate": lambda clip, draw: warps.rotate(clip, 30 * draw.signed),
    "shear_x": lambda clip, draw: warps.shear_x(clip, 0.3 * draw.signed),
    "shear_y": lambda clip, draw: warps.shear_y(clip, 0.3 * draw.signed),
    "translate_x": lambda clip, draw: warps.translate_x(clip, draw.signed * clip.shape[2] * 100 / 224),
    "translate_y": lambda clip, draw: warps.translate_y(clip, draw.signed * clip.shape[1] * 100 / 224),
}


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operation that was drawn.

    Attributes:
      name: its key in `PHOTOMETRIC` or `GEOMETRIC`.
      draw: what it depends on.
    """

    name: str
    draw: Draw

    def __call__(self, clip: np.ndarray) -> np.ndarray:
        """Applies the operation to a clip, uint8 (t, h, w, 3)."""
        return (PHOTOMETRIC | GEOMETRIC)[self.name](clip, self.draw)


def random_operations(generator: np.random.Generator, layers: int, magnitude: float, geometric: bool) -> list[Operation]:
    """Draws `layers` operations, each equally likely, `identity` among them."""
    names = [*PHOTOMETRIC, *(GEOMETRIC if geometric else ())]
    drawn = generator.random((layers, 4))
    return [
        Operation(names[int(choice * len(names))], Draw(magnitude / 10, 1 if sign < 0.5 else -1, (down, right)))
        for choice, sign, down, right in drawn
    ]
