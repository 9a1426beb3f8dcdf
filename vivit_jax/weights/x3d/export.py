"""Writes a state dict that pytorchvideo's X3D loads strictly."""

import pathlib

import numpy as np

from vivit_jax.errors import UserError
from vivit_jax.models.x3d.config import WIDTH, X3DConfig
from vivit_jax.weights.convolutional.state_dict import to_torch, write_state_dict
from vivit_jax.weights.layers import flatten_variables
from vivit_jax.weights.model_dir import Pretrained
from vivit_jax.weights.torch_names import torch_names
from vivit_jax.weights.x3d.names import TABLE, shape_in_torch


def export_pytorchvideo(pretrained: Pretrained, out: pathlib.Path) -> None:
    """Writes a file for `pytorchvideo.models.hub.x3d_s(model_num_class=...).load_state_dict`, or its siblings.

    It includes the batch statistics.

    Raises:
      UserError: for a model that pytorchvideo does not have, or a file that is neither .pth nor .safetensors.
    """
    config = pretrained.model.config
    if not isinstance(config, X3DConfig):
        raise UserError(f"pytorchvideo has no model of ours of the family {config.family}, only x3d: export to onnx or stablehlo")
    if config.width != WIDTH or list(config.heads) != [""]:
        raise UserError(f"pytorchvideo's X3D has width {WIDTH} and one head, got {config.width} and {list(config.heads) or 'none'}")
    flat = flatten_variables(pretrained.variables)
    names = torch_names(flat, TABLE)
    tensors = {
        names[path]: to_torch(path, np.asarray(array, np.float32)).reshape(shape_in_torch(path, array.shape))
        for path, array in flat.items()
    }
    write_state_dict(tensors, out, "pytorchvideo")
