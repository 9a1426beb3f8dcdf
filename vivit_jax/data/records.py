"""The stored clips of a split, each checked against its SHA-256 as it is read."""

import pathlib
import typing
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int64, UInt8

from vivit_jax.data.manifest import damaged, record_digest

if typing.TYPE_CHECKING:
    import tensorflow_datasets as tfds


class Record(typing.TypedDict):
    """A stored clip, as `VideoDataset.source` gives it.

    Attributes:
      video: bytes of an mp4; in `DecodedRecords`, its frames, uint8 (t, h, w, 3).
      label: class number, or one for each head; if clips may have several classes, uint8 (classes,) of zeros and ones.
      name: the clip's name, for people.
      frames: how many the video has.
      fps: frames a second.
      width: pixels.
      height: pixels.
      duration: seconds.
    """

    video: bytes | np.ndarray
    label: int | np.ndarray | dict[str, int]
    name: str
    frames: int
    fps: float
    width: int
    height: int
    duration: float


class Records(Sequence):
    """Random access to the records of a split as plain Python values, whose text is `str`."""

    def __init__(
        self,
        stored: Sequence[bytes],
        features: "tfds.features.FeaturesDict",
        places: Sequence[tuple[str, int, int]],
        classes: int | None,
        hashes: UInt8[np.ndarray, "records 32"] | None,
    ) -> None:
        """Holds what is needed to read a record.

        Args:
          stored: the records' bytes.
          features: what the bytes hold.
          places: the records' (shard, position in it, number), in order.
          classes: the number of classes if a clip may have several, else None.
          hashes: the SHA-256 of each record; None for a data set that has none.
        """
        self._stored, self._features, self._classes, self._hashes = stored, features, classes, hashes
        self._files = [pathlib.Path(file) for file, _, _ in places]
        self._positions = np.array([position for _, position, _ in places], np.int64)
        self._ends: Int64[np.ndarray, " places"] = np.cumsum([count for _, _, count in places], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, index: int) -> Record:
        """A record.

        Raises:
          UserError: if it is damaged, naming its file.
        """
        index = range(len(self))[index]
        try:
            record = self._features.deserialize_example_np(self._stored[index])
            self._check(index, record)
            return self._decoded(record)
        except Exception as error:  # a damaged file raises whatever the libraries that read it happen to meet
            file, position = self._place(index)
            raise damaged(file, f"record {position}: {' '.join(str(error).split())[:200] or type(error).__name__}") from error

    @property
    def places(self) -> list[tuple[str, int]]:
        """The shard of each record and its position there: no two records of a data set share them."""
        return [(file.name, position) for file, position in map(self._place, range(len(self)))]

    def split_of(self, index: int) -> str:
        """The split that a record lies in."""
        return self._place(index)[0].name.partition("-")[2].partition(".")[0]

    def _place(self, index: int) -> tuple[pathlib.Path, int]:
        """The shard of a record, and its position there, counted from 0."""
        place = int(np.searchsorted(self._ends, index, side="right"))
        return self._files[place], int(self._positions[place] + index - (self._ends[place - 1] if place else 0))

    def _check(self, index: int, record: Mapping) -> None:
        if self._hashes is not None and record_digest(record) != self._hashes[index].tobytes():
            raise ValueError("its SHA-256 is not that of the manifest, unless the data set was made anew meanwhile")

    def _decoded(self, record: Mapping) -> Record:
        return Record(
            video=record["video"],
            label=self._label(record["label"]),
            name=record["name"].decode(),
            frames=int(record["frames"]),
            fps=float(record["fps"]),
            width=int(record["width"]),
            height=int(record["height"]),
            duration=float(record["duration"]),
        )

    def _label(self, label: object) -> int | np.ndarray | dict[str, int]:
        if self._classes is not None:
            return np.isin(np.arange(self._classes), label).astype(np.uint8)
        return {head: int(number) for head, number in label.items()} if isinstance(label, Mapping) else int(label)
