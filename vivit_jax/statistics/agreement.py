"""How often two runs predict the same, right or wrong."""

import numpy as np
from jaxtyping import Int


def equal_share(a: Int[np.ndarray, " n"], b: Int[np.ndarray, " n"]) -> float:
    """The share of videos for which two runs predict the same class, in 0..1."""
    return float((a == b).mean())


def kappa(a: Int[np.ndarray, " n"], b: Int[np.ndarray, " n"]) -> float | None:
    """Cohen's kappa (1960): agreement beyond what two runs that predict each class this often would have by chance.

    It is 1 if they always agree, 0 if only as by chance, and None if both predict one and the same class for every video.
    """
    classes = max(a.max(), b.max()) + 1
    by_chance = float(np.bincount(a, minlength=classes) @ np.bincount(b, minlength=classes)) / len(a) ** 2
    return None if by_chance == 1 else (equal_share(a, b) - by_chance) / (1 - by_chance)
