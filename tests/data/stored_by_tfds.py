"""Writes what TensorFlow Datasets stores byte by byte, since TensorFlow is not there to write it."""

import contextlib
import io
import json

import films
import numpy as np
from PIL import Image
from tensorboardX.record_writer import RecordWriter

FEATURE = "tensorflow_datasets.core.features."
LABEL = {"pythonClassName": f"{FEATURE}class_label_feature.ClassLabel", "classLabel": {"numClasses": "3"}}
VIDEO = {"pythonClassName": f"{FEATURE}video_feature.Video", "video": {"encodingFormat": "png"}}


def varint(number):
    parts = []
    number &= (1 << 64) - 1
    while number >= 128:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def part(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def feature(values):
    if isinstance(values[0], bytes):
        return part(1, b"".join(part(1, value) for value in values))
    if isinstance(values[0], float):
        return part(2, part(1, np.array(values, "<f4").tobytes()))
    return part(3, part(1, b"".join(map(varint, values))))


def example(**values):
    return part(1, b"".join(part(1, part(1, key.encode()) + part(2, feature(value))) for key, value in values.items()))


def records(path, examples):
    with contextlib.closing(RecordWriter(str(path))) as writer:
        for content in examples:
            writer.write(content)


def images(seed, count=6):
    pictures = []
    for frame in films.scene(count, 32, 48, seed):
        Image.fromarray(frame).save(buffer := io.BytesIO(), "PNG")
        pictures.append(buffer.getvalue())
    return pictures


def lay(folder, shards, features, names):
    """A data set's version: for each split its shards, lists of examples."""
    folder.mkdir(parents=True)
    for split, parts in shards.items():
        for number, examples in enumerate(parts):
            records(folder / f"clips-{split}.tfrecord-{number:05d}-of-{len(parts):05d}", examples)
    splits = [{"name": split, "shardLengths": [str(len(part)) for part in parts]} for split, parts in shards.items()]
    (folder / "dataset_info.json").write_text(json.dumps({"name": "clips", "fileFormat": "tfrecord", "splits": splits, "version": "2.0.0"}))
    (folder / "features.json").write_text(json.dumps({"featuresDict": {"features": features}}))
    for key, classes in names.items():
        (folder / f"{key}.labels.txt").write_text("".join(f"{name}\n" for name in classes))
