"""Small ViViTs with random parameters, and videos for them."""

import jax
import jax.numpy as jnp
import numpy as np

from vivit_jax.models.vivit.model import ViViT

SMALL = {"hidden_size": 8, "num_layers": 3, "num_heads": 2, "mlp_dim": 12, "tubelet": (2, 4, 4), "clip": (4, 8, 8), "num_classes": 3}
ATTENTIONS = {
    "spatio_temporal_attention": ("attention",),
    "factorised_encoder": ("attention",),
    "factorised_self_attention": ("spatial_attention", "temporal_attention"),
    "factorised_dot_product_attention": ("attention",),
}


def random_parameters(model: ViViT, seed: int = 0) -> dict:
    """Random values everywhere, biases, scales and the head included, so that no part of the model is a no-op."""
    video = jnp.zeros((1, *model.config.clip, 3))
    shapes = jax.eval_shape(model.init, jax.random.key(0), video)["params"]
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)


def random_video(model: ViViT, batch: int = 2, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (batch, *model.config.clip, 3)).astype(np.float32)
