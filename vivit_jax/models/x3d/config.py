"""The config of an X3D: one frozen dataclass, checked when it is made, and the depths of the published networks."""

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

from vivit_jax.errors import UserError
from vivit_jax.models.convolutional.config import ConvolutionalConfig

# Blocks of each stage. XS, S and M are one network for clips of different sizes.
SMALL, LARGE = (3, 5, 11, 7), (5, 10, 25, 15)
ARCHITECTURES = {"x3d_xs": SMALL, "x3d_s": SMALL, "x3d_m": SMALL, "x3d_l": LARGE}
CONVOLUTIONS = ("auto", "3d", "shifts")
WIDTH = 24  # channels of the first stage in every published network
NECK = 2048  # features of a clip where the width is that
STAGES = 4
Extents = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Block:
    """One residual block.

    Attributes:
      stage: from 1 to 4.
      number: the place in its stage, from 0.
      inputs: channels that come in.
      inner: channels of its depthwise convolution.
      outputs: channels that go out.
      stride: pixels from one place to the next; time is never strided.
      squeezed: channels between the two layers that weigh the inner channels; None where a block does not weigh them.
    """

    stage: int
    number: int
    inputs: int
    inner: int
    outputs: int
    stride: int
    squeezed: int | None

    @property
    def changes_shape(self) -> bool:
        """Whether the shortcut needs a convolution of its own."""
        return self.stride != 1 or self.inputs != self.outputs


@dataclasses.dataclass(frozen=True)
class X3DConfig(ConvolutionalConfig):
    """An X3D, completely described (Feichtenhofer 2020). Its other fields are those of `ConvolutionalConfig`.

    Attributes:
      architecture: `x3d_xs`, `x3d_s`, `x3d_m` or `x3d_l`. The first three are one network, published for clips of 4 x 160 x 160,
        13 x 160 x 160 and 16 x 224 x 224; `x3d_l` is deeper, for 16 x 312 x 312.
      convolutions: how depthwise convolutions are computed: `3d`, as convolutions; `shifts`, as sums of shifted features; or `auto`, which
        is `shifts` on a CPU and a GPU. The results are the same but for rounding.

    Raises:
      UserError: when the values contradict each other.
    """

    family: ClassVar[str] = "x3d"

    architecture: str = "x3d_s"
    width: int = WIDTH
    clip: tuple[int, int, int] = (13, 160, 160)
    dropout: float = 0.5

    def __post_init__(self) -> None:
        self._check(ARCHITECTURES, CONVOLUTIONS)
        if self.width % 8:
            raise UserError(f"model.width must be a multiple of 8, got {self.width!r}")

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of each stage."""
        return ARCHITECTURES[self.architecture]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All residual blocks, from the first stage to the last."""
        return tuple(_blocks(self.depths, self.width))

    @property
    def feature_size(self) -> int:
        """Channels of the features that the head takes: 2048 where the width is 24."""
        return NECK * self.width // WIDTH

    @property
    def grid(self) -> Extents:
        """(n_t, n_h, n_w) of the last stage's features: every frame, and boxes of 32 x 32 pixels."""
        t, h, w = self.clip
        return t, -(-h // 32), -(-w // 32)


def _blocks(depths: tuple[int, ...], width: int) -> Iterator[Block]:
    inputs = width
    for stage, depth in enumerate(depths, start=1):
        outputs = width * 2 ** (stage - 1)
        inner = outputs * 9 // 4
        for number in range(depth):
            squeezed = _sixteenth(inner) if number % 2 == 0 else None
            yield Block(stage, number, inputs, inner, outputs, 2 if number == 0 else 1, squeezed)
            inputs = outputs


def _sixteenth(channels: int) -> int:
    """About a sixteenth of so many channels: the nearest multiple of 8 that is at least nine tenths of that."""
    near = max(8, (channels / 16 + 4) // 8 * 8)
    return int(near + 8 if near < 0.9 * channels / 16 else near)
