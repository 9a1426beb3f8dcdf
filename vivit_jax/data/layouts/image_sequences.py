"""Videos whose frames are image files in a folder, in the order of the numbers in their names (`img_2.jpg` before `img_10.jpg`)."""

import functools
import pathlib
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from vivit_jax.data.layouts.base import is_hidden, too_few_frames
from vivit_jax.data.video.container import LIMITS
from vivit_jax.data.video.frame_rates import first_tick
from vivit_jax.data.video.geometry import resize
from vivit_jax.errors import UserError, in_one_line

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".webp": "WEBP", ".ppm": "PPM", ".tif": "TIFF", ".tiff": "TIFF"}
OF_16_BITS = ("PNG", "PPM")  # which may have 16 bits a pixel and no more, though Pillow may have them as 32
FLOW = "flow_"


def rate(fps: float | None) -> Fraction | None:
    """Frames a second as a simple fraction; None if it is not given.

    Raises:
      UserError: for a rate that no video has.
    """
    if fps is None:
        return None
    if not 0 < fps <= 1000:
        raise UserError(f"frames a second must be above 0 and at most 1000, got {fps:g}: give --fps RATE, as in --fps 30")
    return Fraction(fps).limit_denominator(1001)


def is_image(name: str) -> bool:
    """Whether a file is an image by its name."""
    return pathlib.PurePath(name).suffix.lower() in FORMATS and not is_hidden(name)


def image_sequence(files: tuple[pathlib.Path, ...], fps: Fraction) -> tuple[Iterator[np.ndarray], Fraction]:
    """The pictures in `files`, each uint8 (h, w, 3) and resized to the size of the first, and their rate in frames a second.

    Raises:
      UserError: if there are fewer than two files; and, as the pictures are read, naming a file that is damaged or too large.
    """
    if len(files) < 2:
        raise UserError(too_few_frames(len(files)))
    return decode_pictures((file, str(file)) for file in files), fps


def decode_pictures(files: Iterable[tuple[pathlib.Path | BinaryIO, str]]) -> Iterator[np.ndarray]:
    """Decodes pictures to uint8 (h, w, 3), upright, each resized to the size of the first; transparency is laid over black.

    Args:
      files: the file of each picture, and its name for errors.

    Raises:
      UserError: naming a picture that is damaged or too large.
    """
    size = None
    for file, name in files:
        picture = as_rgb(file, name)
        size = size or picture.shape[:2]
        yield resize(picture, *size)


def as_rgb(file: pathlib.Path | BinaryIO, name: str) -> np.ndarray:
    """One picture, as `decode_pictures` gives it."""
    try:
        with Image.open(file, formats=sorted(set(FORMATS.values()))) as image:
            if image.width * image.height > LIMITS.pixels:
                raise UserError(f"{image.width}x{image.height} pixels are more than the limit of {LIMITS.pixels}")
            return _over_black(_of_8_bits(ImageOps.exif_transpose(image), of_16_bits=image.format in OF_16_BITS))
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    except Exception as error:  # Pillow raises many kinds for a damaged file
        raise UserError(f"{name}: cannot be read as a picture ({in_one_line(error)})") from None


def _over_black(image: Image.Image) -> np.ndarray:
    if "A" not in image.getbands() and "transparency" not in image.info:
        return np.asarray(image.convert("RGB"))
    pixels = np.asarray(image.convert("RGBA")).astype(np.uint16)
    return (pixels[..., :3] * pixels[..., 3:] // 255).astype(np.uint8)


def _of_8_bits(image: Image.Image, *, of_16_bits: bool) -> Image.Image:
    """Grey of 16 bits as the upper 8, as FFmpeg and OpenCV show it; Pillow by itself makes all from 256 on white.

    Raises:
      UserError: for pixels of 32 bits.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and of_16_bits):
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UserError("its pixels have 32 bits, whose range is not known: save it with 8 or 16 bits")
    return image


def segment(folder: pathlib.Path, start: float, end: float | None, fps: Fraction) -> tuple[Iterator[np.ndarray], Fraction]:
    """The pictures in a folder from `start` to `end` in seconds, as `image_sequence` gives them."""
    files = segment_files(folder, start, end, fps)
    if len(files) < 2:
        raise UserError(too_few_frames(len(files), start, end, float(len(images_in(folder)) / fps)))
    return image_sequence(files, fps)


def video_of(source: object) -> pathlib.Path | None:
    """What a clip is or is a segment of: the file of a video, or the folder of its frames. None for one that is made of something else."""
    if isinstance(source, functools.partial) and source.func is segment:
        return source.args[0]
    return source if isinstance(source, pathlib.Path) else None


def segment_files(folder: pathlib.Path, start: float, end: float | None, fps: Fraction) -> tuple[pathlib.Path, ...]:
    """The image files in a folder that a video file would show from `start` to `end` in seconds."""
    return tuple(images_in(folder)[first_tick(start, fps) : None if end is None else first_tick(end, fps)])


def images_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """The image files in a folder, in the order of the numbers in their names, without optical flow beside them (`flow_x_00001.jpg`)."""
    return list(_images_in(folder, folder.stat().st_mtime_ns))


@functools.lru_cache(maxsize=2)  # segments of one video come one after the other, and a folder may have a hundred thousand frames
def _images_in(folder: pathlib.Path, changed: int) -> tuple[pathlib.Path, ...]:
    files = [path for path in folder.iterdir() if is_image(path.name)]
    files = [path for path in files if not path.name.startswith(FLOW)] or files
    numbered = sorted(sorted(files), key=lambda path: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.stem)])
    return tuple(numbered)
