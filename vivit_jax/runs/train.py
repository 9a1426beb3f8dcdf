"""A run from its config to its report: what `vivit train` and `vivit_jax.train` do."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from vivit_jax import console
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.config import Experiment, resolve
from vivit_jax.config_file import read_config
from vivit_jax.data.dataset import VideoDataset, check_splits, ensure_dataset
from vivit_jax.data.pipeline import evaluation_batches, training_batches
from vivit_jax.data.summary import refused_clips
from vivit_jax.errors import UserError, in_one_line
from vivit_jax.heads import Labels, by_head
from vivit_jax.inference.scores import Conditions, to_record, write_record
from vivit_jax.models.families import build
from vivit_jax.preprocess import Preprocess
from vivit_jax.runs import overview
from vivit_jax.runs.loop import Loop
from vivit_jax.runs.memory import advice, is_out_of_memory
from vivit_jax.runs.probed_head import with_probed_head
from vivit_jax.runs.report.write import write_report
from vivit_jax.runs.run import Run
from vivit_jax.runs.stopping import Interruption, Refused, Stopped
from vivit_jax.runs.workdir import Workdir
from vivit_jax.runs.writers import check_wandb
from vivit_jax.training.devices.compilation import use_cache
from vivit_jax.training.devices.executors import Executor, make_executor
from vivit_jax.training.devices.hosts import join
from vivit_jax.training.evaluation import Evaluation, Evaluator
from vivit_jax.training.forward import Watch
from vivit_jax.training.lora import with_adapters
from vivit_jax.training.losses import ClassWeights, balanced_class_weights, explicit_class_weights
from vivit_jax.weights.initialise import initialise
from vivit_jax.weights.model_dir import load_model_dir
from vivit_jax.weights.report import ReportLine


def train(
    config: Experiment | ConfigDict | str | os.PathLike,
    workdir: str | os.PathLike,
    *,
    restart: bool = False,
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    again: str = "the same call goes on",
) -> Evaluation | None:
    """Trains, evaluates on the test split and writes the report. With the work directory of an interrupted run, goes on where that was.

    Examples:
      >>> scores = train("configs/motion_digits.py", "runs/digits")

    Args:
      config: an experiment; or the `ConfigDict` that describes it, or a config file, `FILE.py[:ARG]`.
      workdir: the folder for everything the run writes.
      restart: whether to move aside what an earlier run left there, and begin again.
      coordinator: HOST:PORT of the first of several processes.
      processes: how many there are.
      process: the number of this one, from 0.
      again: how to go on, for the message of a run that ends early.

    Returns:
      The scores on the test split; None if the data set has none.

    Raises:
      UserError: for anything in the experiment that cannot work.
      Stopped: if the run ends early.
    """
    experiment = _experiment(config)
    join(coordinator, processes, process)
    with _owned(Workdir(os.fspath(workdir))) as owned, Interruption(again) as interruption:
        try:
            return _train(experiment, owned, interruption, restart=restart)
        except Refused:
            raise
        except Stopped as stop:
            raise type(stop)(f"{stop}; {again}") from stop
        except OSError as error:
            if not error.strerror or isinstance(error, BrokenPipeError):
                raise
            raise Stopped(f"{in_one_line(error)}; {again}") from error  # such as of a full disk


def _experiment(config: Experiment | ConfigDict | str | os.PathLike) -> Experiment:
    if isinstance(config, Experiment):
        return config
    return read_config(os.fspath(config), {}) if isinstance(config, str | os.PathLike) else resolve(config)


def _train(experiment: Experiment, workdir: Workdir, interruption: Interruption, *, restart: bool) -> Evaluation | None:
    _prepare_process(experiment)
    dataset = ensure_dataset(experiment.data.name, experiment.data.data_dir)
    check_splits(dataset, experiment.data)
    _check_patience(experiment, dataset)
    _check_loss(experiment, dataset)
    experiment, variables, origin = _complete(experiment, dataset.labels)
    if restart:
        workdir.restart()
    workdir.check(experiment)
    if experiment.init.head == "probe" and not workdir.has_checkpoints:
        variables, fitted = with_probed_head(experiment, dataset, variables)
        origin = (*origin, fitted)
    executor = make_executor(experiment.parallel)
    run = _run(experiment, dataset, variables, executor)
    del variables
    with _told_of_memory(experiment, executor):
        loop = Loop(run, workdir, interruption)
        loop.restore()
        workdir.record(experiment)
        overview.tell(run, loop, origin)
        try:
            loop.train()
            test = _test(run, dataset, workdir, loop, interruption)
        finally:
            loop.close()
    if jax.process_index() == 0:
        write_report(workdir.path)
        _tell(workdir, test, dataset, loop)
    return test


def _prepare_process(experiment: Experiment) -> None:
    if experiment.training.wandb:
        check_wandb()
    tell_of_unused_gpu()
    use_cache(experiment.training.compilation_cache)


def _check_patience(experiment: Experiment, dataset: VideoDataset) -> None:
    """Refuses patience with a score that is never computed."""
    split = experiment.data.val_split
    if experiment.evaluation.patience is not None and (split is None or not dataset.has(split)):
        raise UserError(
            f"evaluation.patience needs clips to validate on, and data.val_split {split} is none of data set {dataset.name}, which has "
            f"{', '.join(dataset.splits)}: name one, such as train[90%:] with data.train_split=train[:90%], or leave patience out"
        )


def _check_loss(experiment: Experiment, dataset: VideoDataset) -> None:
    """Refuses a loss that does not fit the labels."""
    if dataset.multi_label and not experiment.multi_label:
        raise UserError(f"the clips of data set {dataset.name} may have several labels each: set loss.name to sigmoid")
    if experiment.multi_label and isinstance(dataset.labels, Mapping):
        raise UserError(
            f"loss.name sigmoid is for one head, and data set {dataset.name} has {', '.join(dataset.labels)}: set it to softmax"
        )


def _class_weights(experiment: Experiment, dataset: VideoDataset, examples: int) -> ClassWeights | None:
    loss = experiment.loss
    if loss.class_weights == "balanced":
        return balanced_class_weights(loss, dataset.class_counts(experiment.data.train_split), examples)
    return explicit_class_weights(loss, {head: len(names) for head, names in by_head(dataset.labels).items()})


def _complete(experiment: Experiment, labels: Labels) -> tuple[Experiment, Any, Sequence[ReportLine]]:
    """The experiment completed by the data set and the initial weights; the initial variables; and where each group of them came from."""
    model = _with_classes(experiment, labels)
    start = initialise(model, experiment.init, jax.random.key(experiment.seed))
    data = experiment.data
    data = dataclasses.replace(data, mean=data.mean or start.mean, std=data.std or start.std)
    completed = dataclasses.replace(experiment, model=start.model, data=data)
    return completed, jax.device_get(start.variables), start.report


def _with_classes(experiment: Experiment, labels: Labels) -> Any:
    """The model's config with the classes (or heads) of the data set.

    Raises:
      UserError: if the config asks for others.
    """
    classes = {name: len(names) for name, names in labels.items()} if isinstance(labels, Mapping) else len(labels)
    wanted = experiment.model.num_classes
    if wanted is not None and wanted != classes:
        raise UserError(f"model.num_classes is {wanted} and data set {experiment.data.name} has {classes}: set it to None or to that")
    return dataclasses.replace(experiment.model, num_classes=classes)


def _run(experiment: Experiment, dataset: VideoDataset, variables: Any, executor: Executor) -> Run:
    data, training, preprocess = experiment.data, experiment.training, experiment.preprocess
    batch_size = training.batch_size // jax.process_count()
    batches = training_batches(
        dataset, data.train_split, preprocess, data, experiment.augment, batch_size=batch_size, seed=experiment.seed, shard=_shard()
    )
    examples = len(dataset.source(data.train_split))
    return Run(
        experiment=experiment,
        model=build(experiment.model, axis_name=executor.axis_name, batch_parts=executor.batch_parts),
        variables=variables | {"params": with_adapters(variables["params"], training.lora, experiment.seed)},
        preprocess=preprocess,
        labels=dataset.labels,
        batches=batches,
        examples=examples,
        val_batches=_evaluation_batches(experiment, dataset, data.val_split, preprocess, experiment.evaluation.views),
        executor=executor,
        class_weights=_class_weights(experiment, dataset, examples),
        identity=dataset.identity,
    )


def _evaluation_batches(
    experiment: Experiment,
    dataset: VideoDataset,
    split: str | None,
    preprocess: Preprocess,
    views: tuple[int, int],
    *,
    flip: bool = False,
) -> Any:
    """The batches of a split, or None for one that does not exist, of which `check_splits` has warned."""
    if split is None or not dataset.has(split):
        return None
    batch_size = experiment.evaluation.batch_size or experiment.training.batch_size
    host_size = -(-batch_size // jax.process_count())
    return evaluation_batches(dataset, split, preprocess, experiment.data, views=views, flip=flip, batch_size=host_size, shard=_shard())


def _shard() -> tuple[int, int]:
    return jax.process_index(), jax.process_count()


def _test(run: Run, dataset: VideoDataset, workdir: Workdir, loop: Loop, interruption: Interruption) -> Evaluation | None:
    """Scores the model to use on the test split; writes `evaluation.json` and a last row of metrics."""
    experiment = run.experiment
    data, views, flip = experiment.data, experiment.evaluation.test_views, experiment.evaluation.test_flip
    batches = _evaluation_batches(experiment, dataset, data.test_split, run.preprocess, views, flip=flip)
    if batches is None:
        return None
    model = load_model_dir(workdir.model)
    evaluator = Evaluator(model.model, run.preprocess, run.executor, run.scoring)
    leave = interruption.check if jax.process_count() == 1 else lambda: None
    scores = evaluator(run.executor.place_variables(model.variables), batches, Watch("testing", between=leave))
    loop.write(loop.step, {f"test/{name}": value for name, value in scores.summary().items()})
    if jax.process_index() == 0:
        conditions = Conditions(
            name=data.name,
            split=data.test_split,
            views=views,
            flip=flip,
            average=experiment.evaluation.average,
            step=loop.model_step,
            refused=refused_clips(dataset, data.test_split),
        )
        record = to_record(scores, conditions, batches.names)
        write_record({"model": workdir.model.name} | record, workdir.path / "evaluation.json")
    return scores


def _tell(workdir: Workdir, test: Evaluation | None, dataset: VideoDataset, loop: Loop) -> None:
    """Prints what was made, and where."""
    here = workdir.path.relative_to(Path.cwd()) if workdir.path.is_relative_to(Path.cwd()) else workdir.path
    if test is not None:
        console.say(f"test {test.headline.removesuffix(')')}, {test.views} {'view' if test.views == 1 else 'views'} each)", style="bold")
    console.say(f"data     {dataset.path}")
    chosen = f"the best of the evaluations, after step {loop.model_step}" if loop.best else f"after the last step, {loop.step}"
    console.say(f"model    {here / workdir.model.name} ({chosen})")
    if loop.model_step != loop.step:
        console.say(f"         {here / workdir.last_model.name} is that after the last step, {loop.step}, and was not tested")
    if test is not None:
        console.say(f"scores   {here / 'evaluation.json'}")
    console.say(f"report   {here / 'report.html'}")


@contextlib.contextmanager
def _told_of_memory(experiment: Experiment, executor: Executor) -> Iterator[None]:
    """Ends the run with one line if a device is out of memory."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        device = jax.devices()[0].device_kind
        raise Stopped(f"out of memory on {device} ({in_one_line(error)}): {advice(experiment, executor)}") from error


@contextlib.contextmanager
def _owned(workdir: Workdir) -> Iterator[Workdir]:
    try:
        yield workdir
    finally:
        workdir.release()
