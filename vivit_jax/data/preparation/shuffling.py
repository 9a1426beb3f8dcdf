"""tfds shuffles the records of a split in memory, and beyond 1 GB on disk through TensorFlow. Here it does so through plain files.

Records come out in the order of a hash of their keys either way. A preparation thus needs neither TensorFlow nor memory for all its videos.
"""

import contextlib
import os
import pathlib
import struct
from collections.abc import Iterator

from tensorflow_datasets.core import shuffle

MEMORY_BYTES = 64 << 20  # the most that waits in memory; the records of a larger split go to disk

HEADER = struct.Struct("=16sQ")  # a record's hashed key and its length


class _Bucket(shuffle._Bucket):
    """The records of a range of keys, in a file that is open only while it is written to or read."""

    def add(self, key: int, data: bytes) -> None:
        """Appends a record."""
        with pathlib.Path(os.fspath(self._path)).open("ab") as file:
            file.write(HEADER.pack(key.to_bytes(16), len(data)) + data)
        self._length += 1
        self._size += len(data)

    def flush(self) -> None:
        """Does nothing: `add` writes at once."""

    def read_values(self) -> Iterator[tuple[int, bytes]]:
        """The records in the order in which they were added."""
        if not self._length:
            return
        with pathlib.Path(os.fspath(self._path)).open("rb") as file:
            while header := file.read(HEADER.size):
                key, size = HEADER.unpack(header)
                yield int.from_bytes(key), file.read(size)

    def del_file(self) -> None:
        """Removes the file."""
        pathlib.Path(os.fspath(self._path)).unlink(missing_ok=True)


@contextlib.contextmanager
def through_plain_files() -> Iterator[None]:
    """While this is open, what tfds writes is shuffled through plain files, beyond `MEMORY_BYTES` of a split."""
    before = shuffle._Bucket, shuffle.MAX_MEM_BUFFER_SIZE
    shuffle._Bucket, shuffle.MAX_MEM_BUFFER_SIZE = _Bucket, MEMORY_BYTES
    try:
        yield
    finally:
        shuffle._Bucket, shuffle.MAX_MEM_BUFFER_SIZE = before
