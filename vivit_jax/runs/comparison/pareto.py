"""Which runs are on the Pareto front: no other run is as good for less, or better for as much."""

from collections.abc import Sequence

from vivit_jax.runs.comparison.result import Entry


def on_front(entries: Sequence[Entry]) -> frozenset[str]:
    """The names of the runs on the Pareto front of score against GMAC a video; runs of unknown cost are not on it."""
    known = [entry for entry in entries if entry.costs.gmac_video is not None]
    return frozenset(entry.name for entry in known if not any(_beats(other, entry) for other in known))


def _beats(a: Entry, b: Entry) -> bool:
    as_good = a.score >= b.score and a.costs.gmac_video <= b.costs.gmac_video
    return as_good and (a.score > b.score or a.costs.gmac_video < b.costs.gmac_video)
