"""Whole runs in processes of their own, and small data sets to be damaged."""

from processes import compiled, small_disk, start
from small_sets_of_videos import contents, listed, original, stored, stored_before

__all__ = ["compiled", "contents", "listed", "original", "small_disk", "start", "stored", "stored_before"]
