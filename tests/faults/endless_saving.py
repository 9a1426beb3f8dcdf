"""The writer of test_model_dirs.py: a module of its own, since a spawned process imports it by name."""

import numpy as np
from test_weights import LABELS, ODD, SQUARE, random_variables

from vivit_jax.preprocess import Preprocess
from vivit_jax.weights import save_pretrained

PREPROCESS = Preprocess(frames=4, stride=2, resize=20, crop=(16, 16), **ODD)


def save_again_and_again(path, stop):
    """Saves a model whose bias of the head tells the step of its provenance, until `stop` is set."""
    variables = random_variables(SQUARE)
    step = 0
    while not stop.is_set():
        step += 1
        variables["params"]["head"]["bias"] = np.full(3, step, np.float32)
        save_pretrained(path, SQUARE, variables, PREPROCESS, LABELS, provenance={"step": step})
