"""Writes a state dict that torchvision's video ResNets load strictly."""

import pathlib

import numpy as np

from vivit_jax.errors import UserError
from vivit_jax.models.resnet3d.config import WIDTH, ResNet3DConfig
from vivit_jax.weights.convolutional.state_dict import to_torch, write_state_dict
from vivit_jax.weights.layers import flatten_variables
from vivit_jax.weights.model_dir import Pretrained
from vivit_jax.weights.resnet3d.names import table_of
from vivit_jax.weights.torch_names import torch_names


def export_torchvision(pretrained: Pretrained, out: pathlib.Path) -> None:
    """Writes a file for `torchvision.models.video.r3d_18(num_classes=...).load_state_dict`, or `mc3_18`, or `r2plus1d_18`.

    It includes the batch statistics. Class names and preprocessing have no place in a state dict.

    Raises:
      UserError: for a model that torchvision does not have, or a file that is neither .pth nor .safetensors.
    """
    config = pretrained.model.config
    _check_expressible(config)
    flat = flatten_variables(pretrained.variables)
    names = torch_names(flat, table_of(config.plan))
    write_state_dict({names[path]: to_torch(path, np.asarray(array, np.float32)) for path, array in flat.items()}, out, "torchvision")


def _check_expressible(config: object) -> None:
    instead = "export to onnx or stablehlo"
    if not isinstance(config, ResNet3DConfig):
        raise UserError(f"torchvision has no video model of the family {config.family}: {instead}")
    if config.plan.inflated:
        raise UserError(f"torchvision has no {config.architecture}, only r3d_18, mc3_18 and r2plus1d_18: {instead}")
    if config.width != WIDTH:
        raise UserError(f"torchvision's {config.architecture} has width {WIDTH} only, got {config.width}: {instead}")
    if list(config.heads) != [""]:
        raise UserError(f"torchvision's {config.architecture} has one head, got {list(config.heads) or 'none'}: {instead}")
