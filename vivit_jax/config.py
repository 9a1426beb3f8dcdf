"""An experiment's configuration, and the one crossing from `ml_collections.ConfigDict` to frozen dataclasses.

A file under `configs/` starts from `base_config()`, which holds every key with its default, and sets what differs; the command line may
override any key (`--config.optimizer.learning_rate=0.1`). `resolve` then checks names and types and builds an `Experiment`, after which
no code sees a ConfigDict again. Each section is a dataclass that lives in the room it configures and refuses impossible values itself.
"""

import contextlib
import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping

import ml_collections
from ml_collections.config_dict import placeholder

from vivit_jax.data.config import AugmentConfig, DataConfig
from vivit_jax.errors import UserError, check_name, unknown_name
from vivit_jax.models.families import DEFAULT, ModelConfig, family_named
from vivit_jax.preprocess import HALF, Preprocess
from vivit_jax.training.config import (
    CheckpointConfig,
    EvaluationConfig,
    LossConfig,
    OptimizerConfig,
    ParallelConfig,
    ScheduleConfig,
    TrainingConfig,
)
from vivit_jax.typed import alternatives, typed
from vivit_jax.weights.config import InitConfig


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One run, completely described: the same Experiment, versions and device count give the same bits.

    Attributes:
      model: the network; its key `family` says which keys it has. `num_classes` of None means the data set's.
      name: the run's name in logs and reports.
      seed: the seed of initialisation, data order, augmentation and dropout, from 0 to 2^32 - 1.
      init: the weights training starts from.
      data: the data set and how clips are sampled from it.
      augment: transforms of a training clip.
      loss: what is minimised.
      optimizer: how.
      schedule: the learning rate over time.
      training: batch size, length, regularisers of the step.
      evaluation: when and with which views.
      checkpoint: when training state is saved and how much of it is kept.
      parallel: how the step is spread over devices.
    """

    model: ModelConfig
    name: str = "experiment"
    seed: int = 0
    init: InitConfig = InitConfig()
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    parallel: ParallelConfig = ParallelConfig()

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed must be from 0 to {2**32 - 1}, got {self.seed}")

    @property
    def preprocess(self) -> Preprocess:
        """How a video becomes the model's input. The mean and std are 0.5 unless the config or the initial weights set them."""
        (frames, *crop), data = self.model.clip, self.data
        sampling = {"rate": data.rate, "sampling": data.sampling, "padding": data.padding}
        return Preprocess(frames, data.stride, data.resize, tuple(crop), data.mean or HALF, data.std or HALF, **sampling)

    @property
    def multi_label(self) -> bool:
        """Whether the model decides for each class separately whether a clip has it."""
        return self.loss.name == "sigmoid"

    @property
    def best(self) -> str:
        """The validation score that decides which model is kept, or `last`."""
        return self.evaluation.best or self.usual_score

    @property
    def usual_score(self) -> str:
        """The score that describes the model unless the config names another."""
        return "mAP" if self.multi_label else "top1"


def base_config(family: str = DEFAULT) -> ml_collections.ConfigDict:
    """Every key of an experiment with its default, locked: a misspelt key is an error where it is written.

    Args:
      family: the model family whose keys the section `model` gets.

    Raises:
      UserError: for an unknown family.
    """
    config = ml_collections.ConfigDict({"model": {"family": family}})
    _with_defaults(config.model, family_named(family).config)
    return _with_defaults(config, Experiment)


def resolve(config: ml_collections.ConfigDict | Mapping) -> Experiment:
    """Checks a configuration and freezes it.

    Args:
      config: a ConfigDict, or the plain dict of an earlier run's `config.json`.

    Raises:
      UserError: for an unknown key (with the nearest right one), a wrong type, or values that contradict each other.
    """
    if not isinstance(config, ml_collections.ConfigDict | Mapping):
        raise UserError(f"get_config() must return the ConfigDict of base_config(), got {type(config).__name__}")
    plain = config.to_dict() if isinstance(config, ml_collections.ConfigDict) else dict(config)
    return _build(Experiment, plain, "config")


