"""A data set of TensorFlow Datasets that is damaged: its own checksums and counts are compared, and nothing of it is taken on trust."""

import json
import random

import pytest
from stored_by_tfds import LABEL, VIDEO, example, images, lay

from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.errors import UserError

ODD = (None, "x", -1, 1.5, [], {}, [1], True, 10**30, "../../x", "{X}", "\0")
DELETED = object()


@pytest.fixture
def folder(tmp_path):
    """A data set's version: two shards of two clips and one."""
    shards = {
        "train": [
            [example(label=[2], video=images(0, 2)), example(label=[0], video=images(1, 2))],
            [example(label=[1], video=images(2, 2))],
        ]
    }
    whole = {"pythonClassName": "a.FeaturesDict", "featuresDict": {"features": {"verb": LABEL}}}
    several = {"pythonClassName": "a.Sequence", "sequence": {"feature": LABEL}}
    lay(tmp_path / "1.0.0", shards, {"label": LABEL, "video": VIDEO, "parts": whole, "tags": several}, {"label": ("run", "sit", "walk")})
    return tmp_path / "1.0.0"


def read(folder):
    """The frames of every clip."""
    clips = read_layout("tfds", folder, Reading(fps=25.0, heads=("label",))).clips
    return [list(clip.source()[0]) for clip in clips]


def places_in(value, path=()):
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places_in(part, (*path, key))


def changed(value, path, new):
    if not path:
        return {} if new is DELETED else new
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner.pop(path[-1]) if new is DELETED else inner.__setitem__(path[-1], new)
    return copy


@pytest.mark.fault(
    promise="No byte of a data set of TensorFlow Datasets changes unnoticed",
    provoked="one bit flipped at random in its TFRecord files, lengths and checksums included",
    seen="one line that names the file",
    trials=30,
)
def test_a_flipped_bit_of_a_tfrecord_is_noticed(folder):
    assert len(read(folder)) == 3
    chance = random.Random(0)
    for trial in range(30):
        path = chance.choice(sorted(folder.glob("*.tfrecord-*")))
        whole = path.read_bytes()
        content = bytearray(whole)
        content[chance.randrange(16 if trial % 3 == 0 else len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        with pytest.raises(UserError, match=path.name):
            read(folder)
        path.write_bytes(whole)


@pytest.mark.fault(
    promise="No clip of a data set of TensorFlow Datasets is silently dropped, and no class renamed",
    provoked="a file of records emptied, and cut after its first; a line of its class names deleted",
    seen="one line that names the file, with both counts",
    trials=3,
)
def test_what_is_missing_is_counted(folder):
    first, second = sorted(folder.glob("*.tfrecord-*"))
    whole = first.read_bytes()
    first.write_bytes(whole[: 16 + int.from_bytes(whole[:8], "little")])
    with pytest.raises(UserError, match=rf"{first.name} holds 1 examples, and dataset_info.json says 2"):
        read(folder)
    first.write_bytes(whole)
    second.write_bytes(b"")
    with pytest.raises(UserError, match=rf"{second.name} holds 0 examples, and dataset_info.json says 1"):
        read(folder)
    (folder / "label.labels.txt").write_text("run\nwalk\n")
    with pytest.raises(UserError, match=r"label.labels.txt names 2 classes, and features.json says 3"):
        read(folder)


@pytest.mark.fault(
    promise="Damaged metadata of a data set of TensorFlow Datasets gives one line, never a traceback",
    provoked="each value of dataset_info.json and features.json deleted, and replaced by ones of other kinds",
    seen="one line, or the same clips",
    trials=600,
)
@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_damaged_metadata_is_one_line(name, folder):
    values = json.loads((folder / name).read_text())
    refused = 0
    for path in places_in(values):
        for new in (DELETED, *ODD):
            (folder / name).write_text(json.dumps(changed(values, path, new)))
            try:
                clips = read_layout("tfds", folder, Reading(fps=25.0, heads=("label",))).clips
            except UserError as error:
                assert "\n" not in str(error)
                refused += 1
            else:
                assert [clip.label for clip in clips] == [{"label": label} for label in ("walk", "run", "sit")]
    assert refused > 100
