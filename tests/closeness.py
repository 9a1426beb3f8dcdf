"""How far numbers are from those that are expected, as one share of their size."""

import numpy as np


def relative(actual, expected):
    """The norm of the difference over that of what is expected, in float64."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def relative_error(actual, expected):
    """The largest difference over the largest number that is expected."""
    return np.abs(np.asarray(actual) - expected).max() / np.abs(expected).max()
