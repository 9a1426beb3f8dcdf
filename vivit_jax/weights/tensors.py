"""Files of tensors, read as data: nothing in them is executed, and their declared sizes are checked before memory is taken.

Each reader returns a `Tensors`: names and shapes at once, values one at a time and as float32.
"""

import errno
import json
import math
import os
import pathlib
import pickle
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import ml_dtypes
import msgpack
import numpy as np
from flax import serialization
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vivit_jax.errors import UserError

if TYPE_CHECKING:
    import torch

MAX_EXPANSION = 20  # a compressed file of weights may unfold to this many times its size; deflate alone could reach a thousand
MIN_EXPANDED = 64 * 2**20
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

MAX_TENSORS = 100_000  # of a file; the largest transformers have some thousands
MAX_DEPTH = 64
MAX_NAME = 1000
MAX_HEADER = 16 * 2**20  # bytes of JSON at the start of a safetensors file

# What libraries raise on reading what was damaged or made to mislead.
DAMAGED = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, EOFError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError, SyntaxError, struct.error, pickle.PickleError, SafetensorError),
)

# Those that hold weights as they are; integers and 8-bit floats are quantised, with scales that lie elsewhere.
FLOATS = tuple(np.dtype(kind) for kind in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64))
QUANTISED = "quantised models cannot be read"

INSTALL_TORCH = "pip install 'vivit_jax[parity]', or convert the file to safetensors"


class Tensors(Mapping[str, np.ndarray]):
    """Tensors by name; a value is read when it is asked for, as float32, and not kept: ask for it once.

    Attributes:
      path: the file or directory they come from.
      shapes: of each tensor, by name.
    """

    def __init__(self, path: pathlib.Path, shapes: Mapping[str, tuple[int, ...]], read: Callable[[str], np.ndarray]) -> None:
        self.path = path
        self.shapes = dict(shapes)
        self._read = read

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            value = np.asarray(self._read(name))
        except UserError:
            raise
        except DAMAGED as error:
            raise UserError(f"{self.path}: {name} cannot be read: {_first_line(error)}") from None
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise UserError(f"{self.path}: {name} cannot be read: the file points before its own start") from None
        if value.dtype not in FLOATS:
            raise UserError(f"{self.path}: {name} is of type {value.dtype}, and weights are floating point of 16 to 64 bits: {QUANTISED}")
        value = value.astype(np.float32, copy=False)
        if not np.isfinite(value).all():
            raise UserError(f"{self.path}: {name} {value.shape} holds NaN or infinity: the model that it was saved from had diverged")
        return value

    def __contains__(self, name: object) -> bool:
        return name in self.shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def renamed(self, names: Mapping[str, str]) -> "Tensors":
        """The tensors in `names` alone, {new name: name here}."""
        return Tensors(self.path, {new: self.shapes[name] for new, name in names.items()}, lambda new: self._read(names[new]))


def read_tensors(path: pathlib.Path) -> Tensors:
    """Opens a file of tensors, recognised by its content, or the directory of one (also in shards).

    Raises:
      UserError: if it is missing, damaged, not of a known kind, or would execute code.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        return _read_directory(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist")
    try:
        kind = _kind(path)
        if kind is None:
            raise UserError(f"{path} is not a .npz, .safetensors, .pth/.bin or Flax msgpack file of weights")
        return READERS[kind](path)
    except UserError:
        raise
    except DAMAGED as error:
        raise UserError(f"{path} is damaged: {_first_line(error)}") from None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise UserError(f"{path} is damaged: it points before its own start") from None


def read_npz(path: pathlib.Path) -> Tensors:
    """Arrays of NumPy's .npz; arrays of Python objects are refused."""
    _check_expansion(path)
    archive = np.load(path, allow_pickle=False)
    shapes = {entry.filename.removesuffix(".npy"): _npy_shape(path, archive.zip, entry) for entry in archive.zip.infolist()}
    return Tensors(path, shapes, archive.__getitem__)


def check_header(path: pathlib.Path) -> None:
    """Refuses a safetensors file whose header is longer than that of any model, before it is parsed."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise UserError(
            f"{path} is not a whole safetensors file of weights: its header has {length:,} bytes, and {MAX_HEADER:,} are the most"
        )


def read_safetensors(path: pathlib.Path) -> Tensors:
    """Tensors of a .safetensors file, mapped into memory one at a time."""
    check_header(path)
    try:
        with safe_open(path, framework="np") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
    except SafetensorError as error:
        raise UserError(f"{path} is not a whole safetensors file: {error}") from None

    def read(name: str) -> np.ndarray:
        with safe_open(path, framework="np") as file:
            return file.get_tensor(name)

    return Tensors(path, shapes, read)


def read_torch(path: pathlib.Path) -> Tensors:
    """Tensors of a .pth or .bin file by torch's weights-only loading, which executes nothing from the file."""
    try:
        import torch
    except ImportError:
        raise UserError(f"{path} is a PyTorch file, and reading it needs torch: {INSTALL_TORCH}") from None
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"{path} was saved by a torch older than 1.6, whose files cannot be checked before loading; save it again with torch"
        )
    _check_expansion(path)
    _check_pickle(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:global:?|GLOBAL) +(?:GLOBAL +)?([\w.]+\.\w+)", str(error))
        reason = f" (it asks for {named[1]})" if named else ""
        raise UserError(f"{path} holds more than tensors, and nothing in it was executed{reason}: save its state_dict alone") from None
    except (*DAMAGED, AssertionError) as error:
        raise UserError(f"{path} is not a whole PyTorch file of tensors: {_first_line(error)}") from None
    tensors = {name: leaf for name, leaf in _flat(path, _state_dict(loaded), ".").items() if isinstance(leaf, torch.Tensor)}
    for name, tensor in tensors.items():
        _check_torch(path, name, tensor)
    shapes = {name: tuple(leaf.shape) for name, leaf in tensors.items()}
    return Tensors(path, shapes, lambda name: _numpy(tensors.pop(name)))


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
    """What keeps a tensor from being numbers that NumPy can take as they lie in memory."""
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


