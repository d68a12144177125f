"""Edges as what a network is trained on: a price of codes, by pairs of rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skbasics._arrays import SEED_BOUND
from skbasics.manifold._forces import LONGEST, NEAR, Forces
from skbasics.network import (
    BatchOfRows,
    Loss,
    PricedLayer,
    RandomLayer,
    ReconstructionObjective,
    TrainingPass,
)


@dataclass(frozen=True, eq=False)
class Edges:
    """A graph to draw neighbours from.

    Attributes
    ----------
    X : Tensor of shape (n, n_features)
        The rows that batches are taken from, and others.
    reach : Tensor of float64, shape (n + 1,)
        The summed weights of the edges of all rows before each.
    sums : Tensor of float64, shape (n_edges,)
        The running sum of the weights.
    tail : Tensor of int64, shape (n_edges,)
        Where each edge leads.
    """

    X: Tensor
    reach: Tensor
    sums: Tensor
    tail: Tensor

    @classmethod
    def of(cls, graph: sp.csr_matrix, X: Tensor, numbers: np.ndarray) -> "Edges":
        """Return the edges of a graph between some rows of X, by their numbers there."""
        sums = np.cumsum(graph.data, dtype=np.float64)
        ends = np.append(0.0, sums)[graph.indptr]
        reach = np.full(X.shape[0] + 1, np.nan)
        reach[numbers], reach[numbers + 1] = ends[:-1], ends[1:]
        tail = numbers[graph.indices]
        return cls(X, *(torch.from_numpy(part).to(X.device) for part in (reach, sums, tail)))

    def neighbours(self, rows: Tensor, draws: Tensor) -> Tensor:
        """Return a neighbour of each row, by a number from 0 to 1 each, as its edges weigh."""
        start, stop = self.reach[rows], self.reach[rows + 1]
        at = start + draws * (stop - start)
        place = torch.searchsorted(self.sums, at, right=True)
        return self.X[self.tail[place.clamp(max=len(self.tail) - 1)]]
