"""Opens the tensors at a path: a file of any known kind, recognised by its content, or the directory of one, also in shards."""

import json
import os
import pathlib
import re
import zipfile
from collections.abc import Callable, Mapping

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from vivit_jax import places
from vivit_jax.errors import UserError
from vivit_jax.weights.tensor_files import Tensors, naming_damage, read_msgpack, read_npz, read_safetensors
from vivit_jax.weights.torch_files import read_torch
from vivit_jax.weights.wrappers import unwrapped

READERS: dict[str, Callable[[pathlib.Path], Tensors]] = {
    "npz": read_npz,
    "safetensors": read_safetensors,
    "torch": read_torch,
    "msgpack": read_msgpack,
}

SUFFIXES = (".npz", ".safetensors", ".pth", ".pt", ".bin", ".msgpack")

# What a directory's weights may be called.
DIRECTORY_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "flax_model.msgpack",
)


def read_tensors(path: pathlib.Path) -> Tensors:
    """Opens a file of tensors, recognised by its content, or the directory of one (also in shards), under the model's own names.

    Raises:
      UserError: if it is missing, damaged, not of a known kind, or would execute code.
    """
    path = pathlib.Path(path)
    tensors = _read_directory(path) if path.is_dir() else _read_file(path)
    return tensors.renamed(unwrapped(tensors))


def _read_file(path: pathlib.Path) -> Tensors:
    if not path.is_file():
        raise UserError(f"{path} is neither a file nor a folder" if path.exists() else f"{path} does not exist")
    with naming_damage(f"{path} is damaged"):
        kind = _kind(path)
        if kind is None:
            raise UserError(f"{path} is not a .npz, .safetensors, .pth/.bin or Flax msgpack file of weights")
        return READERS[kind](path)


def _kind(path: pathlib.Path) -> str | None:
    """The key of `READERS` for a file, by its first bytes, since names say little (`checkpoint_200000`); None if it is of no known kind."""
    with path.open("rb") as file:
        head = file.read(9)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return "npz" if all(name.endswith(".npy") for name in archive.namelist()) else "torch"
    if head[8:9] == b"{":
        return "safetensors"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "torch"  # a bare pickle, which read_torch refuses
    if head[:1] and (0x81 <= head[0] <= 0x8F or head[0] in (0xDE, 0xDF)):
        return "msgpack"
    return None


def _read_directory(path: pathlib.Path) -> Tensors:
    found = [name for name in DIRECTORY_FILES if (path / name).is_file()]
    if found:
        return _read_shards(path / found[0]) if found[0].endswith(".index.json") else _read_file(path / found[0])
    checkpoints = sorted((file for file in path.glob("checkpoint_*") if file.is_file()), key=lambda file: (len(file.name), file.name))
    if checkpoints:
        return _read_file(checkpoints[-1])
    if (path / "model" / DIRECTORY_FILES[0]).is_file():
        raise UserError(f"{path} is the work directory of a run: its model is {path / 'model'}")
    files = sorted(file.name for file in path.glob("*") if file.suffix in SUFFIXES and file.is_file())
    hint = f"name a file in it, such as {path / files[0]}" if files else places.described(path)
    looked_for = f"looked for {', '.join(DIRECTORY_FILES)} and checkpoint_*"
    raise UserError(f"{path} holds no weights: {hint or looked_for}")


def shard_map(index: pathlib.Path) -> dict[str, str]:
    """The file of each tensor, all of them in the directory of the index.

    Raises:
      UserError: if it is no such index, or reaches out of its directory.
    """
    try:
        weight_map = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
        files = sorted(set(weight_map.values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{index} is not an index of shards: {error!r}") from None
    outside = [name for name in files if os.path.basename(str(name)) != name or name in (".", "..")]  # noqa: PTH119 (names, not paths)
    if outside:
        raise UserError(f"{index} names a file outside its directory: {outside[0]!r}")
    return weight_map


def _read_shards(index: pathlib.Path) -> Tensors:
    """The tensors that an index of shards lists, each from the file it names."""
    weight_map = shard_map(index)
    shards = {name: _read_file(index.parent / name) for name in sorted(set(weight_map.values()))}
    lost = [name for name, shard in weight_map.items() if name not in shards[shard]]
    unlisted = [name for shard in shards.values() for name in shard if name not in weight_map]
    if lost or unlisted:
        raise UserError(f"{index} and its shards disagree: not in its shard: {lost or 'none'}; not in the index: {unlisted or 'none'}")
    shapes = {name: shards[shard].shapes[name] for name, shard in weight_map.items()}
    return Tensors(index.parent, shapes, lambda name: shards[weight_map[name]][name])


def write_safetensors(path: pathlib.Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    """Writes a .safetensors file, with the rights that the umask gives; the library alone would write 0600.

    Raises:
      OSError: where the system refuses, as on a full disk, which the library tells as an error of its own.
    """
    path.touch()
    rights = path.stat().st_mode & 0o777
    try:
        save_file(dict(tensors), path, metadata=metadata)
        path.chmod(rights)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None
