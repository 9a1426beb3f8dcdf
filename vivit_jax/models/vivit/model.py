"""ViViT: a tokenizer, one of the paper's four factorisations of attention (Sec. 3.3), and a head.

Each factorisation is a module that turns a grid of tokens (b, t, s, d), s = h w, into one feature per video (b, d), beside the outputs of
the layers that a probe asks for. They share one encoder and differ in how tokens are grouped around it.
"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.models.clips import check_video
from vivit_jax.models.head import Logits, classified
from vivit_jax.models.kernels.shared_parameters import add_shared
from vivit_jax.models.layer_outputs import LayerOutput
from vivit_jax.models.vivit.attention import SPACE, TIME
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.models.vivit.encoder import Encoder
from vivit_jax.models.vivit.tokenizer import Tokenizer

# How `config.pool` makes one feature of what an encoder gives for it; under `mean_then_norm` that is the feature.
POOLINGS = {
    "token": lambda tokens, axis: tokens[..., 0, :],
    "mean": jnp.mean,
    "max": jnp.max,
    "sum": jnp.sum,
    "mean_then_norm": lambda mean, axis: mean,
}

Outputs = tuple[Float[Array, "b d"], tuple[LayerOutput, ...]]


class ViViT(nn.Module):
    """A video vision transformer. Parameters: `tokenizer`, `transformer`, `head` (or `head_<name>` for each of several).

    Attributes:
      config: what it is.
      batch_parts: the number of devices that a batch lies on, in parts of as many examples, where one program sees all of it.
    """

    config: ViViTConfig
    batch_parts: int = 1

    def setup(self) -> None:
        """Builds what is below the head."""
        self.tokenizer = Tokenizer(self.config)
        self.transformer = TRANSFORMERS[self.config.factorisation](self.config, self.batch_parts)

    @nn.compact
    def __call__(self, video: Float[Array, "b t h w 3"], *, train: bool = False) -> Logits:
        """Class logits in float32.

        Args:
          video: clips of `config.clip`, normalised as the weights were trained: [-1, 1] unless they say otherwise.
          train: whether to draw dropout, stochastic depth and the patches to leave out, from the rng `dropout`.

        Returns:
          (b, classes); a dict of these by name for several heads; (b, d) features for none.

        Raises:
          UserError: for a video of another shape or type, or with pixels that are not normalised, which only a call outside `jit` can see.
        """
        return classified(self.features(video, train=train), self.config.heads, nn.initializers.zeros)

    def features(self, video: Float[Array, "b t h w 3"], *, train: bool = False) -> Float[Array, "b d"]:
        """The features that the head takes, in float32: the normalised cls token or the pooled tokens."""
        check_video(video, self.config.clip)
        features, _ = self.transformer(self.tokenizer(video), train)
        return features.astype(jnp.float32)

    def layer_outputs(self, video: Float[Array, "b t h w 3"], layers: tuple[int, ...]) -> tuple[LayerOutput, ...]:
        """The outputs of some layers, counted back from -1, the last; all are normalised as the last is.

        The layers of a temporal encoder stand on those of the spatial one.
        """
        check_video(video, self.config.clip)
        _, outputs = self.transformer(self.tokenizer(video), False, layers)
        return jax.tree.map(lambda x: x.astype(jnp.float32), outputs)


class SpatioTemporalAttention(nn.Module):
    """Model 1: every token attends to every token."""

    config: ViViTConfig
    batch_parts: int = 1

    @nn.compact
    def __call__(self, tokens: Float[Array, "b t s d"], train: bool, layers: tuple[int, ...] = ()) -> Outputs:
        """Encodes all tokens of a clip as one sequence."""
        b, t, s, d = tokens.shape
        features, found = _encode_sequences(self, "encoder", self.config, tokens.reshape(b, t * s, d), train, layers)
        return features, tuple(_grid_output(self.config, pooled, grid.reshape(b, t, s, d), cls) for pooled, grid, cls in found)


class FactorisedEncoder(nn.Module):
    """Model 2: a spatial encoder of each frame, then a temporal encoder of the frames' features.

    With no temporal layers the frames' features are averaged.
    """

    config: ViViTConfig
    batch_parts: int = 1

    @nn.compact
    def __call__(self, tokens: Float[Array, "b t s d"], train: bool, layers: tuple[int, ...] = ()) -> Outputs:
        """Encodes the tokens of each time index alone, then the time indices. The temporal layers stand on the spatial ones."""
        config, above = self.config, self.config.temporal_layers
        spatial = tuple(layer for layer in layers if layer < -above)
        temporal = tuple(layer for layer in layers if layer >= -above)
        if layers:  # its last layer then computes all tokens, whichever layers are wanted
            spatial += (-1 - above,)
        below = tuple(layer + above for layer in spatial)
        frames, found = _encode_sequences(self, "spatial_encoder", config, tokens, train, below)
        self.sow("intermediates", "frames", frames)
        outputs = {layer: self._frame_output(*parts) for layer, parts in zip(spatial, found, strict=True)}
        if not above:
            return frames.mean(axis=1), tuple(outputs[layer] for layer in layers)
        features, found = _encode_sequences(self, "temporal_encoder", self._temporal(), frames, train, temporal)
        for layer, (pooled, times, cls) in zip(temporal, found, strict=True):
            outputs[layer] = LayerOutput(pooled, times, times[:, :, None, None], cls)
        return features, tuple(outputs[layer] for layer in layers)

    def _frame_output(self, frames: Float[Array, "b t d"], grid: Float[Array, "b t s d"], cls: Float[Array, "b t m d"]) -> LayerOutput:
        b, _, d = frames.shape
        return LayerOutput(frames.mean(axis=1), frames, _patches(self.config, grid), cls.reshape(b, -1, d))

    def _temporal(self) -> ViViTConfig:
        """The config of the temporal encoder, which sees every time index."""
        config = self.config
        return dataclasses.replace(
            config,
            num_layers=config.temporal_layers,
            num_heads=config.temporal_heads or config.num_heads,
            mlp_dim=config.temporal_mlp_dim or config.mlp_dim,
            patch_dropout=0.0,
        )


class FactorisedSelfAttention(nn.Module):
    """Model 3: in each block, attention over space, then over time (or the other way round)."""

    config: ViViTConfig
    batch_parts: int = 1

    @nn.compact
    def __call__(self, tokens: Float[Array, "b t s d"], train: bool, layers: tuple[int, ...] = ()) -> Outputs:
        """Encodes the grid."""
        attentions = (("spatial_attention", (SPACE,)), ("temporal_attention", (TIME,)))
        if self.config.attention_order == "time_space":
            attentions = attentions[::-1]
        return _encode_grid(self, attentions, tokens, train, layers)


class FactorisedDotProductAttention(nn.Module):
    """Model 4: in each block, half the heads attend over time and half over space."""

    config: ViViTConfig
    batch_parts: int = 1

    @nn.compact
    def __call__(self, tokens: Float[Array, "b t s d"], train: bool, layers: tuple[int, ...] = ()) -> Outputs:
        """Encodes the grid."""
        return _encode_grid(self, (("attention", (TIME, SPACE)),), tokens, train, layers)


TRANSFORMERS = {
    "spatio_temporal_attention": SpatioTemporalAttention,
    "factorised_encoder": FactorisedEncoder,
    "factorised_self_attention": FactorisedSelfAttention,
    "factorised_dot_product_attention": FactorisedDotProductAttention,
}


def _encode_sequences(
    module: nn.Module, name: str, config: ViViTConfig, tokens: Array, train: bool, layers: tuple[int, ...]
) -> tuple[Array, list[tuple[Array, Array, Array]]]:
    """Encodes sequences of tokens (b, ..., n, d), with a cls token before each where the pool is that token.

    Returns:
      The feature (b, ..., d) that each sequence is pooled to. For each of `layers`: that feature of its output, the output (b, ..., n, d)
      without the cls token, and the cls token alone (b, ..., m, d), where m is 0 or 1.
    """
    if config.pool == "token":
        cls = module.param(f"{name}_cls", nn.initializers.zeros, (tokens.shape[-1],))
        cls = add_shared(jnp.zeros((*tokens.shape[:-2], 1, tokens.shape[-1]), tokens.dtype), cls)
        tokens = jnp.concatenate([cls, tokens], axis=-2)
    # A caller that collects intermediates, or asks for layers, gets all tokens.
    every = config.pool != "token" or layers or module.is_mutable_collection("intermediates")
    encoder = Encoder(config, (("attention", (SPACE,)),), None if every else 1, module.batch_parts, name=name)
    encoded, of_layers = encoder(tokens, positions=tokens.shape[-2:-1], train=train, layers=layers)
    own, pool = int(config.pool == "token"), functools.partial(POOLINGS[config.pool], axis=-2)
    found = [(pool(to_pool), tokens[..., own:, :], tokens[..., :own, :]) for tokens, to_pool in of_layers]
    return pool(_sown(module, encoded)), found


def _encode_grid(module: nn.Module, attentions: tuple, tokens: Float[Array, "b t s d"], train: bool, layers: tuple[int, ...]) -> Outputs:
    """Encodes tokens by an encoder that sees the grid, and pools them."""
    config = module.config
    encoder = Encoder(config, attentions, batch_parts=module.batch_parts, name="encoder")
    encoded, of_layers = encoder(tokens, positions=tokens.shape[1:3], train=train, layers=layers)
    pool, no_cls = functools.partial(POOLINGS[config.pool], axis=(1, 2)), jnp.zeros((tokens.shape[0], 0, tokens.shape[-1]))
    return pool(_sown(module, encoded)), tuple(_grid_output(config, pool(to_pool), grid, no_cls) for grid, to_pool in of_layers)


def _sown(module: nn.Module, encoded: Array) -> Array:
    """What an encoder gives, among the intermediates where these are tokens."""
    if module.config.pool != "mean_then_norm":
        module.sow("intermediates", "tokens", encoded)
    return encoded


def _grid_output(config: ViViTConfig, pooled: Array, grid: Float[Array, "b t s d"], cls: Array) -> LayerOutput:
    return LayerOutput(pooled, grid.mean(axis=2), _patches(config, grid), cls)


def _patches(config: ViViTConfig, grid: Float[Array, "b t s d"]) -> Float[Array, "b t h w d"]:
    return grid.reshape(*grid.shape[:2], *config.grid[1:], grid.shape[-1])
