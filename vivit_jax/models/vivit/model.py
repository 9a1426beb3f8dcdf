"""ViViT: a tokenizer, one of the paper's four factorisations of attention (Sec. 3.3), and a head.

Each factorisation is a module that turns a grid of tokens (b, t, s, d), s = h w, into one feature per video (b, d). They share one
encoder and differ in how tokens are grouped around it.
"""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.models.clips import check_video
from vivit_jax.models.kernels.shared_parameters import add_shared
from vivit_jax.models.vivit.attention import SPACE, TIME
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.models.vivit.encoder import Encoder
from vivit_jax.models.vivit.tokenizer import Tokenizer

POOLINGS = {"mean": jnp.mean, "max": jnp.max, "sum": jnp.sum}

Logits = Float[Array, "b classes"] | dict[str, Float[Array, "b classes"]]


class ViViT(nn.Module):
    """A video vision transformer. Parameters: `tokenizer`, `transformer`, `head` (or `head_<name>` for each of several)."""

    config: ViViTConfig

    def setup(self) -> None:
        """Builds the three parts."""
        self.tokenizer = Tokenizer(self.config)
        self.transformer = TRANSFORMERS[self.config.factorisation](self.config)
        self.classifiers = {
            name: nn.Dense(classes, kernel_init=nn.initializers.zeros, name=f"head_{name}" if name else "head")
            for name, classes in self.config.heads.items()
        }

    def __call__(self, video: Float[Array, "b t h w 3"], *, train: bool = False) -> Logits:
        """Class logits in float32.

        Args:
          video: clips of `config.clip`, normalised as the weights were trained: [-1, 1] unless they say otherwise.
          train: whether to draw dropout and stochastic depth, from the rng `dropout`.

        Returns:
          (b, classes); a dict of these by name for several heads; (b, d) features for none.

        Raises:
          UserError: for a video of another shape or type, or with pixels that are not normalised, which only a call outside `jit` can see.
        """
        features = self.features(video, train=train)
        if not self.classifiers:
            return features
        logits = {name: classifier(features) for name, classifier in self.classifiers.items()}
        return logits.get("", logits)

    def features(self, video: Float[Array, "b t h w 3"], *, train: bool = False) -> Float[Array, "b d"]:
        """The features that the head takes, in float32: the normalised cls token or the pooled tokens."""
        check_video(video, self.config.clip)
        return self.transformer(self.tokenizer(video), train).astype(jnp.float32)


class SpatioTemporalAttention(nn.Module):
    """Model 1: every token attends to every token."""

    config: ViViTConfig

    @nn.compact
    def __call__(self, tokens: Float[Array, "b t s d"], train: bool) -> Float[Array, "b d"]:
        """Encodes all tokens of a clip as one sequence."""
        b, t, s, d = tokens.shape
        return _encode_and_pool(self, "encoder", self.config, tokens.reshape(b, t * s, d), train)


class FactorisedEncoder(nn.Module):
    """Model 2: a spatial encoder of each frame, then a temporal encoder of the frames' features.

    With no temporal layers the frames' features are averaged.
    """

    config: ViViTConfig

    @nn.compact
    def __call__(self, tokens: Float[Array, "b t s d"], train: bool) -> Float[Array, "b d"]:
        """Encodes the tokens of each time index alone, then the time indices."""
        config = self.config
        frames = _encode_and_pool(self, "spatial_encoder", config, tokens, train)
        self.sow("intermediates", "frames", frames)
        if not config.temporal_layers:
            return frames.mean(axis=1)
        temporal = dataclasses.replace(
            config,
            num_layers=config.temporal_layers,
            num_heads=config.temporal_heads or config.num_heads,
            mlp_dim=config.temporal_mlp_dim or config.mlp_dim,
        )
        return _encode_and_pool(self, "temporal_encoder", temporal, frames, train)


class FactorisedSelfAttention(nn.Module):
    """Model 3: in each block, attention over space, then over time (or the other way round)."""

    config: ViViTConfig

    @nn.compact
    def __call__(self, tokens: Float[Array, "b t s d"], train: bool) -> Float[Array, "b d"]:
        """Encodes the grid."""
        attentions = (("spatial_attention", (SPACE,)), ("temporal_attention", (TIME,)))
        if self.config.attention_order == "time_space":
            attentions = attentions[::-1]
        return _encode_and_pool_grid(self, attentions, tokens, train)


class FactorisedDotProductAttention(nn.Module):
    """Model 4: in each block, half the heads attend over time and half over space."""

    config: ViViTConfig

    @nn.compact
    def __call__(self, tokens: Float[Array, "b t s d"], train: bool) -> Float[Array, "b d"]:
        """Encodes the grid."""
        return _encode_and_pool_grid(self, (("attention", (TIME, SPACE)),), tokens, train)


TRANSFORMERS = {
    "spatio_temporal_attention": SpatioTemporalAttention,
    "factorised_encoder": FactorisedEncoder,
    "factorised_self_attention": FactorisedSelfAttention,
    "factorised_dot_product_attention": FactorisedDotProductAttention,
}


def _encode_and_pool(module: nn.Module, name: str, config: ViViTConfig, tokens: Array, train: bool) -> Array:
    """(b, ..., n, d) to (b, ..., d): prepends a cls token where the pool is that token, encodes each sequence, pools it."""
    if config.pool == "token":
        cls = module.param(f"{name}_cls", nn.initializers.zeros, (tokens.shape[-1],))
        cls = add_shared(jnp.zeros((*tokens.shape[:-2], 1, tokens.shape[-1]), tokens.dtype), cls)
        tokens = jnp.concatenate([cls, tokens], axis=-2)
    # A caller that collects intermediates gets all tokens.
    outputs = 1 if config.pool == "token" and not module.is_mutable_collection("intermediates") else None
    encoder = Encoder(config, (("attention", (SPACE,)),), outputs, name=name)
    tokens = encoder(tokens, positions=tokens.shape[-2:-1], train=train)
    if config.pool == "mean_then_norm":
        return tokens
    module.sow("intermediates", "tokens", tokens)
    return tokens[..., 0, :] if config.pool == "token" else POOLINGS[config.pool](tokens, axis=-2)


def _encode_and_pool_grid(module: nn.Module, attentions: tuple, tokens: Array, train: bool) -> Array:
    """(b, t, s, d) to (b, d) by an encoder that sees the grid."""
    config = module.config
    tokens = Encoder(config, attentions, name="encoder")(tokens, positions=tokens.shape[1:3], train=train)
    if config.pool == "mean_then_norm":
        return tokens
    module.sow("intermediates", "tokens", tokens)
    return POOLINGS[config.pool](tokens, axis=(1, 2))
