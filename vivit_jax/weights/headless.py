"""Takes the head off a model, which then gives features, or puts other heads on, where the family's head is one linear layer."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from vivit_jax.errors import UserError
from vivit_jax.heads import Labels, by_head
from vivit_jax.models.families import ModelConfig, build
from vivit_jax.weights.layers import flatten_variables, unflatten_variables
from vivit_jax.weights.model_dir import Pretrained
from vivit_jax.weights.parameters import variable_shapes


@dataclasses.dataclass(frozen=True)
class Linear:
    """A linear layer from features to logits.

    Attributes:
      kernel: (d, classes).
      bias: (classes,).
    """

    kernel: Float[np.ndarray, "d classes"]
    bias: Float[np.ndarray, " classes"]


def without_head(pretrained: Pretrained) -> Pretrained:
    """The model without its head, which gives features (b, d) in float32; a model that has no head stays as it is."""
    config = dataclasses.replace(pretrained.model.config, num_classes=None)
    flat = flatten_variables(pretrained.variables)
    kept = {path: flat[path] for path in variable_shapes(config)}
    variables = unflatten_variables(kept, config)
    return dataclasses.replace(pretrained, model=build(config), variables=variables, labels=(), multi_label=False)


def with_heads(
    pretrained: Pretrained, heads: Mapping[str, Linear], labels: Labels, *, multi_label: bool = False, provenance: Mapping | None = None
) -> Pretrained:
    """The model with these heads by name (a single head has the empty name) in place of its own.

    Raises:
      UserError: for a family whose head is not one linear layer on its features.
    """
    counts = {name: len(names) for name, names in by_head(labels).items()}
    config = dataclasses.replace(pretrained.model.config, num_classes=counts.get("", counts))
    flat = flatten_variables(without_head(pretrained).variables) | head_variables(config, heads)
    variables = unflatten_variables(flat, config)
    provenance = None if provenance is None else dict(provenance)
    return Pretrained(build(config), variables, pretrained.preprocess, labels, multi_label, provenance)


def head_variables(config: ModelConfig, heads: Mapping[str, Linear]) -> dict[str, np.ndarray]:
    """The variables of a model's heads by path, from linear layers by name.

    Raises:
      UserError: for a family whose head is not one linear layer on its features.
    """
    expected = _head_shapes(config)
    given = {f"head_{name}" if name else "head": layer for name, layer in heads.items()}
    given = {f"{name}/{part}": getattr(layer, part) for name, layer in given.items() for part in ("kernel", "bias")}
    if {path: np.shape(value) for path, value in given.items()} != expected:
        raise _no_linear_head(config)
    return {path: np.asarray(value, np.float32) for path, value in given.items()}


def check_linear_heads(config: ModelConfig) -> None:
    """Refuses a model whose heads are not one linear layer each, before any is fitted."""
    heads = [f"head_{name}" if name else "head" for name in config.heads]
    if set(_head_shapes(config)) != {f"{head}/{part}" for head in heads for part in ("kernel", "bias")}:
        raise _no_linear_head(config)


def _head_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    headless = variable_shapes(dataclasses.replace(config, num_classes=None))
    return {path: shape for path, shape in variable_shapes(config).items() if path not in headless}


def _no_linear_head(config: ModelConfig) -> UserError:
    listed = ", ".join(f"{path} {shape}" for path, shape in _head_shapes(config).items())
    return UserError(f"a model of family {config.family} cannot take a linear head on its features: its head is {listed}")