def read_msgpack(path: pathlib.Path) -> Tensors:
    """Arrays of a Flax msgpack file, such as the train states that Scenic saves."""
    try:
        tree = serialization.msgpack_restore(path.read_bytes())
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise UserError(f"{path} is not a whole Flax msgpack file: {_first_line(error)}") from None
    arrays = {name: leaf for name, leaf in _flat(path, tree, "/").items() if isinstance(leaf, np.ndarray | np.generic)}
    return Tensors(path, {name: leaf.shape for name, leaf in arrays.items()}, arrays.pop)


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


READERS: dict[str, Callable[[pathlib.Path], Tensors]] = {
    "npz": read_npz,
    "safetensors": read_safetensors,
    "torch": read_torch,
    "msgpack": read_msgpack,
}

# What a directory's weights may be called.
DIRECTORY_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "flax_model.msgpack",
)


def _kind(path: pathlib.Path) -> str | None:
    """What a file is, by its first bytes: names say little (`checkpoint_200000`)."""
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
        return _read_shards(path / found[0]) if found[0].endswith(".index.json") else read_tensors(path / found[0])
    checkpoints = sorted((file for file in path.glob("checkpoint_*") if file.is_file()), key=lambda file: (len(file.name), file.name))
    if checkpoints:
        return read_tensors(checkpoints[-1])
    if (path / "model" / DIRECTORY_FILES[0]).is_file():
        raise UserError(f"{path} is the work directory of a run: its model is {path / 'model'}")
    raise UserError(f"{path} holds no weights: looked for {', '.join(DIRECTORY_FILES)} and checkpoint_*")


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
    shards = {name: read_tensors(index.parent / name) for name in sorted(set(weight_map.values()))}
    lost = [name for name, shard in weight_map.items() if name not in shards[shard]]
    unlisted = [name for shard in shards.values() for name in shard if name not in weight_map]
    if lost or unlisted:
        raise UserError(f"{index} and its shards disagree: not in its shard: {lost or 'none'}; not in the index: {unlisted or 'none'}")
    shapes = {name: shards[shard].shapes[name] for name, shard in weight_map.items()}
    return Tensors(index.parent, shapes, lambda name: shards[weight_map[name]][name])


def _check_expansion(path: pathlib.Path) -> None:
    """Refuses an archive that would unfold to far more than weights compress to."""
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            declared = sum(entry.file_size for entry in archive.infolist())
            unusual = [entry.filename for entry in archive.infolist() if entry.flag_bits & 1 or entry.compress_type not in COMPRESSIONS]
    except zipfile.BadZipFile as error:
        raise UserError(f"{path} is damaged: {error}") from None
    if unusual:
        raise UserError(f"{path}: {unusual[0]} is encrypted or compressed as NumPy and torch do not: refused")
    if declared > max(MAX_EXPANSION * size, MIN_EXPANDED):
        raise UserError(f"{path} is {size:,} bytes and declares {declared:,} bytes of tensors: refused before memory is taken")


def _npy_shape(path: pathlib.Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[int, ...]:
    """The shape that an array's header declares, once its bytes are known to be there."""
    try:
        with archive.open(entry) as file:
            version = np.lib.format.read_magic(file)
            read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read_header(file)
            present = entry.file_size - file.tell()
    except (ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: {entry.filename} is not a NumPy array: {error}") from None
    if dtype.hasobject:
        raise UserError(f"{path}: {entry.filename} is an array of Python objects, which could execute code: refused")
    if math.prod(shape) * dtype.itemsize != present:
        declared = math.prod(shape) * dtype.itemsize
        raise UserError(f"{path}: {entry.filename} declares {declared:,} bytes {shape} and holds {present:,}: refused")
    return shape


def _state_dict(loaded: object) -> object:
    """The tensors of a training checkpoint, where the file is one: under the names that timm, DeiT, DINO and others use."""
    for key in ("state_dict_ema", "state_dict", "model_ema", "model", "teacher", "model_state_dict", "net", "student"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            return loaded[key]
    return loaded


def _flat(path: pathlib.Path, tree: object, separator: str) -> dict:
    """Leaves by their path; keys that are numbers count as names."""
    if not isinstance(tree, Mapping):
        return {}
    leaves, waiting, seen = {}, [((), tree)], 0
    while waiting:
        keys, node = waiting.pop()
        seen += 1
        if len(keys) > MAX_DEPTH or seen + len(waiting) > MAX_TENSORS:
            raise UserError(f"{path} is nested deeper or holds more than any tree of weights: refused")
        if isinstance(node, Mapping):
            waiting.extend(((*keys, str(key)[:MAX_NAME]), child) for key, child in reversed(node.items()))
        else:
            leaves[separator.join(keys)] = node
    return leaves


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
