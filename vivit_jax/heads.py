"""The heads of a model by name, and the names of their classes."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

# Class names in the order of their numbers; with several heads, those of each head by its name.
Labels = tuple[str, ...] | Mapping[str, tuple[str, ...]]


def top5_is_informative(labels: Iterable[Collection[str]]) -> bool:
    """Whether top-5 accuracy could be below 1: among five classes or fewer, the right one is always one of the five best."""
    return any(len(names) > 5 for names in labels)


def by_head(values: Any) -> dict[str, Any]:
    """Class counts, labels, logits or other values by head name; those of a single head, which has no name, under the empty string."""
    return dict(values) if isinstance(values, Mapping) else {"": values}
