"""Videos whose frames lie as image files: `SOURCE/{train,val,test}/CLASS/VIDEO/*.jpg`, or to be split, `SOURCE/CLASS/VIDEO/*.jpg`.

Frames are in the order of the numbers in their names (`img_2.jpg` before `img_10.jpg`). Image files do not tell their
rate, so `--fps` must. Files that are no frames are named in a remark, but for hidden ones.
"""

import functools
import pathlib
import re
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from PIL import Image, ImageOps

from vivit_jax.data.layouts.base import Annotations, Clip, Reading, is_utf8, locate, sorted_labels
from vivit_jax.data.layouts.folder import class_folders, folders_in, left_aside, told
from vivit_jax.data.video.container import LIMITS
from vivit_jax.data.video.geometry import resize
from vivit_jax.errors import UserError, in_one_line

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".webp": "WEBP", ".ppm": "PPM", ".tif": "TIFF", ".tiff": "TIFF"}


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Lists the folders of frames below `source`; `val` and `test` may be missing.

    Raises:
      UserError: naming what is missing, empty or unexpected.
    """
    if not source.is_dir():
        raise UserError(f"{source}: not a folder; layout csv reads lists" if source.exists() else f"{source}: no such folder")
    if reading.fps is None or not 0 < reading.fps <= 1000:
        raise UserError("image files do not say how many are a second: give --fps RATE, as in --fps 30")
    of_classes = any(_images(video) for folder in folders_in(source) for video in folders_in(folder))
    classes, remarks = class_folders(source, reading, of_classes=of_classes)
    fps, clips, beside, among = Fraction(reading.fps).limit_denominator(1001), [], [], []
    for split, folder in classes:
        beside += left_aside(source, (path for path in folder.iterdir() if not path.is_dir()))
        videos = folders_in(folder)
        if not videos:
            raise UserError(f"{folder}: the class is empty; expected a folder of image files for each video")
        for video in videos:
            name = video.relative_to(source)
            if not is_utf8(str(name)):
                raise UserError(f"{str(name)!r}: the name is not UTF-8; rename the folder")
            images = _images(video)
            if not images:
                raise UserError(f"{video}: no image files; expected {', '.join(FORMATS)}")
            among += left_aside(source, set(video.iterdir()) - set(images))
            files = tuple(locate(source, image.relative_to(source), reading.within) for image in images)
            clips.append(Clip(name.as_posix(), split, folder.name, functools.partial(film, files, fps)))
    if beside:
        remarks.append(told("files left aside, in no video's folder", beside))
    if among:
        remarks.append(told("files and folders left aside, not images by their name", among))
    return Annotations(clips, sorted_labels({str(clip.label) for clip in clips}), tuple(remarks))


def film(files: tuple[pathlib.Path, ...], fps: Fraction) -> tuple[Iterator[np.ndarray], Fraction]:
    """The pictures in `files`, each uint8 (h, w, 3) and resized to the size of the first, and their rate in frames a second.

    Raises:
      UserError: if there are fewer than two files; and, as the pictures are read, naming a file that is damaged or too large.
    """
    if len(files) < 2:
        raise UserError(f"{files[0].parent.name}: it has {len(files)} frame, which is no video")
    return _pictures(files), fps


def _pictures(files: tuple[pathlib.Path, ...]) -> Iterator[np.ndarray]:
    size = None
    for file in files:
        picture = _picture(file)
        size = size or picture.shape[:2]
        yield resize(picture, *size)


def _picture(file: pathlib.Path) -> np.ndarray:
    try:
        with Image.open(file, formats=sorted(set(FORMATS.values()))) as image:
            if image.width * image.height > LIMITS.pixels:
                raise UserError(f"{file}: {image.width}x{image.height} pixels are more than the limit of {LIMITS.pixels}")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UserError:
        raise
    except Exception as error:  # Pillow raises many kinds for a damaged file
        raise UserError(f"{file}: cannot be read as a picture ({in_one_line(error)})") from None


def _images(folder: pathlib.Path) -> list[pathlib.Path]:
    """The image files in a folder, in the order of the numbers in their names."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in FORMATS and not path.name.startswith(".")]
    return sorted(sorted(files), key=lambda path: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.stem)])
