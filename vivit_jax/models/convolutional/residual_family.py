"""Functions that the families of residual networks share: their networks are stages of blocks on a stem."""

import dataclasses
import re
from collections.abc import Sequence
from typing import TypeVar

from vivit_jax.models.convolutional.config import ConvolutionalConfig

Config = TypeVar("Config", bound=ConvolutionalConfig)


def plain(config: Config) -> Config:
    """The model as it is published, without what only changes how it is computed."""
    return dataclasses.replace(config, dtype="float32", convolutions="3d")


def height_below_head(depths: Sequence[int], path: str) -> int | None:
    """How high a parameter stands, by its path: 0 in the stem, 1 in the first block, and so on; None above the last block.

    Args:
      depths: blocks of each stage.
      path: such as `stage_2/block_01/conv_1/kernel`.
    """
    if path.startswith("stem"):
        return 0
    if place := re.search(r"stage_(\d)/block_(\d+)/", path):
        stage, block = int(place[1]), int(place[2])
        return sum(depths[: stage - 1]) + block + 1
    return None
