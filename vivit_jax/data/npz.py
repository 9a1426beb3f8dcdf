"""NumPy's `.npz` files read as data: nothing in them is executed, and declared sizes are checked before memory is taken."""

import math
import pathlib
import tokenize
import zipfile
import zlib

import numpy as np

from vivit_jax.errors import UserError, in_one_line

MOST_BYTES = 2 << 30  # of all arrays of a file together; the largest of MedMNIST's sets of volumes has 0.5 GB
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What NumPy and zipfile raise when they read a file that is damaged or was made to mislead.
DAMAGED = (
    *(ValueError, TypeError, LookupError, RuntimeError, EOFError, OSError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)


def array_shapes(path: pathlib.Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Maps the name of each array in a file to its shape and type, after checking that the file declares as many bytes as they need.

    Raises:
      UserError: if the file is missing, is damaged, holds Python objects, or declares more than `MOST_BYTES`.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            declared = sum(entry.file_size for entry in entries)
            if declared > MOST_BYTES:
                raise UserError(f"{path} declares {declared:,} bytes of arrays, more than the limit of {MOST_BYTES:,}: refused")
            return {entry.filename.removesuffix(".npy"): _header(path, archive, entry) for entry in entries}
    except UserError:
        raise
    except DAMAGED as error:
        raise UserError(f"{path} is damaged, or no .npz file ({in_one_line(error)})") from None


def read_array(path: pathlib.Path, name: str) -> np.ndarray:
    """Reads one array of a file that `array_shapes` has checked.

    Raises:
      UserError: if the array is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive[name]
    except DAMAGED as error:
        raise UserError(f"{path}: {name} cannot be read ({in_one_line(error)})") from None


def _header(path: pathlib.Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype]:
    if entry.flag_bits & 1 or entry.compress_type not in COMPRESSIONS:
        raise UserError(f"{path}: {entry.filename} is encrypted or compressed as NumPy does not: refused")
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        present = entry.file_size - file.tell()
    if dtype.hasobject:
        raise UserError(f"{path}: {entry.filename} holds Python objects, which are not read")
    if math.prod(shape) * dtype.itemsize != present:
        raise UserError(f"{path}: {entry.filename} declares {shape} of {dtype} and has {present:,} bytes: refused")
    return shape, dtype
