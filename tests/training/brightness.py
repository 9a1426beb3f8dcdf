"""A model whose logits can be computed by hand."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

VARIABLES = {"params": {"offset": np.array([0.3, 0.0, 0.1, 0.0], np.float32)}}


class Brightness(nn.Module):
    """Logits by the distance of a clip's brightness from each class's."""

    @nn.compact
    def __call__(self, video, train=False):
        offset = self.param("offset", nn.initializers.zeros, (4,))
        return -jnp.abs(video.mean(axis=(1, 2, 3, 4))[:, None] - jnp.linspace(-0.6, 0.9, 4) - offset)
