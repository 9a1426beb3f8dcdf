"""X3D (Feichtenhofer 2020): a ResNet of narrow stages, whose blocks widen, convolve each channel alone over 3 x 3 x 3, and narrow again.

Time is never strided, so that every frame of a clip has its features up to the last average. Every other block weighs its inner channels by
what it sees of the whole clip (squeeze and excitation, Hu et al. 2018). The network is pytorchvideo's, down to each name's place.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.models.clips import check_video
from vivit_jax.models.convolutional.computation import IN_2D
from vivit_jax.models.convolutional.convolution import HEAD_INIT, KERNEL_INIT, DepthwiseConv
from vivit_jax.models.convolutional.layers import Layers
from vivit_jax.models.head import Logits, classified
from vivit_jax.models.x3d.config import STAGES, Block, X3DConfig


class X3D(nn.Module):
    """An X3D. Parameters: `stem`, `stage_1` to `stage_4`, `neck`, `head` (or `head_<name>` for each of several).

    Attributes:
      config: the architecture and its sizes.
      axis_name: the axis of `pmap` whose devices share a batch; None where one program sees all of it.
    """

    config: X3DConfig
    axis_name: str | None = None

    @nn.compact
    def __call__(self, video: Float[Array, "b t h w 3"], *, train: bool = False) -> Logits:
        """Class logits in float32, of what every family takes: see `models.families`.

        In training it normalises by the batch's statistics, updates the running ones (the collection `batch_stats`, which must be mutable)
        and draws dropout from the rng `dropout`.
        """
        config = self.config
        check_video(video, config.clip)
        layers = _Layers(config, self.axis_name, train=train)
        x = Stem(config.width, layers, name="stem")(video.astype(config.compute_dtype))
        for stage in range(1, STAGES + 1):
            blocks = tuple(block for block in config.blocks if block.stage == stage)
            x = Stage(blocks, layers, name=f"stage_{stage}")(x)
        features = Neck(config.blocks[-1].inner, config.feature_size, layers, name="neck")(x)
        features = nn.Dropout(config.dropout, deterministic=not train)(features)
        return classified(features, config.heads, HEAD_INIT)


class _Layers(Layers):
    def __init__(self, config: X3DConfig, axis_name: str | None, *, train: bool) -> None:
        how = IN_2D  # on a CPU too; the other rearrangements were measured on ResNets alone
        as_shifts = config.convolutions == "shifts" or (config.convolutions == "auto" and jax.default_backend() in ("cpu", "gpu"))
        super().__init__(how, axis_name, frozen=config.frozen_statistics, train=train)
        self.pointwise = functools.partial(self.conv, kernel=(1, 1, 1))
        self.depthwise = functools.partial(DepthwiseConv, as_shifts=as_shifts)


class Stem(nn.Module):
    """The layers in front of the stages: a convolution over space, a depthwise one over five frames, a normalisation and a ReLU."""

    width: int
    layers: _Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w 3"]) -> Float[Array, "b t h2 w2 c"]:
        """Features at half the height and width."""
        layers = self.layers
        x = layers.conv(self.width, kernel=(1, 3, 3), stride=(1, 2, 2), name="spatial")(x)
        temporal = layers.depthwise((5, 1, 1), name="temporal")
        return nn.relu(layers.normalised(temporal, layers.norm(name="norm"), x))


class Stage(nn.Module):
    """Blocks of one width, the first of which halves height and width."""

    blocks: tuple[Block, ...]
    layers: _Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t h2 w2 d"]:
        """The output of the last block."""
        for block in self.blocks:
            x = Residual(block, self.layers, name=f"block_{block.number:02d}")(x)
        return x


class Residual(nn.Module):
    """A 1x1x1 convolution that widens, a depthwise one of 3x3x3, and one that narrows, beside a shortcut; each is normalised.

    As published, the shortcut of a block that strides and keeps its channels has a convolution without a normalisation, and the last
    normalisation starts with factors of zero, so that a block starts as its shortcut.
    """

    block: Block
    layers: _Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t h2 w2 d"]:
        """The sum of the last convolution and the shortcut, through a ReLU."""
        block, layers = self.block, self.layers
        stride = (1, block.stride, block.stride)
        shortcut = x
        if block.changes_shape:
            conv = layers.pointwise(block.outputs, stride=stride, name="conv_shortcut")
            widens = block.inputs != block.outputs
            shortcut = layers.normalised(conv, layers.norm(name="norm_shortcut"), x) if widens else conv(x)
        x = nn.relu(layers.normalised(layers.pointwise(block.inner, name="conv_1"), layers.norm(name="norm_1"), x))
        x = layers.normalised(layers.depthwise((3, 3, 3), stride, name="conv_2"), layers.norm(name="norm_2"), x)
        if block.squeezed:
            x = SqueezeExcitation(block.squeezed, name="squeeze")(x)
        x = nn.silu(x)
        last = layers.norm(name="norm_3", scale_init=nn.initializers.zeros)
        x = layers.normalised(layers.pointwise(block.outputs, name="conv_3"), last, x)
        return nn.relu(x + shortcut)


class SqueezeExcitation(nn.Module):
    """Multiplies each channel by a number in (0, 1) that two layers make of all channels' means (Hu et al. 2018), in float32."""

    squeezed: int

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t h w c"]:
        """The weighed channels, in the type of the input."""
        means = x.astype(jnp.float32).mean(axis=(1, 2, 3))
        inner = nn.relu(nn.Dense(self.squeezed, kernel_init=KERNEL_INIT, name="in")(means))
        weights = nn.sigmoid(nn.Dense(x.shape[-1], kernel_init=KERNEL_INIT, name="out")(inner))
        return x * weights[:, None, None, None].astype(x.dtype)


class Neck(nn.Module):
    """The layers behind the stages: they widen the features, average them over all places, and widen them again."""

    inner: int
    features: int
    layers: _Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b d"]:
        """Features in float32."""
        x = nn.relu(self.layers.normalised(self.layers.pointwise(self.inner, name="conv"), self.layers.norm(name="norm"), x))
        means = x.astype(jnp.float32).mean(axis=(1, 2, 3))
        return nn.relu(nn.Dense(self.features, use_bias=False, kernel_init=KERNEL_INIT, name="out")(means))
