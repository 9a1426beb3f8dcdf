"""Scores over time as a picture: the classes that lead along a video, each as a line, with times as people read them."""

import io
import pathlib

import numpy as np

from vivit_jax.atomic import write_output
from vivit_jax.data.times import clock
from vivit_jax.errors import UserError, printable
from vivit_jax.heads import Labels, by_head
from vivit_jax.inference.windows import WindowScores

MOST_POINTS = 2048  # of a line; beyond, neighbours are averaged, so that memory does not grow with the video
LINES = 6
LETTERS = 40  # of a class's name in the legend
TICKS = 10
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600)  # seconds between ticks
FORMATS = (".png", ".svg", ".pdf")


class Timeline:
    """The scores of one video, gathered window by window, to be drawn."""

    def __init__(self, labels: Labels) -> None:
        """`labels` are the model's."""
        self._labels = by_head(labels)
        self._share = 1  # windows that are averaged in a point
        self._waiting: list[WindowScores] = []
        self._points: list[tuple[float, dict[str, np.ndarray]]] = []

    def add(self, scores: WindowScores) -> None:
        """Adds the next window."""
        self._waiting.append(scores)
        if len(self._waiting) < self._share:
            return
        self._points.append(self._point())
        if len(self._points) >= MOST_POINTS:
            pairs = zip(self._points[::2], self._points[1::2], strict=True)
            self._points = [((a + b) / 2, {head: (x[head] + y[head]) / 2 for head in x}) for (a, x), (b, y) in pairs]
            self._share *= 2

    def _point(self) -> tuple[float, dict[str, np.ndarray]]:
        middle = float(np.mean([(scores.start + scores.end) / 2 for scores in self._waiting]))
        means = {head: np.mean([scores.probabilities[head] for scores in self._waiting], axis=0) for head in self._labels}
        self._waiting = []
        return middle, means

    def save(self, path: pathlib.Path, title: str) -> bool:
        """Draws the timeline, a panel a head, and writes it as .png, .svg or .pdf; returns whether there was anything to draw."""
        if self._waiting:
            self._points.append(self._point())
        if not self._points:
            return False
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, MultipleLocator

        figure = Figure(figsize=(11, 0.6 + 3.2 * len(self._labels)), layout="constrained", dpi=120)
        figure.suptitle(_short(title), fontsize=11)
        panels = figure.subplots(len(self._labels), 1, squeeze=False)[:, 0]
        times = np.array([time for time, _ in self._points])
        for axes, (head, names) in zip(panels, self._labels.items(), strict=True):
            values = np.stack([means[head] for _, means in self._points])
            for number in leading(values):
                marker = "o" if len(times) <= 60 else None
                axes.plot(times, values[:, number], label=_short(names[number]), linewidth=1.4, marker=marker, markersize=3)
            axes.set(
                ylim=(-0.02, 1.02),
                ylabel=f"{printable(head)}: probability" if head else "probability",
                xlabel="time, minutes:seconds" if times[-1] < 3600 else "time, hours:minutes:seconds",
            )
            axes.xaxis.set_major_locator(MultipleLocator(_step(times[-1] - times[0])))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(max(0.0, seconds))))
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        picture = io.BytesIO()
        figure.savefig(picture, format=path.suffix[1:].lower())
        write_output(path, picture.getvalue())
        return True


def check_format(path: pathlib.Path) -> None:
    """Raises `UserError` for a file that is no picture by its suffix."""
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"--plot must end in {', '.join(FORMATS)}, got {path}")


def leading(values: np.ndarray) -> list[int]:
    """The classes to draw, of probabilities (windows, classes): those on top longest, then those with the highest peak."""
    on_top = np.bincount(values.argmax(axis=1), minlength=values.shape[1])
    order = np.lexsort((-values.max(axis=0), -on_top))
    return order[:LINES].tolist()


def _step(seconds: float) -> float:
    """Seconds between ticks: a round time, and not too many ticks."""
    return next((step for step in STEPS if seconds / step <= TICKS), seconds / TICKS)


def _short(name: str) -> str:
    name = " ".join(printable(name).split("\n")).replace("$", r"\$")
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"
