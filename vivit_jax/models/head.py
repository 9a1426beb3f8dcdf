"""The head of a network: a linear layer for each label on its features."""

from collections.abc import Mapping

import flax.linen as nn
from jaxtyping import Array, Float

Logits = Float[Array, "b classes"] | dict[str, Float[Array, "b classes"]]


def classified(
    features: Float[Array, "b d"], heads: Mapping[str, int], kernel_init: nn.initializers.Initializer
) -> Logits | Float[Array, "b d"]:
    """Logits of features, or these by head; the features themselves where there is no head.

    To be called in a module's compact `__call__`, whose parameters it names `head` (or `head_<name>` for each of several).

    Args:
      features: float32.
      heads: classes of each head by name; a single head has the empty name.
      kernel_init: draws the first weights.
    """
    if not heads:
        return features
    logits = {
        name: nn.Dense(classes, kernel_init=kernel_init, name=f"head_{name}" if name else "head")(features)
        for name, classes in heads.items()
    }
    return logits.get("", logits)
