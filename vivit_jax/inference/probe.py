"""Fits a head to the features that a frozen backbone gives for a data set, and makes a model of the two."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from vivit_jax.data.groups import grouping, listed_names
from vivit_jax.errors import UserError, check_name
from vivit_jax.heads import by_head
from vivit_jax.inference.backbones import MEAN, as_probe, bare_backbone, feature_model
from vivit_jax.inference.features import Features, features_of_split
from vivit_jax.inference.fitted_heads import Fitted, GroupOf, fit_attentive_head, fit_heads
from vivit_jax.inference.split_pass import SplitPass
from vivit_jax.inference.tokens import tokens_of_passes
from vivit_jax.models.probe.config import KINDS, LAST, ProbeConfig, described
from vivit_jax.training.probes.examples import one_class, one_group
from vivit_jax.training.probes.nearest import NearestHead, check_one_class_each
from vivit_jax.weights import Pretrained
from vivit_jax.weights.headless import check_linear_heads, with_heads
from vivit_jax.weights.layers import flatten
from vivit_jax.weights.parameters import variable_shapes

HEAD_WIDTH = 64  # of an attention head


@dataclasses.dataclass(frozen=True)
class AttentiveSize:
    """The size of an attentive head.

    Attributes:
      patches: the side of the grid that the patches of each time index are averaged to; 0 keeps them all.
      queries: the number of learned queries.
      mlp_dim: the hidden units of an MLP after the attention; 0 has none.
    """

    patches: int = 4
    queries: int = 1
    mlp_dim: int = 0


@dataclasses.dataclass(frozen=True)
class HeadConfig:
    """The head to fit, and what it sees of the backbone.

    Attributes:
      kind: `linear`, `knn` or `attentive`.
      time: for the kinds `linear` and `knn`, the statistics over time that make the features.
      layers: the layers that make the features or tokens, counted back from -1.
      attention: the size of an attentive head; None is `AttentiveSize()`.

    Raises:
      UserError: for an unknown kind, or a field that is for another kind.
    """

    kind: str = "linear"
    time: tuple[str, ...] = MEAN
    layers: tuple[int, ...] = LAST
    attention: AttentiveSize | None = None

    def __post_init__(self) -> None:
        check_name("--kind", self.kind, KINDS)
        if self.kind == "attentive" and tuple(self.time) != MEAN:
            raise UserError("--time is for kinds linear and knn: an attentive head sees the tokens of all times")
        if self.kind != "attentive" and self.attention is not None:
            raise UserError(f"--patches, --queries and --mlp_dim are for kind attentive, and the kind is {self.kind}: leave them out")


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
    split_pass: SplitPass,
    head: HeadConfig | None = None,
    *,
    val_split: str | None = None,
    refit: bool = True,
    groups: str | None = None,
    progress: bool = True,
) -> Probed:
    """Fits a head for the classes of a data set to what a frozen model gives. The model's own head, if any, is not used.

    Args:
      split_pass: the backbone, the split to fit to, and how its videos are seen. Features are averaged over the views; an attentive head is
        trained on each view, on one device.
      head: the head; None is a linear one on the model's own feature.
      val_split: the split to choose the head's setting on; None chooses by cross-validation within the split to fit to.
      refit: whether the head is fitted to both splits once its setting is chosen.
      groups: a regular expression for the part of a video's name (its first group, or all it matches) that videos of one group share;
        None takes the groups that the data set was prepared with. A video without one is of its own group, with its other segments.
      progress: whether to show progress bars.

    Raises:
      UserError: for a split that does not exist, videos of one class or one group, or a family that takes no such head.
    """
    head, dataset = head or HeadConfig(), split_pass.dataset
    if head.kind != "linear" and isinstance(dataset.labels, Mapping):
        raise UserError(f"kind {head.kind} is for one head, but the data set has {', '.join(dataset.labels)}: use --kind linear")
    group_of = grouping(dataset, groups)
    passes = [split_pass, *([dataclasses.replace(split_pass, split=val_split)] if val_split else [])]
    for one in passes:
        dataset.source(one.split)  # refuses one without labels, whose features can be had
    _check(split_pass, head, val_split, group_of)
    fit = _attentive_model if head.kind == "attentive" else _model_on_features
    model, heads = fit(passes, head, refit=refit, group_of=group_of, progress=progress)
    probed = Probed(model, heads, tuple(one.split for one in (passes if refit else passes[:1])))
    provenance = _provenance(probed, head.kind, split_pass, val_split)
    return dataclasses.replace(probed, pretrained=dataclasses.replace(model, provenance=provenance, average=split_pass.pretrained.average))


def _check(split_pass: SplitPass, head: HeadConfig, val_split: str | None, group_of: GroupOf) -> None:
    """Refuses what needs no features to be known, before minutes are spent on them."""
    pretrained, dataset = split_pass.pretrained, split_pass.dataset
    if not dataset.multi_label and any(len(names) < 2 for names in by_head(dataset.labels).values()):
        raise one_class()
    if head.kind == "knn":
        check_one_class_each(several=dataset.multi_label)
        config = pretrained.model.config
        if isinstance(config, ProbeConfig) and config.kind == "attentive" and (tuple(head.time), tuple(head.layers)) == (MEAN, LAST):
            raise UserError("kind knn cannot use an attentive probe: give the model that the probe was made from")
    if head.kind == "linear":
        counts = {name: len(names) for name, names in by_head(dataset.labels).items()}
        config = feature_model(pretrained, time=head.time, layers=head.layers).model.config
        check_linear_heads(dataclasses.replace(config, num_classes=counts.get("", counts)))
    for split in filter(None, (split_pass.split, val_split)):
        names = listed_names(dataset, split)
        if names and len({group_of(name) for name in names}) < 2 and not val_split:
            raise one_group()


def _attentive_model(
    passes: Sequence[SplitPass], head: HeadConfig, *, refit: bool, group_of: GroupOf, progress: bool
) -> tuple[Pretrained, dict[str, Fitted]]:
    """The backbone with an attentive head, and how the head was fitted."""
    backbone, dataset = bare_backbone(passes[0].pretrained), passes[0].dataset
    config = attentive_config(backbone, head.attention or AttentiveSize(), head.layers)
    with tokens_of_passes(config, [dataclasses.replace(one, pretrained=backbone) for one in passes], progress=progress) as tokens:
        fitted = fit_attentive_head(tokens, config, len(dataset.labels), refit=refit, group_of=group_of)
    config = dataclasses.replace(config, num_classes=len(dataset.labels))
    return as_probe(backbone, config, flatten(fitted.head), dataset.labels, multi_label=dataset.multi_label), {"": fitted}


def _model_on_features(
    passes: Sequence[SplitPass], head: HeadConfig, *, refit: bool, group_of: GroupOf, progress: bool
) -> tuple[Pretrained, dict[str, Fitted]]:
    """The backbone with a linear or nearest-neighbour head, and how each head was fitted."""
    backbone, dataset = feature_model(passes[0].pretrained, time=head.time, layers=head.layers), passes[0].dataset
    train, *rest = (features_of_split(dataclasses.replace(one, pretrained=backbone), progress=progress) for one in passes)
    heads = fit_heads(train, rest[0] if rest else None, kind=head.kind, refit=refit, group_of=group_of)
    return _assembled(backbone, head.kind, heads, train, multi_label=dataset.multi_label), heads


def attentive_config(backbone: Pretrained, attention: AttentiveSize, layers: tuple[int, ...] = LAST) -> ProbeConfig:
    """The config of an attentive probe without a head around a backbone without one."""
    sizes = dataclasses.asdict(attention)
    config = ProbeConfig(described(backbone.model.config), kind="attentive", layers=tuple(layers), **sizes)
    width = variable_shapes(config)["pool/time"][1]
    return dataclasses.replace(config, num_heads=next(heads for heads in range(max(1, width // HEAD_WIDTH), 0, -1) if width % heads == 0))


def _assembled(backbone: Pretrained, kind: str, heads: Mapping[str, Fitted], train: Features, *, multi_label: bool) -> Pretrained:
    if kind == "linear":
        layers = {name: fitted.head.layer for name, fitted in heads.items()}
        return with_heads(backbone, layers, train.label_names, multi_label=multi_label)
    return _with_memory(backbone, heads[""].head, train.label_names)


def _with_memory(backbone: Pretrained, head: NearestHead, labels: tuple[str, ...]) -> Pretrained:
    rows, classes = head.classes.shape
    setting = {"kind": "knn", "num_classes": classes, "rows": rows, "neighbours": head.neighbours, "temperature": head.temperature}
    bank = {"bank:keys": head.keys.astype(np.float32), "bank:classes": head.classes.astype(np.float32)}
    config = backbone.model.config
    if not isinstance(config, ProbeConfig):
        return as_probe(backbone, ProbeConfig(described(config), **setting), bank, labels)
    return as_probe(bare_backbone(backbone), dataclasses.replace(config, **setting), bank, labels)


def _provenance(probed: Probed, kind: str, split_pass: SplitPass, val_split: str | None) -> dict:
    by_name = {
        name: {
            "setting": fitted.tried[0].setting,
            "loss": fitted.tried[0].loss,
            "mAP" if split_pass.dataset.multi_label else "top1": fitted.tried[0].top1,
            "chosen_on": f"{val_split}, {fitted.chosen_on}" if val_split else fitted.chosen_on,
            "videos": fitted.fitted_to,
        }
        for name, fitted in probed.heads.items()
    }
    how = {"kind": kind, "fitted_on": list(probed.fitted_on), "views": list(split_pass.views)}
    return {
        "probe": how | (by_name.get("") or {"heads": by_name}),
        "data": dict(split_pass.dataset.identity),
        "backbone": split_pass.pretrained.provenance,
    }
