"""The weights that training starts from: random ones, those of a model directory, or those of another model made to fit."""

import contextlib
import dataclasses
import functools
import importlib
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from vivit_jax.errors import UserError
from vivit_jax.heads import Labels
from vivit_jax.models.families import ModelConfig, build, family_of
from vivit_jax.preprocess import HALF
from vivit_jax.weights.config import InitConfig, Triple
from vivit_jax.weights.layers import flatten_variables, unflatten_variables
from vivit_jax.weights.model_dir import load_model_dir
from vivit_jax.weights.model_json import is_model_dir
from vivit_jax.weights.parameters import check_parameters, variable_shapes
from vivit_jax.weights.report import ReportLine

# For each family whose weights can come from other formats, the module that reads and fits them, by an `initialise` like the one here.
SOURCES = {
    "vivit": "vivit_jax.weights.vit.initialise",
    "resnet3d": "vivit_jax.weights.resnet3d.initialise",
    "x3d": "vivit_jax.weights.x3d.initialise",
}


@dataclasses.dataclass(frozen=True)
class Initialisation:
    """First weights, and what comes along with them.

    Attributes:
      model: the configuration asked for, with what the source decides, such as its activation.
      variables: `params` and the other collections of `model`, NumPy arrays, stacked if it scans its layers.
      mean: the mean of each RGB channel that the weights expect, for pixels in [0, 1].
      std: the standard deviation of each RGB channel that the weights expect, for pixels in [0, 1].
      report: where each group of parameters came from, and what was done to it.
      labels: the names of the classes of a head that was kept, or of each of several; None where nothing names them.
    """

    model: ModelConfig
    variables: dict
    mean: Triple
    std: Triple
    report: tuple[ReportLine, ...]
    labels: Labels | None = None


def initialise(model: ModelConfig, init: InitConfig, seed: int) -> Initialisation:
    """The weights that training of `model` starts from.

    Args:
      model: what is to be trained.
      init: the source, and how it is made to fit.
      seed: the seed of what no source gives.

    Raises:
      UserError: if the source cannot be read or cannot become `model`.
    """
    if init.source is not None:
        if model.family in SOURCES:
            return importlib.import_module(SOURCES[model.family]).initialise(model, init, seed)
        return from_model_dir(model, init, seed)
    model = _with_overrides(model, init)
    variables = unflatten_variables(fresh_variables(model, seed), model)
    return Initialisation(model, variables, init.mean or HALF, init.std or HALF, (ReportLine("all", "-", "random"),))


def fresh_variables(model: ModelConfig, seed: int, paths: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """The variables at `paths` (all by default) of a freshly initialised model, by path; no others are computed.

    They are drawn on the CPU, whatever computes the model: for a GPU, this program takes ten times as long to compile.
    """
    paths = tuple(variable_shapes(model) if paths is None else paths)
    if not paths:
        return {}
    module = build(family_of(model).plain(model))

    # The program runs once. With few of LLVM's passes it is compiled in half the time, and draws the same bits.
    device = _cpu()
    options = {"xla_backend_optimization_level": 1, "xla_llvm_disable_expensive_passes": True} if device.platform == "cpu" else None

    @functools.partial(jax.jit, compiler_options=options)
    def draw(key: jax.Array) -> dict[str, jax.Array]:
        flat = flatten_variables(module.init(key, jnp.zeros((1, *model.clip, 3))))
        return {path: flat[path] for path in paths}

    with jax.default_device(device):
        return jax.device_get(draw(jax.random.key(seed)))


def _cpu() -> jax.Device:
    """The CPU of this host; without one, as where JAX_PLATFORMS names GPUs alone, the first device."""
    with contextlib.suppress(RuntimeError):
        return jax.local_devices(backend="cpu")[0]
    return jax.local_devices()[0]


def _with_overrides(model: ModelConfig, init: InitConfig) -> ModelConfig:
    """The model with those of its fields that `init` overrules.

    Raises:
      UserError: where it overrules what this family does not have.
    """
    overrides = {name: getattr(init, name) for name in ("activation", "norm_eps") if getattr(init, name) is not None}
    for name in overrides:
        if not hasattr(model, name):
            raise UserError(f"init.{name} is set, and a model of family {model.family} has none: leave it None")
    return dataclasses.replace(model, **overrides)


def from_model_dir(model: ModelConfig, init: InitConfig, seed: int) -> Initialisation:
    """The weights of a model directory of the same family; its head too if `init.head` is `keep`.

    Raises:
      UserError: if `init.source` is no model directory, or not of this model.
    """
    if not is_model_dir(init.source):
        raise UserError(f"init.source {init.source} is not a model directory, the only source of a model of family {model.family}")
    source = load_model_dir(init.source)
    model, expected = _with_overrides(model, init), variable_shapes(model)
    values = flatten_variables(source.variables)
    fresh = [path for path in expected if path.startswith("head")] if init.head != "keep" else []
    values |= fresh_variables(model, seed, fresh)
    check_parameters({path: array.shape for path, array in values.items()}, expected, str(init.source))
    variables = unflatten_variables({path: values[path] for path in expected}, model)
    copied = ReportLine("all but the head" if fresh else "all", str(init.source), "copied")
    report = (copied, ReportLine("head", "-", "random")) if fresh else (copied,)
    mean, std = init.mean or source.preprocess.mean, init.std or source.preprocess.std
    return Initialisation(model, variables, mean, std, report, source.labels if init.head == "keep" else None)
