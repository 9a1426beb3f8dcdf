"""Random weights for a small model, none of them zero, without computing anything."""

import numpy as np

from vivit_jax.weights.layers import unflatten_variables
from vivit_jax.weights.parameters import variable_shapes


def random_variables(config, seed=0):
    """`params` and the other collections of `config`, stacked if it scans its layers.

    Predictions differ from video to video, which those of a fresh model do not: its head is zero.
    """
    rng = np.random.default_rng(seed)
    flat = {path: rng.normal(0, 0.5, shape).astype(np.float32) for path, shape in variable_shapes(config).items()}
    return unflatten_variables(flat, config)
