"""The fields that the configs of the convolutional families have in common, and their checks."""

import dataclasses
from collections.abc import Collection, Mapping

from flax.core import FrozenDict

from vivit_jax.errors import UserError, unknown_name
from vivit_jax.models.base_config import DTYPES, BaseConfig, check_classes, check_positive


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
        names = {"architecture": architectures, "dtype": DTYPES, "convolutions": convolutions}
        for field, known in names.items():
            if not isinstance(getattr(self, field), str) or getattr(self, field) not in known:
                raise unknown_name(f"model.{field}", str(getattr(self, field)), known)
        if isinstance(self.num_classes, Mapping):
            object.__setattr__(self, "num_classes", FrozenDict(self.num_classes))
        object.__setattr__(self, "clip", tuple(self.clip))
        if len(self.clip) != 3:
            raise UserError(f"model.clip must be (t, h, w), got {self.clip}")
        counts = {"width": self.width, **{f"clip {axis}": extent for axis, extent in zip("thw", self.clip, strict=True)}}
        for name, count in counts.items():
            check_positive(name, count)
        check_classes(self.num_classes)
        if not 0.0 <= self.dropout < 1.0:
            raise UserError(f"model.dropout must be in [0, 1), got {self.dropout}")
        if not isinstance(self.frozen_statistics, bool):
            raise UserError(f"model.frozen_statistics must be true or false, got {self.frozen_statistics!r}")
