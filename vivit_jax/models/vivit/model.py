"""ViViT: a tokenizer, one of the paper's four factorisations of attention (Sec. 3.3), and a head.

Each factorisation is a module that turns a grid of tokens (b, t, s, d), s = h w, into one feature per video (b, d). They share one
encoder and differ in how tokens are grouped around it.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.models.clips import check_video
from vivit_jax.models.head import Logits
from vivit_jax.models.kernels.shared_parameters import add_shared
from vivit_jax.models.layer_outputs import LayerOutput
from vivit_jax.models.vivit.attention import SPACE, TIME
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.models.vivit.encoder import Encoded, Encoder
from vivit_jax.models.vivit.tokenizer import Tokenizer

POOLINGS = {"mean": jnp.mean, "max": jnp.max, "sum": jnp.sum}

Outputs = Float[Array, "b d"] | tuple[LayerOutput, ...]


class ViViT(nn.Module):
    """A video vision transformer. Parameters: `tokenizer`, `transformer`, `head` (or `head_<name>` for each of several).

    Attributes:
      config: what it is.
      batch_parts: the number of devices that a batch lies on, in parts of as many examples, where one program sees all of it.
    """

    config: ViViTConfig
    batch_parts: int = 1

    def setup(self) -> None:
        """Builds the three parts."""
        self.tokenizer = Tokenizer(self.config)
        self.transformer = TRANSFORMERS[self.config.factorisation](self.config, self.batch_parts)
        self.classifiers = {
            name: nn.Dense(classes, kernel_init=nn.initializers.zeros, name=f"head_{name}" if name else "head")
            for name, classes in self.config.heads.items()
        }

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
        features = self.features(video, train=train)
        if not self.classifiers:
            return features
        logits = {name: classifier(features) for name, classifier in self.classifiers.items()}
        return logits.get("", logits)

    def features(self, video: Float[Array, "b t h w 3"], *, train: bool = False) -> Float[Array, "b d"]:
        """The features that the head takes, in float32: the normalised cls token or the pooled tokens."""
        check_video(video, self.config.clip)
        return self.transformer(self.tokenizer(video), train).astype(jnp.float32)

    def layer_outputs(self, video: Float[Array, "b t h w 3"], layers: tuple[int, ...]) -> tuple[LayerOutput, ...]:
        """The outputs of some layers, counted back from -1, the last; all are normalised as the last is.

        The layers of a temporal encoder stand on those of the spatial one.
        """
        check_video(video, self.config.clip)
        outputs = self.transformer(self.tokenizer(video), False, layers)
        return tuple(jax.tree.map(lambda x: x.astype(jnp.float32), output) for output in outputs)


class SpatioTemporalAttention(nn.Module):
    """Model 1: every token attends to every token."""

    config: ViViTConfig
    batch_parts: int = 1

    @nn.compact
    def __call__(self, tokens: Float[Array, "b t s d"], train: bool, layers: tuple[int, ...] = ()) -> Outputs:
        """Encodes all tokens of a clip as one sequence."""
        b, t, s, d = tokens.shape
        blocks = _block_numbers(layers, self.config.num_layers)
        encoded = _encode_and_pool(self, "encoder", self.config, tokens.reshape(b, t * s, d), train, blocks)
        if not layers:
            return encoded
        return tuple(
            _output(self.config, pooled, grid.reshape(b, t, s, d), grid.reshape(b, t, s, d).mean(axis=2), cls)
            for pooled, grid, cls in (_parts(self.config, one) for one in encoded)
        )


class FactorisedEncoder(nn.Module):
    """Model 2: a spatial encoder of each frame, then a temporal encoder of the frames' features.

    With no temporal layers the frames' features are averaged.
    """

    config: ViViTConfig
    batch_parts: int = 1

    @nn.compact
    def __call__(self, tokens: Float[Array, "b t s d"], train: bool, layers: tuple[int, ...] = ()) -> Outputs:
        """Encodes the tokens of each time index alone, then the time indices."""
        if layers:
            return self._outputs_of(layers, tokens)
        frames = _encode_and_pool(self, "spatial_encoder", self.config, tokens, train)
        self.sow("intermediates", "frames", frames)
        if not self.config.temporal_layers:
            return frames.mean(axis=1)
        return _encode_and_pool(self, "temporal_encoder", self._temporal(), frames, train)

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

    def _outputs_of(self, layers: tuple[int, ...], tokens: Float[Array, "b t s d"]) -> tuple[LayerOutput, ...]:
        config, above = self.config, self.config.temporal_layers
        last = config.num_layers - 1
        spatial = _block_numbers(tuple(layer + above for layer in layers if layer < -above), config.num_layers)
        found = {}  # by layer, counted back
        encoded = _encode_and_pool(self, "spatial_encoder", config, tokens, False, (*spatial, last))
        for block, one in zip((*spatial, last), encoded, strict=True):
            frames, grid, cls = _parts(config, one)
            output = _output(config, frames.mean(axis=1), grid, frames, cls.reshape(cls.shape[0], -1, cls.shape[-1]))
            found[block - config.num_layers - above] = output
        if above:
            temporal = _block_numbers(tuple(layer for layer in layers if layer >= -above), above) or (above - 1,)
            encoded = _encode_and_pool(self, "temporal_encoder", self._temporal(), found[-1 - above].times, False, temporal)
            for block, one in zip(temporal, encoded, strict=True):
                pooled, times, cls = _parts(config, one)
                found[block - above] = LayerOutput(pooled, times, times[:, :, None, None], cls)
        return tuple(found[layer] for layer in layers)


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
        return _encode_and_pool_grid(self, attentions, tokens, train, layers)


class FactorisedDotProductAttention(nn.Module):
    """Model 4: in each block, half the heads attend over time and half over space."""

    config: ViViTConfig
    batch_parts: int = 1

    @nn.compact
    def __call__(self, tokens: Float[Array, "b t s d"], train: bool, layers: tuple[int, ...] = ()) -> Outputs:
        """Encodes the grid."""
        return _encode_and_pool_grid(self, (("attention", (TIME, SPACE)),), tokens, train, layers)


TRANSFORMERS = {
    "spatio_temporal_attention": SpatioTemporalAttention,
    "factorised_encoder": FactorisedEncoder,
    "factorised_self_attention": FactorisedSelfAttention,
    "factorised_dot_product_attention": FactorisedDotProductAttention,
}


def _encode_and_pool(
    module: nn.Module, name: str, config: ViViTConfig, tokens: Array, train: bool, blocks: tuple[int, ...] = ()
) -> Array | tuple[Encoded, ...]:
    """(b, ..., n, d) to (b, ..., d): prepends a cls token where the pool is that token, encodes each sequence, pools it.

    With `blocks`, the tokens after each of these instead, with the cls token.
    """
    if config.pool == "token":
        cls = module.param(f"{name}_cls", nn.initializers.zeros, (tokens.shape[-1],))
        cls = add_shared(jnp.zeros((*tokens.shape[:-2], 1, tokens.shape[-1]), tokens.dtype), cls)
        tokens = jnp.concatenate([cls, tokens], axis=-2)
    # A caller that collects intermediates, or asks for blocks, gets all tokens.
    every = config.pool != "token" or blocks or module.is_mutable_collection("intermediates")
    encoder = Encoder(config, (("attention", (SPACE,)),), None if every else 1, module.batch_parts, name=name)
    encoded = encoder(tokens, positions=tokens.shape[-2:-1], train=train, layers=blocks)
    if blocks or config.pool == "mean_then_norm":
        return encoded
    module.sow("intermediates", "tokens", encoded)
    return encoded[..., 0, :] if config.pool == "token" else POOLINGS[config.pool](encoded, axis=-2)


def _encode_and_pool_grid(module: nn.Module, attentions: tuple, tokens: Array, train: bool, layers: tuple[int, ...]) -> Outputs:
    """(b, t, s, d) to (b, d) by an encoder that sees the grid, or what each of `layers` gives."""
    config = module.config
    encoder = Encoder(config, attentions, batch_parts=module.batch_parts, name="encoder")
    encoded = encoder(tokens, positions=tokens.shape[1:3], train=train, layers=_block_numbers(layers, config.num_layers))
    if layers:
        none = jnp.zeros((tokens.shape[0], 0, tokens.shape[-1]))
        pooled = [mean if mean is not None else POOLINGS[config.pool](grid, axis=(1, 2)) for grid, mean in encoded]
        return tuple(_output(config, feature, grid, grid.mean(axis=2), none) for feature, (grid, _) in zip(pooled, encoded, strict=True))
    if config.pool == "mean_then_norm":
        return encoded
    module.sow("intermediates", "tokens", encoded)
    return POOLINGS[config.pool](encoded, axis=(1, 2))


def _block_numbers(layers: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The numbers of blocks, from 0, of layers that are counted back from -1."""
    return tuple(count + layer for layer in layers)


def _parts(config: ViViTConfig, encoded: Encoded) -> tuple[Array, Array, Array]:
    """The pooled feature (b, ..., d) of encoded sequences (b, ..., n, d), their tokens without cls, and their cls tokens alone."""
    tokens, mean = encoded
    own = int(config.pool == "token")
    pooled = mean if mean is not None else tokens[..., 0, :] if own else POOLINGS[config.pool](tokens, axis=-2)
    return pooled, tokens[..., own:, :], tokens[..., :own, :]


def _output(config: ViViTConfig, pooled: Array, grid: Array, times: Array, cls: Array) -> LayerOutput:
    """A layer's output, whose grid of tokens (b, t, s, d) becomes (b, t, h, w, d)."""
    return LayerOutput(pooled, times, grid.reshape(*grid.shape[:2], *config.grid[1:], grid.shape[-1]), cls)
