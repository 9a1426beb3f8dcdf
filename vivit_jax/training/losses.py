"""Softmax cross-entropy of one head or several, in float32."""

from typing import Any

import jax.numpy as jnp
import optax
from jax import nn

from vivit_jax.models.config import by_head

Labels = Any  # int (b,), or a dict of them by head
Logits = Any  # float (b, classes), or a dict of them by head
Targets = Any  # float (b, classes) that sum to 1, or a dict of them by head


def targets_of(labels: Labels, logits: Logits) -> dict[str, Any]:
    """One-hot targets (b, classes) by head for `labels` (b,), in the shape of `logits`."""
    return {name: nn.one_hot(labels, by_head(logits)[name].shape[-1]) for name, labels in by_head(labels).items()}


def cross_entropy(logits: Logits, targets: Targets, *, label_smoothing: float = 0.0) -> jnp.ndarray:
    """The mean over examples, and over heads, of the cross-entropy with soft targets."""
    losses = [
        optax.softmax_cross_entropy(by_head(logits)[name].astype(jnp.float32), optax.smooth_labels(target, label_smoothing)).mean()
        for name, target in by_head(targets).items()
    ]
    return sum(losses) / len(losses)
