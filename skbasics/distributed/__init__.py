"""Many blocks, many workers: fits on parts that add up to the fit on all."""

from skbasics.distributed._blocks import fit_blocks

__all__ = ["fit_blocks"]
