"""The head of the convolutional families: dropout, then a linear layer for each label."""

from collections.abc import Mapping

import flax.linen as nn
from jaxtyping import Array, Float

Logits = Float[Array, "b classes"] | dict[str, Float[Array, "b classes"]]


def classified(features: Float[Array, "b d"], heads: Mapping[str, int], dropout: float, *, train: bool) -> Logits | Float[Array, "b d"]:
    """Logits of features, or these by head; the features themselves where there is no head.

    To be called in a module's compact `__call__`, whose parameters it names `head` (or `head_<name>` for each of several).
    """
    features = nn.Dropout(dropout, deterministic=not train)(features)
    if not heads:
        return features
    logits = {
        name: nn.Dense(classes, kernel_init=nn.initializers.normal(0.01), name=f"head_{name}" if name else "head")(features)
        for name, classes in heads.items()
    }
    return logits.get("", logits)
