"""The style of drawn figures: SVG without a background, in colours that change with the reader's light or dark scheme."""

import base64
import contextlib
import io
import warnings
from collections.abc import Iterator

import matplotlib
from matplotlib.figure import Figure

from vivit_jax.errors import printable

INK = "#8a8f98"
COLOURS = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444")
# What is seen in place of INK and COLOURS on a light and on a dark page: those of pages/static/page.css, legible on either.
LIGHT = ("#566070", "#2563eb", "#c2410c", "#0f766e", "#b91c1c")
DARK = ("#a3acba", "#60a5fa", "#fb923c", "#2dd4bf", "#fca5a5")
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


@contextlib.contextmanager
def new_figure(width: float = 4.4, height: float = 2.8) -> Iterator[Figure]:
    """A figure in this style, sized in inches; draw it inside the context."""
    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def shortened(name: str, letters: int) -> str:
    """A name for a figure: on one line, cut to `letters`, and without control characters, which XML does not allow."""
    shown = " ".join(printable(name).split("\n"))
    return shown if len(shown) <= letters else f"{shown[: letters - 1]}…"


def uri(figure: Figure) -> str:
    """A figure as SVG, in a data URI, whose colours follow the scheme of the page."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # letters that matplotlib's font lacks, and the reader's has
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(_following(buffer.getvalue().decode()).encode()).decode()}"


def _following(svg: str) -> str:
    """The SVG with variables for colours, which matplotlib cannot write."""
    for number, colour in enumerate((INK, *COLOURS)):
        svg = svg.replace(f": {colour}", f": var(--c{number})")
    light, dark = ("".join(f"--c{number}:{colour};" for number, colour in enumerate(colours)) for colours in (LIGHT, DARK))
    before, opening, after = svg.partition("<svg")
    inside, end, rest = after.partition(">")
    return f"{before}{opening}{inside}{end}<style>:root{{{light}}}@media (prefers-color-scheme: dark){{:root{{{dark}}}}}</style>{rest}"
