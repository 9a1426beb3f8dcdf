"""The sections of an experiment that say how it is trained."""

import dataclasses

from vivit_jax.errors import unknown_name


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """What is minimised: softmax cross-entropy.

    Attributes:
      label_smoothing: share of the target spread evenly over all classes, in [0, 1).
    """

    label_smoothing: float = 0.0


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How the loss is minimised, by optax."""

    name: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
    """The learning rate over time."""

    name: str = "cosine"


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Batch size, length and regularisers of the step."""

    batch_size: int = 64


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """When the model is evaluated, and with which views."""

    views: tuple[int, int] = (1, 1)


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """When training state is saved and how much is kept."""

    keep: int = 2


@dataclasses.dataclass(frozen=True)
class ParallelConfig:
    """How the step is spread over devices."""

    mode: str = "jit"

    def __post_init__(self) -> None:
        if self.mode not in ("jit", "pmap"):
            raise unknown_name("parallel.mode", self.mode, ("jit", "pmap"))
