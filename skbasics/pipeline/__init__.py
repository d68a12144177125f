"""A pipeline that streams."""

from skbasics.pipeline._stream import StreamPipeline

__all__ = ["StreamPipeline"]
