"""ResNets over time and space as a family of models."""

import numpy as np

from vivit_jax.models.cells import Cells, edges
from vivit_jax.models.convolutional.residual_family import height_below_head, plain
from vivit_jax.models.families import Family
from vivit_jax.models.resnet3d.config import WIDTH, ResNet3DConfig
from vivit_jax.models.resnet3d.model import ResNet3D

NAMES = {"r3d": "R3D", "mc3": "MC3", "r2plus1d": "R(2+1)D", "c2d": "C2D", "i3d": "I3D"}


def height(config: ResNet3DConfig, path: str) -> int:
    """0 for the stem, 1 for the first block, the largest for the head."""
    below = height_below_head(config.plan.depths, path)
    return len(config.blocks) + 1 if below is None else below


def cells(config: ResNet3DConfig) -> Cells:
    """The grid of the last stage, whose features the head averages: for R3D-18, boxes of 8 frames and 16 x 16 pixels.

    A feature sees more than its box; the relevances are those of the box's own pixels. Finer boxes would mislead: a gradient through
    strided convolutions is a chequered pattern with the period of their strides, and a box of one whole period sums over it.
    """
    n_t, n_h, n_w = config.grid
    frames = tuple(tuple(map(int, part)) for part in np.array_split(np.arange(config.clip[0]), n_t))
    return Cells(frames, edges(config.clip[1], n_h), edges(config.clip[2], n_w))


def describe(config: ResNet3DConfig) -> str:
    """For example `R(2+1)D-18`, followed by the width where that is not 64."""
    kind, depth = config.architecture.split("_")
    return f"{NAMES[kind]}-{depth}" + (f", width {config.width}" if config.width != WIDTH else "")


FAMILY = Family(
    config=ResNet3DConfig,
    module=ResNet3D,
    height=height,
    cells=cells,
    describe=describe,
    plain=plain,
    outline=plain,
    order=("stem", "stage_1", "stage_2", "stage_3", "stage_4", "head"),
)
