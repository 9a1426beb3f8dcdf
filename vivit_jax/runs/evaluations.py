"""Decides what an evaluation scores (a run's model or a model directory, and the data set) and which file the scores go to."""

import dataclasses
import pathlib

from vivit_jax.analysis.complexity import count_arithmetic
from vivit_jax.data.config import DataConfig
from vivit_jax.data.dataset import VideoDataset, ensure_dataset
from vivit_jax.data.summary import refused_clips
from vivit_jax.errors import UserError
from vivit_jax.files import file_name
from vivit_jax.inference.scores import Conditions
from vivit_jax.inference.split_pass import SplitPass
from vivit_jax.models.families import build
from vivit_jax.preprocess import Views
from vivit_jax.runs.record import EVALUATION, RunRecord, open_run, step_of
from vivit_jax.runs.restore import class_names, model_variables
from vivit_jax.weights import Pretrained, from_pretrained


@dataclasses.dataclass(frozen=True)
class EvaluationPlan:
    """An evaluation that is asked for, and where its scores go.

    Attributes:
      split_pass: the model, the videos and how they are seen.
      step: the training step of the model; None if unknown.
      out: the file for the scores.
    """

    split_pass: SplitPass
    step: int | None
    out: pathlib.Path

    def conditions(self, labels_from: str) -> Conditions:
        """The conditions of the scores, which their file records; `labels_from` tells where the names of the model's classes come from."""
        split_pass = self.split_pass
        return Conditions(
            name=split_pass.dataset.name,
            split=split_pass.split,
            views=split_pass.views,
            flip=split_pass.flip,
            average=split_pass.pretrained.average,
            gmac_view=count_arithmetic(split_pass.pretrained.model.config).gmac,
            step=self.step,
            labels_from=labels_from,
            refused=refused_clips(split_pass.dataset, split_pass.split),
        )


@dataclasses.dataclass(frozen=True)
class EvaluationRequest:
    """What an evaluation is to score, and how; None is as in the run's own test, or for a model directory as `plan_for_model` says.

    Attributes:
      name: the data set.
      data_dir: the folder of prepared data sets.
      split: the split.
      views: (temporal, spatial) views of each video.
      flip: whether each view is also scored mirrored.
      average: what is averaged over the views, `logits` or `probabilities`.
      step: scores a run's parameters after this step; None scores the model that the run kept.
      relabelled: whether the classes are given other names than the model's.
    """

    name: str | None = None
    data_dir: str | None = None
    split: str | None = None
    views: Views | None = None
    flip: bool | None = None
    average: str | None = None
    step: int | None = None
    relabelled: bool = False


def plan_for_run(workdir: str | pathlib.Path, wanted: EvaluationRequest) -> EvaluationPlan:
    """A run's model on the run's own test, or with other data, split, views or step (an exploration).

    Only the run's own test is written to `evaluation.json`; an exploration goes to a file named by what differs.

    Raises:
      UserError: for a run, a checkpoint, a data set or a split that does not exist.
    """
    run = open_run(workdir)
    own, own_test = run.experiment.data, run.experiment.evaluation
    data = dataclasses.replace(own, name=wanted.name or own.name, data_dir=wanted.data_dir or own.data_dir)
    dataset = ensure_dataset(data.name, data.data_dir)
    own_split = own.test_split or wanted.split or "test"
    split = dataset.resolve(wanted.split or own_split)
    pretrained = _after(run, wanted.step, dataset) if wanted.step else from_pretrained(str(run.model))
    split_pass = SplitPass(
        pretrained=dataclasses.replace(pretrained, average=wanted.average or own_test.average),
        dataset=dataset,
        split=split,
        views=wanted.views or own_test.test_views,
        flip=own_test.test_flip if wanted.flip is None else wanted.flip,
        data=data,
        parallel=run.experiment.parallel,
    )
    is_own = (
        data == own
        and wanted.step is None
        and not wanted.relabelled
        and split == dataset.resolve(own_split)
        and (tuple(split_pass.views), split_pass.flip) == (tuple(own_test.test_views), own_test.test_flip)
        and split_pass.pretrained.average == own_test.average
    )
    out = EVALUATION if is_own else _exploration(split_pass, wanted.step, other_data=data != own)
    return EvaluationPlan(split_pass, wanted.step or step_of(pretrained), run.path / out)


def plan_for_model(path: str | pathlib.Path, wanted: EvaluationRequest) -> EvaluationPlan:
    """A model directory on the data set that is named; its scores go to `evaluation.json` in the current folder.

    Unless something else is wanted, the split is `test`, in 4x3 views, averaged as the model says.

    Raises:
      UserError: for a model, a data set or a split that does not exist, a data set that is not named, or a step.
    """
    if not wanted.name:
        raise UserError("--model needs --name, the data set to evaluate on (and --data_dir, the folder it is in)")
    if wanted.step:
        raise UserError("--checkpoint is for --workdir: a model directory has no checkpoints")
    pretrained = from_pretrained(str(path))
    dataset = ensure_dataset(wanted.name, wanted.data_dir)
    split_pass = SplitPass(
        pretrained=dataclasses.replace(pretrained, average=wanted.average or pretrained.average),
        dataset=dataset,
        split=dataset.resolve(wanted.split or "test"),
        views=wanted.views or (4, 3),
        flip=bool(wanted.flip),
        data=DataConfig(name=wanted.name, data_dir=wanted.data_dir),
    )
    return EvaluationPlan(split_pass, step_of(pretrained), pathlib.Path(EVALUATION))


def _after(run: RunRecord, step: int, dataset: VideoDataset) -> Pretrained:
    """The run's model with the parameters after a step.

    If no model has been written yet, the checkpoint names its classes; where it is of an older version, they are taken for the data set's.
    """
    variables = model_variables(run.path, step)
    if run.model.exists():
        return dataclasses.replace(from_pretrained(str(run.model)), variables=variables)
    experiment = run.experiment
    return Pretrained(
        build(experiment.model),
        variables,
        experiment.preprocess,
        class_names(run.path, step) or dataset.labels,
        multi_label=experiment.multi_label,
        average=experiment.evaluation.average,
    )


def _exploration(split_pass: SplitPass, step: int | None, *, other_data: bool) -> str:
    """`evaluation-SPLIT-VIEWS.json`, with the data set and the step in the name if they are not the run's own."""
    average = split_pass.pretrained.average
    seen = f"{split_pass.views[0]}x{split_pass.views[1]}{'-flip' if split_pass.flip else ''}{f'-{average}' if average != 'logits' else ''}"
    parts = ["evaluation", *([split_pass.data.name] if other_data else []), split_pass.split, seen, *([f"step{step}"] if step else [])]
    return file_name("-".join(parts)) + ".json"
