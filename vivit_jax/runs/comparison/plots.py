"""The figures of a comparison, in the style of a report's."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from vivit_jax.runs.comparison.result import Entry
from vivit_jax.runs.plots import COLOURS, INK, new_figure, shortened, uri

FRONT, OTHER = COLOURS[1], COLOURS[0]
LETTERS = 20  # of a run's name beside its interval


def intervals(ranked: Sequence[Entry], *, score: str) -> str:
    """Each run's score with its interval, the best on top, numbered by rank."""
    with new_figure(height=0.9 + 0.3 * len(ranked)) as figure:
        axes = figure.subplots()
        for y, entry in enumerate(ranked):
            _with_interval(axes, entry, (100 * entry.score, y), horizontal=True)
        axes.set_yticks(
            range(len(ranked)), [f"{shortened(entry.name, LETTERS)}  {n}" for n, entry in enumerate(ranked, 1)], parse_math=False
        )
        axes.set_ylim(len(ranked) - 0.5, -0.5)
        axes.set_xlabel(f"{score} in per cent")
        axes.grid(True, axis="x")
        return uri(figure)


def against_cost(ranked: Sequence[Entry], cost: Callable[[Entry], float | None], *, xlabel: str, score: str, joined: bool) -> str | None:
    """Scores with their intervals over what a run costs; None where fewer than two costs are known.

    Args:
      ranked: the best run first.
      cost: gives the cost of a run.
      xlabel: what that is.
      score: what the score is.
      joined: whether a line joins the runs on the Pareto front.
    """
    known = [(number, entry, cost(entry)) for number, entry in enumerate(ranked, start=1)]
    known = [(number, entry, value) for number, entry, value in known if value]
    if len(known) < 2:
        return None
    places = _apart([value for *_, value in known])
    with new_figure() as figure:
        axes = figure.subplots()
        for (number, entry, _), x in zip(known, places, strict=True):
            _with_interval(axes, entry, (x, 100 * entry.score), horizontal=False)
            axes.annotate(str(number), (x, 100 * entry.score), (5, 4), textcoords="offset points", fontsize=8)
        if joined:
            front = sorted((x, 100 * entry.score) for (_, entry, _), x in zip(known, places, strict=True) if entry.on_front)
            axes.plot([x for x, _ in front], [y for _, y in front], color=FRONT, linewidth=1, linestyle="--", zorder=1)
        axes.set_xscale("log")
        wide = max(places) / min(places) > 100
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))  # a narrow axis may hold no power of ten
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.12)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(f"{score} in per cent")
        axes.grid(True)
        return uri(figure)


def _with_interval(axes: Axes, entry: Entry, place: tuple[float, float], *, horizontal: bool) -> None:
    around = [[max(0.0, 100 * (entry.score - entry.low))], [max(0.0, 100 * (entry.high - entry.score))]]
    axes.errorbar(
        *place,
        **{"xerr" if horizontal else "yerr": around},
        fmt="o" if not entry.members else "D",
        color=FRONT if entry.on_front else OTHER,
        markerfacecolor=FRONT if entry.on_front else "none",
        ecolor=INK,
        elinewidth=1.2,
        capsize=2.5,
        markersize=5,
        zorder=2,
    )


def _apart(values: Sequence[float]) -> list[float]:
    """The places of values on a logarithmic axis, where those that differ by less than 2 % are drawn beside each other."""
    placed = []
    for i, value in enumerate(values):
        same = [j for j, other in enumerate(values) if abs(other / value - 1) < 0.02]
        placed.append(value * 1.03 ** (same.index(i) - (len(same) - 1) / 2))
    return placed
