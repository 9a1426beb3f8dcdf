"""The kinds of heads that are fitted to features, and the choice of a kind's setting."""

from typing import Protocol

import numpy as np
from jaxtyping import Float

from vivit_jax.training.probes.examples import Examples, folds
from vivit_jax.training.probes.linear import LinearKind
from vivit_jax.training.probes.nearest import NearestKind
from vivit_jax.training.probes.settings import Tried, tried_in_order

KINDS = {"linear": LinearKind, "knn": NearestKind}
Kind = LinearKind | NearestKind


class Head(Protocol):
    """Gives logits (b, classes) for features (b, d), in float64."""

    def __call__(self, features: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b classes"]:
        """The logits."""


def choose(kind: Kind, train: Examples, val: Examples | None, classes: int) -> tuple[Tried, ...]:
    """Tries every setting of a kind: fits it on `train` and scores it on `val`, or without `val` over folds of `train`.

    Returns:
      All that was tried, the best first: by the highest top-1, and among equals by the lowest loss.

    Raises:
      UserError: for examples of one class, or without `val` of one group.
    """
    folded = [(train, val)] if val is not None else [tuple(map(train.take, fold)) for fold in folds(train.label, train.groups)]
    label = np.concatenate([held.label for _, held in folded])
    scored = [
        (setting, np.concatenate([kind.fit(fit, classes, setting)(held.features) for fit, held in folded])) for setting in kind.settings
    ]
    return tried_in_order(scored, label, classes)
