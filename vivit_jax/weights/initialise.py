"""The weights that training starts from: random ones, or those of another model made to fit (Sec. 3.4)."""

import dataclasses
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from vivit_jax.models.config import ViViTConfig
from vivit_jax.models.vivit import ViViT
from vivit_jax.preprocess import HALF
from vivit_jax.weights.backbone import Backbone, SourceOptions, Triple
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.inflate import Group, transfer
from vivit_jax.weights.layers import flatten, unflatten
from vivit_jax.weights.parameters import check_parameters, parameter_shapes
from vivit_jax.weights.source import read_source

# What a source may leave to be initialised at random.
RANDOM = ("head", "tokenizer/kernel", "transformer/temporal_encoder", "temporal_attention")


@dataclasses.dataclass(frozen=True)
class Initialisation:
    """First weights, and what comes along with them.

    Attributes:
      model: the configuration asked for, with the activation and LayerNorm epsilon that the source was trained with.
      variables: {"params": ...} of `model`, NumPy arrays, stacked if it has `scan_layers`.
      mean: per RGB channel, of pixels in [0, 1], that the weights expect.
      std: per RGB channel, of pixels in [0, 1], that the weights expect.
      report: for each group of parameters, where it came from and what was done to it.
    """

    model: ViViTConfig
    variables: dict
    mean: Triple
    std: Triple
    report: tuple[Group, ...]


def initialise(model: ViViTConfig, init: InitConfig, key: jax.Array) -> Initialisation:
    """The weights that training of `model` starts from.

    Args:
      model: what is to be trained.
      init: the source, and how it is made to fit.
      key: of everything random.

    Raises:
      UserError: if the source cannot be read or cannot become `model`.
    """
    if init.source is not None:
        return initialise_from(read_source(init.source, _options(model, init)), model, init, key)
    model = dataclasses.replace(model, activation=init.activation or model.activation, norm_eps=init.norm_eps or model.norm_eps)
    params = _random(model, parameter_shapes(model), key)
    variables = {"params": unflatten(params, scan_layers=model.scan_layers)}
    return Initialisation(model, variables, init.mean or HALF, init.std or HALF, (Group("all", "-", "random"),))


def initialise_from(backbone: Backbone, model: ViViTConfig, init: InitConfig, key: jax.Array) -> Initialisation:
    """`initialise` from a source that is already read."""
    model = dataclasses.replace(
        model,
        activation=init.activation or backbone.activation,
        norm_eps=init.norm_eps or backbone.norm_eps,
    )
    mean, std = init.mean or backbone.mean, init.std or backbone.std
    params, groups = transfer(backbone, model, init)
    expected = parameter_shapes(model)
    absent = [path for path in expected if path not in params and any(name in path for name in RANDOM)]
    params |= _random(model, absent, key)
    check_parameters({path: array.shape for path, array in params.items()}, expected, backbone.name)
    along = Group("(config)", "config", f"activation {model.activation}, norm_eps {model.norm_eps:g}, pixel mean {mean}, std {std}")
    variables = {"params": unflatten({path: params[path] for path in expected}, scan_layers=model.scan_layers)}
    return Initialisation(model, variables, mean, std, (*groups, along))


def _options(model: ViViTConfig, init: InitConfig) -> SourceOptions:
    """What is known of the source from the model it is to become."""
    return SourceOptions(
        format=init.format,
        num_heads=init.num_heads,
        default_heads=model.num_heads,
        image_size=init.image_size,
        clip=init.source_clip,
        target_clip=model.clip,
        factorisation=model.factorisation,
        frames=model.tokenizer == "frames",
        sampled_frames=model.grid[0],
        attention_order=model.attention_order,
        pool=model.pool,
    )


def _random(model: ViViTConfig, paths: Iterable[str], key: jax.Array) -> dict[str, np.ndarray]:
    """The parameters at `paths` of a freshly initialised model; no others are computed."""
    paths = tuple(paths)
    if not paths:
        return {}
    model = dataclasses.replace(model, scan_layers=False, remat=False, dtype="float32", attention="xla")

    @jax.jit
    def draw(key: jax.Array) -> dict[str, jax.Array]:
        flat = flatten(ViViT(model).init(key, jnp.zeros((1, *model.clip, 3)))["params"])
        return {path: flat[path] for path in paths}

    return jax.device_get(draw(key))
