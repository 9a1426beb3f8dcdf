"""MedMNIST's volumes: every voxel of the real set comes back, and files made to mislead are refused."""

import io
import zipfile

import numpy as np
import pytest

from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.layouts import read_layout
from vivit_jax.data.layouts.medmnist3d import CLASSES
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.errors import UserError


def arrays(size=28, classes=2, seed=0, counts=(6, 2, 3)):
    """The six arrays of a file, of noise, which no lossy codec keeps."""
    generator = np.random.default_rng(seed)
    made = {}
    for split, count in zip(("train", "val", "test"), counts, strict=True):
        made[f"{split}_images"] = generator.integers(0, 256, (count, size, size, size), dtype=np.uint8)
        made[f"{split}_labels"] = (np.arange(count, dtype=np.uint8) % classes)[:, None]
    return made


def write(path, made):
    np.savez_compressed(path, **made)
    return path


def assert_stored(data_dir, name, made):
    dataset = open_dataset(name, data_dir)
    seen = 0
    for split in ("train", "val", "test"):
        images, labels = made[f"{split}_images"], made[f"{split}_labels"]
        assert dataset.splits[split] == len(images)
        for record in dataset.source(split):
            index = int(record["name"].partition("/")[2])
            shown = decode_frames(record["video"], range(images.shape[1]), stored=True)
            assert (shown == images[index][..., None]).all(), record["name"]
            assert record["label"] == labels[index, 0]
            seen += 1
    return dataset, seen


@pytest.mark.slow
def test_every_voxel_of_the_real_set_comes_back(tmp_path, shared_data):
    source = shared_data / "adrenalmnist3d/adrenalmnist3d.npz"
    prepare("medmnist3d", source, name="adrenal", data_dir=tmp_path, workers=2)
    with np.load(source) as archive:
        dataset, seen = assert_stored(tmp_path, "adrenal", {name: archive[name] for name in archive.files})
    assert (seen, dataset.labels) == (1584, ("normal", "hyperplasia"))


@pytest.mark.parametrize(("name", "size"), [("organmnist3d_64", 64), ("fracturemnist3d", 28)])
def test_volumes_of_noise_come_back_too(tmp_path, name, size):
    labels = CLASSES[name.partition("mnist3d")[0]]
    made = arrays(size, len(labels), counts=(len(labels), 2, 2))
    write(tmp_path / f"{name}.npz", made)
    prepare("medmnist3d", tmp_path, name="volumes", data_dir=tmp_path / "data", workers=1)
    dataset, _ = assert_stored(tmp_path / "data", "volumes", made)
    assert dataset.labels == labels
    prepare("tfds", tmp_path / "data/volumes", name="again", data_dir=tmp_path / "data", workers=1)
    assert_stored(tmp_path / "data", "again", made)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": None}, "holds no train_images: it has train_labels, val_images"),
        ({"val_labels": None}, "holds no val_labels"),
        ({"test_images": np.zeros((3, 28, 28, 28), np.float32)}, "test_images must be uint8 .* got float32"),
        ({"train_labels": np.full((6, 1), 2, np.uint8)}, r"train_labels must be in 0..1, got 2..2"),
        ({"train_labels": np.zeros((5, 1), np.uint8)}, r"train_labels must be whole numbers \(6, 1\)"),
        ({"train_images": np.zeros((6, 27, 27, 27), np.uint8)}, "even sides"),
        ({"val_labels": np.array([[{}], [{}]], object)}, "holds Python objects"),
    ],
)
def test_arrays_that_are_not_the_publishers_are_refused(tmp_path, change, message):
    made = {name: value for name, value in (arrays() | change).items() if value is not None}
    with pytest.raises(UserError, match=message):
        read_layout("medmnist3d", write(tmp_path / "adrenalmnist3d.npz", made))


def test_a_class_without_volumes_keeps_its_number(tmp_path):
    """In a part of a set, as a person tries things out on."""
    found = read_layout("medmnist3d", write(tmp_path / "organmnist3d.npz", arrays() | {"train_labels": np.full((6, 1), 10, np.uint8)}))
    assert (len(found.labels), {clip.label for clip in found.clips if clip.split == "train"}) == (11, {"pancreas"})
    assert "10 of 11 classes have no training video here" in found.remarks


def lying(shape):
    """An array's file whose header declares more than follows."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(100)


def test_a_file_that_misleads_is_one_line(tmp_path):
    path = write(tmp_path / "adrenalmnist3d.npz", arrays())
    content = path.read_bytes()
    for damage in (b"", b"PK\x03\x04", content[: len(content) // 2], content[:200] + bytes(50) + content[250:], bytes(1000)):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=r"adrenalmnist3d\.npz") as error:
            read_layout("medmnist3d", path)
            prepare("medmnist3d", path, name="mine", data_dir=tmp_path / "data", workers=1)
        assert "\n" not in str(error.value)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train_images.npy", lying((10**6, 28, 28, 28)))
    with pytest.raises(UserError, match=r"declares .* and has 100 bytes: refused"):
        read_layout("medmnist3d", path)


def test_a_name_must_tell_the_set(tmp_path):
    with pytest.raises(UserError, match="the name must tell which set it is"):
        read_layout("medmnist3d", write(tmp_path / "volumes.npz", arrays()))
    with pytest.raises(UserError, match=r"expected one file such as adrenalmnist3d\.npz, found none"):
        read_layout("medmnist3d", tmp_path)
