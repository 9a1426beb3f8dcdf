"""The stored form: an ordinary tfds data set in ArrayRecord, whose videos are the bytes of mp4 files.

No TensorFlow is needed to write or to read it: `tfds.builder_from_directory(...).as_data_source(split)` gives random access.
"""

import contextlib
import dataclasses
import errno
import io
import os
import pathlib
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_data_source import ArrayRecordDataSource
from tensorflow_datasets.core import example_serializer

from vivit_jax.atomic import sync
from vivit_jax.data import manifest
from vivit_jax.data.layouts.base import Annotations, Clip, Label
from vivit_jax.data.preparation.shuffling import through_plain_files
from vivit_jax.data.preparation.transcode import Transcoded
from vivit_jax.data.stored import open_builder, stored_labels
from vivit_jax.errors import UserError
from vivit_jax.heads import Labels, by_head

if typing.TYPE_CHECKING:
    import apache_beam as beam

VERSION = "1.0.0"
UNKNOWN = -1  # the number of a class that is not known
Examples = Callable[[str], "Iterator[tuple[str, dict]] | beam.PTransform"]


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a data set is made of.

    Attributes:
      splits: the names of the splits.
      labels: class names in the order of their numbers; with several heads, such a tuple for each head.
      examples: a function from a split's name to its pairs of key and example, or to Beam's transform that makes them; `features` says
        what an example holds.
      description: a sentence on where the videos came from.
      multi_label: whether an example may have several classes, or none.
    """

    splits: Sequence[str]
    labels: Labels
    examples: Examples
    description: str
    multi_label: bool = False

    @classmethod
    def of(cls, annotations: Annotations, examples: Examples, description: str) -> "Contents":
        """The clips of a source."""
        return cls(annotations.splits, annotations.labels, examples, description, annotations.multi_label)


def features(labels: Labels, *, multi_label: bool = False) -> tfds.features.FeaturesDict:
    """What a record holds. `features.Text` keeps bytes as they are; `features.Video` would need TensorFlow to be read."""
    if isinstance(labels, Mapping):
        label = tfds.features.FeaturesDict({head: tfds.features.ClassLabel(names=list(names)) for head, names in labels.items()})
    else:
        label = tfds.features.ClassLabel(names=list(labels))
        label = tfds.features.Sequence(label) if multi_label else label
    return tfds.features.FeaturesDict(
        {
            "video": tfds.features.Text(),
            "label": label,
            "name": tfds.features.Text(),
            "frames": tfds.features.Scalar(np.int32),
            "fps": tfds.features.Scalar(np.float32),
            "width": tfds.features.Scalar(np.int32),
            "height": tfds.features.Scalar(np.int32),
            "duration": tfds.features.Scalar(np.float32),
        }
    )


def check_name(name: str) -> None:
    """Refuses a name that tfds does not accept for a data set.

    Raises:
      UserError: naming it.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(f"a data set's name must be lower-case letters, digits and _, beginning with a letter, got {name!r}")


def example(clip: Clip, stored: Transcoded) -> dict:
    """The record of a clip, as `features` says."""
    return {
        "video": stored.video,
        "label": _known_or_not(clip.label),
        "name": clip.name,
        "frames": stored.facts.frames,
        "fps": float(stored.facts.fps),
        "width": stored.facts.width,
        "height": stored.facts.height,
        "duration": stored.facts.duration,
    }


def _known_or_not(label: Label) -> str | int | tuple[str, ...] | dict[str, str | int]:
    if isinstance(label, Mapping):
        return {head: UNKNOWN if name is None else name for head, name in label.items()}
    return UNKNOWN if label is None else label


