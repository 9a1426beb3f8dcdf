"""A frozen backbone as a probe's head sees it: its own feature, or statistics over time and layers, or its tokens."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from vivit_jax.heads import Labels
from vivit_jax.models.families import build
from vivit_jax.models.probe.config import LAST, ProbeConfig, described
from vivit_jax.weights import Pretrained
from vivit_jax.weights.headless import without_head
from vivit_jax.weights.layers import flatten_variables, unflatten_variables

MEAN = ("mean",)
BACKBONE = "backbone/"


def feature_model(pretrained: Pretrained, *, time: tuple[str, ...] = MEAN, layers: tuple[int, ...] = LAST) -> Pretrained:
    """The model whose outputs (b, d) a linear or nearest-neighbour head takes: without a head of its own.

    Args:
      pretrained: a model with or without a head; of a probe, the backbone is taken where other features than its own are asked for.
      time: statistics over time, of `models.layer_outputs.STATISTICS`.
      layers: counted back from -1; the features are those of the first layer, all its statistics, then those of the next.

    Raises:
      UserError: for statistics or layers that the backbone does not have.
    """
    if (tuple(time), tuple(layers)) == (MEAN, LAST):
        return without_head(pretrained)
    backbone = bare_backbone(pretrained)
    return as_probe(backbone, ProbeConfig(described(backbone.model.config), kind="linear", time=tuple(time), layers=tuple(layers)))


def bare_backbone(pretrained: Pretrained) -> Pretrained:
    """The model without its head; for a probe, the backbone inside it."""
    config = pretrained.model.config
    if not isinstance(config, ProbeConfig):
        return without_head(pretrained)
    flat = {path.replace(BACKBONE, "", 1): leaf for path, leaf in flatten_variables(pretrained.variables).items() if BACKBONE in path}
    variables = unflatten_variables(flat, config)
    return dataclasses.replace(pretrained, model=build(config.model), variables=variables, labels=(), multi_label=False)


def as_probe(
    backbone: Pretrained,
    config: ProbeConfig,
    head: Mapping[str, np.ndarray] | None = None,
    labels: Labels = (),
    *,
    multi_label: bool = False,
) -> Pretrained:
    """A model of family `probe` around a backbone without a head; `head` holds all its other variables by path."""
    flat = {
        f"{collection}:{BACKBONE}{path}" if collection else f"{BACKBONE}{path}": leaf
        for name, leaf in flatten_variables(backbone.variables).items()
        for collection, _, path in [name.rpartition(":")]
    }
    variables = unflatten_variables(flat | dict(head or {}), config)
    return Pretrained(build(config), variables, backbone.preprocess, labels, multi_label)
