"""Puts a run together: checks an experiment against its data set, completes it, and makes its weights and batches."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from vivit_jax.config import Experiment
from vivit_jax.data.cache import kept_decoded
from vivit_jax.data.dataset import VideoDataset, check_splits
from vivit_jax.data.pipeline import EvaluationBatches, check_repeats, evaluation_batches, training_batches
from vivit_jax.errors import UserError, check_name
from vivit_jax.heads import Labels, by_head
from vivit_jax.inference.label_spaces import numbers_by_name
from vivit_jax.models.families import build
from vivit_jax.preprocess import Views
from vivit_jax.runs.plan import Plan
from vivit_jax.runs.run import Run
from vivit_jax.training.config import LAST
from vivit_jax.training.devices.executors import Executor, check_batch_size
from vivit_jax.training.evaluation import metrics_of
from vivit_jax.training.feed import Feed
from vivit_jax.training.lora import with_adapters
from vivit_jax.training.losses import ClassWeights, balanced_class_weights, explicit_class_weights
from vivit_jax.training.schedule import make_schedule
from vivit_jax.training.setup import optimizer_of
from vivit_jax.weights.initialise import Initialisation, initialise
from vivit_jax.weights.layers import flatten_variables, unflatten_variables
from vivit_jax.weights.model_json import default_labels
from vivit_jax.weights.report import ReportLine


def check_experiment(experiment: Experiment, executor: Executor, dataset: VideoDataset) -> None:
    """Refuses an experiment that its devices or its data set do not allow, before anything is made or read.

    Raises:
      UserError: for a batch, splits, classes, a loss, a score, a length or a patience that do not fit.
    """
    training = experiment.training
    check_batch_size(training.batch_size, executor, accumulation=training.accumulation)
    check_repeats(training.batch_size, experiment.augment)
    check_splits(dataset, experiment.data)
    _with_classes(experiment, dataset.labels)
    _check_patience(experiment, dataset)
    _check_loss(experiment, dataset)
    _check_best(experiment, dataset)
    plan = Plan.of(experiment, len(dataset.source(experiment.data.train_split)))
    make_schedule(experiment.schedule, experiment.optimizer.learning_rate, total=plan.total, warmup=plan.warmup)


def check_optimizer(experiment: Experiment, dataset: VideoDataset, variables: Any) -> None:
    """Refuses an optimiser or adapters that do not fit the model's variables, as the loop would after whatever comes before it.

    Raises:
      UserError: for patterns that match no parameter.
    """
    plan = Plan.of(experiment, len(dataset.source(experiment.data.train_split)))
    params = with_adapters(variables["params"], experiment.training.lora, experiment.seed)
    optimizer_of(experiment, params, experiment.model, total=plan.total, warmup=plan.warmup)


def _check_patience(experiment: Experiment, dataset: VideoDataset) -> None:
    """Refuses patience with a score that is never computed."""
    split = experiment.data.val_split
    if experiment.evaluation.patience is not None and (split is None or not dataset.has(split)):
        raise UserError(
            f"evaluation.patience needs clips to validate on, and data set {dataset.name} has no data.val_split {split}, only "
            f"{', '.join(dataset.splits)}: name one, such as train[90%:] with data.train_split=train[:90%], or leave patience out"
        )


def _check_loss(experiment: Experiment, dataset: VideoDataset) -> None:
    """Refuses a loss that does not fit the labels."""
    if not isinstance(experiment.loss.class_weights, str):
        explicit_class_weights(experiment.loss, _counts(dataset.labels))
    if dataset.multi_label and not experiment.multi_label:
        raise UserError(f"the clips of data set {dataset.name} may have several labels each: set loss.name to sigmoid")
    if experiment.multi_label and isinstance(dataset.labels, Mapping):
        raise UserError(
            f"loss.name sigmoid is for one head, and data set {dataset.name} has {', '.join(dataset.labels)}: set it to softmax"
        )


def _check_best(experiment: Experiment, dataset: VideoDataset) -> None:
    """Refuses to choose the model by a score that a model of these classes does not have."""
    known = (*metrics_of(by_head(dataset.labels), multi_label=experiment.multi_label), LAST)
    check_name("evaluation.best", experiment.best, known)


def complete(experiment: Experiment, labels: Labels) -> tuple[Experiment, Any, Sequence[ReportLine]]:
    """Fills in what the data set and the initial weights decide: the classes, and the mean and std of pixels.

    Returns:
      The experiment, the initial variables on the host, and where each group of them came from.

    Raises:
      UserError: for classes other than the data set's, or weights that do not fit.
    """
    model = _with_classes(experiment, labels)
    start = initialise(model, experiment.init, experiment.seed)
    data = experiment.data
    data = dataclasses.replace(data, mean=data.mean or start.mean, std=data.std or start.std)
    completed = dataclasses.replace(experiment, model=start.model, data=data)
    variables, lines = jax.device_get(start.variables), []
    if experiment.init.head == "keep" and experiment.init.source is not None:
        variables, lines = _with_head_in_order(start, variables, labels, experiment.init.source)
    return completed, variables, (*start.report, *lines)


def _with_head_in_order(start: Initialisation, variables: Any, labels: Labels, source: str) -> tuple[Any, list[ReportLine]]:
    """The variables with the classes of each head in the order of the data set, and a line on what was done to it or assumed of it.

    Raises:
      UserError: for a head of other classes.
    """
    flat, lines = flatten_variables(variables), []
    of_source, unnamed = by_head(start.labels or ()), by_head(default_labels(start.model))
    for head, names in by_head(labels).items():
        module, own = f"head_{head}" if head else "head", tuple(of_source.get(head, ()))
        if own == tuple(names):
            continue
        if own in ((), tuple(unnamed[head])):
            lines.append(ReportLine(module, source, "its classes have no names: those of the data set are assumed, in its order"))
            continue
        numbers = numbers_by_name(own, names)
        if numbers is None:
            other = next((name for name in own if name not in names), own[0])
            raise UserError(
                f"init.head=keep keeps the classes of {source}, and its {module.replace('_', ' ')} has {other!r}, which the data set does "
                "not have: set init.head to fresh or probe"
            )
        if numbers != sorted(numbers):
            flat |= {path: leaf[..., numbers] for path, leaf in flat.items() if path.startswith(f"{module}/")}
            lines.append(ReportLine(module, source, "its classes put in the order of the data set, by name"))
    return unflatten_variables(flat, start.model), lines


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


def make_feed(experiment: Experiment, dataset: VideoDataset, executor: Executor, look: Callable[[], None]) -> Feed:
    """The training batches of an experiment, complete or not; `look` is as for `ReadAhead`."""
    data, batch_size = experiment.data, experiment.training.batch_size // jax.process_count()
    records, options = dataset.source(data.train_split), {"seed": experiment.seed, "shard": _shard()}
    batches = training_batches(records, experiment.preprocess, data, experiment.augment, batch_size=batch_size, **options)
    return Feed(batches, executor.to_devices, experiment.training.prefetch, look)


def make_run(
    experiment: Experiment,
    dataset: VideoDataset,
    variables: Any,
    feed: Feed,
    executor: Executor,
    class_weights: ClassWeights | None = None,
) -> Run:
    """The run of an experiment that `complete` has returned, with its validation batches."""
    data = experiment.data
    return Run(
        experiment=experiment,
        model=build(experiment.model, axis_name=executor.axis_name, batch_parts=executor.batch_parts),
        variables=variables | {"params": with_adapters(variables["params"], experiment.training.lora, experiment.seed)},
        preprocess=experiment.preprocess,
        labels=dataset.labels,
        feed=feed,
        examples=len(dataset.source(data.train_split)),
        val_batches=split_batches(experiment, dataset, data.val_split, experiment.evaluation.views, again=True),
        executor=executor,
        class_weights=class_weights,
        identity=dataset.identity,
    )


def class_weights_of(experiment: Experiment, dataset: VideoDataset) -> ClassWeights | None:
    """The weight of each class in the loss, by head. Reads every training record if they are `balanced`; None weights all by 1.

    Raises:
      UserError: for a class that no training record has.
    """
    loss, split = experiment.loss, experiment.data.train_split
    if loss.class_weights == "balanced":
        return balanced_class_weights(loss, dataset.class_counts(split), len(dataset.source(split)))
    return explicit_class_weights(loss, _counts(dataset.labels))


def _counts(labels: Labels) -> dict[str, int]:
    """The number of classes of each head."""
    return {head: len(names) for head, names in by_head(labels).items()}


def split_batches(
    experiment: Experiment, dataset: VideoDataset, split: str | None, views: Views, *, flip: bool = False, again: bool = False
) -> EvaluationBatches | None:
    """This host's batches of a split to evaluate; None for a split that does not exist, of which `check_splits` has warned.

    If it is to be evaluated `again` and again, its videos are kept decoded, as those of the training split are.
    """
    if split is None or not dataset.has(split):
        return None
    batch_size = experiment.evaluation.batch_size or experiment.training.batch_size
    host_size = -(-batch_size // jax.process_count())
    options = {"views": views, "flip": flip, "batch_size": host_size, "shard": _shard()}
    records = dataset.source(split)
    if again:
        records = kept_decoded(records, experiment.data.cache_gigabytes, split)
    return evaluation_batches(records, experiment.preprocess, experiment.data, **options)


def _shard() -> tuple[int, int]:
    return jax.process_index(), jax.process_count()
