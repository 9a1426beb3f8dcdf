"""Writes a state dict that torchvision's video ResNets load strictly."""

import io
import pathlib
from collections.abc import Mapping

import numpy as np

from vivit_jax.errors import UserError
from vivit_jax.extras import check_import
from vivit_jax.models.resnet3d.config import WIDTH, ResNet3DConfig
from vivit_jax.weights.layers import flatten_variables
from vivit_jax.weights.model_dir import Pretrained
from vivit_jax.weights.resnet3d.names import counters, to_torch, torch_names
from vivit_jax.weights.tensors import write_safetensors

SUFFIXES = (".pth", ".safetensors")


def export_torchvision(pretrained: Pretrained, out: pathlib.Path) -> None:
    """Writes a file for `torchvision.models.video.r3d_18(num_classes=...).load_state_dict`, or `mc3_18`, or `r2plus1d_18`.

    It includes the batch statistics. Torch's counters of batches are 0: we keep none, and torch does not need them. Class names and
    preprocessing have no place in a state dict.

    Raises:
      UserError: for a model that torchvision does not have, or a file that is neither .pth nor .safetensors.
    """
    config = pretrained.model.config
    _check_expressible(config)
    flat = flatten_variables(pretrained.variables)
    names = torch_names(flat, config.plan)
    tensors = {names[path]: to_torch(path, np.asarray(array, np.float32)) for path, array in flat.items()}
    write_state_dict(tensors | dict.fromkeys(counters(tensors), np.zeros((), np.int64)), out, "torchvision")


def write_state_dict(tensors: Mapping[str, np.ndarray], out: pathlib.Path, library: str) -> None:
    """Writes tensors as torch has them.

    Raises:
      UserError: for a file that is neither .pth nor .safetensors, or a .pth without torch.
      OSError: where the system refuses.
    """
    if out.suffix not in SUFFIXES:
        raise UserError(f"a {library} state dict is a {' or '.join(SUFFIXES)} file, got the suffix {out.suffix!r}")
    if out.suffix == ".safetensors":
        write_safetensors(out, tensors, metadata={"format": "pt"})
        return
    check_import("torch", f"writing {out.suffix} needs torch: pip install torch, or write .safetensors")
    import torch

    archive = io.BytesIO()  # torch itself ends in an error of its own where the system refuses, as on a full disk
    torch.save({name: torch.from_numpy(array.copy()) for name, array in tensors.items()}, archive)
    out.write_bytes(archive.getbuffer())


def _check_expressible(config: object) -> None:
    instead = "export to stablehlo"
    if not isinstance(config, ResNet3DConfig):
        raise UserError(f"torchvision has no video model of the family {config.family}: {instead}")
    if config.plan.inflated:
        raise UserError(f"torchvision has no {config.architecture}, only r3d_18, mc3_18 and r2plus1d_18: {instead}")
    if config.width != WIDTH:
        raise UserError(f"torchvision's {config.architecture} has width {WIDTH} only, got {config.width}: {instead}")
    if list(config.heads) != [""]:
        raise UserError(f"torchvision's {config.architecture} has one head, got {list(config.heads) or 'none'}: {instead}")
