"""Reads from the files beside a model how Hugging Face's processors prepare pixels."""

import dataclasses
import math
from collections.abc import Mapping

from vivit_jax.errors import UserError
from vivit_jax.preprocess import HALF
from vivit_jax.weights.config import Triple

BILINEAR = 2  # PIL's number


@dataclasses.dataclass(frozen=True)
class Pixels:
    """The preparation of pixels; None where the files do not say.

    Attributes:
      mean: the mean of each RGB channel, for pixels in [0, 1].
      std: the standard deviation of each RGB channel, for pixels in [0, 1].
      resize: short side in pixels before the crop.
      crop: (height, width) in pixels.
      stated_in: the file that states a field.
      notes: what the processor does to frames that we do otherwise.
    """

    mean: Triple | None = None
    std: Triple | None = None
    resize: int | None = None
    crop: tuple[int, int] | None = None
    stated_in: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def check_crop(self, size: tuple[int, int], name: str) -> None:
        """Refuses a crop that the model's positions are not for."""
        if self.crop is not None and self.crop != tuple(size):
            file = self.stated_in["crop"]
            raise UserError(f"{name}: {file} crops to {self.crop}, and the model takes {tuple(size)}: correct the wrong one")


def read_processors(files: Mapping[str, Mapping], name: str) -> Pixels:
    """The pixels that all processors of a model agree on, the first of them leading.

    Args:
      files: contents by file, those to believe first at the front.
      name: the name of the model, for errors.

    Raises:
      UserError: if a file is malformed, or two contradict each other.
    """
    read = [_read(values, file, name) for file, values in files.items()]
    for other in read[1:]:
        for field in ("mean", "std", "resize", "crop"):
            ours, theirs = getattr(read[0], field), getattr(other, field)
            if ours is not None and theirs is not None and ours != theirs:
                where = f"{read[0].stated_in[field]} and {other.stated_in[field]}"
                raise UserError(
                    f"{name}: {where} contradict each other: {field} {ours} or {theirs} of pixels in [0, 1]; remove the wrong one"
                )
    return read[0] if read else Pixels()


def _read(values: Mapping, file: str, name: str) -> Pixels:
    """One file, exactly as its class computes: (factor x - offset - mean) / std of pixels x in 0..255.

    ViViT's classes offset by 1 and their mean and std come on top: the one of images unless told otherwise, the one of videos always.
    """
    where = f"{name}: {file}"
    kinds = {key: str(values.get(f"{key}_processor_type", "")) for key in ("image", "video")}
    is_video = kinds["video"].startswith("VivitVideoProcessor")
    is_vivit = is_video or kinds["image"].startswith("VivitImageProcessor")  # or ...Fast
    rescales, offsets = _flag(values, "do_rescale", where), is_vivit and (is_video or _flag(values, "offset", where))
    if is_video and not kinds["image"] and rescales and not _flag(values, "offset", where):
        raise UserError(f"{where} says offset false, and VivitVideoProcessor subtracts 1 all the same: correct offset, or mean and std")
    if is_vivit and values.get("offset") is True and not rescales:
        raise UserError(f"{where} says offset true and do_rescale false, which contradict each other")
    factor = _number(values.get("rescale_factor", 1 / 127.5 if is_vivit else 1 / 255), f"{where}: rescale_factor") if rescales else 1.0
    offset = float(offsets and rescales)
    mean, std = (0.0,) * 3, (1.0,) * 3
    normalises = _flag(values, "do_normalize", where)
    if normalises:
        mean, std = (_triple(values.get(key) or HALF, f"{where}: {key}") for key in ("image_mean", "image_std"))
    if factor <= 0 or min(std) <= 0:
        raise UserError(f"{where}: rescale_factor and image_std must be above 0, got {factor} and {std}")
    stated_in = {ours: file for ours, theirs in (("mean", "image_mean"), ("std", "image_std")) if values.get(theirs) or not normalises}
    if values.get("do_flip_channel_order") is True:
        raise UserError(f"{where} says do_flip_channel_order true: its pixels are BGR, and ours are RGB")
    resize = _short_side(values.get("size"), where) if _flag(values, "do_resize", where) else None
    crop = _crop(values.get("crop_size"), where) if _flag(values, "do_center_crop", where) else None
    if resize and crop and resize < min(crop):
        raise UserError(f"{where}: size {resize} is below crop_size {crop}, which fills the frames up with black: correct the wrong one")
    stated_in |= {field: file for field, value in (("resize", resize), ("crop", crop)) if value}
    return Pixels(
        mean=tuple(_tidy((offset + value) / (255 * factor)) for value in mean),
        std=tuple(_tidy(value / (255 * factor)) for value in std),
        resize=resize,
        crop=crop,
        stated_in={"mean": f"{file}'s class (assumed)", "std": f"{file}'s class (assumed)"} | stated_in,
        notes=tuple(f"{file} {note}" for note in _notes(values)),
    )


def _notes(values: Mapping) -> list[str]:
    """How frames are resized and cropped there, where we do it otherwise."""
    size, notes = values.get("size"), []
    if values.get("do_resize") is False:
        notes.append("does not resize frames; here their short side becomes that of preprocess.json")
    elif isinstance(size, dict) and "shortest_edge" not in size and {"height", "width"} <= size.keys():
        notes.append(f"makes every frame {size['height']} x {size['width']}; here it keeps its shape, and is cropped")
    if values.get("do_center_crop") is False:
        notes.append("does not crop frames; here their centre is taken")
    if values.get("resample") not in (None, BILINEAR):
        notes.append(f"resamples by PIL's method {values['resample']!r}; here frames are resized as those that we train on")
    return notes


def _flag(values: Mapping, key: str, where: str) -> bool:
    value = values.get(key)
    if not isinstance(value, bool | None):
        raise UserError(f"{where}: {key} must be true or false, got {value!r}")
    return value is not False


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{where} must be a finite number, got {value!r}")
    return float(value)


def _triple(value: object, where: str) -> Triple:
    values = value if isinstance(value, list | tuple) else [value] * 3
    if len(values) != 3:
        raise UserError(f"{where} must be three numbers, one for red, green and blue, got {value!r}")
    return tuple(_number(each, where) for each in values)


def _pixels(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**20:
        raise UserError(f"{where} must be a number of pixels, got {value!r}")
    return value


def _short_side(size: object, where: str) -> int | None:
    side = size.get("shortest_edge") or size.get("height") if isinstance(size, dict) else size
    return None if side is None else _pixels(side, f"{where}: size")


def _crop(size: object, where: str) -> tuple[int, int] | None:
    height, width = (size.get("height"), size.get("width")) if isinstance(size, dict) else (size, size)
    return None if height is None or width is None else (_pixels(height, f"{where}: crop_size"), _pixels(width, f"{where}: crop_size"))


def _tidy(value: float) -> float:
    """The value without the rounding errors that 1/255 and 1/127.5 leave."""
    return round(value, 12)
