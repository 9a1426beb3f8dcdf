"""A video's logits from those of its views, which come in groups: their mean, those of the mean probabilities, or each view's."""

import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vivit_jax.training.averaging import averaged
from vivit_jax.weights import Pretrained
from vivit_jax.weights.model_json import LOGITS

LogitsOfViews = dict[str, Float[np.ndarray, "v classes"]]
LogitsOfVideo = dict[str, Float[np.ndarray, " classes"]]


class Mean:
    """The mean logits of all views."""

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}
        self._views = 0

    def add(self, logits: LogitsOfViews) -> None:
        """Takes the next group of views, by head."""
        self._views += len(next(iter(logits.values())))
        for head, values in logits.items():
            self._sums[head] = self._sums.get(head, 0) + values.sum(axis=0, dtype=np.float64)

    def gathered(self) -> LogitsOfVideo:
        """The mean over all views so far, by head."""
        return {head: total / self._views for head, total in self._sums.items()}


class EachView:
    """The logits of every view."""

    def __init__(self) -> None:
        self._groups: list[LogitsOfViews] = []

    def add(self, logits: LogitsOfViews) -> None:
        """Takes the next group of views, by head."""
        self._groups.append(logits)

    def gathered(self) -> LogitsOfViews:
        """The views so far, by head."""
        return {head: np.concatenate([group[head] for group in self._groups]) for head in self._groups[0]}


class MeanProbabilities:
    """The logits that give the mean probabilities of all views."""

    def __init__(self, *, multi_label: bool) -> None:
        """`multi_label` says whether a class's probability is the sigmoid of its logit, and not the softmax over all."""
        self._each = EachView()
        self._over_views = functools.partial(averaged, average="probabilities", multi_label=multi_label)

    def add(self, logits: LogitsOfViews) -> None:
        """Takes the next group of views, by head."""
        self._each.add(logits)

    def gathered(self) -> LogitsOfVideo:
        """The logits of the mean probabilities of all views so far, by head."""
        return {head: np.asarray(self._over_views(jnp.asarray(values)[:, None]))[0] for head, values in self._each.gathered().items()}


Gatherer = Mean | MeanProbabilities | EachView
Gather = Callable[[], Gatherer]


def gatherer(pretrained: Pretrained) -> Gatherer:
    """A new average over views for a model: of its logits or probabilities, as the model says, or of the features of one without a head."""
    if pretrained.average == LOGITS or not pretrained.model.config.heads:
        return Mean()
    return MeanProbabilities(multi_label=pretrained.multi_label)


def mean_over_views(pretrained: Pretrained, logits: LogitsOfViews) -> LogitsOfVideo:
    """The logits of a video or window from those of its views: their mean or, as the model says, what gives the mean probabilities."""
    total = gatherer(pretrained)
    total.add(logits)
    return total.gathered()
