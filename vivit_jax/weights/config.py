"""The `init` section of an experiment: which weights training starts from, and how an image model becomes a video model."""

import dataclasses

from vivit_jax.errors import unknown_name

TUBELET_INITS = ("central_frame", "average", "random")
TEMPORAL_ATTENTION_INITS = ("zero_output", "zero", "copy")
HEAD_INITS = ("fresh", "keep")


@dataclasses.dataclass(frozen=True)
class InitConfig:
    """Where the first weights come from (Sec. 3.4).

    Attributes:
      source: a file or directory in any format of `vivit_jax.weights`, or `hf://org/name`; None starts from random weights.
      format: the source's format by name; `auto` recognises it.
      tubelet: the tubelet kernel from an image kernel E: `central_frame` (E in slice t//2, zero elsewhere), `average` (E/t in each
        slice, "filter inflation") or `random`.
      temporal_attention: Model 3's temporal attention from an image model: `zero_output` (its output projection alone is zero, so that
        each block starts as the image model's and trains), `zero` (every kernel, as the paper has it) or `copy` (of the spatial one).
      head: `fresh` zeros, or `keep` the source's where the classes are the same.
    """

    source: str | None = None
    format: str = "auto"
    tubelet: str = "central_frame"
    temporal_attention: str = "zero_output"
    head: str = "fresh"

    def __post_init__(self) -> None:
        for field, known in (
            ("tubelet", TUBELET_INITS),
            ("temporal_attention", TEMPORAL_ATTENTION_INITS),
            ("head", HEAD_INITS),
        ):
            if getattr(self, field) not in known:
                raise unknown_name(f"init.{field}", getattr(self, field), known)
