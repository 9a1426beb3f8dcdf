"""The heads of a model by name, and what their classes are called."""

from collections.abc import Mapping
from typing import Any

# Class names in the order of their numbers, or of each head by its name.
Labels = tuple[str, ...] | Mapping[str, tuple[str, ...]]


def by_head(values: Any) -> dict[str, Any]:
    """Class counts, labels, logits or anything else by the name of its head; that of a single head, which has none, by the empty name."""
    return dict(values) if isinstance(values, Mapping) else {"": values}
