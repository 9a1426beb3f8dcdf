"""The CNNs of Karpathy et al. 2014 as a family of models."""

import dataclasses

from vivit_jax.models.cells import Cells, edges
from vivit_jax.models.families import Family
from vivit_jax.models.fusion_cnn.config import FusionCNNConfig
from vivit_jax.models.fusion_cnn.model import FusionCNN

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "head")


def plain(config: FusionCNNConfig) -> FusionCNNConfig:
    """The model in float32."""
    return dataclasses.replace(config, dtype="float32")


def height(config: FusionCNNConfig, path: str) -> int:
    """0 for the first convolution of each stream, 5 and 6 for the fully connected layers, 7 for the head."""
    return next(number for number, layer in enumerate(LAYERS) if layer in path)


def cells(config: FusionCNNConfig) -> Cells:
    """A box for each place of the last map and each frame.

    Relevances add up to the score only where every pixel is in exactly one box. The filters of slow fusion overlap along time, so each
    frame has boxes of its own. With two streams the boxes are as fine as the fovea's map: twice as many each way over the whole frame.
    """
    frames, *sides = config.clip
    finer = 2 if config.multiresolution else 1
    rows, columns = (edges(side, finer * config.map_side(side)) for side in sides)
    return Cells(tuple((frame,) for frame in range(frames)), rows, columns)


def describe(config: FusionCNNConfig) -> str:
    """For example `CNN, slow fusion, multiresolution`."""
    kind = "single frame" if config.fusion == "single_frame" else f"{config.fusion} fusion"
    return f"CNN, {kind}{', multiresolution' if config.multiresolution else ''}"


FAMILY = Family(
    config=FusionCNNConfig,
    module=FusionCNN,
    plain=plain,
    outline=plain,
    height=height,
    cells=cells,
    describe=describe,
    order=("stream", "context", "fovea", "fc6", "fc7", "head"),
    features="boxes",
)
