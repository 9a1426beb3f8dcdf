"""Makes the entries of a comparison, one for each run."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from vivit_jax.errors import printable
from vivit_jax.runs.comparison.contenders import Contender
from vivit_jax.runs.comparison.costs import Costs
from vivit_jax.runs.comparison.predictions import AlignedPredictions
from vivit_jax.runs.comparison.result import Entry
from vivit_jax.runs.comparison.scores import Scores
from vivit_jax.runs.record import description
from vivit_jax.statistics.bootstrap import interval


def make_entry(scores: Scores, name: str, costs: Costs, contenders: Sequence[Contender]) -> Entry:
    """The entry of the run of this name, which is the ensemble if no contender has it."""
    predictions = scores.predictions
    low, high = interval(scores.samples[name])
    heads = {head: float(predictions.right(name, head).mean()) for head in predictions.classes} if len(predictions.classes) > 1 else {}
    right = int(predictions.right(name).sum())
    common = {"name": name, "score": scores.score[name], "low": low, "high": high, "right": right, "heads": heads, "costs": costs}
    contender = next((one for one in contenders if one.name == name), None)
    if contender is None:
        return Entry(**common, members=tuple(one.name for one in contenders), top5=_top5(predictions, name))
    return Entry(
        **common,
        path=printable(str(contender.path)),
        family=contender.model and contender.model.family,
        model=contender.model and description(contender.model),
        views=contender.views,
        seen=contender.seen,
        step=contender.evaluation.get("step"),
        top5=_finite(contender.evaluation["top5"]),
        loss=_finite(contender.evaluation["loss"]),
    )


def with_front(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries, with those marked that are on the Pareto front of score against GMAC a video; runs of unknown cost are not on it."""
    known = [entry for entry in entries if entry.costs.gmac_video is not None]
    front = [entry for entry in known if not any(_beats(other, entry) for other in known)]
    return tuple(dataclasses.replace(entry, on_front=entry in front) for entry in entries)


def _beats(a: Entry, b: Entry) -> bool:
    """Whether a run is as good as another for less, or better for as much."""
    as_good = a.score >= b.score and a.costs.gmac_video <= b.costs.gmac_video
    return as_good and (a.score > b.score or a.costs.gmac_video < b.costs.gmac_video)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _top5(predictions: AlignedPredictions, name: str) -> float | None:
    """The share of videos that have a label among the ensemble's five most probable classes; None for several heads."""
    if list(predictions.classes) != [""]:
        return None
    probabilities: Float[np.ndarray, "n classes"] = predictions.by_run[name].probabilities[""]
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    label = predictions.label[""]
    right = best == label[:, None] if label.ndim == 1 else np.take_along_axis(label, best, axis=1)
    return float(right.any(axis=1).mean())
