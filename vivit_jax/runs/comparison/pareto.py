"""Which runs nobody beats: no other is as good for less, nor better for as much."""

from collections.abc import Sequence

from vivit_jax.runs.comparison.result import Entry


def on_front(entries: Sequence[Entry]) -> frozenset[str]:
    """The names of the runs on the Pareto front of score against GMAC a video; those whose cost is not known are on none."""
    known = [entry for entry in entries if entry.costs.gmac_video is not None]
    return frozenset(entry.name for entry in known if not any(_beats(other, entry) for other in known))


def _beats(a: Entry, b: Entry) -> bool:
    as_good = a.score >= b.score and a.costs.gmac_video <= b.costs.gmac_video
    return as_good and (a.score > b.score or a.costs.gmac_video < b.costs.gmac_video)
