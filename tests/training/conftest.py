"""Whole runs in processes of their own."""

from processes import compiled, small_disk, start

__all__ = ["compiled", "small_disk", "start"]
