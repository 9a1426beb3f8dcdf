"""Draws docs/images/attention_*.svg: for each of the paper's four models, one token and the tokens it attends to.

python docs/draw_attention.py
"""

import pathlib

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

IMAGES = pathlib.Path(__file__).with_name("images")
TIMES, SIDE = 4, 4
QUERY = (1, 1, 2)  # time, row, column
COLOURS = {"all": "#818cf8", "space": "#818cf8", "time": "#f59e0b"}

time, row, column = np.indices((TIMES, SIDE, SIDE))
ALL = np.ones((TIMES, SIDE, SIDE), bool)
SPACE = time == QUERY[0]
TIME = (row == QUERY[1]) & (column == QUERY[2])

# For each model, its steps: a title, and the tokens that are attended to, by colour.
MODELS = {
    1: [("every layer: all tokens of all times", {"all": ALL})],
    2: [("spatial encoder: the tokens of the same time", {"space": SPACE}), ("temporal encoder: one token for each time", None)],
    3: [("first the tokens of the same time", {"space": SPACE}), ("then those of the same place", {"time": TIME})],
    4: [("at once: half the heads over time, half over space", {"space": SPACE, "time": TIME})],
}


def draw(number: int, path: pathlib.Path) -> None:
    """Draws a row of frames for each step; the query token is dark, and what it attends to is coloured."""
    steps = MODELS[number]
    figure = Figure(figsize=(7, 1.9 * len(steps)), layout="constrained")
    for axes, (title, attended) in zip(figure.subplots(len(steps), squeeze=False)[:, 0], steps, strict=True):
        axes.set(xlim=(-0.2, TIMES * (SIDE + 1) - 0.8), ylim=(-0.6, SIDE + 0.2), aspect="equal")
        axes.axis("off")
        axes.set_title(title, fontsize=10, loc="left")
        for frame in range(TIMES):
            _frame(axes, frame, attended)
    figure.savefig(path, metadata={"Date": None})


def _frame(axes, frame: int, attended: dict[str, np.ndarray] | None) -> None:
    left = frame * (SIDE + 1)
    axes.text(left + SIDE / 2, -0.45, f"time {frame + 1}", ha="center", va="center", fontsize=8, color="0.35")
    if attended is None:  # the whole frame has become one token
        colour = "#1e1b4b" if frame == QUERY[0] else COLOURS["time"]
        axes.add_patch(Rectangle((left + 1, 1), SIDE - 2, SIDE - 2, facecolor=colour, edgecolor="white"))
        return
    for at in np.ndindex(SIDE, SIDE):
        token = (frame, *at)
        colour = next((COLOURS[kind] for kind, mask in reversed(attended.items()) if mask[token]), "#e5e7eb")
        axes.add_patch(
            Rectangle((left + at[1], SIDE - 1 - at[0]), 0.92, 0.92, facecolor="#1e1b4b" if token == QUERY else colour, edgecolor="none")
        )


def main() -> None:
    """Draws all four."""
    for number in MODELS:
        draw(number, IMAGES / f"attention_{number}.svg")


if __name__ == "__main__":
    main()
