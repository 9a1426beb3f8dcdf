"""Prepared data sets by name: open one, or make the embedded one first."""

import dataclasses
import os
import pathlib
import typing
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from vivit_jax.data.layouts import LAYOUTS
from vivit_jax.errors import UserError

if typing.TYPE_CHECKING:
    import tensorflow_datasets as tfds

Labels = tuple[str, ...] | Mapping[str, tuple[str, ...]]


class Record(typing.TypedDict):
    """A stored clip, as `VideoDataset.source` gives it.

    Attributes:
      video: bytes of an mp4; of `DecodedRecords`, its frames, uint8 (t, h, w, 3).
      label: class number, or one for each head; of a data set whose clips may have several classes, uint8 (classes,) of zeros and ones.
      name: for people.
      frames: of the video.
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


@dataclasses.dataclass(frozen=True)
class VideoDataset:
    """A prepared data set.

    Attributes:
      name: as given to `vivit prepare`.
      path: its folder.
      labels: class names in the order of their numbers, or those of each head.
      splits: number of records of each split.
      multi_label: whether a clip may have several classes, or none.
    """

    name: str
    path: pathlib.Path
    labels: Labels
    splits: Mapping[str, int]
    multi_label: bool
    _builder: "tfds.core.DatasetBuilder" = dataclasses.field(repr=False)

    def source(self, split: str) -> Sequence[Record]:
        """Random access to the records of a split, such as `train`, `train[:10%]` or `train+val`.

        Raises:
          UserError: for a split that does not exist or is empty.
        """
        try:
            records = self._builder.as_data_source(split=split)
        except (ValueError, KeyError, AssertionError) as error:
            known = ", ".join(self.splits)
            raise UserError(f"data set {self.name} has no split {split!r}: known are {known} and slices as {known[:5]}[:10%]") from error
        if not len(records):
            raise UserError(f"split {split!r} of data set {self.name} is empty")
        return _Records(records, len(self.labels) if self.multi_label else None)

    def class_counts(self, split: str) -> dict[str, Int[np.ndarray, " classes"]]:
        """By head, how many records of a split each class has. Reads every record."""
        counts = {head: np.zeros(len(names), np.int64) for head, names in _by_head(self.labels).items()}
        for record in self.source(split):
            for head, label in _by_head(record["label"]).items():
                counts[head] += label if self.multi_label else np.arange(len(counts[head])) == label
        return counts


class _Records(Sequence):
    """tfds's records as plain Python values, whose text is `str`; `classes` is how many a clip may have several of, else None."""

    def __init__(self, records: Sequence[dict], classes: int | None) -> None:
        self._records, self._classes = records, classes

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        record = self._records[range(len(self))[index]]
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


def data_folder(data_dir: str | pathlib.Path | None) -> pathlib.Path:
    """The folder of prepared data sets: `data_dir`, or tfds's own (`$TFDS_DATA_DIR`, `~/tensorflow_datasets`)."""
    return pathlib.Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def open_dataset(name: str, data_dir: str | pathlib.Path | None = None) -> VideoDataset:
    """Opens the prepared data set `name`.

    Args:
      name: as given to `vivit prepare --name`.
      data_dir: the folder of prepared data sets; None is `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.

    Raises:
      UserError: if there is none of that name, saying which there are, or if it is not one of videos.
    """
    if not name:
        raise UserError("no data set is named: give --config.data.name=NAME, as in `vivit prepare --name NAME`")
    folder = data_folder(data_dir)
    versions = _versions(folder / name)
    if not versions:
        present = sorted(path.name for path in folder.glob("[a-z]*") if _versions(path)) if folder.is_dir() else []
        raise UserError(f"no data set {name!r} in {folder}: there {_there_is(present)}; make one with `vivit prepare`")
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(versions[-1]))
    missing = [key for key in ("video", "label", "name", "frames", "fps") if key not in builder.info.features]
    if missing:
        raise UserError(f"{versions[-1]} is not a data set of `vivit prepare`: its records have no {', '.join(missing)}")
    splits = {split: info.num_examples for split, info in builder.info.splits.items()}
    label = builder.info.features["label"]
    multi_label = isinstance(label, tfds.features.Sequence)
    return VideoDataset(name, versions[-1], _labels(label.feature if multi_label else label), splits, multi_label, builder)


def ensure_dataset(name: str, data_dir: str | pathlib.Path | None = None) -> VideoDataset:
    """Opens the data set `name`, and makes it first, with a progress bar, if it is one that needs no source, as `motion_digits`.

    Several processes may call this at once: whichever is first done has made it.

    Args:
      name: of the data set.
      data_dir: as for `open_dataset`.

    Raises:
      UserError: as `open_dataset`.
    """
    folder = data_folder(data_dir)
    if name in LAYOUTS and LAYOUTS[name].source is None and not _versions(folder / name):
        from rich.console import Console

        from vivit_jax.data.prepare import prepare

        try:
            prepare(name, name=name, data_dir=folder, console=Console(stderr=True))
        except UserError:
            if not _versions(folder / name):
                raise
    return open_dataset(name, folder)


def _versions(path: pathlib.Path) -> list[pathlib.Path]:
    """The finished versions of a data set, oldest first."""
    found = [info.parent for info in path.glob("[0-9]*/dataset_info.json") if info.parent.name.replace(".", "").isdecimal()]
    return sorted(found, key=lambda version: [int(part) for part in version.name.split(".")])


def _labels(feature: "tfds.features.FeatureConnector") -> Labels:
    if isinstance(feature, Mapping):
        return {head: tuple(part.names) for head, part in feature.items()}
    return tuple(feature.names)


def _by_head(values: object) -> Mapping:
    return values if isinstance(values, Mapping) else {"": values}


def _there_is(names: Sequence[str]) -> str:
    return f"are {', '.join(names)}" if names else "is none"
