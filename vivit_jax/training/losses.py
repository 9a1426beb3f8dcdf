"""Softmax and sigmoid cross-entropy of one head or several, in float32."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
import optax
from jax import nn
from jaxtyping import Array, Float, Int, UInt8

from vivit_jax.errors import UserError
from vivit_jax.heads import by_head
from vivit_jax.models.head import Logits
from vivit_jax.training.config import LossConfig

Label = Int[Array, " b"] | UInt8[Array, "b classes"]  # class numbers; or zeros and ones, where an example may have several
Targets = dict[str, Float[Array, "b classes"]]  # by head, in 0..1
ClassWeights = Mapping[str, Float[np.ndarray, " classes"]]  # by head


def targets_of(label: Label | Mapping[str, Label], logits: Logits) -> Targets:
    """Targets in the shape of `logits`: one-hot for class numbers, and zeros and ones as they are."""
    return {
        name: values.astype(jnp.float32) if values.ndim == 2 else nn.one_hot(values, by_head(logits)[name].shape[-1])
        for name, values in by_head(label).items()
    }


def cross_entropy(logits: Logits, targets: Targets, config: LossConfig, class_weights: ClassWeights | None = None) -> Float[Array, ""]:
    """The mean over examples, and over heads, of the cross-entropy that `config` names, with soft targets."""
    of_head = {"softmax": softmax_cross_entropy, "sigmoid": sigmoid_cross_entropy}[config.name]
    weights = class_weights or {}
    losses = [
        of_head(by_head(logits)[name].astype(jnp.float32), target, config.label_smoothing, weights.get(name, 1.0)).mean()
        for name, target in targets.items()
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
