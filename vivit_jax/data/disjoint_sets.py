"""Disjoint sets (union-find): which keys belong together because they share something, directly or through others."""

from collections.abc import Hashable


class DisjointSets:
    """Sets of keys without an overlap. A key that was not named before is a set of its own."""

    def __init__(self) -> None:
        self._parents: dict[Hashable, Hashable] = {}

    def root(self, key: Hashable) -> Hashable:
        """The key that stands for the set of this one: the same for all keys in it."""
        while self._parents.setdefault(key, key) != key:
            self._parents[key] = self._parents[self._parents[key]]
            key = self._parents[key]
        return key

    def join(self, key: Hashable, other: Hashable) -> None:
        """Makes the sets of two keys one."""
        self._parents[self.root(key)] = self.root(other)