def hint_of(key: str, *, root: str = "--config", family: str = DEFAULT) -> typing.Any:
    """The type of a dotted key's value.

    Args:
      key: the key, without a leading `config.`.
      root: what messages call the experiment.
      family: the model family, which decides the keys under `model.`.

    Raises:
      UserError: for a key that no experiment has, with those of this name in other sections, or the nearest in its own.
    """
    hint, path = Experiment, root
    for name in key.split("."):
        known = _hints(hint, family)
        if name not in known:
            elsewhere = [f"{root}.{other}" for other in _dotted_keys(Experiment, family) if other.rpartition(".")[2] == name]
            if elsewhere:
                raise UserError(f"unknown key in {path} {name!r}: did you mean {' or '.join(elsewhere)}?")
            raise unknown_name(f"key in {path}", name, known)
        hint, path = known[name], f"{path}.{name}"
    return hint


def _dotted_keys(section: typing.Any, family: str, prefix: str = "") -> Iterator[str]:
    """All keys of a section, and of those in it."""
    for name, hint in _hints(section, family).items():
        yield prefix + name
        yield from _dotted_keys(hint, family, f"{prefix}{name}.")


def value_of(key: str, readings: typing.Sequence[object], *, family: str = DEFAULT) -> object:
    """The first of several readings of a text that fits the type of a dotted key.

    Raises:
      UserError: if none fits.
    """
    hint, (*likelier, last) = hint_of(key, family=family), readings
    for reading in likelier:
        with contextlib.suppress(UserError):
            return _value(hint, reading, f"config.{key}")
    return _value(hint, last, f"config.{key}")


def _hints(section: typing.Any, family: str) -> dict[str, typing.Any]:
    """The types of a section's keys by name."""
    if section is ModelConfig:
        return {"family": str} | _hints(family_named(family).config, family)
    return {field.name: hint for field, hint in _fields(section)} if dataclasses.is_dataclass(section) else {}


def to_dict(experiment: Experiment) -> dict:
    """The experiment as plain values for JSON, from which `resolve` makes the same experiment again."""
    plain = _plain(experiment)
    return plain | {"model": {"family": experiment.model.family} | plain["model"]}


def _with_defaults(section: ml_collections.ConfigDict, cls: type) -> ml_collections.ConfigDict:
    """The section with every key of its dataclass, locked; the model's, whose keys the family decides, is left as it is."""
    for field, hint in _fields(cls):
        if dataclasses.is_dataclass(hint):
            section[field.name] = _with_defaults(ml_collections.ConfigDict(), hint)
        elif field.default is None:
            section[field.name] = placeholder(_runtime_type(hint))
        elif hint is not ModelConfig:
            section[field.name] = field.default
    return section.lock()


def _fields(cls: type) -> list[tuple[dataclasses.Field, typing.Any]]:
    hints = typing.get_type_hints(cls)
    return [(field, hints[field.name]) for field in dataclasses.fields(cls)]


def _runtime_type(hint: typing.Any) -> type:
    """The type that a key whose default is None may be set to; ml_collections checks a placeholder against a single type."""
    members = [member for member in alternatives(hint) if member is not types.NoneType]
    return (typing.get_origin(members[0]) or members[0]) if len(members) == 1 else object


def _build(cls: type, values: Mapping, path: str) -> typing.Any:
    known = {field.name: hint for field, hint in _fields(cls)}
    for key in values:
        check_name(f"key in {path}", key, known)
    needed = [field.name for field in dataclasses.fields(cls) if field.default is field.default_factory is dataclasses.MISSING]
    if missing := [name for name in needed if name not in values]:
        raise UserError(f"{path} has no {', '.join(missing)}: begin with base_config(), which has every key")
    arguments = {key: _value(known[key], value, f"{path}.{key}") for key, value in values.items()}
    try:
        return cls(**arguments)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _model(values: Mapping, path: str) -> ModelConfig:
    """The model's section, whose key `family` decides the others. Runs older than that key lack it, and have the default family."""
    values = dict(values)
    return _build(family_named(values.pop("family", DEFAULT)).config, values, path)


def _value(hint: typing.Any, value: object, path: str) -> object:
    """`value` as the type `hint`, which may be a section's."""
    if hint is ModelConfig or dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise UserError(f"{path} must be a section with keys, got {value!r}")
        return _model(value, path) if hint is ModelConfig else _build(hint, value, path)
    return typed(hint, value, path)


def _plain(value: object) -> typing.Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
