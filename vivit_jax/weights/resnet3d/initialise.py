"""A ResNet's first weights from a state dict of torchvision or timm, or from a model directory."""

import functools

from vivit_jax.models.resnet3d.config import ResNet3DConfig
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.convolutional.initialise import initialise_from_file, variables_of
from vivit_jax.weights.convolutional.report import head_of, notes_of, parts_of, pixels_of, statistics_of
from vivit_jax.weights.convolutional.source import Source
from vivit_jax.weights.initialise import Initialisation
from vivit_jax.weights.parameters import listing, variable_shapes
from vivit_jax.weights.report import ReportLine
from vivit_jax.weights.resnet3d import source as resnets
from vivit_jax.weights.resnet3d.names import shape_in_torch, table_of

PARTS = ("stem", "stage_1", "stage_2", "stage_3", "stage_4")


def initialise(model: ResNet3DConfig, init: InitConfig, seed: int) -> Initialisation:
    """As `vivit_jax.weights.initialise.initialise`."""
    return initialise_from_file(resnets, initialise_from, model, init, seed)


def initialise_from(source: Source, model: ResNet3DConfig, init: InitConfig, seed: int) -> Initialisation:
    """`initialise` from a state dict that is already open; the report names every tensor that is not used, and why."""
    shape_there = functools.partial(shape_in_torch, plan=model.plan)
    variables, names = variables_of(source, model, init, seed, table_of(model.plan), shape_there)
    return Initialisation(model, variables, init.mean or source.mean, init.std or source.std, tuple(_report(source, model, names, init)))


def _report(source: Source, model: ResNet3DConfig, names: dict[str, str], init: InitConfig) -> list[ReportLine]:
    shapes = variable_shapes(model)
    lines = notes_of(source.tensors)
    for part in PARTS:
        spans = sorted({shapes[path][0] for path in names if path.startswith(part) and len(shapes[path]) == 5} - {1})
        inflated = source.is_image and spans
        done = f"inflated: kernels repeated over {listing(map(str, spans))} frames, and divided by them" if inflated else "copied"
        lines.append(ReportLine(part, parts_of(names, part, depth=1), done))
    return [*lines, *statistics_of(source.tensors, names), *head_of(source, model, init, "fc.*"), pixels_of(source, init)]
