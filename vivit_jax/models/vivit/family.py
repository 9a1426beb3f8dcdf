"""ViViT as a family of models."""

import dataclasses
import re

from vivit_jax.models.cells import Cells
from vivit_jax.models.families import Family
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.models.vivit.model import ViViT
from vivit_jax.models.vivit.tokenizer import uniform_frames


def plain(config: ViViTConfig) -> ViViTConfig:
    """The model as the paper defines it, without what only changes how it is computed."""
    how = {"scan_layers": False, "remat": False, "dtype": "float32", "attention": "xla", "stochastic_depth_skips": False}
    return dataclasses.replace(config, **how)


def as_trained(config: ViViTConfig) -> ViViTConfig:
    """The plain model, which computes nothing for the examples that the model drops."""
    return dataclasses.replace(plain(config), stochastic_depth_skips=config.stochastic_depth_skips)


def portable(config: ViViTConfig) -> ViViTConfig:
    """The model with the attention that the device at hand is best at, where it was trained with one that needs a GPU."""
    return dataclasses.replace(config, attention="auto") if config.attention in ("cudnn", "fa3") else config


def outline(config: ViViTConfig) -> ViViTConfig:
    """The plain model, whose layers are traced once."""
    return dataclasses.replace(plain(config), scan_layers=True)


def one_block(config: ViViTConfig) -> tuple[ViViTConfig, dict[str, int]]:
    """The plain model with one block in each encoder, whose blocks are all alike; and how many each has."""
    if config.factorisation != "factorised_encoder":
        return dataclasses.replace(plain(config), num_layers=1), {"encoder": config.num_layers}
    blocks = {"spatial_encoder": config.num_layers, "temporal_encoder": config.temporal_layers}
    return dataclasses.replace(plain(config), num_layers=1, temporal_layers=min(1, config.temporal_layers)), blocks


def height(config: ViViTConfig, path: str) -> int:
    """0 for the tokenizer, 1 for what the first block holds, the largest for the head.

    The temporal encoder of Model 2 stands on the spatial one.
    """
    layers = config.num_layers + (config.temporal_layers if config.factorisation == "factorised_encoder" else 0)
    below = config.num_layers if "temporal_encoder" in path else 0
    if block := re.search(r"block_(\d+)/", path):
        return below + int(block.group(1)) + 1
    if path.startswith("tokenizer") or path.endswith(("position", "_cls")):
        return below
    return config.num_layers if "spatial_encoder" in path and config.temporal_layers else layers + 1


def cells(config: ViViTConfig) -> Cells:
    """The pixels of each token: a tubelet, or a patch of one sampled frame."""
    n_t, n_h, n_w = config.grid
    time, height, width = config.tubelet
    if config.tokenizer == "frames":
        frames = tuple((frame,) for frame in uniform_frames(config.clip[0], n_t))
    else:
        frames = tuple(tuple(range(start, start + time)) for start in range(0, n_t * time, time))
    return Cells(frames, tuple(range(0, n_h * height + 1, height)), tuple(range(0, n_w * width + 1, width)))


def describe(config: ViViTConfig) -> str:
    """For example `ViViT, factorised encoder, 12 layers of 768`."""
    return f"ViViT, {config.factorisation.replace('_', ' ')}, {config.num_layers} layers of {config.hidden_size}"


FAMILY = Family(
    config=ViViTConfig,
    module=ViViT,
    plain=plain,
    as_trained=as_trained,
    portable=portable,
    outline=outline,
    one_block=one_block,
    height=height,
    cells=cells,
    describe=describe,
    order=("tokenizer", "spatial_encoder", "temporal_encoder", "encoder", "head"),
    features="tokens",
    layer_outputs=lambda module, video, layers: module.layer_outputs(video, layers),
)
