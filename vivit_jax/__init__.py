"""ViViT, the video vision transformer (Arnab et al. 2021), in JAX and Flax."""

from vivit_jax.models.vivit import create_model

__all__ = ["create_model"]
