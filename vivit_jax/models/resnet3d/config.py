"""The config of a ResNet over time and space: one frozen dataclass, checked when it is made, and the table of architectures."""

import dataclasses
import math
from collections.abc import Iterator
from typing import ClassVar

from vivit_jax.models.convolutional.config import ConvolutionalConfig

CONVOLUTIONS = ("auto", "3d", "2d")
WIDTH = 64  # channels of the first stage in every published network
Extents = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One of the published networks, at any width.

    Attributes:
      depths: blocks of each of the four stages.
      kinds: the convolutions of each stage: `joint` (3x3x3), `spatial` (1x3x3) or `factorised` (1x3x3, then 3x1x1).
      bottleneck: whether a block is 1x1, 3x3 and 1x1 convolutions, the last to four times the width (ResNet-50), or two of 3x3 (ResNet-18).
      inflated: whether it is an image ResNet applied to a video (C2D, I3D), with that network's stem.
      temporal: for each stage of an inflated network, whether a block's first convolution spans three frames, as a pattern that repeats.
    """

    depths: tuple[int, int, int, int]
    kinds: tuple[str, str, str, str]
    bottleneck: bool = False
    inflated: bool = False
    temporal: tuple[tuple[bool, ...], ...] = ((False,),) * 4

    @property
    def expansion(self) -> int:
        """The ratio of a block's output channels to the channels of its inner convolutions."""
        return 4 if self.bottleneck else 1

    @property
    def is_temporal(self) -> bool:
        """Whether an inflated network has convolutions over time (I3D)."""
        return any(map(any, self.temporal))


DEPTHS_18, DEPTHS_50 = (2, 2, 2, 2), (3, 4, 6, 3)
SPATIAL = ("spatial",) * 4
# Every block of the first stage, and every other one of the later stages (Wang et al. 2018, Table 1).
EVERY_OTHER = ((True,), (True, False), (True, False), (False, True))

ARCHITECTURES = {
    "r3d_18": Architecture(DEPTHS_18, ("joint",) * 4),
    "mc3_18": Architecture(DEPTHS_18, ("joint", "spatial", "spatial", "spatial")),
    "r2plus1d_18": Architecture(DEPTHS_18, ("factorised",) * 4),
    "c2d_18": Architecture(DEPTHS_18, SPATIAL, inflated=True),
    "i3d_18": Architecture(DEPTHS_18, SPATIAL, inflated=True, temporal=EVERY_OTHER),
    "c2d_50": Architecture(DEPTHS_50, SPATIAL, inflated=True, bottleneck=True),
    "i3d_50": Architecture(DEPTHS_50, SPATIAL, inflated=True, bottleneck=True, temporal=EVERY_OTHER),
}


@dataclasses.dataclass(frozen=True)
class Block:
    """One residual block.

    Attributes:
      stage: from 1 to 4.
      number: the place in its stage, from 0.
      kind: its 3x3 convolutions, as in `Architecture.kinds`.
      inputs: channels that come in.
      width: channels of its inner convolutions.
      outputs: channels that go out.
      stride: (t, h, w) from its input to its output.
      time: frames that the first convolution of an inflated block spans.
    """

    stage: int
    number: int
    kind: str
    inputs: int
    width: int
    outputs: int
    stride: Extents
    time: int

    @property
    def middle(self) -> int:
        """Channels between the two halves of a factorised convolution.

        With so many it has about the parameters of a 3x3x3 convolution (Tran et al. 2018, Sec. 3.5). As in torchvision, the number is
        computed from the block's input channels for both of the block's convolutions.
        """
        return (self.inputs * self.width * 3 * 3 * 3) // (self.inputs * 3 * 3 + 3 * self.width)

    @property
    def changes_shape(self) -> bool:
        """Whether the shortcut needs a convolution of its own."""
        return self.stride != (1, 1, 1) or self.inputs != self.outputs


@dataclasses.dataclass(frozen=True)
class ResNet3DConfig(ConvolutionalConfig):
    """A ResNet over time and space, completely described. Its other fields are those of `ConvolutionalConfig`.

    Attributes:
      architecture: `r3d_18`, `mc3_18` or `r2plus1d_18` (Tran et al. 2018, as torchvision has them); or an image ResNet applied to videos,
        `c2d_18` or `c2d_50` (each frame alone, averaged), `i3d_18` or `i3d_50` (Wang et al. 2018: convolutions over three frames too).
      convolutions: how the network is computed: `3d`, as it is written; `2d`, rearranged for GPUs, with 2-D convolutions or matrix products
        where a kernel spans one frame or one pixel; or `auto`, which is `2d` on a GPU. The results are the same but for rounding.

    Raises:
      UserError: when the values contradict each other.
    """

    family: ClassVar[str] = "resnet3d"

    architecture: str = "r3d_18"
    width: int = WIDTH
    clip: tuple[int, int, int] = (16, 112, 112)

    def __post_init__(self) -> None:
        self._check(ARCHITECTURES, CONVOLUTIONS)

    @property
    def plan(self) -> Architecture:
        """The row of `ARCHITECTURES`."""
        return ARCHITECTURES[self.architecture]

    @property
    def stem_middle(self) -> int:
        """Channels between the two halves of R(2+1)D's stem: 45 where the width is 64, the authors' choice."""
        return max(1, 45 * self.width // WIDTH)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All residual blocks, from the first stage to the last."""
        return tuple(_blocks(self.plan, self.width))

    @property
    def feature_size(self) -> int:
        """Channels of the features that the head takes."""
        return 8 * self.width * self.plan.expansion

    @property
    def grid(self) -> Extents:
        """(n_t, n_h, n_w) of the last stage's features; where a stride does not divide an extent, it is rounded up."""
        strides = [(1, 2, 2), *(block.stride for block in self.blocks)]
        strides += [(1, 2, 2), (2, 1, 1)] if self.plan.inflated else []
        totals = (math.prod(stride[axis] for stride in strides) for axis in range(3))
        return tuple(-(-extent // total) for extent, total in zip(self.clip, totals, strict=True))


def _blocks(plan: Architecture, width: int) -> Iterator[Block]:
    inputs = width
    for stage, (depth, kind, temporal) in enumerate(zip(plan.depths, plan.kinds, plan.temporal, strict=True), start=1):
        inner = width * 2 ** (stage - 1)
        for number in range(depth):
            step = 2 if stage > 1 and number == 0 else 1
            stride = (1 if kind == "spatial" else step, step, step)
            time = 3 if temporal[number % len(temporal)] else 1
            yield Block(stage, number, kind, inputs, inner, inner * plan.expansion, stride, time)
            inputs = inner * plan.expansion
