"""Draws the README's animation: real clips as a model sees them, and under each the heat of `vivit explain`.

  python docs/draw_explained.py runs/probe docs/images/explained.webp CLIP.mp4 ...

The committed one shows three test clips of drone_ir (Svanström et al. 2021, CC0 1.0), IR_AIRPLANE_053_w1, IR_DRONE_026_w1 and
IR_HELICOPTER_001_w1, and a linear probe that takes 230 of the 321 test clips for what they are. It was fitted with C = 10, the end of the
range that was tried then; by the commands below, C is chosen from a wider one now, and docs/probes.md has what comes of it:

  vivit convert vits14.npz --to models/vit_frames --factorisation factorised_encoder --temporal_layers 0 --tokenizer frames \
      --tubelet 1,14,14 --clip 8,98,98 --stride 8 --resize 144
  vivit probe --model models/vit_frames --name drone_ir --data_dir data --to runs/probe
"""

import pathlib
import sys
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

import vivit_jax
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.drawing import lay_heat
from vivit_jax.inference.explain import Explanation, explain
from vivit_jax.inference.overlay import heat_at, seen_box
from vivit_jax.preprocess import Preprocess

SIDE, GAP, STRIP = 220, 12, 46  # pixels of a clip, between clips, and of the text under it
GROUND, INK, FAINT = (24, 24, 27), (244, 244, 245), (161, 161, 170)
EVERY = 2  # video frames from one frame of the animation to the next
MILLISECONDS, LAST = 100, 900
QUALITY = 80


def main(model_dir: str, picture: str, *videos: str) -> None:
    """One column a clip: above as it is, below with heat, its class and the scale of its colours under both."""
    pretrained = vivit_jax.from_pretrained(model_dir)
    columns = [list(column(video, explain(pretrained, video), pretrained.preprocess)) for video in videos]
    frames = [framed(row) for row in zip(*columns, strict=True)]
    durations = [MILLISECONDS] * (len(frames) - 1) + [LAST]
    pathlib.Path(picture).parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(picture, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=QUALITY, method=6)


def column(video: str, explanation: Explanation, preprocess: Preprocess) -> Iterator[np.ndarray]:
    """The frames of one clip's column, uint8 (h, w, 3): of each the part that the model sees, without and with heat."""
    everywhere = (slice(0, SIDE), slice(0, SIDE))
    between, under = np.full((GAP // 3, SIDE, 3), GROUND, np.uint8), caption(explanation)
    numbers = range(int(explanation.frames[0]), int(explanation.frames[-1]) + 1, EVERY)
    for number, frame in zip(numbers, decode_frames(video, numbers), strict=True):
        seen = cv2.resize(frame[seen_box(frame.shape[:2], preprocess)], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        yield np.concatenate([seen, between, lay_heat(seen, heat_at(explanation, number), everywhere), under])


def framed(columns: Sequence[np.ndarray]) -> Image.Image:
    """One frame of the animation: columns beside each other on a dark ground."""
    width = GAP + len(columns) * (SIDE + GAP)
    picture = Image.new("RGB", (width, len(columns[0]) + GAP), GROUND)
    for number, pixels in enumerate(columns):
        picture.paste(Image.fromarray(pixels), (GAP + number * (SIDE + GAP), GAP))
    return picture


def caption(explanation: Explanation) -> np.ndarray:
    """The class with its probability, and the colours of heat from none to full, with the log-odds that full colour stands for."""
    strip = Image.new("RGB", (SIDE, STRIP), GROUND)
    draw = ImageDraw.Draw(strip)
    certain = explanation.probability > 0.999
    text = f"{explanation.label}  {'over 99.9%' if certain else format(explanation.probability, '.1%')}"
    draw.text((0, 13), text, fill=INK, font=_font(15), anchor="lm")
    draw.text((0, 34), "0", fill=FAINT, font=_font(12), anchor="lm")
    length, height = 100, 8
    bar = lay_heat(np.full((height, length, 3), 128, np.uint8), np.linspace(0, 1, length)[None], (slice(0, height), slice(0, length)))
    strip.paste(Image.fromarray(bar), (14, 34 - height // 2))
    draw.text((122, 34), f"+{explanation.full_colour:.2g} log-odds", fill=FAINT, font=_font(12), anchor="lm")
    return np.asarray(strip)


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


if __name__ == "__main__":
    main(*sys.argv[1:])
