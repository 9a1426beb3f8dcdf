"""Times the steps of training and evaluation on random input.

Steps are queued as the training loop queues them, a few ahead of the one that is waited for. The time of a step is that between its
result and the one before, so what the host does while the device works costs nothing, as in training. Nothing here knows of data sets or
config files.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from vivit_jax.analysis import complexity
from vivit_jax.analysis.ceiling import Ceiling
from vivit_jax.analysis.queued import time_queued
from vivit_jax.analysis.random_input import random_batch, random_variables
from vivit_jax.data.config import AugmentConfig
from vivit_jax.errors import UserError
from vivit_jax.models.families import ModelConfig, build
from vivit_jax.preprocess import Preprocess
from vivit_jax.training.config import LossConfig, OptimizerConfig, ParallelConfig, ScheduleConfig, TrainingConfig
from vivit_jax.training.devices.executors import Executor, check_batch_size, make_executor
from vivit_jax.training.lora import trained_by, with_adapters
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.paths import named_leaves
from vivit_jax.training.setup import set_up
from vivit_jax.training.step import make_eval_step

MODES = ("train", "infer")
WARM_UP_STEPS = 5

# The learning rate stays in the first steps of a long warm-up, so that random labels can spoil nothing.
SCHEDULE_STEPS, SCHEDULE_WARM_UP = 10**6, 10**5


@dataclasses.dataclass(frozen=True)
class Subject:
    """A step to be timed: the sections of an experiment that it depends on.

    Attributes:
      model: the network, with a number of classes.
      training: batch size, which inference uses too, and regularisers.
      augment: its changes of colour are part of the train step.
      loss: loss of the train step.
      optimizer: optimiser of the train step.
      schedule: schedule of the learning rate.
      parallel: how the step is spread over devices.
      preprocess: normalises the uint8 video; None is Scenic's range [-1, 1].
      variables: `params` and the model's other collections on the host; None draws random ones.
    """

    model: ModelConfig
    training: TrainingConfig = TrainingConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    parallel: ParallelConfig = ParallelConfig()
    preprocess: Preprocess | None = None
    variables: Any = None

    @property
    def batch_size(self) -> int:
        """Clips a step, over all devices."""
        return self.training.batch_size


@dataclasses.dataclass(frozen=True)
class Timing:
    """The measurements of a step.

    Attributes:
      mode: `train` or `infer`.
      batch_size: clips a step, over all devices.
      clip: (t, h, w) in frames and pixels.
      devices: how many the step ran on.
      seconds: time of each timed step.
      compile_seconds: time of tracing, lowering and compiling it.
      tflop: TFLOP of the matrix products that a step needs, over all devices; what `remat` computes again is not counted.
      program_bytes: most memory of one device that the compiled step takes, arguments included; None if XLA does not tell.
      peak_bytes: most memory of one device that this process has held so far; None if the device does not tell.
    """

    mode: str
    batch_size: int
    clip: tuple[int, int, int]
    devices: int
    seconds: tuple[float, ...]
    compile_seconds: float
    tflop: float
    program_bytes: int | None
    peak_bytes: int | None

    @property
    def median(self) -> float:
        """Median seconds of a step."""
        return float(np.median(self.seconds))

    def to_row(self, ceiling: Ceiling) -> dict[str, Any]:
        """Plain values for JSON, with the share of the ceiling that the step reached."""
        return {
            "mode": self.mode,
            "batch_size": self.batch_size,
            "clip": list(self.clip),
            "devices": self.devices,
            "steps": len(self.seconds),
            "clips_per_second": self.batch_size / self.median,
            "milliseconds": 1e3 * self.median,
            "milliseconds_quartiles": [1e3 * float(np.quantile(self.seconds, share)) for share in (0.25, 0.75)],
            "tflops": self.tflop / self.median,
            "share_of_ceiling": self.tflop / self.median / (self.devices * ceiling.tflops),
            "compile_seconds": self.compile_seconds,
            "program_bytes": self.program_bytes,
            "peak_bytes": self.peak_bytes,
        }


def measure(mode: str, subject: Subject, *, steps: int = 20) -> Timing:
    """Compiles and times a step on random input.

    Args:
      mode: `train` (forward, backward, update) or `infer` (one view a clip).
      subject: what to time.
      steps: how many are timed, after a warm-up.

    Raises:
      UserError: for a batch that does not divide over the devices, or numbers that are not finite: their time would say nothing.
    """
    prepared = prepare(mode, subject)
    seconds, last = time_queued(prepared.call, steps, warm_up=WARM_UP_STEPS)
    _check_finite(mode, last)
    return _timing(mode, subject, prepared, seconds)


def measure_in_turns(mode: str, subjects: Sequence[Subject], *, seconds: float = 1.0, rounds: int = 3) -> list[Timing]:
    """Times several subjects, each a little in every round, so that a machine whose speed drifts affects all of them alike.

    Args:
      mode: as for `measure`.
      subjects: what to time; all of them lie on the device together.
      seconds: about how long each is timed in a round; at least two steps are.
      rounds: how many rounds.

    Raises:
      UserError: as `measure`.
    """
    prepared = [prepare(mode, subject) for subject in subjects]
    counts = []
    for one in prepared:
        times, last = time_queued(one.call, 1, warm_up=1)
        _check_finite(mode, last)
        counts.append(int(np.clip(seconds / times[0], 2, 50)))
    measured: list[list[float]] = [[] for _ in subjects]
    for _ in range(rounds):
        for i, one in enumerate(prepared):
            measured[i] += time_queued(one.call, counts[i], warm_up=1)[0].tolist()
    return [_timing(mode, *subject, times) for *subject, times in zip(subjects, prepared, measured, strict=True)]


def _check_finite(mode: str, result: Any) -> None:
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.device_get(result)) if np.issubdtype(leaf.dtype, np.floating)):
        raise UserError(f"the {mode} step gives numbers that are not finite on random input, so there is no use in timing it")


def _timing(mode: str, subject: Subject, prepared: "Prepared", seconds: Sequence[float]) -> Timing:
    return Timing(
        mode=mode,
        batch_size=subject.batch_size,
        clip=subject.model.clip,
        devices=prepared.devices,
        seconds=tuple(seconds),
        compile_seconds=prepared.compile_seconds,
        tflop=2e-12 * prepared.products,
        program_bytes=_program_bytes(prepared.compiled),
        peak_bytes=(jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use"),
    )


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A step that is ready to be called on random input.

    Attributes:
      call: runs one step on the state that the last one left, and returns its results on the device.
      compiled: the program.
      compile_seconds: how long tracing, lowering and compiling it took.
      devices: how many it runs on.
      products: multiply-accumulates of the matrix products that it needs, over all devices.
    """

    call: Callable[[], Any]
    compiled: Any
    compile_seconds: float
    devices: int
    products: int


