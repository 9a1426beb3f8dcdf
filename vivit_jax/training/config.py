"""The sections of an experiment that say how it is trained."""

import dataclasses

from vivit_jax.errors import UserError, check_name, check_share
from vivit_jax.training.durations import check_duration

LOSSES = ("softmax", "sigmoid")
OPTIMIZERS = ("sgd", "adamw", "lamb", "lion")
SCHEDULES = ("cosine", "constant", "step")
MIXED_PER = ("batch", "example")
MODES = ("jit", "pmap")
LAST = "last"  # `evaluation.best` where no score chooses the model
AVERAGES = ("logits", "probabilities")
USUAL_CACHE = "~/.cache/vivit_jax/compiled"


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """What is minimised: cross-entropy, the mean over the heads where there are several.

    Attributes:
      name: the loss: `softmax` for clips of one class each, or `sigmoid`, which decides on each class separately, for clips of several
        classes or none.
      label_smoothing: the share of the target that `softmax` spreads evenly over all classes, in [0, 1); `sigmoid` spreads it over yes
        and no.
      class_weights: the weight of each class where it is present, in the order of the classes' numbers; `balanced` weights each class
        inversely to its frequency in the training split; None weights all by 1. Scores of an evaluation are not weighted.
    """

    name: str = "softmax"
    label_smoothing: float = 0.0
    class_weights: str | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        check_name("loss.name", self.name, LOSSES)
        if isinstance(self.class_weights, str):
            check_name("loss.class_weights", self.class_weights, ("balanced",))
        elif any(weight < 0 for weight in self.class_weights or ()):
            raise UserError(f"loss.class_weights must be at least 0, got {self.class_weights}")
        check_share("loss.label_smoothing", self.label_smoothing)


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How the loss is minimised, by optax. Patterns are regular expressions searched in parameter paths.

    A path reads `transformer/encoder/block_00/mlp/in/kernel`, whether or not the layers are scanned.

    Attributes:
      name: the optimiser: `sgd`, `adamw`, `lamb` or `lion`.
      learning_rate: the peak of the learning rate; the schedule and the factors below scale it.
      momentum: the momentum of `sgd`, in [0, 1); the other optimisers do not use it.
      nesterov: whether `sgd` uses Nesterov's form of momentum; the other optimisers do not use it.
      b1: the decay of the first moment in `adamw`, `lamb` and `lion`, in [0, 1).
      b2: the decay of the second moment in `adamw` and `lamb`, and of the momentum in `lion`, in [0, 1).
      weight_decay: the strength of weight decay: coupled (added to the gradient) in `sgd`, decoupled in the others; 0 is off.
      weight_decay_pattern: a regular expression, searched in the paths of parameters: those it matches decay. By default these are the
        kernels.
      clip_norm: the largest global norm of a gradient, to which a longer one is scaled down; None does not clip.
      sam_rho: the radius of sharpness-aware minimisation (Foret et al. 2021): the gradient is taken at that distance from the weights,
        where the batch's loss is about highest, at the cost of a second pass; 0 is off.
      multipliers: (pattern, factor) pairs on the learning rate; the first that matches a parameter wins, and a parameter that none
        matches has factor 1. Factor 0 freezes.
      layer_decay: the factor on the learning rate from each layer to the one below it, in (0, 1]; the head has 1.
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
        check_name("optimizer.name", self.name, OPTIMIZERS)
        for field in ("learning_rate", "weight_decay", "sam_rho"):
            _check_at_least(f"optimizer.{field}", getattr(self, field), 0)
        for field in ("momentum", "b1", "b2"):
            check_share(f"optimizer.{field}", getattr(self, field))
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise UserError(f"optimizer.clip_norm must be above 0, or None to not clip, got {self.clip_norm}")
        if not 0 < self.layer_decay <= 1:
            raise UserError(f"optimizer.layer_decay must be in (0, 1], got {self.layer_decay}")
        for pattern, factor in self.multipliers:
            _check_at_least(f"optimizer.multipliers {pattern!r}", factor, 0)


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
    """The learning rate over time: a linear warm-up from 0, then the named curve.

    Attributes:
      name: the curve after the warm-up: `cosine` (falls to `final`), `constant` or `step` (multiplied by `drop` at each milestone).
      warmup_epochs: the length of the warm-up in epochs.
      warmup_steps: the length of the warm-up in steps; if given, it replaces `warmup_epochs`.
      warmup_examples: the length of the warm-up in clips trained on; if given, it replaces `warmup_epochs`.
      warmup_percent: the length of the warm-up in percent of the run, from 0 to 100; if given, it replaces `warmup_epochs`.
      final: the learning rate at which `cosine` ends, as a share of the peak.
      milestones: when `step` drops the learning rate, as shares of the run, each between 0 and 1; those of one step drop it once each.
      drop: the factor on the learning rate at each milestone of `step`.
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
        check_name("schedule.name", self.name, SCHEDULES)
        check_duration(self, "schedule", "warmup_", zero=True)
        if any(not 0 < milestone < 1 for milestone in self.milestones):
            raise UserError(f"schedule.milestones are shares of the run, each between 0 and 1, got {self.milestones}")


@dataclasses.dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters (Hu et al. 2022): of the parameters, only these and those that `full` matches are trained.

    Attributes:
      rank: the rank r of the adapters; 0 trains all parameters, without adapters.
      alpha: the product of an adapter's two matrices is multiplied by alpha / r.
      layers: a regular expression, searched in the paths of kernels: those it matches get an adapter. By default these are the kernels of
        attention and MLPs.
      full: a regular expression, searched in the paths of parameters: those it matches are trained in full, by default the head. Add the
        parts that begin with random weights, such as a temporal encoder over an image model. None trains the adapters alone.
    """

    rank: int = 0
    alpha: float = 16.0
    layers: str = r"attention\w*/(query|key|value|out)/kernel$|mlp/(in|out)/kernel$"
    full: str | None = r"^head"

    def __post_init__(self) -> None:
        _check_at_least("training.lora.rank", self.rank, 0)
        _check_at_least("training.lora.alpha", self.alpha, 0)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Batch size, length and regularisers of the step, and what is told of it.

    Attributes:
      batch_size: the clips of a step, over all devices and hosts.
      epochs: the length of the run, in passes over the training split.
      steps: the length of the run in steps; if given, it replaces `epochs`.
      examples: the length of the run in clips trained on; if given, it replaces `epochs`.
      accumulation: the microbatches that a step is computed in, one after the other, to take less memory.
      mixup: alpha of the Beta distribution that two clips are mixed by (Zhang et al. 2018); 0 is off.
      cutmix: alpha for pasting a box of one clip into another (Yun et al. 2019); if both are on, each draw takes one of them.
      mix_per: whether mixup and cutmix are drawn once for each `batch` or for each `example`.
      ema_decay: the decay of the moving average of the weights, in [0, 1); the average is then what is evaluated and saved as the model;
        0 is off.
      ema_percent: how far that average looks back, in percent of the run: of T steps, the decay is 1 - 100 / (ema_percent T); where
        given, it replaces `ema_decay`. Unlike with `ema_decay`, the first weights count: at 50 they are an eighth of the average
        at the end, at 100 more than a third, which keeps a fine-tuned model near what it was (Wortsman et al. 2022).
      log_every: the steps between two rows of training metrics, each the mean since the row before; None is 20, or fewer in a run of
        under 500 steps, so that it has some 25 rows.
      prefetch: the batches held on the device ahead of the step.
      tensorboard: whether TensorBoard events are written into the work directory.
      wandb: the Weights & Biases project to log to; None logs to none.
      profile_steps: the (first, last) steps that JAX's profiler traces, for TensorBoard; None traces none.
      compilation_cache: the folder in which compiled steps are kept for later runs; None keeps none.
      lora: low-rank adapters, which are trained in place of the parameters.
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
    ema_percent: float | None = None
    log_every: int | None = None
    prefetch: int = 2
    tensorboard: bool = True
    wandb: str | None = None
    profile_steps: tuple[int, int] | None = None
    compilation_cache: str | None = USUAL_CACHE
    lora: LoraConfig = dataclasses.field(default_factory=LoraConfig)

    def __post_init__(self) -> None:
        for field in ("batch_size", "accumulation", "log_every", "prefetch"):
            _check_at_least(f"training.{field}", getattr(self, field), 1)
        for field in ("mixup", "cutmix"):
            _check_at_least(f"training.{field}", getattr(self, field), 0)
        check_name("training.mix_per", self.mix_per, MIXED_PER)
        check_share("training.ema_decay", self.ema_decay)
        if self.ema_percent is not None and not 0 < self.ema_percent <= 1000:
            raise UserError(f"training.ema_percent must be above 0 and at most 1000, got {self.ema_percent}")
        check_duration(self, "training", "")
        if self.profile_steps and not 1 <= self.profile_steps[0] <= self.profile_steps[1]:
            raise UserError(f"training.profile_steps must be (first, last) steps, counted from 1, or None, got {self.profile_steps}")
        if self.batch_size % self.accumulation:
            raise UserError(f"training.batch_size {self.batch_size} is not divisible by training.accumulation {self.accumulation}")

    @property
    def averages(self) -> bool:
        """Whether a moving average of the weights is kept."""
        return bool(self.ema_decay) or self.ema_percent is not None

    @property
    def mixes(self) -> bool:
        """Whether clips of a batch are mixed with each other."""
        return bool(self.mixup or self.cutmix)


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """When the model is evaluated, and with which views.

    Attributes:
      every_epochs: the epochs between two evaluations on the validation split; there is always one after the last step.
      every_steps: the steps between two evaluations; if given, they replace `every_epochs`.
      every_examples: the clips trained on between two evaluations; if given, they replace `every_epochs`.
      every_percent: the percent of the run between two evaluations, up to 100; if given, they replace `every_epochs`.
      views: the (temporal clips, spatial crops) of a video whose logits are averaged, in evaluations during training.
      test_views: the (temporal clips, spatial crops) of a video whose logits are averaged, in the test at the end.
      test_flip: whether the test at the end sees each of these views mirrored too, so that twice as many logits are averaged.
      batch_size: the videos evaluated at once, over all devices; None is `training.batch_size`.
      best: the score that decides which model of the run is kept: `top1`, `top5`, `loss`, `mean_class`, `auc`, with two classes `f1` or,
        with loss `sigmoid`, `mAP`; None is `top1`, or `mAP` with `sigmoid`. `last` keeps the model after the last step, whatever its score:
        on a small validation split the choice would be chance.
      average: what is averaged over the views of a video: `logits`, or `probabilities`.
      patience: after how many evaluations in a row without a better `best` the run ends early, with its test, model and report; None
        trains to the last step.
      patience_delta: by how much a score must be better than the best before to count as better.
    """

    every_epochs: float = 1.0
    every_steps: int | None = None
    every_examples: int | None = None
    every_percent: float | None = None
    views: tuple[int, int] = (1, 1)
    test_views: tuple[int, int] = (1, 1)
    test_flip: bool = False
    batch_size: int | None = None
    best: str | None = None
    average: str = "logits"
    patience: int | None = None
    patience_delta: float = 0.0

    def __post_init__(self) -> None:
        check_duration(self, "evaluation", "every_")
        check_name("evaluation.average", self.average, AVERAGES)
        _check_at_least("evaluation.patience", self.patience, 1)
        if self.best == LAST and self.patience is not None:
            raise UserError("evaluation.patience waits for a better score, and evaluation.best is last: set it to a score")
        _check_at_least("evaluation.patience_delta", self.patience_delta, 0)
        _check_at_least("evaluation.batch_size", self.batch_size, 1)
        if min(*self.views, *self.test_views) < 1:
            raise UserError(f"evaluation.views and test_views must be two numbers of at least 1, got {self.views} and {self.test_views}")


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """When training state is saved and how much is kept.

    Attributes:
      every_epochs: the epochs between two checkpoints; None is one, or a hundredth of the run where that is longer. There is always
        one after the last step and one when interrupted.
      every_steps: the steps between two checkpoints; if given, they replace `every_epochs`.
      every_examples: the clips trained on between two checkpoints; if given, they replace `every_epochs`.
      every_percent: the percent of the run between two checkpoints, up to 100; if given, they replace `every_epochs`.
      keep: how many of the newest whole checkpoints are kept; the others are removed, but for those that the next keys keep.
      keep_every_epochs: the checkpoint of every so many epochs is saved and kept for good; None keeps none.
      keep_every_steps: the checkpoint of every so many steps is saved and kept for good; if given, it replaces `keep_every_epochs`.
      keep_best: whether the checkpoint of the best model so far is kept too; one is then saved with each new best.
    """

    every_epochs: float | None = None
    every_steps: int | None = None
    every_examples: int | None = None
    every_percent: float | None = None
    keep: int = 2
    keep_every_epochs: float | None = None
    keep_every_steps: int | None = None
    keep_best: bool = False

    def __post_init__(self) -> None:
        check_duration(self, "checkpoint", "every_")
        _check_at_least("checkpoint.keep", self.keep, 1)
        check_duration(self, "checkpoint", "keep_every_")


