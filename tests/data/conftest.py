"""Real videos at any path."""

from published_sets import film

__all__ = ["film"]
