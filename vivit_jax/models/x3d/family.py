"""X3D as a family: what the rest of the package asks of one."""

import dataclasses
import re

from vivit_jax.models.families import Cells, Family
from vivit_jax.models.x3d.config import WIDTH, X3DConfig
from vivit_jax.models.x3d.model import X3D


def plain(config: X3DConfig) -> X3DConfig:
    """The model as it is published, without what only changes how it is computed."""
    return dataclasses.replace(config, dtype="float32", convolutions="3d")


def height(config: X3DConfig, path: str) -> int:
    """0 for the stem, 1 for the first block, then the neck, and the largest for the head."""
    if path.startswith("stem"):
        return 0
    if place := re.search(r"stage_(\d)/block_(\d+)/", path):
        stage, block = int(place[1]), int(place[2])
        return sum(config.depths[: stage - 1]) + block + 1
    return len(config.blocks) + (1 if path.startswith("neck") else 2)


def cells(config: X3DConfig) -> Cells:
    """The grid of the last stage, whose features the neck averages: single frames, and boxes of 32 x 32 pixels.

    A feature sees more than its box; the relevances are those of the box's own pixels.
    """
    n_t, n_h, n_w = config.grid
    rows, columns = (
        tuple(round(i * extent / count) for i in range(count + 1)) for extent, count in zip(config.clip[1:], (n_h, n_w), strict=True)
    )
    return Cells(tuple((frame,) for frame in range(n_t)), rows, columns)


def describe(config: X3DConfig) -> str:
    """For example `X3D-S`, followed by the width where that is not 24."""
    name = config.architecture.upper().replace("_", "-")
    return name + (f", width {config.width}" if config.width != WIDTH else "")


FAMILY = Family(
    config=X3DConfig,
    module=X3D,
    height=height,
    cells=cells,
    describe=describe,
    plain=plain,
    outline=plain,
    order=("stem", "stage_1", "stage_2", "stage_3", "stage_4", "neck", "head"),
)
