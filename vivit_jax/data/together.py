"""What must stay together, because it shares something, directly or through others."""

from collections.abc import Hashable


class Together:
    """Joins keys; those that are joined, directly or through others, have one root."""

    def __init__(self) -> None:
        self._parents: dict[Hashable, Hashable] = {}

    def root(self, key: Hashable) -> Hashable:
        """One of the keys that this one is joined with, the same for all of them."""
        while self._parents.setdefault(key, key) != key:
            self._parents[key] = self._parents[self._parents[key]]
            key = self._parents[key]
        return key

    def join(self, key: Hashable, other: Hashable) -> None:
        """Joins two keys, and all that they are joined with."""
        self._parents[self.root(key)] = self.root(other)
