"""Every crossing between parameters and files: other formats in, our model directory in and out."""

from vivit_jax.weights.convert import from_pretrained
from vivit_jax.weights.initialise import Initialisation, initialise
from vivit_jax.weights.layers import stack_layers, unstack_layers
from vivit_jax.weights.model_dir import Pretrained, load_model_dir, save_pretrained

__all__ = [
    "Initialisation",
    "Pretrained",
    "from_pretrained",
    "initialise",
    "load_model_dir",
    "save_pretrained",
    "stack_layers",
    "unstack_layers",
]
