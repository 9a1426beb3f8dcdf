"""The fields that the configs of the convolutional families have in common, and their checks."""

import dataclasses
from collections.abc import Collection, Mapping

from vivit_jax.errors import UserError
from vivit_jax.models.base_config import DTYPES, BaseConfig, check_flag, check_name, check_positive, check_rate


@dataclasses.dataclass(frozen=True)
class ConvolutionalConfig(BaseConfig):
    """The fields of every convolutional family. A family gives those their defaults that its networks were published with.

    Attributes:
      architecture: one of the family's published networks.
      width: channels of the first stage; the next three have 2, 4 and 8 times as many. All published networks have the default.
      clip: (t, h, w) of the input video, in frames and pixels.
      num_classes: outputs of the head, or of several heads by name, as `{"verb": 97, "noun": 300}`; None for no head: the model
        then returns its features.
      dropout: rate on the features, before the head.
      frozen_statistics: whether training too normalises by the running statistics, and leaves them unchanged; for fine-tuning with batches
        that are too small to estimate statistics.
      dtype: the type of the computation: `float32`, `bfloat16` or `auto` (bfloat16 on accelerators, float32 on a CPU, where it is
        faster); parameters, batch statistics and logits are float32.
      convolutions: how convolutions are computed, one of the family's ways. The results are the same but for rounding.
    """

    architecture: str
    width: int
    clip: tuple[int, int, int]
    num_classes: int | Mapping[str, int] | None = None
    dropout: float = 0.0
    frozen_statistics: bool = False
    dtype: str = "auto"
    convolutions: str = "auto"

    def _check(self, architectures: Collection[str], convolutions: Collection[str]) -> None:
        """Refuses values that contradict each other. Makes mappings and lists immutable.

        Args:
          architectures: the family's networks.
          convolutions: its ways to compute convolutions.

        Raises:
          UserError: naming the field of section `model`.
        """
        check_name("architecture", self.architecture, architectures)
        check_name("dtype", self.dtype, DTYPES)
        check_name("convolutions", self.convolutions, convolutions)
        self._set("clip", tuple(self.clip))
        if len(self.clip) != 3:
            raise UserError(f"model.clip must be (t, h, w), got {self.clip}")
        check_positive("width", self.width)
        for axis, extent in zip("thw", self.clip, strict=True):
            check_positive(f"clip {axis}", extent)
        self._check_heads()
        check_rate("dropout", self.dropout)
        check_flag("frozen_statistics", self.frozen_statistics)
