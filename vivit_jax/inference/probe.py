"""Fits a head to the features that a frozen backbone gives for a data set, and makes a model of the two."""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from vivit_jax.data.config import DataConfig
from vivit_jax.data.dataset import VideoDataset
from vivit_jax.errors import UserError, unknown_name
from vivit_jax.heads import by_head
from vivit_jax.inference.features import Features, features
from vivit_jax.models.families import build
from vivit_jax.models.probe.family import ProbeConfig, described
from vivit_jax.preprocess import Views
from vivit_jax.training.config import ParallelConfig
from vivit_jax.training.probes import KINDS, Examples, Head, NearestHead, Tried, choose, folds
from vivit_jax.weights import Pretrained
from vivit_jax.weights.headless import with_heads, without_head
from vivit_jax.weights.layers import flatten_variables, unflatten_variables

# How the name of a segment ends in a data set of layout csv, such as `@1.5-4`.
SEGMENT = re.compile(r"@[\d.]+-[\d.]*$")


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A head and how it was fitted.

    Attributes:
      head: from features to logits.
      tried: the settings with their held-out scores, the best first, which was taken.
      chosen_on: the videos or folds that the setting was chosen on, in words.
      fitted_to: number of examples that the head was fitted to.
    """

    head: Head
    tried: tuple[Tried, ...]
    chosen_on: str
    fitted_to: int


@dataclasses.dataclass(frozen=True)
class Probed:
    """The model that a probe gives.

    Attributes:
      pretrained: the backbone with the new head; its `provenance` records how it was made.
      heads: how each head was fitted, by name.
      fitted_on: the splits that the heads were fitted to.
    """

    pretrained: Pretrained
    heads: Mapping[str, Fitted]
    fitted_on: tuple[str, ...]


def probe(
    pretrained: Pretrained,
    dataset: VideoDataset,
    *,
    kind: str = "linear",
    train_split: str = "train",
    val_split: str | None = None,
    refit: bool = True,
    groups: str | None = None,
    views: Views = (1, 1),
    batch_size: int = 8,
    data: DataConfig | None = None,
    parallel: ParallelConfig | None = None,
    progress: bool = True,
) -> Probed:
    """Fits a head for the classes of a data set to the frozen features of a model, whose own head, if any, is not used.

    Args:
      pretrained: the backbone.
      dataset: the videos and their classes.
      kind: `linear` or `knn`.
      train_split: the split to fit to.
      val_split: the split to choose the head's setting on; None chooses by cross-validation within `train_split`.
      refit: whether the head is fitted to both splits once its setting is chosen.
      groups: a regular expression for the part of a video's name (its first group, or all it matches) that videos of one group share;
        None makes the segments of one video a group, and every other video one of its own.
      views: (temporal clips, spatial crops) of each video, whose features are averaged.
      batch_size: videos at once.
      data: readers and temporal order.
      parallel: the devices.
      progress: whether to show progress bars.

    Raises:
      UserError: for an unknown kind, a split that does not exist, videos of one class or one group, or a family that takes no linear head.
    """
    if kind not in KINDS:
        raise unknown_name("--kind", kind, KINDS)
    options = {"views": views, "batch_size": batch_size, "data": data, "parallel": parallel, "progress": progress}
    backbone = without_head(pretrained)
    train = features(backbone, dataset, train_split, **options)
    val = features(backbone, dataset, val_split, **options) if val_split else None
    heads = fit_heads(train, val, kind=kind, refit=refit, groups=groups)
    fitted_on = (train_split, val_split) if val_split and refit else (train_split,)
    provenance = _provenance(heads, kind, dataset, fitted_on, val_split, views, pretrained.provenance)
    return Probed(_assembled(backbone, kind, heads, train, provenance, multi_label=dataset.multi_label), heads, fitted_on)


def fit_heads(
    train: Features, val: Features | None, *, kind: str = "linear", refit: bool = True, groups: str | None = None
) -> dict[str, Fitted]:
    """Fits a head for each label of `train`. Its setting is chosen on `val`, or without one by cross-validation over groups.

    With `refit` the head is then fitted to both.

    Raises:
      UserError: for videos of one class or one group, or names without a group.
    """
    fitted = {}
    for name, classes in by_head(train.label_names).items():
        examples, held_out = _examples(train, name, groups), None if val is None else _examples(val, name, groups)
        method = KINDS[kind]()
        tried = choose(method, examples, held_out, len(classes))
        everything = examples.joined(held_out) if held_out is not None and refit else examples
        head = method.fit(everything, len(classes), tried[0].setting)
        chosen_on = f"{len(held_out)} videos" if held_out is not None else _told_folds(examples)
        fitted[name] = Fitted(head, tried, chosen_on, len(everything))
    return fitted


def _examples(found: Features, head: str, groups: str | None) -> Examples:
    label = found.label[head] if isinstance(found.label, Mapping) else found.label
    return Examples(found.features, label, np.array([_group(name, groups) for name in found.names]))


def _group(name: str, pattern: str | None) -> str:
    if pattern is None:
        return SEGMENT.sub("", name)
    match = re.search(pattern, name)
    if match is None:
        raise UserError(f"--groups {pattern!r} matches no part of the name {name!r}: it must find the group in every video's name")
    return match.group(1) if match.re.groups else match.group()


def _told_folds(examples: Examples) -> str:
    return f"{len(folds(examples))} folds of {len(np.unique(examples.groups))} groups"


def _assembled(
    backbone: Pretrained, kind: str, heads: Mapping[str, Fitted], train: Features, provenance: dict, *, multi_label: bool
) -> Pretrained:
    if kind == "linear":
        layers = {name: fitted.head.layer for name, fitted in heads.items()}
        return with_heads(backbone, layers, train.label_names, multi_label=multi_label, provenance=provenance)
    if list(heads) != [""]:
        raise UserError(f"knn is for one head, but the data set has {', '.join(heads)}: use --kind linear")
    return _with_memory(backbone, heads[""].head, train.label_names, provenance)


def _with_memory(backbone: Pretrained, head: NearestHead, labels: tuple[str, ...], provenance: dict) -> Pretrained:
    rows, classes = head.classes.shape
    setting = {"rows": rows, "neighbours": head.neighbours, "temperature": head.temperature}
    config = ProbeConfig(described(backbone.model.config), num_classes=classes, **setting)
    flat = {
        f"{collection}:backbone/{path}" if collection else f"backbone/{path}": leaf
        for name, leaf in flatten_variables(backbone.variables).items()
        for collection, _, path in [name.rpartition(":")]
    }
    bank = {"bank:keys": head.keys.astype(np.float32), "bank:classes": head.classes.astype(np.float32)}
    variables = unflatten_variables(flat | bank, scan_layers=config.scan_layers)
    return Pretrained(build(config), variables, backbone.preprocess, labels, provenance=provenance)


def _provenance(
    heads: Mapping[str, Fitted],
    kind: str,
    dataset: VideoDataset,
    fitted_on: tuple[str, ...],
    val_split: str | None,
    views: Views,
    of_backbone: dict | None,
) -> dict:
    by_name = {
        name: {
            "setting": fitted.tried[0].setting,
            "loss": fitted.tried[0].loss,
            "mAP" if dataset.multi_label else "top1": fitted.tried[0].top1,
            "chosen_on": f"{val_split}, {fitted.chosen_on}" if val_split else fitted.chosen_on,
            "videos": fitted.fitted_to,
        }
        for name, fitted in heads.items()
    }
    return {
        "probe": {"kind": kind, "fitted_on": list(fitted_on), "views": list(views), **(by_name.get("") or {"heads": by_name})},
        "data": dict(dataset.identity),
        "backbone": of_backbone,
    }
