"""A data set that TensorFlow Datasets has prepared, such as `ucf101`, or an earlier `vivit prepare`; TensorFlow is not needed to read it.

SOURCE is its name, such as `ucf101` or `ucf101/ucf101_1_256`, below `$TFDS_DATA_DIR` or `~/tensorflow_datasets`, or its folder. There lie
`dataset_info.json` (splits and their files), `features.json` (what an example holds), `label.labels.txt` (a class a line), and
`ucf101-train.tfrecord-00000-of-00016` or the like:

    {"featuresDict": {"features": {
      "label": {"pythonClassName": "tensorflow_datasets.core.features.class_label_feature.ClassLabel", "classLabel": {"numClasses": "101"}},
      "video": {"pythonClassName": "tensorflow_datasets.core.features.video_feature.Video", "video": {"encodingFormat": "png", ...}}}}}

A video is a list of encoded images there, whose rate nothing tells: `--fps` must. Where it is the bytes of a video file, the file tells.
Labels are listed without reading the videos beside them; an example whose checksum is wrong is refused when its video is made.
"""

import dataclasses
import functools
import io
import pathlib
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from vivit_jax.data.layouts.base import Annotations, Clip, Label, Reading, too_few_frames
from vivit_jax.data.layouts.image_sequences import decode_pictures, rate
from vivit_jax.data.layouts.lists import json_of, lines_of, whole_number
from vivit_jax.data.layouts.published import UNSCORED
from vivit_jax.data.preparation_report import REPORT
from vivit_jax.data.splits import canonical
from vivit_jax.data.tf_examples import FORMATS, places, read_example, read_whole_example
from vivit_jax.errors import UserError

NAMES = ("name", "video_name", "filename", "file_name", "video_id", "id")  # features that may hold a video's name
IMAGES, FILE = ("Video", "Image"), ("Text", "Tensor", "Scalar")


