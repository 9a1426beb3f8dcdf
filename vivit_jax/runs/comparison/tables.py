"""The tables of a comparison as text cells, for the terminal, the markdown and the page."""

import dataclasses
from collections.abc import Callable

from vivit_jax.console import counted
from vivit_jax.heads import top5_is_informative
from vivit_jax.runs.comparison.pairs import Pair
from vivit_jax.runs.comparison.result import Comparison, Entry
from vivit_jax.runs.effort import UNKNOWN, duration
from vivit_jax.runs.pages.tables import Column

ALPHA = 0.05  # a difference counts as shown if its p is below this


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of texts; the first column names the row.

    Attributes:
      columns: its columns.
      rows: its rows, one text for each column.
      marked: the indices of the rows to emphasise.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()


def runs_table(comparison: Comparison) -> Table:
    """A row for each run, the best first; those on the Pareto front are marked. Columns without any value are left out."""
    columns = [(column, cell) for column, cell in _run_columns(comparison) if any(cell(entry) != UNKNOWN for entry in comparison.entries)]
    ranked = comparison.ranked
    rows = tuple(tuple(cell(entry) for _, cell in columns) for entry in ranked)
    return Table(tuple(column for column, _ in columns), rows, frozenset(i for i, entry in enumerate(ranked) if entry.on_front))


def pairs_table(comparison: Comparison) -> Table:
    """A row for each pair, the surest difference first; those whose corrected p is below 0.05 are marked."""
    pairs = sorted(comparison.pairs, key=lambda pair: (pair.p_holm, pair.p, -abs(pair.difference)))
    columns = _pair_columns(comparison)
    rows = tuple(tuple(cell(pair) for _, cell in columns) for pair in pairs)
    return Table(tuple(column for column, _ in columns), rows, frozenset(i for i, pair in enumerate(pairs) if pair.p_holm < ALPHA))


def verdict(comparison: Comparison) -> str:
    """The conclusion of the tables, in two sentences."""
    best, shown = comparison.ranked[0], [pair for pair in comparison.pairs if pair.p_holm < ALPHA]
    ties = [entry.name for entry in comparison.ranked if entry.score == best.score]
    first = f"{best.name} scores highest" if len(ties) == 1 else f"{', '.join(ties)} score the same, and highest"
    if len(comparison.pairs) == 1:
        (pair,) = comparison.pairs
        second = "the difference is more than chance gives" if shown else "chance alone could give a difference like this"
        return f"{first}: {percent(best.score)}. By {comparison.test} {second} ({p_text(pair.p)})."
    pairs = f"{len(shown)} of {len(comparison.pairs)} pairs" + (f" with {comparison.baseline}" if comparison.baseline else "")
    return f"{first}: {percent(best.score)}. {pairs} differ by more than chance gives ({comparison.test}, corrected p below {ALPHA})."


def method(comparison: Comparison) -> list[str]:
    """How the figures were made, one item a sentence or two."""
    draws = f"{comparison.resamples:,} draws (seed {comparison.seed})"
    said = [
        f"Intervals: {comparison.level:.0%}, by a bootstrap of {draws} over {comparison.units}.",
        f"p: {comparison.test}, two-sided; corrected by Holm for {counted(len(comparison.pairs), 'test')}.",
    ]
    if comparison.environment:
        device = comparison.environment["device"]
        said.append(
            f"Speed and memory: one {device}, measured in turns in this call, {comparison.batch_size} views at once, one network after "
            "another in every round."
        )
    if any(entry.members for entry in comparison.entries):
        said.append("An ensemble is the mean of the runs' probabilities; it costs what they cost together.")
    return said


def percent(value: float | None, digits: int = 1) -> str:
    """A share in 0..1 as per cent."""
    return UNKNOWN if value is None else f"{100 * value:.{digits}f}%"


