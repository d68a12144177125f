"""Nearest neighbours of many rows among themselves, by descent over neighbours' neighbours."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from skbasics._arrays import as_numpy
from skbasics._threads import numba_threads, threads_kept, without_warnings
from skbasics.manifold._fuzzy import membership_graph, union
from skbasics.manifold._metrics import Measure
from skbasics.manifold._neighbors import Neighbors, in_order, nearest

MANY = 20000
"""Rows up to which neighbours are found exactly, in seconds. Beyond, pynndescent is faster even if
it has to be compiled first; of the true neighbours of digits it misses one in two hundred."""


def neighbors_among(X: Any, k: int, measure: Measure, n_jobs: int | None = -1) -> Neighbors:
    """Return the neighbours of rows among themselves, each row its own first, at zero.

    Those of few rows are exact. Those of many are pynndescent's, if that is installed and knows
    the distance; its only draws are those of one seed, so that they too are a function of the
    rows.

    Parameters
    ----------
    X : Tensor or sparse matrix
        No two rows alike.
    k : int
    measure : Measure
    n_jobs : int or None
        Threads of pynndescent; the result does not depend on them.
    """
    if not descends(X.shape[0], measure) or (isinstance(X, torch.Tensor) and X.is_cuda):
        return nearest(X, X, k, measure, same=True)
    found = _descended(X, k, measure, n_jobs)
    index, distance = (torch.from_numpy(part) for part in found)
    lost = torch.nonzero((index < 0).any(1))[:, 0].numpy()
    if len(lost):
        exact = nearest(X[lost], X, k, measure)
        index[lost], distance[lost] = exact.index, exact.distance
    return _own_first(index, distance)


def graph_of(
    X: Any, k: int, measure: Measure, asked: Any, n_jobs: int | None = -1
) -> tuple[sp.csr_matrix, Neighbors]:
    """Return the fuzzy graph of rows, as an estimator's parameters ask for it, and neighbours."""
    neighbors = neighbors_among(X, k, measure, n_jobs)
    directed = membership_graph(neighbors, asked.local_connectivity, measure.limit)
    return union(directed, asked.set_op_mix_ratio), neighbors


def descends(n: int, measure: Measure) -> bool:
    """Whether the neighbours of n rows are found by descent; nothing is imported for that."""
    if n <= MANY or measure.indexed_as is None:
        return False
    return find_spec("pynndescent") is not None


def _descended(
    X: Any, k: int, measure: Measure, n_jobs: int | None
) -> tuple[np.ndarray, np.ndarray]:
    from pynndescent import NNDescent

    if measure.moves and not sp.issparse(X):
        X = X - X.mean(0)  # it computes in float32, and far from zero nothing is left of that
    name, keywords = measure.indexed_as
    n = X.shape[0]
    with threads_kept(), without_warnings():  # what it did not find is found here
        index, distance = NNDescent(
            as_numpy(X).astype(np.float32),
            metric=name,
            metric_kwds=keywords,
            n_neighbors=k,
            n_trees=min(64, 5 + round(n**0.5 / 20)),
            n_iters=max(5, round(np.log2(n))),
            max_candidates=60,
            random_state=0,
            n_jobs=numba_threads(n_jobs),
            compressed=False,
        ).neighbor_graph
    return index.astype(np.int64), distance.astype(np.float64)


def _own_first(index: torch.Tensor, distance: torch.Tensor) -> Neighbors:
    """Put each row before its neighbours; where it is missing, in place of the farthest."""
    own = torch.arange(len(index))
    mine = index == own[:, None]
    mine[~mine.any(1), -1] = True
    index = torch.where(mine, own[:, None], index)
    return in_order(distance.masked_fill(mine, -torch.inf), index, own)
