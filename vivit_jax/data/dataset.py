"""Prepared data sets by name: open one, or make the embedded one first."""

import dataclasses
import os
import pathlib
import re
import types
import typing
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from vivit_jax import console
from vivit_jax.console import counted
from vivit_jax.data import identity, manifest, splits
from vivit_jax.data.config import DataConfig
from vivit_jax.data.folds import MARK, Folds, Subset, assign_folds, clip_groups, split_and_folds
from vivit_jax.data.layouts import LAYOUTS, read_layout
from vivit_jax.data.preparation.listing import clips_of, column_called, short_side_below, unlabelled_in
from vivit_jax.data.preparation.place import find_whole, local_folder
from vivit_jax.data.records import Record, Records
from vivit_jax.data.stored import FEATURES, INFO, open_builder, stored_labels
from vivit_jax.errors import UserError, in_one_line
from vivit_jax.heads import Labels, by_head
from vivit_jax.places import data_set_versions

if typing.TYPE_CHECKING:
    import tensorflow_datasets as tfds


@dataclasses.dataclass(frozen=True)
class VideoDataset:
    """A prepared data set.

    Attributes:
      name: the name given to `vivit prepare`.
      path: its folder.
      labels: class names in the order of their numbers; with several heads, such a tuple for each head.
      splits: number of records of each split.
      multi_label: whether a clip may have several classes, or none.
      identity: what distinguishes this data set from others, see `vivit_jax.data.identity`.
      unlabelled: splits whose clips' classes are not known; they are -1.
    """

    name: str
    path: pathlib.Path
    labels: Labels
    splits: Mapping[str, int]
    multi_label: bool
    identity: Mapping
    _builder: "tfds.core.DatasetBuilder" = dataclasses.field(repr=False)
    _manifest: manifest.Manifest | None = dataclasses.field(default=None, repr=False)
    unlabelled: frozenset[str] = frozenset()
    _folds: dict = dataclasses.field(default_factory=dict, repr=False)  # the fold of each record, by how they were made

    def resolve(self, split: str) -> str:
        """A split expression in the data set's own names, such as `val[:10%]` for `validation[:10%]`; `all` is all that have labels.

        Raises:
          UserError: for a split that the data set does not have.
        """
        names, folds = split_and_folds(split)
        own = splits.resolve(names, self.splits, self.name)
        if self.unlabelled:
            labelled = "+".join(split for split in self.splits if split not in self.unlabelled)
            own = "+".join(labelled if part == "all" and labelled else part for part in own.split("+"))
        return own if folds is None else f"{own}{MARK}{folds}"

    def has(self, split: str) -> bool:
        """Whether the data set has every split that an expression names, with labels."""
        try:
            return not self.without_labels(split)
        except UserError:
            return False

    def without_labels(self, split: str) -> list[str]:
        """The splits in an expression whose clips' classes are not known.

        Raises:
          UserError: for a split that the data set does not have.
        """
        names = [part.partition("[")[0] for part in split_and_folds(self.resolve(split))[0].split("+")]
        return [name for name in dict.fromkeys(names) if name in self.unlabelled or (name == "all" and self.unlabelled)]

    def source(self, split: str) -> Sequence[Record]:
        """Random access to the records of a split, such as `train`, `train[:10%]`, `train+val` or `all@fold1of5`.

        Raises:
          UserError: for a split that does not exist, is empty or has no labels.
        """
        if missing := self.without_labels(split):
            raise UserError(
                f"split {', '.join(missing)} of data set {self.name} has no labels: it can be predicted, and not trained on or scored"
            )
        return self.any_source(split)

    def any_source(self, split: str) -> Sequence[Record]:
        """`source` of a split that may have no labels; they are then -1."""
        own, folds = split_and_folds(self.resolve(split))
        return self._records(own) if folds is None else self._of_folds(own, folds)

    def _of_folds(self, own: str, folds: Folds) -> Sequence[Record]:
        records = self._records(own)
        if not self.path.exists():
            return records
        key = own, dataclasses.replace(folds, numbers=(1,), inside=True)
        if key not in self._folds:
            self._folds[key] = self._fold_of_each(records, folds)
        chosen = [index for index, fold in enumerate(self._folds[key]) if (fold in folds.numbers) == folds.inside]
        if not chosen:
            raise UserError(f"split {own}{MARK}{folds} of data set {self.name} is empty")
        return Subset(records, chosen)

    def _fold_of_each(self, records: Records, folds: Folds) -> list[int]:
        """Reads every record once."""
        names, classes = [], []
        for index in range(len(records)):
            record = records[index]
            names.append((records.split_of(index), record["name"]))
            classes.append(_class_keys(record["label"]))
        column = column_called(folds.group, self.path)
        return assign_folds(clip_groups(names, clips_of(self.path, names), column, self.name), classes, folds.count, folds.seed)

    def _records(self, own: str) -> Records:
        import tensorflow_datasets as tfds

        try:
            instructions = self._builder.info.splits[own].file_instructions
            stored = self._builder.as_data_source(split=own, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
        except (ValueError, KeyError, AssertionError) as error:
            raise UserError(
                f"data set {self.name} cannot read split {own!r} ({in_one_line(error)}): write slices as train[:10%]"
            ) from error
        if not len(stored):
            raise UserError(f"split {own!r} of data set {self.name} is empty")
        places = [(part.filename, part.skip, part.take) for part in instructions]
        return Records(stored, self._builder.info.features, places, len(self.labels) if self.multi_label else None, self._hashes(places))

    def _hashes(self, places: Sequence[tuple[str, int, int]]) -> np.ndarray | None:
        """The SHA-256 of each record at `places`, uint8 (records, 32), if the data set has a manifest; it must still be that."""
        if self._manifest is None:
            return None
        rows, first = manifest.read_hashes(self.path, self._manifest), self._manifest.first_rows
        starts = [first[pathlib.Path(file).name] + skip for file, skip, _ in places]
        return np.concatenate([rows[start : start + take] for start, (_, _, take) in zip(starts, places, strict=True)])

    def class_counts(self, split: str) -> dict[str, Int[np.ndarray, " classes"]]:
        """Counts the records of each class in a split, for each head. Reads every record."""
        counts = {head: np.zeros(len(names), np.int64) for head, names in by_head(self.labels).items()}
        for record in self.source(split):
            for head, label in by_head(record["label"]).items():
                counts[head] += label if self.multi_label else np.arange(len(counts[head])) == label
        return counts


def data_folder(data_dir: str | pathlib.Path | None) -> pathlib.Path:
    """The folder of prepared data sets: `data_dir`, or tfds's own (`$TFDS_DATA_DIR`, `~/tensorflow_datasets`).

    Raises:
      UserError: for a URL, and where no home folder is known.
    """
    return local_folder(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


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
    versions = data_set_versions(find_whole(folder / name))
    if not versions:
        _check_not_damaged(folder / name)
        if not folder.is_dir():
            raise UserError(f"no data set {name!r} in {folder}: there is no such folder; --data_dir is that of `vivit prepare`")
        if data_set_versions(folder):
            raise UserError(f"no data set {name!r} in {folder}, which is a data set itself: the folder of data sets is {folder.parent}")
        present = sorted(path.name for path in folder.glob("[a-z]*") if data_set_versions(path))
        raise UserError(
            f"no data set {name!r} in {folder}: there {_there_is(present)}; make one with `vivit prepare`, "
            "or give its --data_dir (to train: --config.data.data_dir)"
        )
    listed = manifest.read(versions[-1])
    builder = open_builder(versions[-1])
    counts = {split: info.num_examples for split, info in builder.info.splits.items()}
    labels, multi_label = stored_labels(builder.info.features["label"])
    if listed is not None:
        labels = listed.labels  # tfds's own files of names lose blanks around them
    facts = identity.identity(name, versions[-1], labels, counts, listed)
    return VideoDataset(name, versions[-1], labels, counts, multi_label, facts, builder, listed, unlabelled_in(versions[-1]))


def ensure_dataset(name: str, data_dir: str | pathlib.Path | None = None) -> VideoDataset:
    """Opens the data set `name`, and makes it first, with a progress bar, if it is one that needs no source, as `motion_digits`.

    Several processes may call this at once: whichever is first done has made it.

    Args:
      name: the data set's name.
      data_dir: as for `open_dataset`.

    Raises:
      UserError: as `open_dataset`.
    """
    folder = data_folder(data_dir)
    if _is_to_be_made(name, folder):
        from vivit_jax.data.preparation.prepare import prepare

        try:
            prepare(name, name=name, data_dir=folder, progress=True)
        except UserError:
            if not data_set_versions(folder / name):
                raise
    return open_dataset(name, folder)


def dataset_to_be(name: str, data_dir: str | pathlib.Path | None = None) -> VideoDataset | None:
    """The data set that `ensure_dataset` would make, to check what depends on it first; None if it would make none.

    Its records can be counted, and not read; those of folds count as all.
    """
    folder = data_folder(data_dir)
    if not _is_to_be_made(name, folder):
        return None
    import tensorflow_datasets as tfds

    annotations = read_layout(name)
    counts = Counter(clip.split for clip in annotations.clips)
    files = tfds.core.ShardedFileTemplate(dataset_name=name, data_dir=folder, filetype_suffix="array_record")
    infos = [tfds.core.SplitInfo(name=split, shard_lengths=[n], num_bytes=0, filename_template=files) for split, n in counts.items()]
    info = types.SimpleNamespace(splits=tfds.core.SplitDict(infos), features=None)
    builder = types.SimpleNamespace(info=info, as_data_source=lambda split, **_: range(info.splits[split].num_examples))
    return VideoDataset(name, folder / name, annotations.labels, counts, annotations.multi_label, {}, builder)


def _is_to_be_made(name: str, folder: pathlib.Path) -> bool:
    return name in LAYOUTS and LAYOUTS[name].source is None and not os.path.lexists(find_whole(folder / name))


def check_splits(dataset: VideoDataset, data: DataConfig) -> None:
    """Checks the splits of an experiment before anything is made.

    A split that is in the config only by default, and not in the data set, is left out with a warning.

    Raises:
      UserError: for a split that the data set does not have, or that is empty.
    """
    _check_joined(dataset, data.train_split)
    dataset.source(data.train_split)
    for field, use in (("val_split", "nothing is validated during training"), ("test_split", "nothing is tested at the end")):
        split = getattr(data, field)
        if split is not None and split == getattr(DataConfig, field) and not dataset.has(split):
            lacks = f"no split {split}, only {', '.join(dataset.splits)}"
            lacks = f"no labels in split {split}" if splits.find(split, dataset.splits) else lacks
            console.warn(f"data set {dataset.name} has {lacks}: {use} (--config.data.{field})")
        elif split is not None:
            count = len(dataset.source(split))
            if both := _in_both(dataset, split, data.train_split):
                console.warn(
                    f"{both:,} of {counted(count, 'clip')} of data.{field} {split} are trained on as well, by data.train_split "
                    f"{data.train_split}: its scores say little about other videos"
                )
    warn_of_enlarging(dataset, data.resize)


def _in_both(dataset: VideoDataset, split: str, other: str) -> int:
    """How many clips two splits have in common."""
    named, others = (set(re.findall(r"\w+", dataset.resolve(expression).partition(MARK)[0])) for expression in (split, other))
    if not (named & others or "all" in named | others):
        return 0
    return len(set(dataset.source(split).places) & set(dataset.source(other).places))


def warn_of_enlarging(dataset: VideoDataset, resize: int) -> None:
    """Warns where a model sees videos larger than they are stored, though they were larger once: its scores are those of blurred ones."""
    short_side = short_side_below(resize, dataset.path)
    if short_side is not None:
        console.warn(
            f"videos of data set {dataset.name} were stored with a short side of {short_side} pixels and are enlarged to {resize}: "
            f"`vivit prepare --short_side {resize}` keeps their detail"
        )


def _check_joined(dataset: VideoDataset, train_split: str) -> None:
    """Refuses a config that trains on `train+val` where there is no `val`, and says how to do without."""
    parts = [part.strip() for part in train_split.split("+")]
    missing = [part for part in parts if part in splits.USUAL and not splits.find(part, dataset.splits)]
    rest = [part for part in parts if part not in missing]
    if missing and rest:
        raise UserError(
            f"data set {dataset.name} has no split {', '.join(missing)}, which the config trains on beside {', '.join(rest)}: "
            f"give --config.data.train_split={'+'.join(rest)}"
        )


def _check_not_damaged(path: pathlib.Path) -> None:
    for version in path.glob("[0-9]*"):
        if (version / FEATURES).exists() or (version / manifest.MANIFEST).exists():
            raise manifest.damaged(version / INFO, "the file is gone")


def _class_keys(label: int | np.ndarray | Mapping[str, int]) -> list[object]:
    """The classes of a clip, of all heads."""
    if isinstance(label, np.ndarray):
        return np.flatnonzero(label).tolist()
    return list(label.items()) if isinstance(label, Mapping) else [label]


def _there_is(names: Sequence[str]) -> str:
    return f"{'are' if len(names) > 1 else 'is'} {', '.join(names) or 'none'}"
