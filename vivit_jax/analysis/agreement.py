"""How often two runs say the same, whether it is right or not."""

import numpy as np
from jaxtyping import Int


def equal_share(a: Int[np.ndarray, " n"], b: Int[np.ndarray, " n"]) -> float:
    """The share of videos that two runs predict the same class of, in 0..1."""
    return float((a == b).mean())


def kappa(a: Int[np.ndarray, " n"], b: Int[np.ndarray, " n"]) -> float | None:
    """Cohen's kappa (1960): the same beyond what two runs with these shares of each class would have in common by chance.

    1 is always, 0 as by chance. None where both say one and the same class of every video, as chance alone gives that.
    """
    classes = max(a.max(), b.max()) + 1
    by_chance = float(np.bincount(a, minlength=classes) @ np.bincount(b, minlength=classes)) / len(a) ** 2
    return None if by_chance == 1 else (equal_share(a, b) - by_chance) / (1 - by_chance)
