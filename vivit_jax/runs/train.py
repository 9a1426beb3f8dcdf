"""A run from its config to its report: what `vivit train` and `vivit_jax.train` do."""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
from ml_collections import ConfigDict

from vivit_jax import console, extras
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.analysis.complexity import count_arithmetic
from vivit_jax.config import Experiment, resolve
from vivit_jax.config_file import read_config
from vivit_jax.data.dataset import VideoDataset, dataset_to_be, ensure_dataset
from vivit_jax.data.summary import refused_clips
from vivit_jax.errors import in_one_line
from vivit_jax.inference.scores import Conditions, to_record, write_record
from vivit_jax.runs import overview
from vivit_jax.runs.assembly import check_experiment, check_optimizer, class_weights_of, complete, make_feed, make_run, split_batches
from vivit_jax.runs.loop import Loop
from vivit_jax.runs.memory import advice, is_out_of_memory, warn_of_large_step
from vivit_jax.runs.probed_head import with_probed_head
from vivit_jax.runs.record import EVALUATION, REPORT
from vivit_jax.runs.report.write import write_report
from vivit_jax.runs.run import Run
from vivit_jax.runs.stopping import Interruption, Refused, Stopped
from vivit_jax.runs.workdir import Workdir
from vivit_jax.training.devices.compilation import use_cache
from vivit_jax.training.devices.executors import Executor, make_executor, wake
from vivit_jax.training.devices.hosts import join
from vivit_jax.training.evaluation import Evaluation, Evaluator
from vivit_jax.training.feed import Feed
from vivit_jax.training.forward import Watch
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
    again: str = "the same call resumes",
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
    began = time.monotonic()
    experiment = _experiment(config)
    join(coordinator, processes, process)
    with _owned(Workdir(os.fspath(workdir))) as owned, Interruption(again) as interruption:
        try:
            return _train(experiment, owned, interruption, began, restart=restart)
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


def _train(experiment: Experiment, workdir: Workdir, interruption: Interruption, began: float, *, restart: bool) -> Evaluation | None:
    _prepare_process(experiment)
    executor = make_executor(experiment.parallel)
    wake(executor.local_devices)
    dataset = checked_dataset(experiment, executor)
    with contextlib.closing(make_feed(experiment, dataset, executor, interruption.check_alone)) as feed:
        if restart or not workdir.has_checkpoints:
            feed.start()  # worker processes take seconds to begin, in which the first weights are made
        run, origin = _make_run(experiment, dataset, feed, executor, workdir, restart=restart)
        with _told_of_memory(run.experiment, executor):
            loop = Loop(run, workdir, interruption, began)
            loop.restore()
            workdir.record(run.experiment)
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


def _make_run(
    experiment: Experiment, dataset: VideoDataset, feed: Feed, executor: Executor, workdir: Workdir, *, restart: bool
) -> tuple[Run, Sequence[ReportLine]]:
    """The run with its first weights, and where each group of them came from; checks that the work directory is free for it.

    Raises:
      UserError: for weights, an optimiser or a work directory that do not fit the experiment.
    """
    experiment, variables, origin = complete(experiment, dataset.labels)
    check_optimizer(experiment, dataset, variables)
    class_weights = class_weights_of(experiment, dataset)
    if restart:
        workdir.restart()
    workdir.check(experiment)
    warn_of_large_step(experiment, executor)
    if experiment.init.head == "probe" and not workdir.has_checkpoints:
        variables, fitted = with_probed_head(experiment, dataset, variables)
        origin = (*origin, fitted)
    return make_run(experiment, dataset, variables, feed, executor, class_weights), origin


def checked_dataset(experiment: Experiment, executor: Executor) -> VideoDataset:
    """The data set of an experiment, made if need be, once it is known that the experiment can work on it.

    Raises:
      UserError: if it cannot.
    """
    place = experiment.data.name, experiment.data.data_dir
    if planned := dataset_to_be(*place):
        check_experiment(experiment, executor, planned)
        return ensure_dataset(*place)
    dataset = ensure_dataset(*place)
    check_experiment(experiment, executor, dataset)
    return dataset


def _prepare_process(experiment: Experiment) -> None:
    if experiment.training.wandb:
        extras.check_import("wandb", f"training.wandb needs the extra wandb: {extras.install('wandb')}, or set it to None")
    tell_of_unused_gpu()
    use_cache(experiment.training.compilation_cache)


def _test(run: Run, dataset: VideoDataset, workdir: Workdir, loop: Loop, interruption: Interruption) -> Evaluation | None:
    """Scores the model to use on the test split; writes `evaluation.json` and a last row of metrics."""
    experiment = run.experiment
    data, views, flip = experiment.data, experiment.evaluation.test_views, experiment.evaluation.test_flip
    batches = split_batches(experiment, dataset, data.test_split, views, flip=flip)
    if batches is None:
        return None
    model = load_model_dir(workdir.model)
    evaluator = Evaluator(model.model, run.preprocess, run.executor, run.scoring)
    scores = evaluator(run.executor.place_variables(model.variables), batches, Watch("testing", between=interruption.check_alone))
    loop.write(loop.step, {f"test/{name}": value for name, value in scores.summary().items()})
    if jax.process_index() == 0:
        conditions = Conditions(
            name=data.name,
            split=data.test_split,
            views=views,
            flip=flip,
            average=experiment.evaluation.average,
            gmac_view=count_arithmetic(experiment.model).gmac,
            step=loop.model_step,
            refused=refused_clips(dataset, data.test_split),
        )
        record = to_record(scores, conditions, batches.names)
        write_record({"model": workdir.model.name} | record, workdir.path / EVALUATION)
    return scores


def _tell(workdir: Workdir, test: Evaluation | None, dataset: VideoDataset, loop: Loop) -> None:
    """Prints what was made, and where."""
    here = workdir.path.relative_to(Path.cwd()) if workdir.path.is_relative_to(Path.cwd()) else workdir.path
    if test is not None:
        views = f"{test.views} {'view' if test.views == 1 else 'views'} each)"
        chosen_by = test.beside_headline(loop.run.experiment.best)
        console.say(f"test {test.headline.removesuffix(')')}, {views}{chosen_by}", style="bold")
    console.say(f"data     {dataset.path}")
    chosen = f"the best of the evaluations, after step {loop.model_step}" if loop.best else f"after the last step, {loop.step}"
    console.say(f"model    {here / workdir.model.name} ({chosen})")
    if loop.model_step != loop.step:
        console.say(f"         {here / workdir.last_model.name} is the model after the last step, {loop.step}, and was not tested")
    if test is not None:
        console.say(f"scores   {here / EVALUATION}")
    console.say(f"report   {here / REPORT}")


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
