"""X3D as a family of models."""

from vivit_jax.models.cells import Cells, edges
from vivit_jax.models.convolutional.residual_family import height_below_head, plain
from vivit_jax.models.families import Family
from vivit_jax.models.x3d.config import WIDTH, X3DConfig
from vivit_jax.models.x3d.model import X3D


def height(config: X3DConfig, path: str) -> int:
    """0 for the stem, 1 for the first block, then the neck, and the largest for the head."""
    below = height_below_head(config.depths, path)
    return len(config.blocks) + (1 if path.startswith("neck") else 2) if below is None else below


def cells(config: X3DConfig) -> Cells:
    """The grid of the last stage, whose features the neck averages: single frames, and boxes of 32 x 32 pixels.

    A feature sees more than its box; the relevances are those of the box's own pixels.
    """
    n_t, n_h, n_w = config.grid
    return Cells(tuple((frame,) for frame in range(n_t)), edges(config.clip[1], n_h), edges(config.clip[2], n_w))


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