@dataclasses.dataclass(frozen=True)
class ParallelConfig:
    """How the step is spread over devices: the numbers stay the same, but for the order of sums and the draws of dropout in `pmap`.

    Attributes:
      mode: `jit` spreads the step over a mesh with the three axes below; `pmap` divides only the batch, over all devices.
      data: devices along the axis that divides the batch; -1 takes all that the other two leave.
      fsdp: devices along the axis that divides the batch, the parameters and the optimiser's state.
      tensor: devices along the axis that divides heads and hidden units.
    """

    mode: str = "jit"
    data: int = -1
    fsdp: int = 1
    tensor: int = 1

    def __post_init__(self) -> None:
        check_name("parallel.mode", self.mode, MODES)
        if self.data != -1:
            _check_at_least("parallel.data", self.data, 1)
        _check_at_least("parallel.fsdp", self.fsdp, 1)
        _check_at_least("parallel.tensor", self.tensor, 1)
        if self.mode == "pmap" and (self.fsdp, self.tensor) != (1, 1):
            raise UserError(f"parallel.mode pmap divides only the batch: fsdp {self.fsdp} and tensor {self.tensor} need mode jit")


def _check_at_least(field: str, value: float | None, least: int) -> None:
    if value is not None and value < least:
        raise UserError(f"{field} must be at least {least}, got {value}")
