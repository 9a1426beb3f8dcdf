"""Draws how a clip's colours change; `training.colours` changes them, on the device."""

import numpy as np
from jaxtyping import Float

from vivit_jax.data.config import AugmentConfig

BRIGHTNESS = 32 / 255
SATURATION = CONTRAST = 0.4
HUE = 0.2

# What `training.colours.recoloured` leaves as it is.
UNCHANGED = (0.0, 1.0, 1.0, 0.0, 0.0)


def random_colours(generator: np.random.Generator, augment: AugmentConfig) -> Float[np.ndarray, "5"]:
    """Draws brightness, saturation, contrast, hue and grey (0 or 1), as `training.colours.recoloured` takes them.

    The ranges are Scenic's times `augment.colour_strength`: brightness up to 32/255, saturation and contrast 0.6 to 1.4, hue up to
    0.2 of the colour wheel.
    """
    jitter_toss, grey_toss = generator.random(2)
    colours = np.float32(UNCHANGED)
    if jitter_toss < augment.colour_jitter:
        reach = np.array([BRIGHTNESS, SATURATION, CONTRAST, HUE])
        colours[:4] += augment.colour_strength * generator.uniform(-1, 1, 4) * reach
    colours[4] = grey_toss < augment.greyscale
    return colours
