"""`vivit_jax.compare`: the scores of several runs on the same videos, how certain they are, and what the runs cost."""

import itertools
import os
import pathlib
from collections.abc import Mapping, Sequence

from vivit_jax.analysis.environment import environment
from vivit_jax.console import warn
from vivit_jax.data.dataset import VideoDataset, open_dataset
from vivit_jax.errors import UserError, check_whole
from vivit_jax.files import at_home, real_path
from vivit_jax.preprocess import Views
from vivit_jax.runs.comparison.alignment import align
from vivit_jax.runs.comparison.contenders import Contender, open_contenders
from vivit_jax.runs.comparison.costs import Costs, costs_of, sum_of
from vivit_jax.runs.comparison.entries import make_entry, with_front
from vivit_jax.runs.comparison.pairs import compare_pairs
from vivit_jax.runs.comparison.predictions import AlignedPredictions
from vivit_jax.runs.comparison.result import Comparison
from vivit_jax.runs.comparison.scores import score
from vivit_jax.runs.comparison.units import FEW, Units, find_units
from vivit_jax.runs.comparison.write import write_comparison
from vivit_jax.statistics import LEVEL
from vivit_jax.statistics.bootstrap import RESAMPLES, SEED

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

    Returns:
      The comparison; `to_dict()` is what compare.json holds.

    Raises:
      UserError: for fewer than two runs, a wrong argument, or runs that were not evaluated on the same videos with the same labels.
    """
    paths, first = _with_baseline([at_home(run) for run in runs], None if baseline is None else at_home(baseline))
    out = None if out is None else at_home(out)
    _check(paths, resamples, seed, batch_size, out)
    contenders = open_contenders(paths, split, views)
    predictions = align(contenders)
    dataset = _dataset(contenders, data_dir)
    units = _units(predictions, dataset, groups, group, by_video=by_video)
    costs = costs_of(contenders, speed=speed, batch_size=batch_size)
    if ensemble:
        predictions, costs = _with_ensemble(predictions, costs)
    scores = score(predictions, units, resamples=resamples, seed=seed)
    against = None if first is None else contenders[first].name
    entries = [make_entry(scores, name, costs[name], contenders) for name in predictions.by_run]
    comparison = Comparison(
        predictions=predictions,
        entries=with_front(entries),
        pairs=tuple(compare_pairs(scores, _pairs(list(predictions.by_run), against))),
        baseline=against,
        units=units,
        level=LEVEL,
        resamples=resamples,
        seed=seed,
        environment=environment() if speed else None,
        batch_size=batch_size,
    )
    if out is not None:
        write_comparison(comparison, out, dataset)
    return comparison


def _check(paths: Sequence[pathlib.Path], resamples: int, seed: int, batch_size: int, out: pathlib.Path | None) -> None:
    if len(paths) < 2:
        raise UserError(f"a comparison needs at least two runs, got {len(paths)}")
    check_whole("resamples", resamples, 100)
    check_whole("seed", seed, 0)
    check_whole("batch_size", batch_size)
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file, and three files are written: give a folder")


def _with_baseline(paths: list[pathlib.Path], baseline: pathlib.Path | None) -> tuple[list[pathlib.Path], int | None]:
    """The paths, and the index of the baseline, which may be given by its name; one that is not among the paths is put first."""
    if baseline is None:
        return paths, None
    same = [i for i, path in enumerate(paths) if real_path(path) == real_path(baseline)]
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


def _units(
    predictions: AlignedPredictions, dataset: VideoDataset | None, groups: str | os.PathLike | None, group: str | None, *, by_video: bool
) -> Units:
    """What the bootstrap draws, with a warning if there are few."""
    units = find_units(predictions.videos, dataset, None if groups is None else pathlib.Path(groups), group, videos_alone=by_video)
    if units.count < FEW:
        warn(f"{units.count} {units.kind}s are few: the intervals are too narrow, and few differences can be shown")
    return units


def _with_ensemble(predictions: AlignedPredictions, costs: Mapping[str, Costs]) -> tuple[AlignedPredictions, dict[str, Costs]]:
    """Adds a run whose probabilities are the mean over all runs, and whose costs are their sum."""
    name = next(free for free in (ENSEMBLE, *(f"{ENSEMBLE} ({number})" for number in range(2, len(costs) + 3))) if free not in costs)
    return predictions.with_average(name, list(costs)), {**costs, name: sum_of(list(costs.values()))}


def _pairs(names: Sequence[str], baseline: str | None) -> list[tuple[str, str]]:
    """All pairs in order; or every other run against the baseline."""
    if baseline is not None:
        return [(name, baseline) for name in names if name != baseline]
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
