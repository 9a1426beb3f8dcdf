"""The config of a CNN of Karpathy et al. 2014: one frozen dataclass, checked when it is made."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import ClassVar

from vivit_jax.errors import UserError
from vivit_jax.models.base_config import DTYPES, BaseConfig, check_flag, check_name, check_positive

# How the frames of a clip come together, and how many frames the paper gives each kind of fusion.
FUSIONS = {"single_frame": 1, "early": 10, "late": 2, "slow": 10}
SIDE, MULTIRESOLUTION_SIDE = 170, 178

# Slow fusion, first two layers: the frames that a filter spans, and the frames from one of its responses to the next.
# The third layer spans all that is left.
SLOW_SPANS = ((4, 2), (2, 2))


@dataclasses.dataclass(frozen=True)
class Convolution:
    """One of the base network's convolutions: C(filters, size, stride) in the paper's notation, with N and P where they follow.

    Attributes:
      size: height and width of its filters, in pixels.
      stride: from one response to the next, in pixels.
      normalised: whether response normalisation follows.
      pooled: whether 2 x 2 pooling follows.
    """

    size: int
    stride: int = 1
    normalised: bool = False
    pooled: bool = False


CONVOLUTIONS = (
    Convolution(11, 3, normalised=True, pooled=True),
    Convolution(5, normalised=True, pooled=True),
    Convolution(3),
    Convolution(3),
    Convolution(3, pooled=True),
)


@dataclasses.dataclass(frozen=True)
class FusionCNNConfig(BaseConfig):
    """A CNN of Karpathy et al. 2014, completely described; the defaults are the paper's.

    Attributes:
      fusion: how the frames of a clip are combined: `single_frame` (there is one), `early` (the first filters span them all), `late` (each
        goes through convolutions of the same weights, and the first fully connected layer sees them all) or `slow` (the first three layers
        span more and more of them).
      multiresolution: whether two streams, each with its own weights, see each frame: the context stream sees it at half its size, the
        fovea stream its central half.
      clip: (t, h, w) of the input video, in frames and pixels; None is the paper's: 1, 10, 2 or 10 frames by `fusion`, of 170 x 170 pixels,
        or 178 x 178 for `multiresolution`. The paper's two frames of `late` are 15 apart: set `data.stride` to 15.
      num_classes: outputs of the head, or of several heads by name, as `{"verb": 97, "noun": 300}`; None for no head: the model
        then returns its features.
      filters: the filters of each of the five convolutions.
      hidden: the units of each of the two fully connected layers.
      dropout: the rates after the two fully connected layers.
      dtype: the type of the computation: `float32`, `bfloat16` or `auto` (bfloat16 on accelerators, float32 on a CPU, where it is
        faster); parameters, response normalisation and logits are float32.

    Raises:
      UserError: when the values contradict each other.
    """

    family: ClassVar[str] = "fusion_cnn"

    fusion: str = "slow"
    multiresolution: bool = False
    clip: tuple[int, int, int] | None = None
    num_classes: int | Mapping[str, int] | None = None
    filters: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
    hidden: tuple[int, int] = (4096, 4096)
    dropout: tuple[float, float] = (0.5, 0.5)
    dtype: str = "auto"

    def __post_init__(self) -> None:
        check_name("fusion", self.fusion, FUSIONS)
        check_name("dtype", self.dtype, DTYPES)
        check_flag("multiresolution", self.multiresolution)
        side = MULTIRESOLUTION_SIDE if self.multiresolution else SIDE
        self._set("clip", (FUSIONS[self.fusion], side, side) if self.clip is None else tuple(self.clip))
        self._set("filters", tuple(self.filters))
        self._set("hidden", tuple(self.hidden))
        self._set("dropout", tuple(self.dropout))
        self._check_numbers()
        self._check_heads()
        self._check_clip()

    def _check_numbers(self) -> None:
        for field, length in (("clip", 3), ("filters", len(CONVOLUTIONS)), ("hidden", 2), ("dropout", 2)):
            if len(getattr(self, field)) != length:
                raise UserError(f"model.{field} must be {length} numbers, got {getattr(self, field)}")
        for field in ("clip", "filters", "hidden"):
            for value in getattr(self, field):
                check_positive(field, value)
        if not all(0.0 <= rate < 1.0 for rate in self.dropout):
            raise UserError(f"model.dropout must be two rates in [0, 1), got {self.dropout}")

    def _check_clip(self) -> None:
        frames, *sides = self.clip
        if not _fits_in_time(self.fusion, frames):
            raise UserError(
                f"model.clip {self.clip} has {frames} frame{'s' if frames > 1 else ''}, and model.fusion {self.fusion} takes "
                f"{_nearest(frames, lambda count: _fits_in_time(self.fusion, count))}"
            )
        for name, side in zip(("high", "wide"), sides, strict=True):
            if not self._fits_in_space(side):
                kind = "with" if self.multiresolution else "without"
                raise UserError(
                    f"model.clip {self.clip} is {side} pixels {name}, and a network {kind} model.multiresolution takes sides of "
                    f"{_nearest(side, self._fits_in_space)}"
                )

    def _fits_in_space(self, side: int) -> bool:
        return bool(self.map_side(side)) and not (self.multiresolution and side % 2)

    def map_side(self, side: int) -> int:
        """The rows (or columns) of a stream's last map for frames of `side` rows (or columns); 0 where pooling leaves none."""
        side = side // 2 if self.multiresolution else side
        for layer in CONVOLUTIONS:
            side = -(-side // layer.stride)
            side = side // 2 if self.pools(layer) else side
        return side

    def pools(self, layer: Convolution) -> bool:
        """Whether pooling follows a layer: two streams, which see frames of half the side, leave out the last one."""
        return layer.pooled and not (self.multiresolution and layer is CONVOLUTIONS[-1])

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """For each convolution, the frames that a filter spans and the frames from one of its responses to the next."""
        one, frames = (1, 1), self.clip[0]
        if self.fusion == "early":
            return ((frames, 1), *[one] * 4)
        if self.fusion == "slow":
            return (*SLOW_SPANS, (_after_two_layers(frames), 1), one, one)
        return (one,) * 5


def _fits_in_time(fusion: str, frames: int) -> bool:
    """Whether the clip's frames are all used, and come together as the name says."""
    if fusion == "slow":
        return frames >= FUSIONS["slow"] and (frames - FUSIONS["slow"]) % 4 == 0
    return frames == 1 if fusion == "single_frame" else frames >= 2


def _after_two_layers(frames: int) -> int:
    """Responses along time after the first two layers of slow fusion."""
    for span, step in SLOW_SPANS:
        frames = (frames - span) // step + 1
    return frames


def _nearest(value: int, fits: Callable[[int], bool]) -> str:
    """The nearest numbers that fit, below and above `value`, which does not; either may be missing."""
    below = next((number for number in range(value - 1, 0, -1) if fits(number)), None)
    above = next((number for number in itertools.islice(itertools.count(value + 1), 1000) if fits(number)), None)
    return " or ".join(str(number) for number in (below, above) if number is not None)
