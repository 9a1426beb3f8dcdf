"""PyTorch's files of tensors. They are pickles, of which torch's own weights-only loading executes nothing; the rest is checked here."""

import pathlib
import pickle
import re
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from vivit_jax.errors import UserError
from vivit_jax.extras import check_import
from vivit_jax.weights.tensor_files import DAMAGED, Tensors, check_expansion, first_line, leaves_of
from vivit_jax.weights.wrappers import state_dict_in

if TYPE_CHECKING:
    import torch


def read_torch(path: pathlib.Path) -> Tensors:
    """Tensors of a .pth or .bin file by torch's weights-only loading, which executes nothing from the file."""
    check_import("torch", f"{path} is a PyTorch file, and reading it needs torch: pip install torch, or convert it to safetensors")
    import torch

    if not zipfile.is_zipfile(path):
        raise UserError(
            f"{path} was saved by a torch older than 1.6, whose files cannot be checked before loading; save it again with torch"
        )
    check_expansion(path)
    _check_checksums(path)
    _check_pickle(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:global:?|GLOBAL) +(?:GLOBAL +)?([\w.]+\.\w+)", str(error))
        reason = f" (it asks for {named[1]})" if named else ""
        raise UserError(f"{path} holds more than tensors, and nothing in it was executed{reason}: save its state_dict alone") from None
    except (*DAMAGED, AssertionError) as error:
        raise UserError(f"{path} is not a whole PyTorch file of tensors: {first_line(error)}") from None
    state_dict, taken = state_dict_in(loaded)
    tensors = {name: leaf for name, leaf in leaves_of(path, state_dict, ".").items() if isinstance(leaf, torch.Tensor)}
    for name, tensor in tensors.items():
        _check_torch(path, name, tensor)
    shapes = {name: tuple(leaf.shape) for name, leaf in tensors.items()}
    return Tensors(path, shapes, lambda name: _numpy(tensors.pop(name)), taken)


def _check_checksums(path: pathlib.Path) -> None:
    """Refuses a file of which a part is not as it was saved: torch itself does not look at the checksums that it saves."""
    with zipfile.ZipFile(path) as archive:
        if wrong := archive.testzip():
            raise UserError(f"{path} is damaged: {wrong} in it does not have the checksum it was saved with; get it again")


def _check_pickle(path: pathlib.Path) -> None:
    """Refuses a `bytearray`, which torch allows and which takes as much memory as a number in the file says."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith(".pkl") and b"bytearray" in archive.read(entry):
                raise UserError(f"{path} holds more than tensors, and nothing in it was executed (it asks for bytearray): refused")


def _check_torch(path: pathlib.Path, name: str, tensor: "torch.Tensor") -> None:
    """Refuses a tensor that is not there as plain numbers, or that repeats its data to a larger size."""
    if odd := _oddity(tensor):
        raise UserError(f"{path}: {name} is not a plain tensor ({odd})")
    declared, present = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
    if declared > present:
        raise UserError(f"{path}: {name} declares {declared:,} bytes {tuple(tensor.shape)} and holds {present:,}: refused")


def _oddity(tensor: "torch.Tensor") -> str | None:
    """The reason why NumPy cannot take a tensor's numbers as they lie in memory; None if it can."""
    if tensor.is_quantized:
        return "quantised"
    if tensor.is_nested:
        return "nested"
    if not tensor.is_cpu:
        return f"on the device {tensor.device}"
    if str(tensor.layout) != "torch.strided":
        return str(tensor.layout)
    if tensor.is_conj() or tensor.is_neg():
        return "a view that is conjugated or negated when it is read"
    if "float8" in str(tensor.dtype) or "float4" in str(tensor.dtype):
        return str(tensor.dtype)
    return None


def _numpy(tensor: "torch.Tensor") -> np.ndarray:
    """The same values in the same type, but for bfloat16, which torch does not share with NumPy."""
    tensor = tensor.detach()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