def write(
    name: str,
    data_dir: pathlib.Path,
    contents: Contents,
    download_config: tfds.download.DownloadConfig | None = None,
) -> pathlib.Path:
    """Writes `data_dir/name/VERSION` and returns it. Records lie in the order of a hash of their keys, so that any slice is mixed.

    The manifest is not written yet: see `finish`.

    Args:
      name: the data set's name.
      data_dir: the folder to write it to.
      contents: what it is made of.
      download_config: how tfds runs Beam, if the examples are made by it.

    Raises:
      OSError: where the system refuses to write, as on a full disk.
    """
    tfds.disable_progress_bar()
    builder = _builder_class(name)(contents=contents, data_dir=str(data_dir), file_format="array_record")
    try:
        with _sorted_fields(), through_plain_files(), contextlib.redirect_stdout(io.StringIO()):  # tfds announces itself by print
            builder.download_and_prepare(download_config=download_config)
    except RuntimeError as error:
        refused = re.search(r"\b(?:open|write|close|f\w*sync)\(\) failed: ([^;]+)", str(error))
        if not refused:
            raise
        reason = refused[1].strip()
        number = next((number for number in errno.errorcode if os.strerror(number) == reason), errno.EIO)
        raise OSError(number, reason, str(data_dir)) from error
    return pathlib.Path(builder.data_dir)


@contextlib.contextmanager
def _sorted_fields() -> Iterator[None]:
    """Has tfds write a record's fields in one order: protobuf's own depends on the process."""
    original = example_serializer.ExampleSerializer.serialize_example
    sort_fields_for_good()
    try:
        yield
    finally:
        example_serializer.ExampleSerializer.serialize_example = original


def sort_fields_for_good() -> None:
    """As `_sorted_fields`, as long as the process lives: for the workers of Beam."""
    example_serializer.ExampleSerializer.serialize_example = _serialize_sorted


def _serialize_sorted(serializer: example_serializer.ExampleSerializer, example: object) -> bytes:
    return serializer.get_tf_example(example).SerializeToString(deterministic=True)


def finish(folder: pathlib.Path, labels: Labels) -> None:
    """Reads back the data set written in `folder`, adds its manifest, and flushes all of it to disk.

    Raises:
      UserError: if the class names read back are not those that were written.
    """
    builder = open_builder(folder)
    _check_labels(labels, stored_labels(builder.info.features["label"])[0])
    counts = {split: info.num_examples for split, info in builder.info.splits.items()}
    shards = [name for info in builder.info.splits.values() for name in sorted(info.filenames)]
    decode = builder.info.features.deserialize_example_np
    records = {name: (decode(raw) for raw in ArrayRecordDataSource(str(folder / name))) for name in shards}
    manifest.write(folder, labels, counts, records)
    for path in (*folder.iterdir(), folder):
        sync(path)


def _check_labels(written: Labels, found: Labels) -> None:
    """Refuses labels that tfds did not keep. It strips blanks around a name, which is allowed: the manifest keeps them."""
    written, found = by_head(written), by_head(found)
    for head, names in written.items():
        if [name.strip() for name in names] != list(found[head]):
            wrong = next((name for name in names if name.strip() not in found[head]), names[0])
            raise UserError(f"tfds does not keep the class name {wrong!r} as it is: rename the class")


def _builder_class(name: str) -> type:
    """tfds takes a data set's name from its builder's class."""
    return type(name, (_VideoBuilder,), {"name": name, "VERSION": tfds.core.Version(VERSION)}, skip_registration=True)


class _Info(tfds.core.DatasetInfo):
    """Is made here, and nowhere else: tfds would look into its bucket, and leave an empty temporary folder behind each time."""

    def initialize_from_bucket(self) -> None:
        """Does nothing."""


class _VideoBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes `Contents`."""

    VERSION = tfds.core.Version(VERSION)

    def __init__(self, *, contents: Contents, **options: object) -> None:
        self._contents = contents
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        return _Info(
            builder=self,
            description=self._contents.description,
            features=features(self._contents.labels, multi_label=self._contents.multi_label),
            supervised_keys=("video", "label") if not isinstance(self._contents.labels, Mapping) else None,
        )

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
        return {split: self._generate_examples(split) for split in self._contents.splits}

    def _generate_examples(self, split: str) -> "Iterator[tuple[str, dict]] | beam.PTransform":
        return self._contents.examples(split)
