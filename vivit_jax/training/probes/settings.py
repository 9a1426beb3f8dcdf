"""The settings of a head that were tried, with their scores."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from vivit_jax.training.metrics import score, score_multi_label

UNBOUNDED = ("C", "rate", "epochs")  # settings whose values have no natural end
Setting = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Tried:
    """A setting, and the scores of its head on features that the head was not fitted to.

    Attributes:
      setting: values by name.
      loss: mean cross-entropy.
      top1: the share that is right, in 0..1; mean average precision where an example may have several labels.
    """

    setting: Setting
    loss: float
    top1: float


def tried_in_order(scored: Sequence[tuple[Setting, np.ndarray]], label: np.ndarray, classes: int) -> tuple[Tried, ...]:
    """Scores settings, and gives them the best first.

    Args:
      scored: settings, each with the logits (b, classes) that its head gives for the held-out examples.
      label: class numbers (b,), or (b, classes) of zeros and ones where an example may have several.
      classes: the number of classes.
    """
    names = [str(number) for number in range(classes)]
    tried = []
    for setting, logits in scored:
        scores = score_multi_label(logits, label, names) if label.ndim == 2 else score(logits, label, names)
        tried.append(Tried(setting, scores.loss, float(scores.mAP or 0) if label.ndim == 2 else scores.top1))
    return tuple(sorted(tried, key=lambda one: (-one.top1, one.loss)))


def at_an_end(tried: Sequence[Tried]) -> list[str]:
    """The settings whose best value is the least or the largest that was tried, so that a better one may lie beyond."""
    best = tried[0].setting

    def is_at_an_end(name: str) -> bool:
        values = [one.setting[name] for one in tried]
        return best[name] in (min(values), max(values))

    return [name for name in UNBOUNDED if name in best and is_at_an_end(name)]
