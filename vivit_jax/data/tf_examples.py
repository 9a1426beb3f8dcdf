"""Reads what TensorFlow Datasets stored without TensorFlow: `tf.train.Example`s in files of TFRecord or ArrayRecord.

Both are formats of protocol buffers' kind, and only the values that are asked for are read: a label beside a video of many megabytes costs
a few bytes. A TFRecord is 8 bytes of length, 4 of checksum, the example, 4 of checksum. An example is a map from names to lists of bytes,
floats or whole numbers.

The checksum of an example covers all of it, so that only `read_whole_example` can check it. ArrayRecord checks its own.
"""

import contextlib
import functools
import io
import os
import pathlib
import struct
from collections.abc import Collection, Iterator, Sequence
from typing import BinaryIO

import google_crc32c
import numpy as np

from vivit_jax.errors import UserError

FORMATS = ("tfrecord", "array_record")
LENGTH, CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
MASK = 0xA282EAD8
BYTES, FLOATS, WHOLE_NUMBERS = 1, 2, 3  # how a feature numbers the kinds of lists

Values = Sequence[bytes] | Sequence[float] | Sequence[int]


def places(path: pathlib.Path, file_format: str) -> Iterator[int]:
    """Where the examples of a file begin, in order: what `read_example` takes.

    Raises:
      UserError: if the file is missing, cut off or damaged where it tells the lengths of its examples.
    """
    if file_format == "array_record":
        with _naming_damage(path):
            yield from range(len(_array_record(path)))
        return
    with _opened(path) as file:
        end, place = os.fstat(file.fileno()).st_size, 0
        while place < end:
            file.seek(place)
            size = _size(file, path, end)
            yield place
            place = file.tell() + size + CHECKSUM.size


def read_example(path: pathlib.Path, file_format: str, place: int, names: Collection[str]) -> dict[str, Values]:
    """The values of the example at a place, for those of `names` that it has; the rest of the example is not read.

    Raises:
      UserError: naming the file, if there is no example.
    """
    if file_format == "array_record":
        return read_whole_example(path, file_format, place, names)
    with _opened(path) as file, _naming_damage(path):
        file.seek(place)
        size = _size(file, path, os.fstat(file.fileno()).st_size)
        return _values(file, file.tell() + size, names)


def read_whole_example(path: pathlib.Path, file_format: str, place: int, names: Collection[str]) -> dict[str, Values]:
    """What `read_example` returns, from an example whose checksum is right.

    Raises:
      UserError: naming the file, if there is no example, or another than was written.
    """
    with _naming_damage(path):
        example = _array_record(path)[place] if file_format == "array_record" else _checked(path, place)
        return _values(io.BytesIO(example), len(example), names)


@contextlib.contextmanager
def _naming_damage(path: pathlib.Path) -> Iterator[None]:
    """Turns what a library raises for a damaged file into a `UserError` that names it."""
    try:
        yield
    except UserError:  # which is a ValueError
        raise
    except (ValueError, IndexError, RuntimeError, OSError) as error:
        raise _damaged(path, str(error)) from None


def _checked(path: pathlib.Path, place: int) -> bytes:
    with _opened(path) as file:
        file.seek(place)
        content = file.read(_size(file, path, os.fstat(file.fileno()).st_size))
        if CHECKSUM.unpack(file.read(CHECKSUM.size))[0] != masked_crc32c(content):
            raise _damaged(path, f"the checksum of the example at byte {place} is wrong")
    return content


def masked_crc32c(content: bytes) -> int:
    """The CRC-32C of `content` as TFRecord stores it: rotated by 15 bits, plus a constant."""
    crc = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF


@functools.lru_cache(maxsize=1)
def _array_record(path: pathlib.Path) -> Sequence[bytes]:
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    if not path.is_file():
        raise UserError(f"{path}: no such file")
    return ArrayRecordDataSource(str(path))


def _opened(path: pathlib.Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # a name with a zero byte
        raise UserError(f"{str(path)!r}: {error}") from None


def _size(file: BinaryIO, path: pathlib.Path, end: int) -> int:
    place, header = file.tell(), file.read(LENGTH.size + CHECKSUM.size)
    is_whole = len(header) == LENGTH.size + CHECKSUM.size
    if is_whole and CHECKSUM.unpack_from(header, LENGTH.size)[0] != masked_crc32c(header[: LENGTH.size]):
        raise _damaged(path, f"the checksum of the length at byte {place} is wrong")
    size = LENGTH.unpack_from(header)[0] if is_whole else end
    if file.tell() + size + CHECKSUM.size > end:
        raise _damaged(path, "it ends within an example")
    return size


def _values(file: BinaryIO, end: int, names: Collection[str]) -> dict[str, Values]:
    found = {}
    for _, features in _parts(file, end):
        for _, entry in _parts(file, features):
            name = None
            for number, part in _parts(file, entry):
                if number == 1:
                    name = file.read(part - file.tell()).decode()
                elif name in names:
                    found[name] = _list(file, part)
    return found


def _list(file: BinaryIO, end: int) -> Values:
    for kind, part in _parts(file, end):
        if kind == BYTES:
            return [file.read(value - file.tell()) for _, value in _parts(file, part)]
        content = file.read(part - file.tell())
        return _floats(content) if kind == FLOATS else _whole_numbers(content)
    return []


def _floats(content: bytes) -> list[float]:
    buffer, values = io.BytesIO(content), []
    while buffer.tell() < len(content):
        packed = _varint(buffer) & 7 == 2
        values += np.frombuffer(buffer.read(_varint(buffer) if packed else 4), "<f4").tolist()
    return values


def _whole_numbers(content: bytes) -> list[int]:
    buffer, values = io.BytesIO(content), []
    while buffer.tell() < len(content):
        packed = _varint(buffer) & 7 == 2
        end = _varint(buffer) + buffer.tell() if packed else None
        values.append(_signed(_varint(buffer)))
        while packed and buffer.tell() < min(end, len(content)):
            values.append(_signed(_varint(buffer)))
    return values


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _parts(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Yields each field's number and the offset where its bytes end, with the file at their beginning; all fields must have a length."""
    while file.tell() < end:
        tag = _varint(file)
        if tag & 7 != 2:
            raise ValueError("an example of no known form")
        part = _varint(file) + file.tell()
        if part > end:
            raise ValueError("a part of an example that is longer than the example")
        yield tag >> 3, part
        file.seek(part)


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("a number that does not end")


def _damaged(path: pathlib.Path, why: str) -> UserError:
    return UserError(f"{path} is damaged, or no file of TensorFlow Datasets ({why})")
