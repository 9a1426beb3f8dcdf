"""The sections of an experiment that say how it is trained."""

import dataclasses

from vivit_jax.errors import UserError, unknown_name
from vivit_jax.training.durations import check_duration

LOSSES = ("softmax", "sigmoid")
OPTIMIZERS = ("sgd", "adamw", "lamb", "lion")
SCHEDULES = ("cosine", "constant", "step")
MIXED_PER = ("batch", "example")
MODES = ("jit", "pmap")


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """What is minimised: cross-entropy, the mean over the heads where there are several.

    Attributes:
      name: `softmax` where a clip has one class, or `sigmoid`, of each class by itself, where it may have several or none.
      label_smoothing: share of the target that `softmax` spreads evenly over all classes, in [0, 1); under `sigmoid`, over yes and no.
      class_weights: the weight of each class where it is present, in the order of the classes' numbers; `balanced` takes those by which
        all classes of the training split count alike; None is 1. Scores of an evaluation are not weighted.
    """

    name: str = "softmax"
    label_smoothing: float = 0.0
    class_weights: str | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        _named("loss.name", self.name, LOSSES)
        if isinstance(self.class_weights, str):
            _named("loss.class_weights", self.class_weights, ("balanced",))
        elif any(weight < 0 for weight in self.class_weights or ()):
            raise UserError(f"loss.class_weights must be at least 0, got {self.class_weights}")
        _within("loss.label_smoothing", self.label_smoothing, 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How the loss is minimised, by optax. Patterns are regular expressions searched in parameter paths.

    A path reads `transformer/encoder/block_00/mlp/in/kernel`, whether or not the layers are scanned.

    Attributes:
      name: `sgd`, `adamw`, `lamb` or `lion`.
      learning_rate: its peak; the schedule and the factors below scale it.
      momentum: of `sgd`.
      nesterov: of `sgd`.
      b1: decay of the first moment, of the others.
      b2: decay of the second moment, of the others.
      weight_decay: coupled (added to the gradient) in `sgd`, decoupled in the others.
      weight_decay_pattern: the parameters that decay; kernels alone, unless said otherwise.
      clip_norm: the largest global norm of a gradient; None does not clip.
      sam_rho: radius of sharpness-aware minimisation (Foret et al. 2021): the gradient is taken where, that far away, the batch's loss is
        about highest, at the cost of a second pass; 0 is off.
      multipliers: (pattern, factor) pairs on the learning rate; the first that matches a parameter wins, and a parameter that none
        matches has factor 1. Factor 0 freezes.
      layer_decay: factor on the learning rate from each layer to the one below it; the head has 1.
    """

    name: str = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    nesterov: bool = False
    b1: float = 0.9
    b2: float = 0.999
    weight_decay: float = 0.0
    weight_decay_pattern: str = "kernel$"
    clip_norm: float | None = None
    sam_rho: float = 0.0
    multipliers: tuple[tuple[str, float], ...] = ()
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        _named("optimizer.name", self.name, OPTIMIZERS)
        for field in ("learning_rate", "weight_decay", "sam_rho"):
            _at_least(f"optimizer.{field}", getattr(self, field), 0)
        for field in ("momentum", "b1", "b2"):
            _within(f"optimizer.{field}", getattr(self, field), 0.0, 1.0)
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise UserError(f"optimizer.clip_norm must be above 0, or None to not clip, got {self.clip_norm}")
        if not 0 < self.layer_decay <= 1:
            raise UserError(f"optimizer.layer_decay must be in (0, 1], got {self.layer_decay}")
        for pattern, factor in self.multipliers:
            _at_least(f"optimizer.multipliers {pattern!r}", factor, 0)


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
    """The learning rate over time: a linear warm-up from 0, then the named curve.

    Attributes:
      name: `cosine` (to `final`), `constant` or `step` (times `drop` at each milestone).
      warmup_epochs: length of the warm-up.
      warmup_steps: where given, instead of `warmup_epochs`.
      warmup_examples: the same.
      warmup_percent: the same, of the run, from 0 to 100.
      final: where `cosine` ends, as a share of the peak.
      milestones: where `step` drops, as shares of the run in (0, 1).
      drop: the factor of each drop.
    """

    name: str = "cosine"
    warmup_epochs: float = 0.0
    warmup_steps: int | None = None
    warmup_examples: int | None = None
    warmup_percent: float | None = None
    final: float = 0.0
    milestones: tuple[float, ...] = ()
    drop: float = 0.1

    def __post_init__(self) -> None:
        _named("schedule.name", self.name, SCHEDULES)
        check_duration(self, "schedule", "warmup_", zero=True)
        if any(not 0 < milestone < 1 for milestone in self.milestones):
            raise UserError(f"schedule.milestones are shares of the run, each between 0 and 1, got {self.milestones}")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Batch size, length and regularisers of the step, and what is told of it.

    Attributes:
      batch_size: clips a step, over all devices and hosts.
      epochs: length of the run, in passes over the training split.
      steps: where given, the length instead of `epochs`.
      examples: the same, in clips.
      accumulation: microbatches a step is computed in; only the memory it takes depends on it.
      mixup: alpha of the Beta distribution two clips are mixed by (Zhang et al. 2018); 0 is off.
      cutmix: alpha for pasting a box of one clip into another (Yun et al. 2019); with both on, each draw is of one of them.
      mix_per: what mixup and cutmix are drawn for, each `batch` or each `example`.
      ema_decay: of the moving average of the weights, which is then what is evaluated and saved as the model; 0 is off.
      log_every: steps between two rows of training metrics, each of the means since the row before; None is 20, or fewer in a run of under
        500 steps, so that it has some 25 rows.
      prefetch: batches held on the device ahead of the step.
      tensorboard: whether to write TensorBoard events into the work directory.
      wandb: a Weights & Biases project to log to.
      profile_steps: (first, last) steps that jax's profiler traces, for TensorBoard; None traces none.
      compilation_cache: folder of compiled steps kept for later runs; None keeps none.
    """

    batch_size: int = 64
    epochs: float = 30.0
    steps: int | None = None
    examples: int | None = None
    accumulation: int = 1
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_per: str = "batch"
    ema_decay: float = 0.0
    log_every: int | None = None
    prefetch: int = 2
    tensorboard: bool = True
    wandb: str | None = None
    profile_steps: tuple[int, int] | None = None
    compilation_cache: str | None = "~/.cache/vivit_jax/compiled"

    def __post_init__(self) -> None:
        for field in ("batch_size", "accumulation", "log_every", "prefetch"):
            _at_least(f"training.{field}", getattr(self, field), 1)
        for field in ("mixup", "cutmix"):
            _at_least(f"training.{field}", getattr(self, field), 0)
        _named("training.mix_per", self.mix_per, MIXED_PER)
        _within("training.ema_decay", self.ema_decay, 0.0, 1.0)
        check_duration(self, "training", "")
        if self.profile_steps and not 1 <= self.profile_steps[0] <= self.profile_steps[1]:
            raise UserError(f"training.profile_steps must be (first, last) steps, counted from 1, or None, got {self.profile_steps}")
        if self.batch_size % self.accumulation:
            raise UserError(f"training.batch_size {self.batch_size} does not divide into training.accumulation {self.accumulation}")


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """When the model is evaluated, and with which views.

    Attributes:
      every_epochs: epochs between two evaluations on the validation split; there is always one after the last step.
      every_steps: where given, instead of `every_epochs`.
      every_examples: the same, in clips trained on.
      every_percent: the same, of the run, up to 100.
      views: (temporal, spatial) views of a video, whose logits are averaged, during training.
      test_views: the same for the test split at the end.
      batch_size: videos a step over all devices; None is `training.batch_size`.
      best: the score by which the model to keep is the best: `top1`, `top5`, `loss`, `mean_class`, `auc` or, of `sigmoid`, `mAP`; None is
        `top1`, and `mAP` under `sigmoid`.
    """

    every_epochs: float = 1.0
    every_steps: int | None = None
    every_examples: int | None = None
    every_percent: float | None = None
    views: tuple[int, int] = (1, 1)
    test_views: tuple[int, int] = (1, 1)
    batch_size: int | None = None
    best: str | None = None

    def __post_init__(self) -> None:
        check_duration(self, "evaluation", "every_")
        _at_least("evaluation.batch_size", self.batch_size, 1)
        if min(*self.views, *self.test_views) < 1:
            raise UserError(f"evaluation.views and test_views count at least 1 each way, got {self.views} and {self.test_views}")


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """When training state is saved and how much is kept.

    Attributes:
      every_epochs: epochs between two checkpoints; there is always one after the last step and one when interrupted.
      every_steps: where given, instead of `every_epochs`.
      every_examples: the same, in clips trained on.
      every_percent: the same, of the run, up to 100.
      keep: the newest whole checkpoints kept. The others are removed, but for those that the next keys keep.
      keep_every_epochs: the checkpoint of every so many epochs is saved and kept for good; None keeps none.
      keep_every_steps: the same in steps.
      keep_best: whether the checkpoint of the best model so far is kept too; one is then saved with each new best.
    """

    every_epochs: float = 1.0
    every_steps: int | None = None
    every_examples: int | None = None
    every_percent: float | None = None
    keep: int = 2
    keep_every_epochs: float | None = None
    keep_every_steps: int | None = None
    keep_best: bool = False

    def __post_init__(self) -> None:
        check_duration(self, "checkpoint", "every_")
        _at_least("checkpoint.keep", self.keep, 1)
        check_duration(self, "checkpoint", "keep_every_")


@dataclasses.dataclass(frozen=True)
class ParallelConfig:
    """How the step is spread over devices: the numbers stay the same, but for the order of sums and the draws of dropout in `pmap`.

    Attributes:
      mode: `jit` over a mesh of three axes, or `pmap` over all devices.
      data: devices along the axis that divides the batch; -1 is as many as there are.
      fsdp: devices along the axis that divides the batch, the parameters and the optimiser's state.
      tensor: devices along the axis that divides heads and hidden units.
    """

    mode: str = "jit"
    data: int = -1
    fsdp: int = 1
    tensor: int = 1

    def __post_init__(self) -> None:
        _named("parallel.mode", self.mode, MODES)
        if self.data != -1:
            _at_least("parallel.data", self.data, 1)
        _at_least("parallel.fsdp", self.fsdp, 1)
        _at_least("parallel.tensor", self.tensor, 1)
        if self.mode == "pmap" and (self.fsdp, self.tensor) != (1, 1):
            raise UserError(f"parallel.mode pmap divides the batch alone: fsdp {self.fsdp} and tensor {self.tensor} need mode jit")


def _named(field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise unknown_name(field, value, known)


def _at_least(field: str, value: float | None, least: int) -> None:
    if value is not None and value < least:
        raise UserError(f"{field} must be at least {least}, got {value}")


def _within(field: str, value: float, low: float, high: float) -> None:
    if not low <= value < high:
        raise UserError(f"{field} must be in [{low:g}, {high:g}), got {value}")
