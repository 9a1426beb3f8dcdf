"""The decoded videos of a small split, kept in memory that all reading threads and processes share."""

import itertools
import mmap
import os
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from vivit_jax import console
from vivit_jax.data.dataset import Record
from vivit_jax.data.video import reader as video
from vivit_jax.data.video.geometry import Framer


def kept_decoded(records: Sequence[Record], gigabytes: float, split: str) -> Sequence[Record]:
    """The `DecodedRecords` of a split; `records` themselves if `gigabytes` (10^9 bytes) is 0, and with a warning if it is too little."""
    if not gigabytes:
        return records
    known, sizes, taken = [], [], 0
    for record in records:
        known.append(record | {"video": b""})
        sizes.append(3 * record["frames"] * record["height"] * record["width"])
        taken += sizes[-1]
        if taken > 1e9 * gigabytes:
            console.warn(
                f"data.cache_gigabytes {gigabytes:g} does not hold the {len(records)} videos of split {split}, which take about "
                f"{1e-9 * taken / len(known) * len(records):.3g} GB decoded: each clip is decoded anew; raise it, or set it to 0"
            )
            return records
    return DecodedRecords(records, known, sizes)


class DecodedRecords(Sequence):
    """Records whose `video` is its frames, read-only uint8 (t, h, w, 3), which are decoded when a record is first asked for.

    The system gives memory as it fills, and takes it back when the last process that holds it has ended.
    """

    def __init__(self, records: Sequence[Record], known: Sequence[Record], sizes: Sequence[int]) -> None:
        """Sets memory aside for the frames.

        Args:
          records: the records, each of which is read once more when its video is decoded.
          known: the same records without their videos, which are held from the start.
          sizes: the bytes of each record's frames.
        """
        self._records, self._known = records, known
        # One byte for each record, at the front, tells whether it is decoded.
        self._starts = list(itertools.accumulate(sizes, initial=len(records)))
        # A file without a name or a place on a disk, on Linux; elsewhere each process has a memory of its own.
        file = os.memfd_create("frames") if hasattr(os, "memfd_create") else None
        self._path = None if file is None else f"/proc/{os.getpid()}/fd/{file}"
        self._map(file)
        if file is not None:
            weakref.finalize(self, os.close, file)  # open until then, so that other processes find it by its path

    def __len__(self) -> int:
        return len(self._known)

    def __getitem__(self, index: int) -> Record:
        """Raises `UserError`, naming the video, if it cannot be decoded."""
        index = range(len(self))[index]
        known, start, stop = self._known[index], self._starts[index], self._starts[index + 1]
        frames = np.frombuffer(self._memory, np.uint8, stop - start, start).reshape(-1, known["height"], known["width"], 3)
        if not self._memory[index]:  # another thread may be at it too: both write the same bytes
            content = self._records[index]["video"]
            frames[:] = video.decode_frames(content, range(known["frames"]), stored=True, name=known["name"])
            self._memory[index] = 1
        frames.flags.writeable = False
        return known | {"video": frames}

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the memory, which the process that unpickles this finds by its path."""
        return {name: value for name, value in vars(self).items() if name != "_memory"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        file = os.open(self._path, os.O_RDWR) if self._path else None
        self._map(file)
        if file is not None:
            os.close(file)

    def _map(self, file: int | None) -> None:
        size = self._starts[-1]
        if file is not None:
            os.ftruncate(file, size)
        self._memory = mmap.mmap(-1 if file is None else file, size)


def show_frames(record: Record, indices: np.ndarray, framer: Framer) -> np.ndarray:
    """The frames of a record at `indices`, int64 (t,), as `video.decode_frames` gives them with `framer`: uint8 (t, h, w, 3)."""
    frames = record["video"]
    if isinstance(frames, bytes):
        return video.decode_frames(frames, indices, framer=framer, stored=True, name=record["name"])
    framing = framer(*frames.shape[1:3])
    return framing.show((frames[index, framing.rows, framing.columns] for index in indices), len(indices))