def p_text(value: float) -> str:
    """A p value with its sign."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _run_columns(comparison: Comparison) -> list[tuple[Column, Callable[[Entry], str]]]:
    score = "mAP" if comparison.metric == "mAP" else "top-1"
    rank = {entry.name: str(number) for number, entry in enumerate(comparison.ranked, start=1)}
    several = [
        (Column(f"top-1 {head}", f"Share of the videos that head {head} gets right."), _of_head(head))
        for head in comparison.predictions.classes
        if head
    ]
    plain = [
        (Column("top-1", "Share of the videos whose most probable class is one of theirs."), lambda entry: percent(entry.right / examples))
    ]
    top5 = [(Column("top-5", "Share of the videos with a label among the five most probable."), lambda entry: percent(entry.top5))]
    examples = len(comparison.predictions.videos)
    meaning = "Mean average precision over the classes." if score == "mAP" else "Share of the videos whose most probable class is right."
    return [
        (Column("run", "Its name; those on the Pareto front are bold.", number=False), lambda entry: entry.name),
        (Column("#", "Its rank by score, and its number in the figures."), lambda entry: rank[entry.name]),
        (Column(score, meaning), lambda entry: percent(entry.score)),
        (Column(f"{comparison.level:.0%} interval", "How far the score could differ on other videos."), _interval),
        *several,
        *(plain if score == "mAP" else []),
        *(top5 if top5_is_informative(comparison.predictions.classes.values()) else []),
        (Column("M params", "Millions of parameters."), lambda entry: _scaled(entry.costs.parameters, 1e6)),
        (
            Column("GMAC/video", "Billions of multiply-accumulates for a video, all its views."),
            lambda entry: _scaled(entry.costs.gmac_video, 1),
        ),
        (
            Column("views/s", "Views that the network computes in a second on this device."),
            lambda entry: _scaled(entry.costs.clips_per_second, 1),
        ),
        (Column("videos/s", "The same in videos, all their views."), lambda entry: _scaled(entry.costs.videos_per_second, 1)),
        (
            Column("peak MB", "The most memory of the device that the compiled batch takes."),
            lambda entry: _scaled(entry.costs.memory_bytes, 1e6),
        ),
        (
            Column("trained", "Time of its training steps, without compiling and validating."),
            lambda entry: duration(entry.costs.training_seconds),
        ),
    ]


def _pair_columns(comparison: Comparison) -> list[tuple[Column, Callable[[Pair], str]]]:
    single = not comparison.predictions.multi_label
    corrected = "The same, corrected for all tests of this table." if len(comparison.pairs) > 1 else "The same: there is one test."
    return [
        (Column("a", "One run.", number=False), lambda pair: pair.a),
        (Column("b", "The other.", number=False), lambda pair: pair.b),
        (Column("a - b", "Score of a less that of b, in percentage points."), lambda pair: _points(pair.difference)),
        (
            Column(f"{comparison.level:.0%} interval", "Of the difference: both runs are scored on the same draws."),
            lambda pair: f"{_points(pair.low)} to {_points(pair.high)}",
        ),
        (Column("only a", "Videos that a alone is right about."), lambda pair: str(pair.only_a)),
        (Column("only b", "Videos that b alone is right about."), lambda pair: str(pair.only_b)),
        (Column("p", f"Chance of so uneven a result between runs that are equally good: {comparison.test}."), lambda pair: _p(pair.p)),
        *([] if not single else [(Column("p bootstrap", "The same by the paired bootstrap."), lambda pair: _p(pair.bootstrap_p))]),
        (Column("p Holm", corrected), lambda pair: _p(pair.p_holm)),
        (Column("agree", "Share of the videos that both say the same of, right or wrong."), lambda pair: percent(pair.agreement)),
        (Column("kappa", "The same beyond chance (Cohen): 1 is always, 0 as by chance."), lambda pair: kappa_text(pair.kappa)),
    ]


def kappa_text(value: float | None) -> str:
    """Cohen's kappa with two digits."""
    return UNKNOWN if value is None else f"{value:.2f}"


def _of_head(head: str) -> Callable[[Entry], str]:
    return lambda entry: percent(entry.heads.get(head))


def _interval(entry: Entry) -> str:
    return f"{100 * entry.low:.1f} to {100 * entry.high:.1f}%"


def _scaled(value: float | None, unit: float) -> str:
    """A number with three or more digits, without an exponent."""
    if value is None:
        return UNKNOWN
    value /= unit
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.001 else "< 0.001"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
