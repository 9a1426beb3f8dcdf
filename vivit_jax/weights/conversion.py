"""The options and the result of a conversion, shared by the converters of all families."""

import dataclasses

from vivit_jax.heads import Labels
from vivit_jax.weights.model_dir import Pretrained
from vivit_jax.weights.report import ReportLine


@dataclasses.dataclass(frozen=True)
class ConversionOptions:
    """The options of a conversion besides the fields of the model.

    Attributes:
      head: `keep` or `fresh`; None keeps a video model's if the classes are the same.
      stride: source frames between two frames of a clip; None is the source's, or the converter's default.
      resize: short side in pixels before the crop; None is the source's, or the converter's default.
      labels: class names; None takes the source's if its head is kept.
      seed: seeds the weights that the source lacks.
      image_models: whether the source may be an image model.
    """

    head: str | None = None
    stride: int | None = None
    resize: int | None = None
    labels: Labels | None = None
    seed: int = 0
    image_models: bool = True


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A converted model and, for each group of its parameters, where it came from and what was done to it."""

    pretrained: Pretrained
    report: tuple[ReportLine, ...]
