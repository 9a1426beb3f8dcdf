"""The figures of a comparison, in the style of a report's."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from vivit_jax.runs.comparison.result import Entry
from vivit_jax.runs.plots import COLOURS, INK, new_figure, shortened, uri

FRONT, OTHER = COLOURS[1], COLOURS[0]
LETTERS = 20  # of a run's name beside its interval
SAME = 1.001  # a ratio of costs that no figure would tell from 1
NEAR = 0.02  # costs that differ by less are drawn beside each other
STEP = 9  # points from one of them to the next


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
    """Scores with their intervals over what a run costs; None where fewer than two costs are known, or all are the same.

    Args:
      ranked: the best run first.
      cost: gives the cost of a run.
      xlabel: what that is.
      score: what the score is.
      joined: whether a line joins the runs on the Pareto front.
    """
    known = [(number, entry, cost(entry)) for number, entry in enumerate(ranked, start=1)]
    known = [(number, entry, value) for number, entry, value in known if value]
    costs = [value for *_, value in known]
    if len(known) < 2 or max(costs) / min(costs) < SAME:
        return None
    with new_figure() as figure:
        axes = figure.subplots()
        for (number, entry, x), aside in zip(known, _aside(costs), strict=True):
            moved = axes.transData + ScaledTranslation(aside / 72, 0, figure.dpi_scale_trans)
            _with_interval(axes, entry, (x, 100 * entry.score), horizontal=False, transform=moved)
            axes.update_datalim([(x, 100 * entry.low), (x, 100 * entry.high)])  # a moved artist does not
            axes.annotate(str(number), (x, 100 * entry.score), (5 + aside, 4), textcoords="offset points", fontsize=8)
        if joined:
            front = sorted((x, 100 * entry.score) for _, entry, x in known if entry.on_front)
            axes.plot([x for x, _ in front], [y for _, y in front], color=FRONT, linewidth=1, linestyle="--", zorder=1)
        axes.set_xscale("log")
        wide = max(costs) / min(costs) > 100
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))  # a narrow axis may hold no power of ten
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.12)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(f"{score} in per cent")
        axes.grid(True)
        return uri(figure)


def _with_interval(axes: Axes, entry: Entry, place: tuple[float, float], *, horizontal: bool, **options: object) -> None:
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
        **options,
    )


def _aside(values: Sequence[float]) -> list[float]:
    """How far each point is drawn from its place, in points: those of nearly the same cost would hide each other."""
    moved = []
    for i, value in enumerate(values):
        near = [j for j, other in enumerate(values) if abs(other / value - 1) < NEAR]
        moved.append(STEP * (near.index(i) - (len(near) - 1) / 2))
    return moved
