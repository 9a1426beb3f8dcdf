"""A video's logits from those of its views, which come in groups: their mean, those of the mean probabilities, or each view's."""

import functools
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vivit_jax.training.averaging import averaged
from vivit_jax.weights import Pretrained
from vivit_jax.weights.model_json import LOGITS

ByHead = dict[str, np.ndarray]

# From the logits of the views, (v, classes) by head, group by group, to those of the video, by head.
Reduction = Callable[[Sequence[ByHead]], ByHead]


def each_view(groups: Sequence[ByHead]) -> dict[str, Float[np.ndarray, "v classes"]]:
    """The logits of every view."""
    return {head: np.concatenate([group[head] for group in groups]) for head in groups[0]}


def mean(groups: Sequence[ByHead]) -> dict[str, Float[np.ndarray, " classes"]]:
    """The mean logits of all views, in float64."""
    views = sum(len(next(iter(group.values()))) for group in groups)
    return {head: sum(group[head].sum(axis=0, dtype=np.float64) for group in groups) / views for head in groups[0]}


def mean_probabilities(groups: Sequence[ByHead], *, multi_label: bool) -> dict[str, Float[np.ndarray, " classes"]]:
    """The logits that give the mean probabilities of all views; with `multi_label` these are the sigmoids, and not the softmax."""
    average = functools.partial(averaged, average="probabilities", multi_label=multi_label)
    return {head: np.asarray(average(jnp.asarray(logits)[:, None]))[0] for head, logits in each_view(groups).items()}


def average_of(pretrained: Pretrained) -> Reduction:
    """A model's average over views: of its logits or probabilities, as the model says, or of the features of one without a head."""
    if pretrained.average == LOGITS or not pretrained.model.config.heads:
        return mean
    return functools.partial(mean_probabilities, multi_label=pretrained.multi_label)
