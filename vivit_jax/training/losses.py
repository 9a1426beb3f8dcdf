"""Softmax and sigmoid cross-entropy of one head or several, in float32."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from jax import nn
from jaxtyping import Array, Float, Int

from vivit_jax.errors import UserError
from vivit_jax.heads import by_head
from vivit_jax.training.config import LossConfig

Labels = Any  # int (b,), or zeros and ones (b, classes), or a dict of them by head
Logits = Any  # float (b, classes), or a dict of them by head
Targets = Any  # float (b, classes) in 0..1, or a dict of them by head
ClassWeights = Mapping[str, Float[np.ndarray, " classes"]]  # by head


def targets_of(labels: Labels, logits: Logits) -> dict[str, Any]:
    """Targets (b, classes) by head in the shape of `logits`: one-hot for labels (b,), and labels (b, classes) as they are."""
    return {
        name: label.astype(jnp.float32) if label.ndim == 2 else nn.one_hot(label, by_head(logits)[name].shape[-1])
        for name, label in by_head(labels).items()
    }


def cross_entropy(logits: Logits, targets: Targets, config: LossConfig, class_weights: ClassWeights | None = None) -> jnp.ndarray:
    """The mean over examples, and over heads, of the cross-entropy that `config` names, with soft targets."""
    of_head = {"softmax": softmax_cross_entropy, "sigmoid": sigmoid_cross_entropy}[config.name]
    weights = class_weights or {}
    losses = [
        of_head(by_head(logits)[name].astype(jnp.float32), target, config.label_smoothing, weights.get(name, 1.0)).mean()
        for name, target in by_head(targets).items()
    ]
    return sum(losses) / len(losses)


def softmax_cross_entropy(
    logits: Float[Array, "b classes"],
    targets: Float[Array, "b classes"],
    label_smoothing: float,
    class_weights: Float[np.ndarray, " classes"] | float,
) -> Float[Array, " b"]:
    """The loss of each example, whose targets sum to 1; smoothing spreads a share over all classes, and a class's term has its weight."""
    return optax.softmax_cross_entropy(logits, class_weights * optax.smooth_labels(targets, label_smoothing))


def sigmoid_cross_entropy(
    logits: Float[Array, "b classes"],
    targets: Float[Array, "b classes"],
    label_smoothing: float,
    class_weights: Float[np.ndarray, " classes"] | float,
) -> Float[Array, " b"]:
    """The loss of each example, the mean over its classes; smoothing pulls targets to 1/2, and a class's presence has its weight."""
    targets = (1 - label_smoothing) * targets + label_smoothing / 2
    return -(class_weights * targets * nn.log_sigmoid(logits) + (1 - targets) * nn.log_sigmoid(-logits)).mean(axis=-1)


def explicit_class_weights(config: LossConfig, classes: Mapping[str, int]) -> ClassWeights | None:
    """The weights that the config gives one by one.

    Raises:
      UserError: where there are several heads, or the weights are not as many as the classes.
    """
    if config.class_weights is None:
        return None
    if list(classes.values()) != [len(config.class_weights)]:
        heads = " and ".join(f"{count}{f' of {head}' if head else ''}" for head, count in classes.items())
        raise UserError(
            f"loss.class_weights must be one number per class of a single head, got {len(config.class_weights)} numbers for classes {heads}"
        )
    return {next(iter(classes)): np.asarray(config.class_weights, np.float32)}


def balanced_class_weights(config: LossConfig, counts: Mapping[str, Int[np.ndarray, " classes"]], examples: int) -> ClassWeights:
    """The weights that give all classes the same influence, from the count of each class among the training `examples`.

    With softmax, examples / (classes * count), whose mean over the examples is 1 (scikit-learn's `balanced`). With sigmoid, a class's
    absences over its presences, so that both count alike.

    Raises:
      UserError: for a class without examples.
    """
    for head, count in counts.items():
        if not count.all():
            of_head = f" of head {head!r}" if head else ""
            raise UserError(f"loss.class_weights balanced: class number {int(count.argmin())}{of_head} has no training example")
    if config.name == "sigmoid":
        return {head: ((examples - count) / count).astype(np.float32) for head, count in counts.items()}
    return {head: (examples / (len(count) * count)).astype(np.float32) for head, count in counts.items()}
