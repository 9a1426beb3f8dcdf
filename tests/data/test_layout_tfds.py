"""Data sets of TensorFlow Datasets, written here byte by byte as its files are, since TensorFlow is not there to write them."""

import json
import struct

import films
import numpy as np
import pytest
from published_sets import refused, remark
from stored_by_tfds import LABEL, VIDEO, example, images, lay, records

from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.tf_examples import masked_crc32c, places, read_example
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.errors import UserError


@pytest.fixture
def clips(tmp_path):
    train = [[example(label=[2], video=images(0)), example(label=[0], video=images(1))], [example(video=images(2), label=[1])]]
    shards = {"train": train, "validation": [[example(label=[1], video=images(3))]], "test": [[example(label=[-1], video=images(4))]]}
    lay(tmp_path / "sets/clips/some_form/2.0.0", shards, {"label": LABEL, "video": VIDEO}, {"label": ("run", "sit", "walk")})
    return tmp_path / "sets/clips"


def test_a_set_of_images_is_prepared_by_its_name_or_folder(tmp_path, clips, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(clips.parent))
    refused("tfds", "clips", "clips has several configurations: name one, as in clips/some_form")
    refused("tfds", "clips/some_form", "give one, as in --fps 30")
    prepare("tfds", clips / "some_form", name="again", data_dir=tmp_path / "data", workers=1, reading=Reading(fps=25.0))
    dataset = open_dataset("again", tmp_path / "data")
    assert (dataset.labels, dataset.splits) == (("run", "sit", "walk"), {"train": 3, "val": 1, "test": 1})
    assert dataset.unlabelled == {"test"}
    stored = {record["name"]: record for split in dataset.splits for record in dataset.any_source(split)}
    labels = {"train/000000": 2, "train/000001": 0, "train/000002": 1, "validation/000000": 1, "test/000000": -1}
    assert {name: record["label"] for name, record in stored.items()} == labels
    for seed, name in enumerate(labels):
        shown = decode_frames(stored[name]["video"], range(6), stored=True).astype(float)
        distances = np.abs(shown[:, None] - films.scene(6, 32, 48, seed)[None]).mean(axis=(2, 3, 4))
        assert distances.argmin(axis=1).tolist() == list(range(6))
    found = read_layout("tfds", "clips/some_form", Reading(fps=25.0))
    assert remark(found, "split validation is stored as val")
    assert remark(found, "has no labels: split test is to be predicted")


def test_a_set_that_vivit_prepared_is_prepared_again(tmp_path, monkeypatch):
    rows = "path,verb,noun,split,person\n"
    for seed, split in enumerate(("train", "train", "test")):
        films.write(tmp_path / f"{seed}.mp4", films.scene(8, 64, 96, seed))
        rows += f"{seed}.mp4,{'run' if seed else 'sit'},{'dog' if seed else 'cat'},{split},p{seed}\n"
    (tmp_path / "list.csv").write_text(rows)
    reading = Reading(heads=("verb", "noun"), group="person")
    prepare("csv", tmp_path / "list.csv", name="large", data_dir=tmp_path, workers=1, reading=reading)
    prepare("tfds", tmp_path / "large", name="small", data_dir=tmp_path, workers=1, short_side=32)
    large, small = open_dataset("large", tmp_path), open_dataset("small", tmp_path)
    assert (small.labels, small.splits) == (large.labels, large.splits)
    for before, after in zip(large.source("all"), small.source("all"), strict=True):
        assert [before[key] for key in ("name", "label", "frames", "fps")] == [after[key] for key in ("name", "label", "frames", "fps")]
        assert (after["height"], after["width"]) == (32, 48)
    groups = [json.loads((dataset.path / "preparation.json").read_text())["groups"] for dataset in (large, small)]
    assert groups[0] == groups[1]
    refused("tfds", tmp_path / "large", "leave --fps out", fps=25.0)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match="large is in the way and is never replaced"):
        prepare("tfds", "large", name="large", data_dir=tmp_path, workers=1, short_side=32, overwrite=True)
    assert read_layout("tfds", tmp_path / "large", Reading(heads=("noun",))).labels == {"noun": ("cat", "dog")}


def test_slips_and_damage_are_refused_by_name(tmp_path, clips):
    folder = clips / "some_form/2.0.0"
    refused("tfds", tmp_path / "none", "no data set .*none of TensorFlow Datasets is prepared here.*tfds build")
    refused("tfds", folder, "has no class 'verb': it has label", heads=("verb",), fps=25.0)
    path = folder / "clips-train.tfrecord-00001-of-00002"
    whole = path.read_bytes()
    for content, why in (
        (whole[:-5], "it ends within an example"),
        (whole[:12] + b"\xff" * 20 + whole[32:], "is damaged, or no file of TensorFlow Datasets"),
        (struct.pack("<QI", 1 << 60, masked_crc32c(struct.pack("<Q", 1 << 60))) + whole[12:], "it ends within an example"),
        (bytes([whole[0] ^ 1]) + whole[1:], "the checksum of the length at byte 0 is wrong"),
    ):
        path.write_bytes(content)
        refused("tfds", folder, why, fps=25.0)
    path.unlink()
    refused("tfds", folder, "No such file", fps=25.0)
    records(path, [example(label=[7], video=images(0))])
    refused("tfds", folder, r"label must be a whole number in 0\.\.2, got '7'", fps=25.0)
    info = json.loads((folder / "dataset_info.json").read_text())
    info["splits"][0]["filepathTemplate"] = "../{DATASET}"
    (folder / "dataset_info.json").write_text(json.dumps(info))
    refused("tfds", folder, "names files outside its folder", fps=25.0)


def test_a_flipped_bit_in_an_example_is_that_clips_error(tmp_path, clips):
    """The pixel that it changes would be stored, and the label that it changes be learnt."""
    path = clips / "some_form/2.0.0/clips-train.tfrecord-00000-of-00002"
    whole = path.read_bytes()
    first = struct.unpack_from("<Q", whole)[0] + 16
    label = whole.index(example(label=[0])[-4:], first)
    for place in (label + 3, len(whole) - 40):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        summary = prepare("tfds", clips / "some_form", name=f"at_{place}", data_dir=tmp_path, workers=1, fps=25.0, tolerate=1)
        assert [(split, name) for split, name, _ in summary.refused] == [("train", "train/000001")]
        assert summary.refused[0][2].endswith(f"TensorFlow Datasets (the checksum of the example at byte {first} is wrong)")


def test_values_of_every_kind_are_read_past_those_not_asked_for(tmp_path):
    values = {"a": [b"x" * 300, b""], "b": [1.5, -2.0], "c": [3, -1, 1 << 40], "d": [b"last"]}
    records(tmp_path / "x", [example(**values), example(c=[5])])
    first, second = places(tmp_path / "x", "tfrecord")
    assert read_example(tmp_path / "x", "tfrecord", first, ("a", "b", "c", "d", "e")) == values
    assert read_example(tmp_path / "x", "tfrecord", second, ("a", "c")) == {"c": [5]}
