"""A CNN's first weights from a state dict of torch's, by its family's table of names and shapes there."""

import dataclasses
import types
from collections.abc import Callable

import jax

from vivit_jax.errors import UserError
from vivit_jax.models.convolutional.config import ConvolutionalConfig
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.convolutional.options import check_init_options
from vivit_jax.weights.convolutional.source import Source
from vivit_jax.weights.convolutional.state_dict import counters, from_torch
from vivit_jax.weights.hub_cache import local_path
from vivit_jax.weights.initialise import Initialisation, fresh_variables, from_model_dir
from vivit_jax.weights.layers import unflatten_variables
from vivit_jax.weights.model_json import is_model_dir
from vivit_jax.weights.parameters import check_parameters, variable_shapes
from vivit_jax.weights.tensors import read_tensors
from vivit_jax.weights.torch_names import Table, torch_names

InitialiseFrom = Callable[[Source, ConvolutionalConfig, InitConfig, jax.Array], Initialisation]
ShapeInTorch = Callable[[str, tuple[int, ...]], tuple[int, ...]]


def initialise_from_file(
    source_of: types.ModuleType, initialise_from: InitialiseFrom, model: ConvolutionalConfig, init: InitConfig, seed: int
) -> Initialisation:
    """The weights of `init.source`, a model directory or a state dict that the family's module `source_of` reads, made to fit `model`.

    Raises:
      UserError: if the source cannot be read or cannot become `model`.
    """
    check_init_options(init, source_of.FORMATS)
    path = local_path(init.source)
    if is_model_dir(path):
        return from_model_dir(model, dataclasses.replace(init, source=str(path)), seed)
    return initialise_from(source_of.read(read_tensors(path), init.format), model, init, seed)


def variables_of(
    source: Source, model: ConvolutionalConfig, init: InitConfig, seed: int, table: Table, shape_in_torch: ShapeInTorch
) -> tuple[dict, dict[str, str]]:
    """The model's variables: the source's, but for a head that is not to be kept.

    Args:
      source: the state dict, which is refused if a tensor of the model is missing, or one besides counters and a head is left over.
      model: what the variables are for.
      init: says by `head` whether to keep the head.
      seed: the seed of a fresh head.
      table: torch's names of the family's modules.
      shape_in_torch: the shape there of a variable, from its path and its shape here.

    Returns:
      The variables, and torch's name of each that is the source's, by its path.

    Raises:
      UserError: if the source cannot become `model`.
    """
    _check_same_network(source, model)
    if init.head == "keep":
        _check_head(source, model)
    ours = variable_shapes(model)
    kept = {path: shape for path, shape in ours.items() if init.head == "keep" or not path.startswith("head")}
    names = torch_names(kept, table)
    expected = {names[path]: shape_in_torch(path, shape) for path, shape in kept.items()}
    spare = {*counters(expected), *torch_names(("head/kernel", "head/bias"), table).values()} - expected.keys()
    check_parameters({name: shape for name, shape in source.tensors.shapes.items() if name not in spare}, expected, source.name)
    values = {path: from_torch(source.tensors[names[path]], shape) for path, shape in kept.items()}
    values |= fresh_variables(model, seed, [path for path in ours if path not in kept])
    return unflatten_variables({path: values[path] for path in ours}), names


def _check_same_network(source: Source, model: ConvolutionalConfig) -> None:
    if model.architecture not in source.architectures:
        raise UserError(f"{source.name} can become {' or '.join(source.architectures)}, and the model is {model.architecture}")
    if model.width != source.width:
        raise UserError(f"{source.name} has width {source.width}, and the model {model.width}: set model.width to {source.width}")


def _check_head(source: Source, model: ConvolutionalConfig) -> None:
    if source.classes is None or model.heads != {"": source.classes}:
        theirs = "no head" if source.classes is None else f"one head of {source.classes} classes"
        raise UserError(
            f"{source.name} has {theirs}, and the model has {model.heads or 'none'}: the head cannot be kept; set head to fresh"
        )