@dataclasses.dataclass(frozen=True)
class Stored:
    """What the data set's own files say of it.

    Attributes:
      folder: the folder of one version of the data set.
      features: what an example holds, as `features.json` has it.
      splits: the files of each split in order, each with its number of examples.
      file_format: one of `FORMATS`.
    """

    folder: pathlib.Path
    features: Mapping[str, Any]
    splits: Mapping[str, tuple[tuple[pathlib.Path, int], ...]]
    file_format: str


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Lists the videos of all splits; classes and their numbers are the data set's.

    `reading.heads` names the features that are a label each; without it that is `label`, or the only class there is.

    Raises:
      UserError: naming what is missing, or of no form that is known.
    """
    stored = _stored(_version(source))
    video, of_images = _video(stored)
    fps = rate(reading.fps)
    if of_images and fps is None:
        raise UserError(f"{stored.folder}: its videos are lists of images, which have no frame rate: give one, as in --fps 30")
    if fps is not None and not of_images:
        raise UserError(f"{stored.folder}: its videos are files, which say how many frames are a second: leave --fps out")
    heads = _heads(stored, reading.heads)
    names = {head: _class_names(stored, key) for head, (key, _) in heads.items()}
    groups, wanted = _groups(stored.folder), {*(key for key, _ in heads.values()), *NAMES}
    clips = []
    for split, files in stored.splits.items():
        found = []
        for path, count in files:
            places_of_file = list(places(path, stored.file_format))
            if len(places_of_file) != count:
                raise UserError(f"{path} holds {len(places_of_file)} examples, and dataset_info.json says {count}: get it again")
            for place in places_of_file:
                example = read_example(path, stored.file_format, place, wanted)
                label = _label(f"{path} at {place}", example, heads, names)
                where = (path, stored.file_format, place, video)
                make = functools.partial(images, *where, fps) if of_images else functools.partial(video_file, *where)
                found.append((_name(example), label, make))
        known = len({name for name, _, _ in found} - {None}) == len(found)
        for index, (name, label, make) in enumerate(found):
            clips.append(Clip(name if known else f"{split}/{index:06d}", canonical(split), label, make, group=groups.get(name)))
    annotations = Annotations(clips, names.get("", names), published=True)
    remarks = [f"split {split} is stored as {canonical(split)}" for split in stored.splits if canonical(split) != split]
    remarks += [UNSCORED.format(stored.folder, split) for split in annotations.unlabelled]
    return dataclasses.replace(annotations, remarks=tuple(remarks))


def images(path: pathlib.Path, file_format: str, place: int, key: str, fps: Fraction) -> tuple[Iterator[np.ndarray], Fraction]:
    """The frames of a video stored as encoded images, each uint8 (h, w, 3), and their rate.

    Raises:
      UserError: if there are fewer than two, or one cannot be read.
    """
    encoded = read_whole_example(path, file_format, place, (key,)).get(key, ())
    if len(encoded) < 2:
        raise UserError(too_few_frames(len(encoded)))
    return decode_pictures((io.BytesIO(content), f"frame {number}") for number, content in enumerate(encoded)), fps


def video_file(path: pathlib.Path, file_format: str, place: int, key: str) -> bytes:
    """A video stored as the bytes of its file.

    Raises:
      UserError: if there is none.
    """
    content = read_whole_example(path, file_format, place, (key,)).get(key, ())
    if len(content) != 1:
        raise UserError(f"it has no {key}")
    return content[0]


def _version(source: pathlib.Path) -> pathlib.Path:
    """The folder of the data set's latest version."""
    from vivit_jax.data.dataset import data_folder

    for folder in dict.fromkeys((source, data_folder(None) / source)):
        found = [info.parent for info in (*folder.glob("dataset_info.json"), *folder.glob("*/dataset_info.json"))]
        if found:
            return max(found, key=lambda version: [int(part) for part in re.findall(r"\d+", version.name)])
        configs = sorted({info.parents[1].name for info in folder.glob("*/*/dataset_info.json")})
        if configs:
            raise UserError(f"{folder} has several configurations: name one, as in {source}/{configs[0]} (there are {', '.join(configs)})")
    raise UserError(
        f"no data set {source} of TensorFlow Datasets is prepared here or in {data_folder(None)}: give its folder, or make it first by "
        "`tfds build`, which needs TensorFlow"
    )


def _stored(folder: pathlib.Path) -> Stored:
    info, features = json_of(folder / "dataset_info.json", dict), json_of(folder / "features.json", dict)
    file_format = info.get("fileFormat", "tfrecord")
    if file_format not in FORMATS:
        raise UserError(f"{folder}: its files are {file_format}; known are {' and '.join(FORMATS)}")
    try:
        fields = features["featuresDict"]["features"]
        for feature in fields.values():
            for one in (feature, *feature.get("featuresDict", {}).get("features", {}).values(), _inner(feature) or feature):
                _check_feature(one)
        splits = {split["name"]: tuple(_files(folder, info["name"], split, file_format)) for split in info["splits"]}
    except UserError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UserError(
            f"{folder}: dataset_info.json and features.json are not those of a data set that this version of tfds writes"
        ) from None
    return Stored(folder, fields, splits, file_format)


def _files(folder: pathlib.Path, name: str, split: Mapping[str, Any], file_format: str) -> Iterator[tuple[pathlib.Path, int]]:
    count = len(split["shardLengths"])
    template = split.get("filepathTemplate") or "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    for number, length in enumerate(split["shardLengths"]):
        parts = {"DATASET": name, "SPLIT": split["name"], "FILEFORMAT": file_format, "SHARD_X_OF_Y": f"{number:05d}-of-{count:05d}"}
        path = folder / re.sub(r"\{(\w+)\}", lambda match: parts[match[1]], template)  # noqa: B023 (used at once)
        if path.parent != folder:
            raise UserError(f"{folder}: dataset_info.json names files outside its folder")
        yield path, int(length)


def _kind(feature: Mapping[str, Any]) -> str:
    return feature["pythonClassName"].rpartition(".")[2]


