"""Charts of a page: a drawing that `static/charts.js` makes interactive, the data as JSON, and the values as a table."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

from vivit_jax.runs.pages.drawing import Drawing, Range, brief, extent
from vivit_jax.runs.pages.page import text, visible
from vivit_jax.runs.pages.tables import Cell, Column, table

SCRIPT = "charts.js"
POINTS = 2000  # the most that a line is drawn with; a longer one keeps the lowest and the highest of every few
DOTS = 40  # the most points of a line that are marked
ROWS = 40  # the most in a chart's table


@dataclasses.dataclass(frozen=True)
class Series:
    """A line of a chart.

    Attributes:
      name: its name in the legend; empty where there is one line alone.
      x: places along the horizontal axis.
      y: values there; None is a gap.
      low: the lower ends of the values' intervals; empty without.
      high: their upper ends.
      beside: more to say of each point, as texts by name.
      steps: whether the line goes along y first, and then along x: a value holds from the place before to its own.
      dots: whether points are marked; None leaves that to their number.
      line: whether a line joins the points.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    beside: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    steps: bool = False
    dots: bool | None = None
    line: bool = True

    @property
    def lone(self) -> bool:
        """Whether the points stand for themselves."""
        return len(self.x) == 1 or not self.line

    @property
    def known(self) -> list[float]:
        """The values without the gaps."""
        return [value for value in self.y if value is not None]


@dataclasses.dataclass(frozen=True)
class Axis:
    """An axis of a chart.

    Attributes:
      name: what it shows.
      share: whether its values are shares in 0..1: the axis then spans that range, in per cent, and not what the values need.
    """

    name: str
    share: bool = False

    @property
    def range(self) -> Range | None:
        """(low, high); None is as the values need."""
        return (0.0, 1.0) if self.share else None


@dataclasses.dataclass(frozen=True)
class Chart:
    """Lines over a common axis.

    Attributes:
      title: what it shows.
      x: the horizontal axis.
      y: the vertical axis.
      series: the lines.
      log: whether readers may choose a logarithmic y.
      diagonal: the y of a reference line at x 0 and 1; None draws none.
      note: a sentence under the chart.
    """

    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    log: bool = False
    diagonal: Range | None = None
    note: str = ""


def chart(content: Chart, name: str) -> str:
    """A chart as HTML; `name` is its id on the page."""
    longest = max(len(series.x) for series in content.series)
    content = dataclasses.replace(content, series=[_thinned(series) for series in content.series])
    told = [content.note] if content.note else []
    if longest > POINTS:
        told.append(f"Of {longest:,} {content.x.name}s those are drawn where a line is highest or lowest among its neighbours.")
    note = f'<p class="note">{text(" ".join(told))}</p>' if told else ""
    title = f'<figcaption class="head"><span id="title-{name}">{text(content.title)}</span></figcaption>'
    return (
        f'<figure class="chart" id="{name}" aria-labelledby="title-{name}">{title}{_legend(content)}'
        f'<div class="drawing">{_drawn(content)}</div>{note}{_values(content)}'
        f'<script type="application/json">{_json(content)}</script></figure>'
    )


def _drawn(chart: Chart) -> str:
    drawing = Drawing(
        chart.x.range or extent([value for series in chart.series for value in series.x]), chart.y.range or _room(chart.series)
    )
    drawing.axes(chart.x.name, share_x=chart.x.share, share_y=chart.y.share)
    if chart.diagonal:
        drawing.line("diagonal", (drawing.x(0), drawing.y(chart.diagonal[0])), (drawing.x(1), drawing.y(chart.diagonal[1])))
    for number, series in enumerate(chart.series):
        points = list(zip(series.x, series.y, strict=True))
        if series.line:
            drawing.path(number, points, steps=series.steps)
        if len(series.x) <= DOTS if series.dots is None else series.dots:
            drawing.dots(number, points, radius=4.5 if series.lone else 2.8)
        for x, low, high in zip(series.x, series.low, series.high, strict=False):
            drawing.line(f"whisker s{number % 4}", (drawing.x(x), drawing.y(low)), (drawing.x(x), drawing.y(high)))
    return drawing.svg(f"{chart.title}. {' '.join(_summary(chart, series) for series in chart.series)}")


