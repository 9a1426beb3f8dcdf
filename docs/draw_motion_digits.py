"""Draws the README's picture: clips of motion_digits with what a trained model says of them.

python docs/draw_motion_digits.py runs/digits/model docs/images/motion_digits.png
"""

import pathlib
import sys

import jax
import matplotlib
import numpy as np

import vivit_jax
from vivit_jax.data.motion_digits import LABELS, SPLITS, render

matplotlib.use("Agg")

import matplotlib.pyplot as plt

FRAMES_SHOWN = 8
GROUND, INK = 27 / 255, 235 / 255  # greys that suit a light and a dark page


def main(model_dir: str, picture: str) -> None:
    """One row a class: frames of a test clip, and the most probable class with its probability."""
    pretrained = vivit_jax.from_pretrained(model_dir)
    wanted = pretrained.preprocess
    clips = np.stack([render("test", SPLITS["test"] - len(LABELS) + row)[0] for row in range(len(LABELS))])
    clips = clips[:, : wanted.frames * wanted.stride : wanted.stride]
    logits = pretrained.model.apply(pretrained.variables, wanted.normalise(clips))
    probabilities = np.asarray(jax.nn.softmax(logits))

    figure, axes = plt.subplots(len(LABELS), 1, figsize=(9.2, 8.6), layout="constrained")
    for axis, clip, row in zip(axes, clips, probabilities, strict=True):
        shown = clip[:: wanted.frames // FRAMES_SHOWN]
        strip = np.concatenate([np.pad(frame, ((1, 1), (1, 1), (0, 0)), constant_values=round(255 * GROUND)) for frame in shown], axis=1)
        axis.imshow(strip)
        axis.set_axis_off()
        best = int(row.argmax())
        text = f"{pretrained.labels[best].replace('_', ' ')}\n{row[best]:.1%}"
        axis.text(1.015, 0.5, text, transform=axis.transAxes, va="center", fontsize=13, color=str(INK))
    pathlib.Path(picture).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110, facecolor=str(GROUND))


if __name__ == "__main__":
    main(*sys.argv[1:])
