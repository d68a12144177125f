"""Several processes, and more rows than one of them can hold."""

from skbasics.distributed._blocks import fit_blocks
from skbasics.distributed._data_parallel import data_parallel

__all__ = ["data_parallel", "fit_blocks"]
