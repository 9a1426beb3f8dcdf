"""Cross-validation: a run for each fold of a data set, tested on the clips that it was not trained on, and what the scores say together."""

import dataclasses
import math
import os
import pathlib
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from scipy.special import stdtrit  # Student's quantiles of scipy.stats, which takes most of a second to import

from vivit_jax import console
from vivit_jax.atomic import write_json
from vivit_jax.config import Experiment
from vivit_jax.data.folds import MARK, Folds
from vivit_jax.errors import UserError
from vivit_jax.files import first_free
from vivit_jax.runs.train import checked_dataset, train
from vivit_jax.runs.workdir import ASIDE, Workdir
from vivit_jax.statistics import LEVEL
from vivit_jax.training.devices.executors import make_executor
from vivit_jax.training.devices.hosts import join
from vivit_jax.training.evaluation import Evaluation

RESULT = "folds.json"


@dataclasses.dataclass(frozen=True)
class FoldPlan:
    """How a data set is divided.

    Attributes:
      count: how many folds.
      group: the column of the list of clips by whose values clips stay together in a fold; None is `group`, or else `source`.
      seed: another seed makes other folds.
      validate: whether the fold after the one that is tested is left out of training too, and chooses the model.
    """

    count: int
    group: str | None = None
    seed: int = 0
    validate: bool = False

    def __post_init__(self) -> None:
        if self.count < 2 + self.validate:
            raise UserError(
                f"--folds must be at least {2 + self.validate}{' with --fold_validation' if self.validate else ''}, got {self.count}"
            )

    def splits(self, number: int) -> dict[str, str | None]:
        """The splits of the run that is tested on fold `number`, as keys of the section `data`."""
        after = number % self.count + 1
        left_out = (number, after) if self.validate else (number,)
        return {
            "train_split": self._named(tuple(sorted(left_out)), inside=False),
            "val_split": self._named((after,), inside=True) if self.validate else None,
            "test_split": self._named((number,), inside=True),
        }

    def applied_to(self, experiment: Experiment, number: int) -> Experiment:
        """The experiment of the run that is tested on fold `number`."""
        data = dataclasses.replace(experiment.data, **self.splits(number))
        return dataclasses.replace(experiment, data=data, name=f"{experiment.name}, fold {number}")

    def _named(self, numbers: tuple[int, ...], *, inside: bool) -> str:
        return f"all{MARK}{Folds(numbers, self.count, inside, self.group, self.seed)}"


def train_folds(experiment: Experiment, workdir: str | os.PathLike, plan: FoldPlan, **options: object) -> dict:
    """Trains and tests a run for each fold in `workdir/fold-1` and so on, and writes `workdir/folds.json`. Called again, it goes on.

    Args:
      experiment: what each run is, but for its splits, which are those of the folds.
      workdir: the folder of the runs.
      plan: how the data set is divided.
      **options: as for `train`.

    Returns:
      What `folds.json` holds: `folds`, `group`, `seed`; `runs`, each with its `fold`, `workdir`, numbers of clips, and `scores`, of
      several heads also the `HEAD/top1` of each; the `mean` of each score over the folds, its `std` (with n - 1), and the `interval` of the
      mean by Student's t, cut off at the ends of the score's range; and `pooled`, the top-1 over all clips as one test.

    Raises:
      UserError: for an experiment that cannot work, or folds that the data set does not have.
    """
    workdir = pathlib.Path(workdir)
    if (workdir / "config.json").exists():
        raise UserError(f"--workdir {workdir} holds a single run: give a new --workdir for the runs of the folds")
    if not plan.validate and experiment.evaluation.patience is not None:
        raise UserError("evaluation.patience needs clips to validate on: give --fold_validation")
    restart = options.pop("restart", False)
    join(*(options.get(name) for name in ("coordinator", "processes", "process")))
    sizes = _sizes(experiment, plan)
    if restart:
        _put_aside(workdir, plan)
    runs = []
    for number, clips in enumerate(sizes, start=1):
        console.say(f"fold {number} of {plan.count}: {clips['train_split']} clips to train on, {clips['test_split']} to test", style="bold")
        scores = train(plan.applied_to(experiment, number), workdir / f"fold-{number}", **options)
        runs.append(_record(number, clips, scores))
    hits, tested = sum(run["hits"] for run in runs), sum(run["test"] for run in runs)
    pooled = {"top1": hits / tested, "hits": hits, "examples": tested}
    how = {"folds": plan.count, "group": plan.group, "seed": plan.seed}
    result = how | {"runs": runs} | summarised([run["scores"] for run in runs]) | {"pooled": pooled}
    if jax.process_index() == 0:
        write_json(workdir / RESULT, result)
    return result


def _sizes(experiment: Experiment, plan: FoldPlan) -> list[dict[str, int]]:
    """The numbers of clips of each fold by split, from the data set, once it is known that the experiment can work on it."""
    dataset = checked_dataset(plan.applied_to(experiment, 1), make_executor(experiment.parallel))
    splits = [plan.splits(number) for number in range(1, plan.count + 1)]
    return [{split: len(dataset.source(name)) for split, name in of_fold.items() if name} for of_fold in splits]


def _record(number: int, clips: Mapping[str, int], scores: Evaluation) -> dict:
    """A fold's run as `folds.json` holds it."""
    counts = {"train": clips["train_split"], "test": clips["test_split"], "hits": scores.hits}
    of_heads = {f"{head}/top1": of_head.top1 for head, of_head in scores.heads.items() if head}
    return {"fold": number, "workdir": f"fold-{number}", **counts, "scores": scores.summary() | of_heads}


def _put_aside(workdir: pathlib.Path, plan: FoldPlan) -> None:
    """Moves aside what earlier runs left, of all folds before the first begins, so that none of them goes on later."""
    for number in range(1, plan.count + 1):
        fold = Workdir(workdir / f"fold-{number}")
        try:
            fold.restart()
        finally:
            fold.release()
    if jax.process_index() == 0 and (workdir / RESULT).exists():
        (workdir / RESULT).rename(first_free(lambda number: workdir / f"{ASIDE}{number}-{RESULT}"))


def summarised(scores: Sequence[Mapping[str, float]]) -> dict[str, dict]:
    """The `mean`, `std` and `interval` of each score that all folds have."""
    names = [name for name in scores[0] if all(name in of_fold for of_fold in scores)]
    values = {name: np.array([of_fold[name] for of_fold in scores], np.float64) for name in names}
    half = stdtrit(len(scores) - 1, (1 + LEVEL) / 2) / math.sqrt(len(scores))
    mean = {name: float(of_folds.mean()) for name, of_folds in values.items()}
    std = {name: float(of_folds.std(ddof=1)) for name, of_folds in values.items()}
    ends = {name: (mean[name] - half * std[name], mean[name] + half * std[name]) for name in names}
    return {"mean": mean, "std": std, "interval": {name: [_possible(name, end) for end in ends[name]] for name in names}}


def _possible(name: str, bound: float) -> float:
    """The bound of an interval, within the range of its score: Student's t knows of none."""
    return max(bound, 0.0) if name.endswith("loss") else min(max(bound, 0.0), 1.0)
