"""Finds files of equal contents, as copies of one video are, without reading all files whole."""

import os
import pathlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from vivit_jax.files import real_path, sha256

END_BYTES = 4096  # read at each end of files of equal size, before their whole contents are compared


def content_groups(paths: Sequence[pathlib.Path]) -> dict[pathlib.Path, str]:
    """Maps each path to a name that files of equal contents share.

    A file is read whole only if another has the same size and the same ends.
    """
    real = {path: real_path(path) for path in paths}
    alike = _several(_several([set(real.values())], _size), _ends)
    digests = {path: _content(path) for same in alike for path in sorted(same)}
    return {path: digests.get(file, str(file)) for path, file in real.items()}


def _several(sets: Iterable[set[pathlib.Path]], key: Callable[[pathlib.Path], object]) -> Iterator[set[pathlib.Path]]:
    """Divides each set by `key`, and yields the parts that have more than one path."""
    for paths in sets:
        by_key = defaultdict(set)
        for path in paths:
            by_key[key(path)].add(path)
        yield from (same for same in by_key.values() if len(same) > 1)


def _size(path: pathlib.Path) -> int:
    """Bytes, or -1 if the file is missing, which is reported when it is read."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _ends(path: pathlib.Path) -> bytes:
    """The first and last bytes, in which most different videos of equal size differ; empty if the file cannot be read."""
    try:
        with path.open("rb") as file:
            first = file.read(END_BYTES)
            file.seek(max(0, file.seek(0, os.SEEK_END) - END_BYTES))
            return first + file.read()
    except OSError:
        return b""


def _content(path: pathlib.Path) -> str:
    try:
        return sha256(path)
    except OSError:
        return str(path)
