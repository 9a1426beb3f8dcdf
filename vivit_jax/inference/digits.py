"""Numbers as files of predictions hold them."""

import math


def float32_digits(value: float) -> float:
    """A number with the seven digits that float32 has; just below 1, seven digits of what is missing to 1.

    More digits would only show the noise of the conversion. With fewer near 1, probabilities would tie that the model ranks.
    """
    missing = 1 - value
    if 0 < missing < 0.1:
        return round(float(value), 6 - math.floor(math.log10(missing)))
    return float(f"{value:.7g}")
