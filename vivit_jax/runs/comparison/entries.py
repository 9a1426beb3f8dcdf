"""The scores of the runs of a comparison, and what is said of each run."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from vivit_jax.analysis.average_precision import mean_average_precision
from vivit_jax.analysis.bootstrap import Statistic, accuracy, bootstrap, interval
from vivit_jax.errors import printable
from vivit_jax.runs.comparison.contenders import Contender, description, family_name
from vivit_jax.runs.comparison.costs import Costs
from vivit_jax.runs.comparison.lineup import Lineup
from vivit_jax.runs.comparison.result import Entry
from vivit_jax.runs.comparison.units import Units


def score(
    lineup: Lineup, units: Units, *, resamples: int, seed: int
) -> tuple[dict[str, float], dict[str, Float[np.ndarray, " resamples"]]]:
    """The score of each run by its name, in 0..1, and its scores in the draws of the bootstrap, which all runs share."""
    names, statistic = list(lineup.answers), _statistic(lineup)
    samples = bootstrap(statistic, units.number, resamples=resamples, seed=seed)
    scores = statistic(np.ones((1, len(lineup.videos)), int))[0].tolist()
    return dict(zip(names, scores, strict=True)), dict(zip(names, samples.T, strict=True))


def _statistic(lineup: Lineup) -> Statistic:
    """Top-1, or mean average precision if videos may have several classes."""
    if lineup.multi_label:
        return mean_average_precision([answers.probabilities[""] for answers in lineup.answers.values()], lineup.label[""])
    return accuracy(np.stack([lineup.right(name) for name in lineup.answers], axis=1).astype(np.float64))


def make_entry(
    lineup: Lineup,
    name: str,
    score: float,
    samples: Float[np.ndarray, " resamples"],
    costs: Costs,
    contenders: Sequence[Contender],
) -> Entry:
    """What is said of the run of this name, which is the ensemble if no contender has it.

    Args:
      lineup: what each run predicted.
      name: the run's.
      score: its score.
      samples: its scores in the draws of the bootstrap.
      costs: what it costs.
      contenders: the runs that are compared.
    """
    low, high = interval(samples)
    heads = {head: float(lineup.right(name, head).mean()) for head in lineup.classes} if len(lineup.classes) > 1 else {}
    right = int(lineup.right(name).sum())
    common = {"name": name, "score": score, "low": low, "high": high, "right": right, "heads": heads, "costs": costs}
    contender = next((one for one in contenders if one.name == name), None)
    if contender is None:
        return Entry(**common, members=tuple(one.name for one in contenders), top5=_top5(lineup, name))
    return Entry(
        **common,
        path=printable(str(contender.path)),
        family=family_name(contender.model),
        model=description(contender.model),
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


def _top5(lineup: Lineup, name: str) -> float | None:
    """The share of videos that have a label among the ensemble's five most probable classes; None for several heads."""
    if list(lineup.classes) != [""]:
        return None
    probabilities: Float[np.ndarray, "n classes"] = lineup.answers[name].probabilities[""]
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    label = lineup.label[""]
    right = best == label[:, None] if label.ndim == 1 else np.take_along_axis(label, best, axis=1)
    return float(right.any(axis=1).mean())
