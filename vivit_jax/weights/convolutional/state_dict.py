"""State dicts of torch's CNNs: the layout of their tensors, and the files that hold them."""

import io
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np

from vivit_jax.errors import UserError
from vivit_jax.extras import check_import
from vivit_jax.weights.tensors import write_safetensors

COUNTER = "num_batches_tracked"
SUFFIXES = (".pth", ".safetensors")


def counters(names: Iterable[str]) -> list[str]:
    """The names of the counters of batches that torch keeps beside each running mean."""
    return [name.replace("running_mean", COUNTER) for name in names if name.endswith("running_mean")]


def to_torch(path: str, array: np.ndarray) -> np.ndarray:
    """One of our variables in torch's layout."""
    if not path.endswith("kernel"):
        return array
    return np.ascontiguousarray(array.T if array.ndim == 2 else array.transpose(4, 3, 0, 1, 2))


def from_torch(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor of torch's in our layout, of `shape`.

    A 1x1x1 convolution becomes a matrix where ours is one. An image model's kernel is repeated over time and divided by the number of
    frames (Carreau and Zisserman 2017).
    """
    if len(shape) == 2:
        return np.ascontiguousarray(array.reshape(array.shape[:2]).T)
    if array.ndim == 5:
        return np.ascontiguousarray(array.transpose(2, 3, 4, 1, 0))
    if array.ndim == 4:
        return np.ascontiguousarray(np.broadcast_to(array.transpose(2, 3, 1, 0) / np.float32(shape[0]), shape))
    return array


def write_state_dict(tensors: Mapping[str, np.ndarray], out: pathlib.Path, library: str) -> None:
    """Writes tensors as torch has them, with the counters of batches at 0: we keep none, and torch does not need them.

    Raises:
      UserError: for a file that is neither .pth nor .safetensors, or a .pth without torch.
      OSError: where the system refuses.
    """
    if out.suffix not in SUFFIXES:
        raise UserError(f"a {library} state dict is a {' or '.join(SUFFIXES)} file, got the suffix {out.suffix!r}")
    tensors = tensors | dict.fromkeys(counters(tensors), np.zeros((), np.int64))
    if out.suffix == ".safetensors":
        write_safetensors(out, tensors, metadata={"format": "pt"})
        return
    check_import("torch", f"writing {out.suffix} needs torch: pip install torch, or write .safetensors")
    import torch

    archive = io.BytesIO()  # torch itself ends in an error of its own where the system refuses, as on a full disk
    torch.save({name: torch.from_numpy(array.copy()) for name, array in tensors.items()}, archive)
    out.write_bytes(archive.getbuffer())
