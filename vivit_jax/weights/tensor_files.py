"""Files of tensors, read as data: nothing in them is executed, and their declared sizes are checked before memory is taken.

Each reader returns a `Tensors`: names and shapes at once, values one at a time and as float32. PyTorch's files are read in `torch_files`.
"""

import contextlib
import errno
import math
import pathlib
import pickle
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping

import ml_dtypes
import msgpack
import numpy as np
from flax import serialization
from safetensors import SafetensorError, safe_open

from vivit_jax.errors import UserError

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


@contextlib.contextmanager
def naming_damage(what: str) -> Iterator[None]:
    """Turns what a library raises for damaged data into a `UserError` that begins with `what`."""
    try:
        yield
    except UserError:
        raise
    except DAMAGED as error:
        raise UserError(f"{what}: {first_line(error)}") from None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise UserError(f"{what}: the file points before its own start") from None


class Tensors(Mapping[str, np.ndarray]):
    """Tensors by name; a value is read when it is asked for, as float32, and not kept: ask for it once.

    Attributes:
      path: the file or directory they come from.
      shapes: the shape of each tensor, by name.
      taken: the key of a training checkpoint under which they lay, if it holds other weights too; else empty.
    """

    def __init__(
        self, path: pathlib.Path, shapes: Mapping[str, tuple[int, ...]], read: Callable[[str], np.ndarray], taken: str = ""
    ) -> None:
        self.path = path
        self.shapes = dict(shapes)
        self.taken = taken
        self._read = read

    def __getitem__(self, name: str) -> np.ndarray:
        with naming_damage(f"{self.path}: {name} cannot be read"):
            value = np.asarray(self._read(name))
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

    @property
    def notes(self) -> tuple[tuple[str, str], ...]:
        """Facts for the report on where the tensors were, as in `Backbone.notes`."""
        return (("(weights)", f"those under {self.taken!r}: the checkpoint holds others too"),) if self.taken else ()

    def renamed(self, names: Mapping[str, str]) -> "Tensors":
        """The tensors in `names` alone, {new name: name here}."""
        return Tensors(self.path, {new: self.shapes[name] for new, name in names.items()}, lambda new: self._read(names[new]), self.taken)


def read_npz(path: pathlib.Path) -> Tensors:
    """Arrays of NumPy's .npz; arrays of Python objects are refused."""
    check_expansion(path)
    archive = np.load(path, allow_pickle=False)
    shapes = {entry.filename.removesuffix(".npy"): _npy_shape(path, archive.zip, entry) for entry in archive.zip.infolist()}
    return Tensors(path, shapes, archive.__getitem__)


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


def check_header(path: pathlib.Path) -> None:
    """Refuses what is no file, as a pipe may hang, and a header longer than that of any model, before it is parsed."""
    if not path.is_file():
        raise UserError(f"{path} is not a file")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise UserError(
            f"{path} is not a whole safetensors file of weights: its header has {length:,} bytes, more than the limit of {MAX_HEADER:,}"
        )


def read_msgpack(path: pathlib.Path) -> Tensors:
    """Arrays of a Flax msgpack file, such as the train states that Scenic saves."""
    try:
        tree = serialization.msgpack_restore(path.read_bytes())
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise UserError(f"{path} is not a whole Flax msgpack file: {first_line(error)}") from None
    arrays = {name: leaf for name, leaf in leaves_of(path, tree, "/").items() if isinstance(leaf, np.ndarray | np.generic)}
    return Tensors(path, {name: leaf.shape for name, leaf in arrays.items()}, arrays.pop)


def check_expansion(path: pathlib.Path) -> None:
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


def leaves_of(path: pathlib.Path, tree: object, separator: str) -> dict:
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


def first_line(error: Exception) -> str:
    """The first line of a library's error; its type if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
