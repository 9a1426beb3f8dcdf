"""Draws a chart as SVG, in the classes of `static/page.css`, as readers without JavaScript see it. `static/charts.js` draws the same again.

(matplotlib's figures have their colours inside: they would not follow a page into the dark, nor be redrawn to fit a phone.)
"""

import math
from collections.abc import Iterator, Sequence

from vivit_jax.runs.pages.page import text

WIDTH, HEIGHT = 520, 260
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 10, 38
DENSE = 200  # a line of more points is thin

Range = tuple[float, float]
Points = Sequence[tuple[float, float | None]]


class Drawing:
    """Places values in a picture of WIDTH x HEIGHT.

    Args:
      x: the range of the horizontal axis.
      y: the range of the vertical axis.
    """

    def __init__(self, x: Range, y: Range) -> None:
        self._x, self._y, self.parts = x, y, []

    def x(self, value: float) -> float:
        """The pixel of a value along x."""
        return round(LEFT + (value - self._x[0]) / (self._x[1] - self._x[0]) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        """The pixel of a value along y."""
        return round(HEIGHT - BOTTOM - (value - self._y[0]) / (self._y[1] - self._y[0]) * (HEIGHT - TOP - BOTTOM), 1)

    def axes(self, name: str, *, share_x: bool, share_y: bool) -> None:
        """Draws both axes with their marks."""
        for value in ticks(self._y, 4):
            self.line("grid", (LEFT, self.y(value)), (WIDTH - RIGHT, self.y(value)))
            self._text(LEFT - 7, self.y(value) + 4, "end", brief(value, share_y))
        for value in ticks(self._x, 5):
            self._text(self.x(value), HEIGHT - BOTTOM + 16, "middle", brief(value, share_x))
        self.line("base", (LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM))
        self._text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "middle", name)

    def line(self, css: str, a: tuple[float, float], b: tuple[float, float]) -> None:
        """Draws a line between two pixels."""
        self.parts.append(f'<line class="{css}" x1="{a[0]}" y1="{a[1]}" x2="{b[0]}" y2="{b[1]}"/>')

    def path(self, number: int, points: Points, *, steps: bool) -> None:
        """Draws a line through points, broken where a value is None; in `steps` it goes along y first."""
        path, before = "", False
        for x, y in points:
            if y is not None:
                path += f"M{self.x(x)} {self.y(y)}" if not before else f"V{self.y(y)}H{self.x(x)}" if steps else f"L{self.x(x)} {self.y(y)}"
            before = y is not None
        dense = " dense" if len(points) > DENSE else ""
        self.parts.append(f'<path class="line s{number % 4}{dense}" d="{path}"/>')

    def dots(self, number: int, points: Points, *, radius: float) -> None:
        """Marks the points that have a value."""
        places = [(self.x(x), self.y(y)) for x, y in points if y is not None]
        self.parts += [f'<circle class="dot s{number % 4}" cx="{x}" cy="{y}" r="{radius}"/>' for x, y in places]

    def svg(self, label: str) -> str:
        """The picture; `label` describes it for readers who cannot see it."""
        return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(label)}">{"".join(self.parts)}</svg>'

    def _text(self, x: float, y: float, anchor: str, shown: str) -> None:
        self.parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}">{text(shown)}</text>')


def ticks(span: Range, count: int) -> Iterator[float]:
    """Round places for marks in a range, about `count` of them."""
    rough = (span[1] - span[0]) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    for i in range(math.ceil(span[0] / step - 1e-9), math.floor(span[1] / step + 1e-9) + 1):
        yield float(f"{i * step:.12g}")


def brief(value: float, share: bool) -> str:
    """A number beside a mark."""
    return f"{100 * value:.4g}%" if share else f"{value:.4g}"


def extent(values: Sequence[float]) -> Range:
    """The lowest and the highest value, made a range even where there is one value or none."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low > max(1e-9 * max(abs(low), abs(high)), 1e-300):
        return low, high
    room = 0.1 * abs(low)
    return (low - room, high + room) if room > 1e-300 else (0.0, 1.0)
