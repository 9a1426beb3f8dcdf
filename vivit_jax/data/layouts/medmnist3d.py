"""MedMNIST's sets of volumes (Yang et al., Scientific Data 2023): one official `.npz` file each, of 28 or 64 voxels a side.

`adrenalmnist3d.npz`, and `adrenalmnist3d_64.npz` of the same volumes in finer grain, hold six arrays:

    train_images (1188, 28, 28, 28) uint8     train_labels (1188, 1) uint8
    val_images     (98, 28, 28, 28) uint8     val_labels     (98, 1) uint8
    test_images   (298, 28, 28, 28) uint8     test_labels   (298, 1) uint8

A volume becomes a clip whose frames are its slices along the first axis, its one channel repeated to three, and is stored without loss.
"""

import functools
import pathlib
import re
from fractions import Fraction

import numpy as np

from vivit_jax.data.layouts.base import Annotations, Clip, Reading
from vivit_jax.data.npz import array_shapes, read_array
from vivit_jax.data.splits import USUAL
from vivit_jax.errors import UserError

# By set, what MedMNIST's `INFO` calls the classes, in the order of their numbers.
CLASSES = {
    "organ": (
        *("liver", "kidney-right", "kidney-left", "femur-right", "femur-left", "bladder", "heart", "lung-right", "lung-left"),
        *("spleen", "pancreas"),
    ),
    "nodule": ("benign", "malignant"),
    "fracture": ("buckle rib fracture", "nondisplaced rib fracture", "displaced rib fracture"),
    "adrenal": ("normal", "hyperplasia"),
    "vessel": ("vessel", "aneurysm"),
    "synapse": ("inhibitory synapse", "excitatory synapse"),
}
SLICES_A_SECOND = 10  # at which a volume is played; nothing else depends on it


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Lists the volumes of a file, or of the one such file in a folder; splits, classes and their numbers are the publisher's.

    Raises:
      UserError: naming the file, if it is none of the six sets, or its arrays are not as described above.
    """
    path = _file(source)
    labels = CLASSES[_set_of(path)]
    shapes = array_shapes(path)
    clips = []
    for split in USUAL:
        _check_images(path, shapes, split)
        numbers = _numbers(path, shapes, split, len(labels))
        clips += [
            Clip(f"{split}/{index:05d}", split, labels[number], functools.partial(volume, path, split, index), lossless=True)
            for index, number in enumerate(numbers)
        ]
    return Annotations(clips, labels, published=True)


def volume(path: pathlib.Path, split: str, index: int) -> tuple[np.ndarray, Fraction]:
    """A volume as frames, uint8 (depth, height, width, 3), and the rate at which it is shown."""
    voxels = _images(path, split)[index]
    return np.repeat(voxels[..., None], 3, axis=-1), Fraction(SLICES_A_SECOND)


@functools.lru_cache(maxsize=1)
def _images(path: pathlib.Path, split: str) -> np.ndarray:
    """All volumes of a split: a worker unpacks them once, and makes one after the other."""
    return read_array(path, f"{split}_images")


def _file(source: pathlib.Path) -> pathlib.Path:
    if not source.is_dir():
        return source
    found = sorted(source.glob("*mnist3d*.npz"))
    if len(found) != 1:
        raise UserError(f"{source}: expected one file such as adrenalmnist3d.npz, found {', '.join(path.name for path in found) or 'none'}")
    return found[0]


def _set_of(path: pathlib.Path) -> str:
    match = re.search(f"({'|'.join(CLASSES)})mnist3d", path.name.lower())
    if not match:
        raise UserError(
            f"{path}: the name must tell which set it is, as the publisher's does: {', '.join(f'{name}mnist3d' for name in CLASSES)}"
        )
    return match[1]


def _check_images(path: pathlib.Path, shapes: dict, split: str) -> None:
    shape, dtype = _known(path, shapes, f"{split}_images")
    if len(shape) != 4 or dtype != np.uint8 or min(shape) < 1:
        raise UserError(f"{path}: {split}_images must be uint8 (volumes, depth, height, width), got {dtype} {shape}")
    if shape[1] < 2 or shape[2] % 2 or shape[3] % 2:
        raise UserError(f"{path}: {split}_images must have at least 2 slices of even sides, got {shape}")


def _known(path: pathlib.Path, shapes: dict, name: str) -> tuple[tuple[int, ...], np.dtype]:
    if name not in shapes:
        raise UserError(f"{path}: holds no {name}: it has {', '.join(shapes) or 'nothing'}")
    return shapes[name]


def _numbers(path: pathlib.Path, shapes: dict, split: str, classes: int) -> np.ndarray:
    """The class of each volume, (volumes,)."""
    name, volumes = f"{split}_labels", shapes[f"{split}_images"][0][0]
    shape, dtype = _known(path, shapes, name)
    if shape not in ((volumes,), (volumes, 1)) or dtype.kind not in "ui":
        raise UserError(f"{path}: {name} must be whole numbers ({volumes}, 1), got {dtype} {shape}")
    numbers = read_array(path, name).reshape(-1)
    if numbers.min() < 0 or numbers.max() >= classes:
        raise UserError(f"{path}: {name} must be in 0..{classes - 1}, got {numbers.min()}..{numbers.max()}")
    return numbers
