"""Heads fitted to frozen features or tokens; the setting of each is chosen on videos that it was not fitted to."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from vivit_jax.console import counted
from vivit_jax.data.groups import without_segment
from vivit_jax.heads import by_head
from vivit_jax.inference.features import Features
from vivit_jax.inference.tokens import Tokens
from vivit_jax.models.probe.config import ProbeConfig
from vivit_jax.models.probe.family import pool_of
from vivit_jax.training.probes.attentive import AttentiveHead, TokenRows, choose_attentive, fit_attentive
from vivit_jax.training.probes.examples import Examples, folds
from vivit_jax.training.probes.kinds import KINDS, Head, choose
from vivit_jax.training.probes.settings import Setting, Tried

GroupOf = Callable[[str], str]  # from a video's name to that of its group


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A head and how it was fitted.

    Attributes:
      head: the function from features to logits; for kind `attentive`, its parameters.
      tried: the settings with their held-out scores, the best first, which was taken.
      chosen_on: the videos or folds that the setting was chosen on, in words.
      fitted_to: number of examples that the head was fitted to.
    """

    head: Head | Mapping
    tried: tuple[Tried, ...]
    chosen_on: str
    fitted_to: int


def fit_attentive_head(
    tokens: Tokens, config: ProbeConfig, classes: int, *, refit: bool = True, group_of: GroupOf = without_segment
) -> Fitted:
    """Trains an attentive head; its setting is chosen as in `fit_heads`.

    Args:
      tokens: those of a train split, and maybe of a val split after it.
      config: the probe around the backbone.
      classes: how many there are.
      refit: whether the head is trained on both splits once its setting is chosen.
      group_of: the group of a video, by its name.

    Returns:
      What was fitted; its `head` are the parameters of `pool` and `head`.

    Raises:
      UserError: for videos of one class or one group, or names without a group.
    """
    rows = TokenRows(tokens.values, tokens.index, tokens.label, np.array([group_of(name) for name in tokens.names]))
    everything = np.arange(len(rows.tokens))
    train, *rest = np.split(everything, np.cumsum(tokens.counts)[:-1])
    val = rest[0] if rest else None
    head = AttentiveHead(pool_of(config), classes)
    tried = choose_attentive(head, rows, train, val)
    fitted_to = everything if refit else train
    params = fit_attentive(head, rows, fitted_to, tried[0].setting)
    chosen_on = counted(len(val), "video") if val is not None else _folds_in_words(rows.label, rows.groups)
    return Fitted(params, tried, chosen_on, len(fitted_to))


def fit_heads(
    train: Features,
    val: Features | None,
    *,
    kind: str = "linear",
    settings: tuple[Setting, ...] | None = None,
    refit: bool = True,
    group_of: GroupOf = without_segment,
) -> dict[str, Fitted]:
    """Fits a head for each label of `train`, by the setting that does best on videos it was not fitted to.

    Args:
      train: the features to fit to.
      val: those to choose the setting on; None chooses it by cross-validation over groups of `train`.
      kind: `linear` or `knn`.
      settings: those to choose from; None is the kind's own.
      refit: whether the head is fitted to both once its setting is chosen.
      group_of: the group of a video, by its name.

    Returns:
      The fitted heads by name; a single head has the empty name.

    Raises:
      UserError: for videos of one class or one group, or names without a group.
    """
    fitted = {}
    for name, classes in by_head(train.label_names).items():
        examples, held_out = _examples(train, name, group_of), None if val is None else _examples(val, name, group_of)
        method = KINDS[kind]() if settings is None else KINDS[kind](settings)
        tried = choose(method, examples, held_out, len(classes))
        everything = examples.joined(held_out) if held_out is not None and refit else examples
        head = method.fit(everything, len(classes), tried[0].setting)
        chosen_on = counted(len(held_out), "video") if held_out is not None else _folds_in_words(examples.label, examples.groups)
        fitted[name] = Fitted(head, tried, chosen_on, len(everything))
    return fitted


def _examples(found: Features, head: str, group_of: GroupOf) -> Examples:
    label = found.label[head] if isinstance(found.label, Mapping) else found.label
    return Examples(found.features, label, np.array([group_of(name) for name in found.names]))


def _folds_in_words(label: np.ndarray, groups: np.ndarray) -> str:
    return f"{len(folds(label, groups))} folds of {len(np.unique(groups))} groups"
