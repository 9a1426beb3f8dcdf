"""An X3D's first weights from a state dict of pytorchvideo, or from a model directory."""

import dataclasses

import jax
import numpy as np

from vivit_jax.errors import UserError
from vivit_jax.models.x3d.config import X3DConfig
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.convolutional.options import check_init_options
from vivit_jax.weights.convolutional.report import notes_of, parts_of, statistics_of
from vivit_jax.weights.convolutional.state_dict import counters, from_torch, torch_names
from vivit_jax.weights.hub_cache import local_path
from vivit_jax.weights.initialise import Initialisation, fresh_variables, from_model_dir
from vivit_jax.weights.layers import unflatten_variables
from vivit_jax.weights.model_json import is_model_dir
from vivit_jax.weights.parameters import check_parameters, variable_shapes
from vivit_jax.weights.report import ReportLine
from vivit_jax.weights.tensors import read_tensors
from vivit_jax.weights.x3d.names import NECK, TABLE, shape_in_torch
from vivit_jax.weights.x3d.source import FORMATS, MEAN, STD, Source, read

PARTS = ("stem", "stage_1", "stage_2", "stage_3", "stage_4", "neck")
HEAD = (f"{NECK}.proj.weight", f"{NECK}.proj.bias")


def initialise(model: X3DConfig, init: InitConfig, key: jax.Array) -> Initialisation:
    """The weights of `init.source`, made to fit `model`.

    Raises:
      UserError: if the source cannot be read or cannot become `model`.
    """
    check_init_options(init, FORMATS)
    path = local_path(init.source)
    if is_model_dir(path):
        return from_model_dir(model, dataclasses.replace(init, source=str(path)), key)
    return initialise_from(read(read_tensors(path), init.format), model, init, key)


def initialise_from(source: Source, model: X3DConfig, init: InitConfig, key: jax.Array) -> Initialisation:
    """`initialise` from a state dict that is already open; the report names every tensor that is not used, and why."""
    if model.architecture not in source.architectures or model.width != source.width:
        raise UserError(
            f"{source.name} is {' or '.join(source.architectures)} of width {source.width}, and the model is {model.architecture} "
            f"of width {model.width}"
        )
    if init.head == "keep" and (source.classes is None or model.heads != {"": source.classes}):
        theirs = "no head" if source.classes is None else f"one head of {source.classes} classes"
        raise UserError(f"{source.name} has {theirs}, and the model has {model.heads or 'none'}: it cannot be kept; set head to fresh")
    ours = variable_shapes(model)
    kept = {path: shape for path, shape in ours.items() if init.head == "keep" or not path.startswith("head")}
    names = torch_names(kept, TABLE)
    expected = {names[path]: shape_in_torch(path, shape) for path, shape in kept.items()}
    spare = {*counters(expected), *HEAD} - expected.keys()
    check_parameters({name: shape for name, shape in source.tensors.shapes.items() if name not in spare}, expected, source.name)
    values = {path: from_torch(_flat(source.tensors[names[path]], shape), shape) for path, shape in kept.items()}
    values |= fresh_variables(model, key, [path for path in ours if path not in kept])
    variables = unflatten_variables({path: values[path] for path in ours})
    return Initialisation(model, variables, init.mean or MEAN, init.std or STD, tuple(_report(source, names, init)))


def _flat(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A 1x1x1 convolution as the matrix that it is, where ours is one."""
    return array.reshape(array.shape[:2]) if len(shape) == 2 and array.ndim == 5 else array


def _report(source: Source, names: dict[str, str], init: InitConfig) -> list[ReportLine]:
    lines = notes_of(source.tensors)
    lines += [ReportLine(part, parts_of(names, part, depth=2), "copied") for part in PARTS]
    lines += statistics_of(source.tensors, names)
    kept = init.head == "keep"
    lines.append(ReportLine("head", f"{NECK}.proj.*" if kept else "-", "copied" if kept else "random"))
    if source.classes is not None and not kept:
        lines.append(ReportLine("-", f"{NECK}.proj.*", f"left out: its {source.classes} classes are not the model's"))
    origin = "given" if init.mean or init.std else "pytorchvideo's"
    lines.append(ReportLine("(config)", origin, f"pixel mean {init.mean or MEAN}, std {init.std or STD}"))
    return lines
