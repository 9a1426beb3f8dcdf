"""`vivit_jax.compare`: the scores of several runs on the same videos, how certain they are, and what the runs cost."""

import itertools
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from vivit_jax.analysis.average_precision import mean_average_precision
from vivit_jax.analysis.bootstrap import LEVEL, RESAMPLES, SEED, accuracy, bootstrap, interval
from vivit_jax.analysis.throughput import environment
from vivit_jax.console import warn
from vivit_jax.data.dataset import VideoDataset, open_dataset
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Views
from vivit_jax.runs.comparison.contenders import Contender, description, family_name, open_contenders
from vivit_jax.runs.comparison.costs import Costs, costs_of, sum_of
from vivit_jax.runs.comparison.lineup import Lineup, line_up
from vivit_jax.runs.comparison.pairs import compare_pairs
from vivit_jax.runs.comparison.pareto import on_front
from vivit_jax.runs.comparison.result import Comparison, Entry
from vivit_jax.runs.comparison.units import FEW, find_units
from vivit_jax.runs.comparison.write import write_comparison

BATCH_SIZE = 8
ENSEMBLE = "ensemble"


def compare(
    runs: Sequence[str | os.PathLike],
    *,
    out: str | os.PathLike | None = None,
    baseline: str | os.PathLike | None = None,
    split: str | None = None,
    views: Views | None = None,
    groups: str | os.PathLike | None = None,
    group: str | None = None,
    by_video: bool = False,
    ensemble: bool = False,
    speed: bool = True,
    batch_size: int = BATCH_SIZE,
    data_dir: str | os.PathLike | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Compares runs that were evaluated on the same videos.

    Examples:
      >>> comparison = compare(["runs/vivit", "runs/resnet"], out="comparison")
      >>> comparison.to_dict()["pairs"][0]["p_holm"]

    Args:
      runs: work directories, model directories with an evaluation in them, evaluation files or folders that hold one.
      out: a folder for compare.json, compare.md and compare.html; None writes nothing.
      baseline: compares every run with this one, which may be one of `runs`, instead of each with each.
      split: takes the evaluations on this split; None takes each run's own test.
      views: takes the evaluations with these views; None takes each run's own test.
      groups: a csv file of videos' names and groups, which are drawn whole; None takes those that the data set was prepared with.
      group: the column of the groups in that file; None is `group`.
      by_video: whether single videos are drawn even if the data set has groups.
      ensemble: whether to add a run, the mean of all runs' probabilities.
      speed: whether each network's speed and memory are measured on this device.
      batch_size: views at once in that measurement.
      data_dir: the folder of prepared data sets; None is the runs' own.
      resamples: draws of the bootstrap, at least 100.
      seed: seed of the draws.

    Raises:
      UserError: for fewer than two runs, or runs that were not evaluated on the same videos with the same labels.
    """
    paths, first = _with_baseline([pathlib.Path(run) for run in runs], None if baseline is None else pathlib.Path(baseline))
    if len(paths) < 2:
        raise UserError(f"a comparison needs at least two runs, got {len(paths)}")
    if resamples < 100:
        raise UserError(f"a bootstrap needs at least 100 draws, got {resamples}")
    contenders = open_contenders(paths, split, views)
    lineup = line_up(contenders)
    dataset = _dataset(contenders, data_dir)
    units = find_units(lineup.videos, dataset, None if groups is None else pathlib.Path(groups), group, videos_alone=by_video)
    if units.count < FEW:
        warn(f"{units.count} {units.kind}s are few: the intervals are too narrow, and few differences can be shown")
    costs = costs_of(contenders, speed=speed, batch_size=batch_size)
    against = None if first is None else contenders[first].name
    if ensemble:
        name = _free(ENSEMBLE, costs)
        lineup = lineup.with_average(name, list(costs))
        costs[name] = sum_of(list(costs.values()))
    names = list(lineup.answers)
    samples = bootstrap(_statistic(lineup), units.number, resamples=resamples, seed=seed)
    scores = dict(zip(names, _statistic(lineup)(np.ones((1, len(lineup.videos)), int))[0].tolist(), strict=True))
    by_name = dict(zip(names, samples.T, strict=True))
    pairs = compare_pairs(lineup, _pairs(names, against), scores, by_name, units.number)
    comparison = Comparison(
        lineup=lineup,
        entries=tuple(_entry(lineup, name, scores[name], interval(by_name[name]), costs, contenders) for name in names),
        pairs=tuple(pairs),
        baseline=against,
        units=units,
        level=LEVEL,
        resamples=resamples,
        seed=seed,
        environment=environment() if speed else None,
        batch_size=batch_size,
    )
    comparison = comparison.with_front(on_front(comparison.entries))
    if out is not None:
        write_comparison(comparison, pathlib.Path(out), dataset)
    return comparison


def _with_baseline(paths: list[pathlib.Path], baseline: pathlib.Path | None) -> tuple[list[pathlib.Path], int | None]:
    """The paths, and the index of the baseline, which may be given by its name; one that is not among the paths is put first."""
    if baseline is None:
        return paths, None
    same = [i for i, path in enumerate(paths) if path.resolve() == baseline.resolve()]
    if not same and not baseline.exists():
        same = [i for i, path in enumerate(paths) if path.name == str(baseline)]
        if len(same) != 1:
            raise UserError(f"--baseline {baseline} is neither one of the runs ({', '.join(map(str, paths))}) nor the path of another")
    return (paths, same[0]) if same else ([baseline, *paths], 0)


def _dataset(contenders: Sequence[Contender], data_dir: str | os.PathLike | None) -> VideoDataset | None:
    """The data set of the videos, if it is still in `data_dir` or the folder that a run names."""
    folders = [data_dir] if data_dir else [contender.run.experiment.data.data_dir for contender in contenders if contender.run]
    names = {contender.evaluation.get("name", "") for contender in contenders}
    for folder, name in itertools.product(dict.fromkeys(folders or [None]), sorted(names)):
        try:
            return open_dataset(name, folder)
        except UserError:
            if data_dir and len(names) == 1:
                raise
    return None


def _free(name: str, taken: Mapping[str, object]) -> str:
    return next(free for free in (name, *(f"{name} ({n})" for n in range(2, len(taken) + 3))) if free not in taken)


def _statistic(lineup: Lineup) -> object:
    if lineup.multi_label:
        return mean_average_precision([answers.probabilities[""] for answers in lineup.answers.values()], lineup.label[""])
    return accuracy(np.stack([lineup.right(name) for name in lineup.answers], axis=1).astype(np.float64))


def _pairs(names: Sequence[str], baseline: str | None) -> list[tuple[str, str]]:
    """All pairs in order; or every other run against the baseline."""
    if baseline is not None:
        return [(name, baseline) for name in names if name != baseline]
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]


def _entry(
    lineup: Lineup,
    name: str,
    score: float,
    of_score: tuple[float, float],
    costs: Mapping[str, Costs],
    contenders: Sequence[Contender],
) -> Entry:
    contender = next((one for one in contenders if one.name == name), None)
    right = lineup.right(name)
    heads = {head: float(lineup.right(name, head).mean()) for head in lineup.classes} if len(lineup.classes) > 1 else {}
    common = {
        "name": name,
        "score": score,
        "low": of_score[0],
        "high": of_score[1],
        "right": int(right.sum()),
        "heads": heads,
        "costs": costs[name],
    }
    if contender is None:
        members = tuple(one.name for one in contenders)
        return Entry(**common, members=members, top5=_top5(lineup, name))
    return Entry(
        **common,
        path=str(contender.path),
        family=family_name(contender.model),
        model=description(contender.model),
        views=contender.views,
        step=contender.evaluation.get("step"),
        top5=_finite(contender.evaluation["top5"]),
        loss=_finite(contender.evaluation["loss"]),
    )


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
