"""Random erasing (Zhong et al. 2020) of clips."""

import dataclasses

import numpy as np

from vivit_jax.data.augment.geometry import Box, random_box

AREA = (0.02, 1 / 3)
ASPECT = (0.3, 1 / 0.3)


@dataclasses.dataclass(frozen=True)
class Erasing:
    """A box of noise, the same in all frames.

    Attributes:
      box: the part of the frame that is covered.
      seed: the seed of the noise.
    """

    box: Box
    seed: int

    def __call__(self, clip: np.ndarray) -> np.ndarray:
        """A clip, uint8 (t, h, w, 3), with the box covered."""
        rows, columns = self.box(*clip.shape[1:3])
        result = clip.copy()
        noise = np.random.default_rng(self.seed)
        result[:, rows, columns] = noise.integers(0, 256, result[0, rows, columns].shape, dtype=np.uint8)
        return result


def random_erasing(generator: np.random.Generator) -> Erasing:
    """Draws a box of 2 to 33 % of the frame's area, at most 3.3 times as long as wide."""
    down, right = generator.random(2)
    return Erasing(random_box(generator, AREA, ASPECT, (down, right)), int(generator.integers(2**32)))