def _room(series: Sequence[Series]) -> Range:
    low, high = extent([value for one in series for value in one.known])
    room = 0.06 * (high - low)
    return (0.0 if low >= 0 else low - room), high + room


def _summary(chart: Chart, series: Series) -> str:
    """What a line does, for readers who cannot see it."""
    if not series.known:
        return ""
    points = [(y, x) for x, y in zip(series.x, series.y, strict=True) if y is not None]
    if len(points) == 1:
        ((y, x),) = points
        return f"{series.name or chart.y.name}: {brief(y, chart.y.share)} at {chart.x.name} {brief(x, chart.x.share)}."
    (low, at_low), (high, at_high) = min(points), max(points)
    ends = f"from {brief(points[0][0], chart.y.share)} to {brief(points[-1][0], chart.y.share)}"
    lowest, highest = (
        f"{brief(y, chart.y.share)} at {chart.x.name} {brief(x, chart.x.share)}" for y, x in ((low, at_low), (high, at_high))
    )
    return f"{series.name or chart.y.name}: {ends}, lowest {lowest}, highest {highest}."


def _legend(chart: Chart) -> str:
    keys = [
        f'<span class="entry"><span class="key s{number % 4}{" lone" if series.lone else ""}"></span>{text(series.name)}</span>'
        for number, series in enumerate(chart.series)
        if series.name
    ]
    return f'<div class="legend">{"".join(keys)}</div>'


def _values(chart: Chart) -> str:
    """The values as a table: of many steps those where the line with the fewest points has one, and others evenly between."""
    places = sorted({x for series in chart.series for x in series.x})
    if len(places) > ROWS:
        few = [set(series.x) for series in chart.series if len(series.x) <= ROWS // 2]
        places = sorted(set().union(*few) | {places[round(i * (len(places) - 1) / (ROWS // 2 - 1))] for i in range(ROWS // 2)})
    by_place = [dict(zip(series.x, series.y, strict=True)) for series in chart.series]
    rows = [
        [
            Cell(_number(x, chart.x.share), x),
            *(Cell("" if (y := values.get(x)) is None else _number(y, chart.y.share), y) for values in by_place),
        ]
        for x in places
    ]
    columns = [Column(chart.x.name), *(Column(series.name or chart.y.name) for series in chart.series)]
    return f"<details><summary>Values</summary>{table(columns, rows, chart.title + ': values', hidden_caption=True)}</details>"


def _number(value: float, share: bool) -> str:
    return f"{value:.2%}" if share else f"{value:.6g}"


def _json(chart: Chart) -> str:
    """The data for the script, with all digits. No `<` can end the element that holds it."""
    series = [
        {"name": visible(one.name), "x": list(one.x), "y": list(one.y), "steps": one.steps, "dots": one.dots, "line": one.line}
        | ({"low": list(one.low), "high": list(one.high)} if one.low else {})
        | ({"beside": dict(one.beside)} if one.beside else {})
        for one in chart.series
    ]
    axes = {name: {"name": axis.name, "share": axis.share, "range": axis.range} for name, axis in (("x", chart.x), ("y", chart.y))}
    return json.dumps({**axes, "series": series, "log": chart.log, "diagonal": chart.diagonal}, allow_nan=False).replace("<", "\\u003c")


def _thinned(series: Series) -> Series:
    """A line of at most POINTS points: of every few neighbours the lowest and the highest, and all gaps' places."""
    count = len(series.x)
    if count <= POINTS:
        return series
    chosen, size = {0, count - 1}, -(-2 * count // (POINTS - 2))
    for first in range(0, count, size):
        known = [i for i in range(first, min(first + size, count)) if series.y[i] is not None]
        chosen |= {min(known, key=series.y.__getitem__), max(known, key=series.y.__getitem__)} if known else {first}

    def kept(values: Sequence) -> list:
        return [values[i] for i in sorted(chosen)] if len(values) else []

    beside = {name: kept(values) for name, values in series.beside.items()}
    return dataclasses.replace(series, x=kept(series.x), y=kept(series.y), low=kept(series.low), high=kept(series.high), beside=beside)
