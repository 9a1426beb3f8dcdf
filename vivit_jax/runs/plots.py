"""The figures of a report, as data URIs: SVG without a background, in colours that are legible on light and on dark."""

import base64
import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from vivit_jax.errors import printable

INK = "#8a8f98"
COLOURS = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444")
STYLE = {
    "font.size": 9,
    "svg.fonttype": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.hashsalt": "vivit_jax",
}
CLASSES_NUMBERED = 15
LETTERS = 40  # of a class's name beside a matrix; a longer one leaves no room for it

Curve = tuple[Sequence[float], Sequence[float]]


def curves(named: Mapping[str, Curve], *, ylabel: str, share: bool = False) -> str:
    """Draws curves of (steps, values) by name, on an axis from 0; curves of few points have markers. `share` ends the axis at 1."""
    with new_figure() as figure:
        axes = figure.subplots()
        for (name, (steps, values)), colour in zip(named.items(), COLOURS, strict=False):
            axes.plot(steps, values, label=name, color=colour, linewidth=1.5, marker="o" if len(steps) <= 30 else None, markersize=3)
        axes.set_xlabel("step")
        axes.set_ylabel(ylabel)
        axes.grid(True)
        axes.set_ylim(0, 1.02 if share else None)
        if len(named) > 1:
            axes.legend()
        return uri(figure)


def roc(scores: Sequence[float], present: Sequence[bool], label: str) -> str:
    """Draws the share of a class's examples that are found against that of the others which are taken for it, over all thresholds."""
    from sklearn.metrics import roc_curve  # takes a while to import

    wrong, right, _ = roc_curve(present, scores)
    with new_figure() as figure:
        axes = figure.subplots()
        axes.plot(wrong, right, color=COLOURS[0], linewidth=1.5)
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        axes.set_xlabel("others taken for it")
        axes.set_ylabel(f"{shortened(label)} found", parse_math=False)
        axes.set_ylim(0, 1.02)
        axes.grid(True)
        return uri(figure)


def confusion(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Draws a confusion matrix: each row's shares as colour, and the counts as numbers if there is room."""
    counts = np.asarray(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.6 + min(max(0.36 * len(labels), 2.0), 9.0)
    with new_figure(side, side) as figure:
        axes = figure.subplots()
        axes.imshow(np.dstack([np.broadcast_to(to_rgb(COLOURS[0]), (*shares.shape, 3)), shares]))
        axes.set_xlabel("predicted")
        axes.set_ylabel("label")
        if len(labels) <= 50:
            titles = [shortened(label) for label in labels]
            axes.set_xticks(range(len(labels)), titles, rotation=90, parse_math=False)
            axes.set_yticks(range(len(labels)), titles, parse_math=False)
        if len(labels) <= CLASSES_NUMBERED:
            for (row, column), count in np.ndenumerate(counts):
                if count:
                    ink = "white" if shares[row, column] >= 0.45 else INK
                    axes.text(column, row, str(count), ha="center", va="center", color=ink, fontsize=8, weight="bold")
        return uri(figure)


@contextlib.contextmanager
def new_figure(width: float = 4.4, height: float = 2.8) -> Iterator[Figure]:
    """A figure in this style, sized in inches; draw it inside the context."""
    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def shortened(name: str, letters: int = LETTERS) -> str:
    """A name for a figure: on one line, cut to `letters`, and without control characters, which XML does not allow."""
    shown = " ".join(printable(name).split("\n"))
    return shown if len(shown) <= letters else f"{shown[: letters - 1]}…"


def uri(figure: Figure) -> str:
    """A figure as SVG, in a data URI."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # letters that matplotlib's font lacks, and the reader's has
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"
