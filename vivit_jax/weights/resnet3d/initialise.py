"""A ResNet's first weights from a state dict of torchvision or timm, or from a model directory."""

import dataclasses

import jax

from vivit_jax.errors import UserError
from vivit_jax.models.resnet3d.config import ResNet3DConfig
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.convolutional.options import check_init_options
from vivit_jax.weights.convolutional.report import notes_of, parts_of, statistics_of
from vivit_jax.weights.convolutional.state_dict import counters, from_torch, torch_names
from vivit_jax.weights.hub_cache import local_path
from vivit_jax.weights.initialise import Initialisation, fresh_variables, from_model_dir
from vivit_jax.weights.layers import unflatten_variables
from vivit_jax.weights.model_json import is_model_dir
from vivit_jax.weights.parameters import Shapes, check_parameters, listing, variable_shapes
from vivit_jax.weights.report import ReportLine
from vivit_jax.weights.resnet3d.names import shape_in_torch, table_of
from vivit_jax.weights.resnet3d.source import FORMATS, Source, read
from vivit_jax.weights.tensors import read_tensors

PARTS = ("stem", "stage_1", "stage_2", "stage_3", "stage_4")


def initialise(model: ResNet3DConfig, init: InitConfig, key: jax.Array) -> Initialisation:
    """The weights of `init.source`, made to fit `model`.

    Raises:
      UserError: if the source cannot be read or cannot become `model`.
    """
    check_init_options(init, FORMATS)
    path = local_path(init.source)
    if is_model_dir(path):
        return from_model_dir(model, dataclasses.replace(init, source=str(path)), key)
    return initialise_from(read(read_tensors(path), init.format), model, init, key)


def initialise_from(source: Source, model: ResNet3DConfig, init: InitConfig, key: jax.Array) -> Initialisation:
    """`initialise` from a state dict that is already open; the report names every tensor that is not used, and why."""
    _check_same_network(source, model)
    ours = variable_shapes(model)
    kept = {path: shape for path, shape in ours.items() if not path.startswith("head")}
    if init.head == "keep":
        _check_head(source, model)
        kept = ours
    names = torch_names(kept, table_of(model.plan))
    _check_whole(source, {names[path]: shape_in_torch(path, shape, model.plan) for path, shape in kept.items()})
    values = {path: from_torch(source.tensors[names[path]], shape) for path, shape in kept.items()}
    values |= fresh_variables(model, key, [path for path in ours if path not in kept])
    variables = unflatten_variables({path: values[path] for path in ours})
    return Initialisation(model, variables, init.mean or source.mean, init.std or source.std, tuple(_report(source, ours, names, init)))


def _check_same_network(source: Source, model: ResNet3DConfig) -> None:
    if model.architecture not in source.architectures:
        raise UserError(f"{source.name} can become {' or '.join(source.architectures)}, and the model is {model.architecture}")
    if model.width != source.width:
        raise UserError(f"{source.name} has width {source.width}, and the model {model.width}: set model.width to {source.width}")


def _check_head(source: Source, model: ResNet3DConfig) -> None:
    if source.classes is None or model.heads != {"": source.classes}:
        theirs = "no head" if source.classes is None else f"one head of {source.classes} classes"
        raise UserError(
            f"{source.name} has {theirs}, and the model has {model.heads or 'none'}: the head cannot be kept; set head to fresh"
        )


def _check_whole(source: Source, expected: Shapes) -> None:
    """Refuses a file that lacks a tensor of the model, or has one that the model lacks, other than counters and a head."""
    spare = {*counters(expected), "fc.weight", "fc.bias"} - expected.keys()
    given = {name: shape for name, shape in source.tensors.shapes.items() if name not in spare}
    check_parameters(given, expected, source.name)


def _report(source: Source, ours: Shapes, names: dict[str, str], init: InitConfig) -> list[ReportLine]:
    lines = notes_of(source.tensors)
    for part in PARTS:
        spans = sorted({ours[path][0] for path in names if path.startswith(part) and len(ours[path]) == 5} - {1})
        inflated = source.is_image and spans
        done = f"inflated: kernels repeated over {listing(map(str, spans))} frames, and divided by them" if inflated else "copied"
        lines.append(ReportLine(part, parts_of(names, part, depth=1), done))
    lines += statistics_of(source.tensors, names)
    if heads := sorted({path.split("/")[0] for path in ours if path.startswith("head")}):
        kept = init.head == "keep"
        lines.append(ReportLine(", ".join(heads), "fc.*" if kept else "-", "copied" if kept else "random"))
    if source.classes is not None and init.head != "keep":
        lines.append(ReportLine("-", "fc.*", f"left out: its {source.classes} classes are not the model's"))
    origin = "given" if init.mean or init.std else source.said
    lines.append(ReportLine("(config)", origin, f"pixel mean {init.mean or source.mean}, std {init.std or source.std}"))
    return lines
