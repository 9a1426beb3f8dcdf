"""Random variables and batches of a model, on which steps are timed."""

from typing import Any

import jax
import numpy as np

from vivit_jax.analysis import complexity
from vivit_jax.data.config import AugmentConfig
from vivit_jax.models.families import ModelConfig
from vivit_jax.training.paths import map_named


def random_variables(model: ModelConfig) -> dict[str, Any]:
    """Random parameters and other collections of a model on the host, all nonzero; scales and running variances lie near 1.

    A fresh head is all zeros, so the first step's gradients would be zeros too, and arithmetic on zeros is faster.
    """
    generator = np.random.default_rng(0)

    def draw(path: str, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        noise = np.float32(0.02) * generator.standard_normal(leaf.shape, np.float32)
        return noise + np.float32(path.endswith(("/scale", "/var")))

    return map_named(draw, complexity.variable_tree(model))


def random_batch(model: ModelConfig, batch_size: int, augment: AugmentConfig) -> dict[str, Any]:
    """A training batch of noise on the host, as `training_batches` gives it without `index`."""
    generator = np.random.default_rng(0)
    labels = {name: generator.integers(0, classes, batch_size, np.int32) for name, classes in model.heads.items()}
    batch = {
        "video": generator.integers(0, 256, (batch_size, *model.clip, 3), np.uint8),
        "label": labels.get("", labels),
    }
    return batch | ({"colours": generator.random((batch_size, 5), np.float32)} if augment.changes_colours else {})
