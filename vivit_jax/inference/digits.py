"""Numbers as files of predictions hold them."""


def float32_digits(value: float) -> float:
    """A number with the seven digits that float32 has: more would only show the noise of the conversion."""
    return float(f"{value:.7g}")
