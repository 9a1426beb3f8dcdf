"""Opens a folder as a tfds data set, but checks its metadata first: tfds itself would import any module named there."""

import json
import pathlib
import typing
from collections.abc import Iterator, Mapping

from vivit_jax.data.manifest import damaged
from vivit_jax.errors import UserError
from vivit_jax.files import read_bytes
from vivit_jax.heads import Labels

if typing.TYPE_CHECKING:
    import tensorflow_datasets as tfds

INFO, FEATURES = "dataset_info.json", "features.json"
PREFIX = "tensorflow_datasets.core.features."
CLASSES = frozenset(
    PREFIX + name
    for name in (
        "class_label_feature.ClassLabel",
        "features_dict.FeaturesDict",
        "scalar.Scalar",
        "sequence_feature.Sequence",
        "tensor_feature.Tensor",
        "text_feature.Text",
    )
)
DTYPES = frozenset(("bool", "float32", "float64", "int8", "int16", "int32", "int64", "string", "uint8", "uint16", "uint32", "uint64"))
NEEDED = ("video", "label", "name", "frames", "fps", "width", "height", "duration")


def open_builder(folder: pathlib.Path) -> "tfds.core.DatasetBuilder":
    """tfds's reader of the data set in `folder`.

    Raises:
      UserError: naming the file that is damaged or missing, or was not written by `vivit prepare`.
    """
    info, features = _read_json(folder / INFO), _read_json(folder / FEATURES)
    for name in _values(features, ("pythonClassName", "python_class_name", "type", "proto_cls")):
        if name not in CLASSES:
            raise UserError(f"{folder / FEATURES} names {name!r}, which no data set of `vivit prepare` holds; it is not loaded")
    for name in _values(features, ("dtype",)):
        if name not in DTYPES:
            raise damaged(folder / FEATURES, f"it names the type {name!r}")
    if info.get("fileFormat", info.get("file_format")) != "array_record":
        raise UserError(f"{folder / INFO}: not a data set of `vivit prepare`, whose fileFormat is array_record")
    for path in folder.glob("*.labels.txt"):
        _read_text(path)
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(str(folder))
        found = list(builder.info.features)
        _check_shards(folder, builder)
        missing = [key for key in NEEDED if key not in found]
        if not missing:
            _check_labels(folder, builder.info.features["label"])
    except UserError:
        raise
    except Exception as error:  # tfds raises whatever it happens to meet in files that are not its own
        raise damaged(folder / INFO, f"or {FEATURES} beside it; {' '.join(str(error).split())[:200] or type(error).__name__}") from error
    if missing:
        raise UserError(f"{folder} is not a data set of `vivit prepare`: its records have no {', '.join(missing)}")
    return builder


def stored_labels(feature: "tfds.features.FeatureConnector") -> tuple[Labels, bool]:
    """The class names of a data set's `label`, and whether a clip may have several."""
    if heads := _heads(feature):
        return {head: tuple(part.names) for head, part in heads.items()}, False
    multi_label = hasattr(feature, "feature")
    return tuple((feature.feature if multi_label else feature).names), multi_label


def _heads(feature: "tfds.features.FeatureConnector") -> Mapping[str, "tfds.features.ClassLabel"]:
    """The feature of each head by name, empty if the label has no heads.

    They are sorted: tfds keeps them in a protocol buffer, whose order is another one in each process.
    """
    return dict(sorted(feature.items())) if hasattr(feature, "items") else {}


def _read_text(path: pathlib.Path) -> str:
    try:
        return read_bytes(path).decode()
    except OSError as error:
        raise damaged(path, error.strerror or "it cannot be read") from None
    except UnicodeDecodeError:
        raise damaged(path, "it is not UTF-8") from None


def _read_json(path: pathlib.Path) -> dict:
    text = _read_text(path)
    try:
        contents = json.loads(text)
    except (ValueError, RecursionError):
        raise damaged(path, "it is not JSON") from None
    if not isinstance(contents, dict):
        raise damaged(path, "it is not a JSON object")
    return contents


def _values(value: object, keys: tuple[str, ...]) -> Iterator[str]:
    """The strings under `keys` anywhere in a JSON value."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from (value[key] for key in keys if isinstance(value.get(key), str))
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _check_shards(folder: pathlib.Path, builder: "tfds.core.DatasetBuilder") -> None:
    if not builder.info.splits:
        raise damaged(folder / INFO, "it names no splits")
    for split in builder.info.splits.values():
        for name in split.filenames:
            if not (folder / name).is_file() or (folder / name).parent != folder:
                raise damaged(folder / name, "the file is gone")


def _check_labels(folder: pathlib.Path, feature: "tfds.features.FeatureConnector") -> None:
    """Refuses a data set without its file of class names, for which tfds would use numbers as names."""
    parts = {f"label-{head}": part for head, part in _heads(feature).items()} or {"label": feature}
    for name, part in parts.items():
        path = folder / f"{name}.labels.txt"
        if not path.is_file():
            raise damaged(path, "the file is gone")
        names = [line for line in _read_text(path).split("\n") if line.strip()]
        wanted = getattr(part, "feature", part).num_classes
        if len(names) != wanted:
            raise damaged(path, f"it has {len(names)} names for {wanted} classes")
