"""Statistics of streams: exact, mergeable, and able to forget."""

from skbasics.stats._online import OnlineMeanVar

__all__ = ["OnlineMeanVar"]
