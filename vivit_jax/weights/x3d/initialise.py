"""An X3D's first weights from a state dict of pytorchvideo, or from a model directory."""

from vivit_jax.models.x3d.config import X3DConfig
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.convolutional.initialise import initialise_from_file, variables_of
from vivit_jax.weights.convolutional.report import head_of, notes_of, parts_of, pixels_of, statistics_of
from vivit_jax.weights.convolutional.source import Source
from vivit_jax.weights.initialise import Initialisation
from vivit_jax.weights.report import ReportLine
from vivit_jax.weights.x3d import source as x3ds
from vivit_jax.weights.x3d.names import NECK, TABLE, shape_in_torch

PARTS = ("stem", "stage_1", "stage_2", "stage_3", "stage_4", "neck")


def initialise(model: X3DConfig, init: InitConfig, seed: int) -> Initialisation:
    """As `vivit_jax.weights.initialise.initialise`."""
    return initialise_from_file(x3ds, initialise_from, model, init, seed)


def initialise_from(source: Source, model: X3DConfig, init: InitConfig, seed: int) -> Initialisation:
    """`initialise` from a state dict that is already open; the report names every tensor that is not used, and why."""
    variables, names = variables_of(source, model, init, seed, TABLE, shape_in_torch)
    report = (
        *notes_of(source.tensors),
        *(ReportLine(part, parts_of(names, part, depth=2), "copied") for part in PARTS),
        *statistics_of(source.tensors, names),
        *head_of(source, model, init, f"{NECK}.proj.*"),
        pixels_of(source, init),
    )
    return Initialisation(model, variables, init.mean or source.mean, init.std or source.std, report)
