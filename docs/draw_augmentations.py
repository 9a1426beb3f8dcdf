"""Draws docs/images/augmentations.png: each transform of a training clip on one clip, a row each.

  python docs/draw_augmentations.py docs/images/augmentations.png [CLIP.mp4]

Without a clip, a window moves over a photograph that comes with scikit-learn: china.jpg, by danielbuechele,
https://www.flickr.com/photos/danielbuechele/6061409035, and for the other clip of a mixture flower.jpg, by vultilion,
https://www.flickr.com/photos/vultilion/6056698931, both under CC BY 2.0. Every row comes from the pipeline's own functions, with the
draws of one seed; a transform that happens by chance happens here.
"""

import pathlib
import sys

import jax
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

from vivit_jax.data.augment import random_augmentation
from vivit_jax.data.augment.randaugment import GEOMETRIC, PHOTOMETRIC, Draw, Operation
from vivit_jax.data.config import AugmentConfig
from vivit_jax.data.video.encoder import encode
from vivit_jax.data.video.reader import decode_frames, probe
from vivit_jax.drawing import contact_sheet
from vivit_jax.training.colours import recoloured
from vivit_jax.training.mixing import box_weights, mix

FRAMES, SHORT_SIDE, CROP = 4, 128, (112, 112)
SEED = 3
COLOURS = 192  # of the picture's palette

# What one key, or a few, of section `augment` do alone.
ALONE = {
    "none": {},
    "flip": {"flip": 1.0},
    "scale_jitter, joint": {"scale_jitter": (0.9, 1.33)},
    "scale_jitter, independent": {"scale_jitter": (0.9, 1.33), "scale_jitter_independent": True},
    "random_resized_crop": {"random_resized_crop": (0.08, 1.0)},
    "colour_jitter": {"colour_jitter": 1.0},
    "colour_jitter, strength 2": {"colour_jitter": 1.0, "colour_strength": 2.0},
    "greyscale": {"greyscale": 1.0},
    "randaugment of Epic-Kitchens": {"randaugment_layers": 2, "randaugment_magnitude": 15.0},
    "randaugment of SSv2": {"randaugment_layers": 2, "randaugment_magnitude": 20.0},
    "randaugment, geometric too": {"randaugment_layers": 2, "randaugment_magnitude": 7.0, "randaugment_geometric": True},
    "erasing": {"erasing": 1.0},
    "repeats: the first of two": {"scale_jitter": (0.9, 1.33), "colour_jitter": 1.0},
    "repeats: the second": {"scale_jitter": (0.9, 1.33), "colour_jitter": 1.0},
    "flip_vertical, of volumes": {"flip_vertical": 1.0},
    "flip_time, of volumes": {"flip_time": 1.0},
    "shift, of volumes": {"shift": 12},
    "rotation, of volumes": {"rotation": 30.0},
}
DRAW = Draw(level=0.7, sign=1, centre=(0.35, 0.6))


def main(picture: str, clip: str | None = None) -> None:
    """Two columns: what the keys of the config do, and the operations of RandAugment at magnitude 7."""
    video = pathlib.Path(clip).read_bytes() if clip else _photograph()
    keys = {name: _augmented(video, AugmentConfig(**{"flip": 0.0} | options), row) for row, (name, options) in enumerate(ALONE.items())}
    plain = keys["none"]
    another = _augmented(_photograph("flower.jpg"), AugmentConfig(flip=0.0), 0)
    keys |= {"mixup, 0.7 of its own": _mixed(plain, another, 0.7), "cutmix": _mixed(plain, another, _box())}
    operations = {f"randaugment: {name}": Operation(name, DRAW)(plain) for name in PHOTOMETRIC | GEOMETRIC}
    sheets = [contact_sheet(list(rows.values()), list(rows)) for rows in (keys, operations)]
    whole = Image.new("RGB", (sum(sheet.width for sheet in sheets), max(sheet.height for sheet in sheets)), "white")
    whole.paste(sheets[0], (0, 0))
    whole.paste(sheets[1], (sheets[0].width, 0))
    pathlib.Path(picture).parent.mkdir(parents=True, exist_ok=True)
    whole.quantize(COLOURS).save(picture, optimize=True)
    print(f"{picture}: {whole.width}x{whole.height} pixels")


def _augmented(video: bytes, augment: AugmentConfig, row: int) -> np.ndarray:
    """A clip as the model would see it. Rows that change neither place nor operations have the first one's draws, to be compared."""
    drawn_anew = augment.scale_jitter or augment.random_resized_crop or augment.randaugment_layers
    augmentation = random_augmentation(np.random.default_rng((SEED, row if drawn_anew else 0)), augment, SHORT_SIDE, CROP)
    indices = np.linspace(0, probe(video).frames - 1, FRAMES).round().astype(int)
    clip = augmentation(decode_frames(video, indices, framer=augmentation.geometry))
    return np.asarray(recoloured(clip[None], augmentation.colours[None]))[0]


def _mixed(clip: np.ndarray, another: np.ndarray, weight: float | np.ndarray) -> np.ndarray:
    return np.asarray(mix(clip, another, weight)).round().astype(np.uint8)


def _box() -> np.ndarray:
    return np.asarray(box_weights(jax.random.key(SEED), 0.7, *CROP))[..., None]


def _photograph(name: str = "china.jpg") -> bytes:
    photograph = load_sample_image(name)
    return encode([photograph[100:340, left : left + 320] for left in range(90, 210, 5)], 25)


if __name__ == "__main__":
    main(*sys.argv[1:])
