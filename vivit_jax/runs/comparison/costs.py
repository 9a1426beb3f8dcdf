"""What each run costs: counted on its network, measured on this device in this call, and read from its training metrics."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

import jax

from vivit_jax.analysis import complexity, throughput
from vivit_jax.analysis.throughput import Subject
from vivit_jax.console import warn
from vivit_jax.models.families import ModelConfig
from vivit_jax.runs.comparison.contenders import Contender
from vivit_jax.runs.effort import devices, training_seconds
from vivit_jax.runs.memory import is_out_of_memory
from vivit_jax.training.config import ParallelConfig, TrainingConfig


@dataclasses.dataclass(frozen=True)
class Costs:
    """The costs of one run; None where a cost is unknown.

    Attributes:
      parameters: parameters of the network, its head included.
      gmac: billions of multiply-accumulates for one view.
      gmac_video: the same for a video, with all the views that its score comes from.
      clips_per_second: views that one device computes in a second, batch by batch.
      videos_per_second: the same for videos, with all their views.
      memory_bytes: the most device memory that the compiled program takes for a batch.
      training_seconds: time spent on training steps, without compiling and validating.
      trained_on: the devices that trained it.
    """

    parameters: int | None = None
    gmac: float | None = None
    gmac_video: float | None = None
    clips_per_second: float | None = None
    videos_per_second: float | None = None
    memory_bytes: int | None = None
    training_seconds: float | None = None
    trained_on: str | None = None


def costs_of(contenders: Sequence[Contender], *, speed: bool, batch_size: int) -> dict[str, Costs]:
    """The costs of each contender, by its name.

    Args:
      contenders: those compared; one that is a file of scores has no network to measure.
      speed: whether to measure speed and memory.
      batch_size: views at once in that measurement.
    """
    models = {_key(contender.model): contender.model for contender in contenders if contender.model is not None}
    counted = {key: _counted(model) for key, model in models.items()}
    measured = _measured(models, batch_size) if speed else {}
    return {contender.name: _costs(contender, counted, measured) for contender in contenders}


def sum_of(members: Sequence[Costs]) -> Costs:
    """The costs of running several networks one after the other; None where that of one is unknown."""

    def total(values: Sequence[float | None]) -> float | None:
        return None if None in values else sum(values)

    def together(rates: Sequence[float | None]) -> float | None:
        return None if None in rates else 1 / sum(1 / rate for rate in rates)

    return Costs(
        parameters=total([member.parameters for member in members]),
        gmac=total([member.gmac for member in members]),
        gmac_video=total([member.gmac_video for member in members]),
        videos_per_second=together([member.videos_per_second for member in members]),
        training_seconds=total([member.training_seconds for member in members]),
    )


def _counted(model: ModelConfig) -> tuple[int, float]:
    return complexity.count_parameters(model), complexity.count_arithmetic(model).gmac


def _key(model: ModelConfig) -> str:
    """A key that is the same for runs of one network."""
    return json.dumps([model.family, model.to_dict()], sort_keys=True, default=str)


def _measured(models: Mapping[str, ModelConfig], batch_size: int) -> Mapping[str, throughput.Timing]:
    """One measurement of each network, which several runs may share; none if they do not fit into memory together."""
    subjects = [Subject(model, TrainingConfig(batch_size=batch_size), parallel=ParallelConfig(data=1)) for model in models.values()]
    try:
        return dict(zip(models, throughput.measure_in_turns("infer", subjects), strict=True))
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        warn(f"the networks do not fit into the memory of {jax.devices()[0].device_kind}: no speed is measured; lower --batch_size")
        return {}


def _costs(contender: Contender, counted: Mapping[str, tuple[int, float]], measured: Mapping[str, throughput.Timing]) -> Costs:
    run, views = contender.run, contender.views_of_a_video
    trained = Costs() if run is None else Costs(training_seconds=training_seconds(run), trained_on=devices(run))
    if contender.model is None:
        return trained
    key = _key(contender.model)
    parameters, gmac = counted[key]
    costs = dataclasses.replace(trained, parameters=parameters, gmac=gmac, gmac_video=gmac * views)
    if key not in measured:
        return costs
    timing = measured[key]
    rate = timing.batch_size / timing.median
    return dataclasses.replace(costs, clips_per_second=rate, videos_per_second=rate / views, memory_bytes=timing.program_bytes)
