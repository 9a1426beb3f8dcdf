"""The `init` section of an experiment: which weights training starts from, and how they are made to fit the model."""

import dataclasses

from vivit_jax.errors import UserError, unknown_name
from vivit_jax.models.vivit.config import ACTIVATIONS

TUBELET_INITS = ("central_frame", "average", "random")
TEMPORAL_ATTENTION_INITS = ("zero_output", "zero", "copy")
Triple = tuple[float, float, float]

HEAD_INITS = ("fresh", "keep", "probe")
POSITION_RESIZES = ("cubic", "cubic_antialiased", "linear", "nearest")


@dataclasses.dataclass(frozen=True)
class InitConfig:
    """Where the first weights come from (Sec. 3.4).

    Attributes:
      source: the weights to start from: a file or directory in any format of `vivit_jax.weights`, or `hf://org/name`; None starts from
        random weights.
      format: the source's format by name; `auto` recognises it.
      tubelet: how the tubelet kernel is made of an image model's kernel E: `central_frame` (E in slice t//2, zero elsewhere), `average`
        (E/t in each slice, "filter inflation") or `random`.
      temporal_attention: Model 3's temporal attention from a model without one: `zero_output` (its output projection alone is zero, so
        that each block starts as the image model's and trains), `zero` (every kernel, as the paper has it) or `copy` (of the spatial one).
      head: the head's weights: `fresh` zeros; `keep` for the source's, whose classes must be the data set's, in any order; or `probe`, a
        logistic regression that is fitted to the frozen features of the training split before the first step (Kumar et al. 2022).
      position_resize: how position embeddings are resized to another grid: `cubic`, `cubic_antialiased`, `linear` (corners aligned) or
        `nearest`; None resizes as the source's own code does.
      activation: the activation of the MLPs, `gelu` or `gelu_tanh`; None is the source's, or its format's.
      norm_eps: the epsilon of every LayerNorm; None is the source's, or its format's.
      mean: the mean of each RGB channel that the source was trained with, for pixels in [0, 1]; None is the source's, or its format's.
      std: the standard deviation of each RGB channel that the source was trained with, for pixels in [0, 1]; None is the
        source's, or its format's.
      num_heads: the source's attention heads, if its files do not say and its width is unusual; None is the model's.
      image_size: the (h, w) in pixels that an image model's positions are for; None if they are square or a config says.
      source_clip: the (t, h, w) that a ViViT's positions are for; None if they fit the model's clip or a config says.
    """

    source: str | None = None
    format: str = "auto"
    tubelet: str = "central_frame"
    temporal_attention: str = "zero_output"
    head: str = "fresh"
    position_resize: str | None = None
    activation: str | None = None
    norm_eps: float | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    num_heads: int | None = None
    image_size: tuple[int, int] | None = None
    source_clip: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        for field, known in (
            ("tubelet", TUBELET_INITS),
            ("temporal_attention", TEMPORAL_ATTENTION_INITS),
            ("head", HEAD_INITS),
            ("position_resize", (None, *POSITION_RESIZES)),
            ("activation", (None, *ACTIVATIONS)),
        ):
            if getattr(self, field) not in known:
                raise unknown_name(f"init.{field}", str(getattr(self, field)), [name for name in known if name])
        if self.std is not None and min(self.std) <= 0:
            raise UserError(f"init.std must be above 0, got {self.std}")
        if self.norm_eps is not None and self.norm_eps <= 0:
            raise UserError(f"init.norm_eps must be above 0, got {self.norm_eps}")
