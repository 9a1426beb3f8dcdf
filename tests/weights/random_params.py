"""Random parameters of a model, none of them zero, without computing anything."""

import numpy as np

from vivit_jax.weights.layers import unflatten
from vivit_jax.weights.parameters import parameter_shapes


def random_variables(config, seed=0):
    """{"params": ...} of `config`, stacked if it has `scan_layers`."""
    rng = np.random.default_rng(seed)
    flat = {path: rng.normal(size=shape).astype(np.float32) * 0.3 for path, shape in parameter_shapes(config).items()}
    return {"params": unflatten(flat, scan_layers=config.scan_layers)}
