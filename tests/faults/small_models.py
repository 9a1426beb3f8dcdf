"""A small model with weights of its own, and one that is saved over and over by a process that imports this module."""

import numpy as np
from random_variables import random_variables

from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights import save_pretrained

__all__ = ["LABELS", "ODD", "PREPROCESS", "SQUARE", "random_variables", "save_again_and_again"]

SQUARE = ViViTConfig(
    factorisation="spatio_temporal_attention",
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    mlp_dim=32,
    tubelet=(2, 8, 8),
    clip=(4, 16, 16),
    num_classes=3,
)
LABELS = ("ant", "bée", "cat")
ODD = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.25)}
PREPROCESS = Preprocess(frames=4, stride=2, resize=20, crop=(16, 16), **ODD)


def save_again_and_again(path, stop):
    """Saves a model whose bias of the head tells the step of its provenance, until `stop` is set."""
    variables = random_variables(SQUARE)
    step = 0
    while not stop.is_set():
        step += 1
        variables["params"]["head"]["bias"] = np.full(3, step, np.float32)
        save_pretrained(path, SQUARE, variables, PREPROCESS, LABELS, provenance={"step": step})