def _check_feature(feature: Mapping[str, Any]) -> None:
    """Reads the values of a feature, and so raises the errors of those that tfds did not write."""
    _kind(feature)
    _classes(feature)


def _classes(feature: Mapping[str, Any]) -> int | None:
    """How many classes a feature has, if it says so."""
    count = feature.get("classLabel", {}).get("numClasses")
    return None if count is None else int(count)


def _inner(feature: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return feature.get("sequence", {}).get("feature")


def _video(stored: Stored) -> tuple[str, bool]:
    """The feature that holds the video, and whether it is a list of images."""
    lists = [
        key
        for key, feature in stored.features.items()
        if _kind(feature) == "Video" or (_inner(feature) and _kind(_inner(feature)) in IMAGES)
    ]
    if len(lists) == 1:
        return lists[0], True
    if not lists and _kind(stored.features.get("video", {"pythonClassName": ""})) in FILE:
        return "video", False
    raise UserError(
        f"{stored.folder} holds {'several videos' if lists else 'no videos'} in each example: {', '.join(lists or stored.features)}"
    )


def _heads(stored: Stored, asked: tuple[str, ...]) -> dict[str, tuple[str, bool]]:
    """By head, the name of its values in an example, and whether there may be several; the head is "" if there is a single one."""
    classes = {}
    for key, feature in stored.features.items():
        several = _inner(feature) is not None
        if _kind(_inner(feature) or feature) == "ClassLabel":
            classes[key] = key, several
        for name, part in feature.get("featuresDict", {}).get("features", {}).items():
            if _kind(part) == "ClassLabel":
                classes[name] = f"{key}/{name}", False
    unknown = [head for head in asked if head not in classes]
    if unknown:
        raise UserError(f"{stored.folder} has no class {unknown[0]!r}: it has {', '.join(classes) or 'none'}")
    if asked:
        return {head: classes[head] for head in asked}
    if "label" in classes or len(classes) == 1:
        return {"": classes.get("label") or next(iter(classes.values()))}
    if classes and all(key.startswith("label/") for key, _ in classes.values()):
        return classes
    raise UserError(f"{stored.folder} has {len(classes)} classes in each example: choose by --heads among {', '.join(classes) or 'none'}")


def _class_names(stored: Stored, key: str) -> tuple[str, ...]:
    path = stored.folder / f"{key.replace('/', '-')}.labels.txt"
    if not path.is_file():
        raise UserError(f"{path}: no such file, and it must name the classes")
    names = tuple(line for _, line in lines_of(path))
    outer, _, inner = key.partition("/")
    feature = stored.features[outer]
    count = _classes(feature["featuresDict"]["features"][inner] if inner else _inner(feature) or feature)
    if count not in (None, len(names)):
        raise UserError(f"{path} names {len(names)} classes, and features.json says {count}: get it again")
    return names


def _label(where: str, example: Mapping, heads: Mapping[str, tuple[str, bool]], names: Mapping[str, tuple[str, ...]]) -> Label:
    labels = {}
    for head, (key, several) in heads.items():
        numbers = [None if number == -1 else whole_number(where, key, number, len(names[head])) for number in example.get(key, ())]
        classes = tuple(None if number is None else names[head][number] for number in numbers)
        if not several and len(classes) != 1:
            raise UserError(f"{where}: expected one {key}, got {len(classes)}")
        labels[head] = tuple(sorted(classes)) if several else classes[0]
    return labels.get("", labels)


def _groups(folder: pathlib.Path) -> Mapping[str, str]:
    """The group of each clip by name, if `vivit prepare` made the data set and knew them."""
    path = folder / REPORT
    groups = json_of(path, dict).get("groups") if path.is_file() else None
    return groups if isinstance(groups, dict) else {}


def _name(example: Mapping) -> str | None:
    for key in NAMES:
        value = next(iter(example.get(key, ())), None)
        if isinstance(value, bytes) and value:
            return value.decode(errors="replace")
    return None
