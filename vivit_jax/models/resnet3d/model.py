"""ResNets over time and space: a stem, four stages of residual blocks, the average over all places, and a head.

R3D, MC3 and R(2+1)D (Tran et al. 2018) agree with torchvision's, down to each stride. C2D and I3D (Wang et al. 2018, Table 1) apply an
image ResNet to a video, so that a video of one repeated frame has the features of that image. For this to hold at the first and the last
frame too, their convolutions over time pad by repeating the edge frame, where the paper pads with zeros.
"""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.models.clips import check_video
from vivit_jax.models.convolutional.computation import computation_of
from vivit_jax.models.convolutional.convolution import HEAD_INIT
from vivit_jax.models.convolutional.layers import Layers
from vivit_jax.models.head import Logits, classified
from vivit_jax.models.resnet3d.config import Block, ResNet3DConfig
from vivit_jax.models.resnet3d.factorised import FactorisedConv


class ResNet3D(nn.Module):
    """A ResNet over time and space. Parameters: `stem`, `stage_1` to `stage_4`, `head` (or `head_<name>` for each of several).

    Attributes:
      config: the architecture and its sizes.
      axis_name: the axis of `pmap` whose devices share a batch; None where one program sees all of it.
    """

    config: ResNet3DConfig
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
        x = Stem(config, layers, name="stem")(video.astype(config.compute_dtype))
        for stage in range(1, 5):
            blocks = tuple(block for block in config.blocks if block.stage == stage)
            x = Stage(config, blocks, layers, name=f"stage_{stage}")(x)
            if stage == 1 and config.plan.inflated:
                x = nn.max_pool(x, (2, 1, 1), (2, 1, 1), padding="SAME")
        features = x.astype(jnp.float32).mean(axis=(1, 2, 3))
        features = nn.Dropout(config.dropout, deterministic=not train)(features)
        return classified(features, config.heads, HEAD_INIT)


class _Layers(Layers):
    def __init__(self, config: ResNet3DConfig, axis_name: str | None, *, train: bool) -> None:
        how, frozen = computation_of(config.convolutions), config.frozen_statistics
        super().__init__(how, axis_name, frozen=frozen, train=train)
        self.conv = functools.partial(self.conv, repeat_edges=config.plan.inflated)
        self.factorised = functools.partial(FactorisedConv, computation=how, axis_name=axis_name, frozen=frozen, train=train)


class Stem(nn.Module):
    """The layers in front of the stages: a 3x7x7 convolution, its two halves (R(2+1)D), or an image ResNet's 7x7 and pooling (C2D, I3D)."""

    config: ResNet3DConfig
    layers: _Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w 3"]) -> Float[Array, "b t h2 w2 c"]:
        """Features at half the height and width; at a quarter for C2D and I3D."""
        config, plan, layers = self.config, self.config.plan, self.layers
        if plan.kinds[0] == "factorised":
            conv = layers.factorised(config.stem_middle, config.width, (3, 7, 7), (1, 2, 2), name="conv")
        else:
            time = 3 if not plan.inflated else 5 if plan.is_temporal else 1
            conv = layers.conv(config.width, (time, 7, 7), (1, 2, 2), name="conv")
        x = nn.relu(layers.normalised(conv, layers.norm(name="norm"), x))
        return nn.max_pool(x, (1, 3, 3), (1, 2, 2), padding=((0, 0), (1, 1), (1, 1))) if plan.inflated else x


class Stage(nn.Module):
    """Blocks of one width, the first of which may stride."""

    config: ResNet3DConfig
    blocks: tuple[Block, ...]
    layers: _Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t2 h2 w2 d"]:
        """The output of the last block."""
        for block in self.blocks:
            x = Residual(self.config, block, self.layers, name=f"block_{block.number:02d}")(x)
        return x


class Residual(nn.Module):
    """Two or three convolutions beside a shortcut (He et al. 2016), each normalised."""

    config: ResNet3DConfig
    block: Block
    layers: _Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t2 h2 w2 d"]:
        """The sum of the last convolution and the shortcut, through a ReLU."""
        block, layers = self.block, self.layers
        shortcut = x
        if block.changes_shape:
            conv = layers.conv(block.outputs, (1, 1, 1), block.stride, name="conv_shortcut")
            shortcut = layers.normalised(conv, layers.norm(name="norm_shortcut"), x)
        convs = self._bottleneck() if self.config.plan.bottleneck else self._basic()
        for number, conv in enumerate(convs, start=1):
            x = layers.normalised(conv, layers.norm(name=f"norm_{number}"), x)
            x = nn.relu(x if number < len(convs) else x + shortcut)
        return x

    def _basic(self) -> list[nn.Module]:
        block, layers = self.block, self.layers
        if block.kind == "factorised":
            conv = functools.partial(layers.factorised, block.middle, block.width, (3, 3, 3))
            return [conv(block.stride, name="conv_1"), conv((1, 1, 1), name="conv_2")]
        time = 3 if block.kind == "joint" else 1
        return [
            layers.conv(block.width, (max(time, block.time), 3, 3), block.stride, name="conv_1"),
            layers.conv(block.width, (time, 3, 3), name="conv_2"),
        ]

    def _bottleneck(self) -> list[nn.Module]:
        block, layers = self.block, self.layers
        return [
            layers.conv(block.width, (block.time, 1, 1), name="conv_1"),
            layers.conv(block.width, (1, 3, 3), block.stride, name="conv_2"),
            layers.conv(block.outputs, (1, 1, 1), name="conv_3"),
        ]
