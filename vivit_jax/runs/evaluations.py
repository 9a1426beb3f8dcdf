"""Decides what an evaluation scores (a run's model or a model directory, and the data set) and which file the scores go to."""

import dataclasses
import pathlib

from vivit_jax.data.config import DataConfig
from vivit_jax.data.dataset import VideoDataset, ensure_dataset
from vivit_jax.data.summary import refused_clips
from vivit_jax.files import file_name
from vivit_jax.inference.scores import Conditions
from vivit_jax.inference.split_pass import SplitPass
from vivit_jax.models.families import build
from vivit_jax.preprocess import Views
from vivit_jax.runs.record import RunRecord, open_run, step_of
from vivit_jax.runs.restore import model_variables
from vivit_jax.weights import Pretrained, from_pretrained

OWN = "evaluation.json"


@dataclasses.dataclass(frozen=True)
class Planned:
    """An evaluation that is asked for, and where its scores go.

    Attributes:
      asked: the model, the videos and how they are seen.
      step: the training step of the model; None if unknown.
      out: the file for the scores.
    """

    asked: SplitPass
    step: int | None
    out: pathlib.Path

    def conditions(self, labels_from: str) -> Conditions:
        """What the scores are of, as their file says; `labels_from` tells where the names of the model's classes come from."""
        asked = self.asked
        return Conditions(
            name=asked.dataset.name,
            split=asked.split,
            views=asked.views,
            flip=asked.flip,
            average=asked.pretrained.average,
            step=self.step,
            labels_from=labels_from,
            refused=refused_clips(asked.dataset, asked.split),
        )


def plan_for_run(
    workdir: str | pathlib.Path,
    *,
    name: str | None = None,
    data_dir: str | None = None,
    split: str | None = None,
    views: Views | None = None,
    flip: bool | None = None,
    average: str | None = None,
    step: int | None = None,
    relabelled: bool = False,
) -> Planned:
    """A run's model on the run's own test, or with other data, split, views or step (an exploration).

    Only the run's own test is written to `evaluation.json`; an exploration goes to a file named by what differs.

    Args:
      workdir: the run's work directory.
      name: the data set; None is the run's.
      data_dir: the folder of prepared data sets; None is the run's.
      split: the split; None is that of the run's test.
      views: (temporal, spatial) views; None is those of the run's test.
      flip: whether each view is also scored mirrored; None is as in the run's test.
      average: what is averaged over the views; None is as in the run's test.
      step: scores the parameters after this step; None scores the model that the run kept.
      relabelled: whether the classes are given other names than the model's.

    Raises:
      UserError: for a run, a checkpoint, a data set or a split that does not exist.
    """
    run = open_run(workdir)
    own, own_test = run.experiment.data, run.experiment.evaluation
    data = dataclasses.replace(own, name=name or own.name, data_dir=data_dir or own.data_dir)
    dataset = ensure_dataset(data.name, data.data_dir)
    wanted, views = split or own.test_split or "test", views or own_test.test_views
    flip = own_test.test_flip if flip is None else flip
    average = average or own_test.average
    split = dataset.resolve(wanted)
    its_own = (
        data == own
        and step is None
        and not relabelled
        and split == dataset.resolve(own.test_split or wanted)
        and (tuple(views), flip, average) == (tuple(own_test.test_views), own_test.test_flip, own_test.average)
    )
    pretrained = _after(run, step, dataset) if step else from_pretrained(str(run.model))
    exploration = _exploration(data.name if data != own else None, split, views, flip, average, step)
    asked = SplitPass(
        pretrained=dataclasses.replace(pretrained, average=average),
        dataset=dataset,
        split=split,
        views=views,
        flip=flip,
        data=data,
        parallel=run.experiment.parallel,
    )
    return Planned(asked, step or step_of(pretrained), run.path / (OWN if its_own else exploration))


def plan_for_model(
    path: str | pathlib.Path, name: str, data_dir: str | None, *, split: str, views: Views, flip: bool, average: str | None = None
) -> Planned:
    """A model directory on a data set; its scores go to `evaluation.json` in the current folder. `average` None is as the model says.

    Raises:
      UserError: for a model, a data set or a split that does not exist.
    """
    pretrained = from_pretrained(str(path))
    dataset = ensure_dataset(name, data_dir)
    asked = SplitPass(
        pretrained=dataclasses.replace(pretrained, average=average or pretrained.average),
        dataset=dataset,
        split=dataset.resolve(split),
        views=views,
        flip=flip,
        data=DataConfig(name=name, data_dir=data_dir),
    )
    return Planned(asked, step_of(pretrained), pathlib.Path(OWN))


def _after(run: RunRecord, step: int, dataset: VideoDataset) -> Pretrained:
    """The run's model with the parameters after a step; its class names are the data set's if no model has been written yet."""
    variables = model_variables(run.path, step)
    if run.model.exists():
        return dataclasses.replace(from_pretrained(str(run.model)), variables=variables)
    experiment = run.experiment
    return Pretrained(
        build(experiment.model),
        variables,
        experiment.preprocess,
        dataset.labels,
        multi_label=experiment.multi_label,
        average=experiment.evaluation.average,
    )


def _exploration(dataset: str | None, split: str, views: Views, flip: bool, average: str, step: int | None) -> str:
    """`evaluation-SPLIT-VIEWS.json`, with the data set and the step in the name if they are not the run's own."""
    seen = f"{views[0]}x{views[1]}{'-flip' if flip else ''}{f'-{average}' if average != 'logits' else ''}"
    parts = ["evaluation", *([dataset] if dataset else []), split, seen, *([f"step{step}"] if step else [])]
    return file_name("-".join(parts)) + ".json"
