"""Refuses options of a conversion, or of the section `init`, that mean nothing to a CNN."""

import dataclasses
from collections.abc import Collection, Iterable

from vivit_jax.errors import UserError
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.tensor_files import Tensors

# The fields of a model that a caller may set.
MODEL_OPTIONS = ("architecture", "clip", "num_classes", "dtype")
# The keys of the section `init` that apply.
INIT_OPTIONS = ("source", "format", "head", "mean", "std")


def check_model_options(names: Iterable[str], tensors: Tensors, network: str) -> None:
    """Refuses fields of a model that a CNN does not have.

    Args:
      names: the names of the fields that the caller sets.
      tensors: the source's tensors.
      network: what the source is, such as `a ResNet`.

    Raises:
      UserError: naming the field.
    """
    for name in names:
        if name not in MODEL_OPTIONS:
            raise UserError(f"{tensors.path} is {network}, which has no {name}: leave it out")


def check_init_options(init: InitConfig, formats: Collection[str]) -> None:
    """Refuses options that do not apply to a CNN whose files have one of these formats.

    Raises:
      UserError: naming the option.
    """
    for field in dataclasses.fields(init):
        if field.name not in INIT_OPTIONS and getattr(init, field.name) != field.default:
            raise UserError(f"init.{field.name} is set, but applies to vision transformers only, and the source is a CNN: leave it out")
    if init.format not in ("auto", "vivit_jax", *formats):
        raise UserError(f"init.format must be auto, {' or '.join(formats)} for this CNN, got {init.format}")