def prepare(mode: str, subject: Subject) -> Prepared:
    """Compiles a step; arguments and errors are those of `measure`."""
    executor = make_executor(subject.parallel)
    check_batch_size(subject.batch_size, executor, accumulation=subject.training.accumulation if mode == "train" else 1)
    return {"train": _prepare_training, "infer": _prepare_inference}[mode](subject, executor)


def _prepare_training(subject: Subject, executor: Executor) -> Prepared:
    variables = random_variables(subject.model) if subject.variables is None else subject.variables
    variables = variables | {"params": with_adapters(variables["params"], subject.training.lora, 0)}
    module = build(subject.model, axis_name=executor.axis_name, batch_parts=executor.batch_parts)
    state, step = set_up(subject, module, variables, _preprocess(subject), executor, total=SCHEDULE_STEPS, warmup=SCHEDULE_WARM_UP)
    batch = executor.to_devices(random_batch(subject.model, subject.batch_size, subject.augment))
    seed = executor.place_whole(np.uint32(0))
    compiled, seconds = _compile(executor.compile_train(step, state), state, batch, seed)

    def call() -> Any:
        nonlocal state
        state, metrics = compiled(state, batch, seed)
        return metrics

    return Prepared(call, compiled, seconds, _device_count(batch), _training_products(subject, executor))


def _prepare_inference(subject: Subject, executor: Executor) -> Prepared:
    variables = executor.place_variables(random_variables(subject.model) if subject.variables is None else subject.variables)
    step = make_eval_step(build(subject.model), _preprocess(subject), axis_name=executor.axis_name)
    rows = random_batch(subject.model, subject.batch_size, AugmentConfig())
    extra = {"index": np.arange(subject.batch_size), "valid": np.ones(subject.batch_size, bool)}
    batch = executor.to_devices(rows | extra | {"video": rows["video"][:, None]})
    compiled, seconds = _compile(executor.compile_eval_on_devices(step, variables), variables, batch)
    products = subject.batch_size * complexity.count_arithmetic(subject.model, as_run=True).products
    return Prepared(lambda: compiled(variables, batch), compiled, seconds, _device_count(batch), products)


def _training_products(subject: Subject, executor: Executor) -> int:
    """The matrix products of a training step, in all its programs and microbatches; sharpness-aware steps are two in one."""
    programs, accumulation = executor.batch_shards // executor.batch_parts, subject.training.accumulation
    clips = subject.batch_size // programs // accumulation
    products = complexity.count_training_products(subject.model, clips, parts=executor.batch_parts, frozen=_frozen(subject))
    return (2 if subject.optimizer.sam_rho else 1) * programs * accumulation * products


def _frozen(subject: Subject) -> Callable[[str], bool]:
    """Whether no gradient of a parameter is needed, by its path; that of a kernel with an adapter is."""
    plain, lora = complexity.as_trained(subject.model), subject.training.lora
    params = with_adapters(complexity.parameter_tree(plain), lora, 0)
    factors = make_optimizer(subject.optimizer, lambda step: 0.0, params, plain, trained_by(lora, plain)).factors
    needed = {path for path, factor in named_leaves(factors) if np.any(factor)}
    return lambda path: path not in needed and path.removesuffix("kernel") + "lora/a" not in needed


def _preprocess(subject: Subject) -> Preprocess:
    frames, height, width = subject.model.clip
    return subject.preprocess or Preprocess(frames, 1, min(height, width), (height, width))


def _compile(step: Any, *arguments: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    compiled = step.lower(*arguments).compile()
    return compiled, time.perf_counter() - start


def _device_count(batch: dict[str, Any]) -> int:
    return len(batch["video"].sharding.device_set)


def _program_bytes(compiled: Any) -> int | None:
    sizes = compiled.memory_analysis()
    if sizes is None:
        return None
    return sizes.argument_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes + sizes.temp_size_in_bytes
