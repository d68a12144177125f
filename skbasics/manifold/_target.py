"""A graph that minds the target: edges between rows of unlike targets are weakened."""

import numpy as np
import scipy.sparse as sp
import torch

from skbasics.manifold._fuzzy import membership_graph, reconnected
from skbasics.manifold._metrics import resolve_metric
from skbasics.manifold._neighbors import nearest

UNKNOWN = -1
"""The class of rows without one."""


def class_numbers(y: np.ndarray) -> np.ndarray:
    """Return classes as numbers, -1 for the class -1: rows without one.

    Raises
    ------
    ValueError
        If y has missing values, or labels that cannot be compared.
    """
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError("Input y contains NaN or infinity. Rows without a class have y=-1.")
    unknown = np.array([not isinstance(label, str) and label == UNKNOWN for label in y.tolist()])
    numbers = np.full(len(y), float(UNKNOWN))
    try:
        numbers[~unknown] = np.unique(y[~unknown], return_inverse=True)[1]
    except TypeError as error:
        raise ValueError(
            f"y has labels that cannot be compared ({error}). Labels are all words or all numbers; "
            "rows without a class have y=-1."
        ) from error
    return numbers


def by_class(graph: sp.csr_matrix, y: np.ndarray, weight: float) -> sp.csr_matrix:
    r"""Return the graph with edges between classes weakened.

    An edge between rows of different classes counts :math:`e^{-2.5 / (1 - w)}` times, one to a row
    without a class :math:`e^{-1}` times.

    Parameters
    ----------
    graph : sparse matrix
    y : ndarray of int, shape (n,)
        Numbers of classes, -1 for rows without.
    weight : float
        w, from 0 to 1.
    """
    edges = graph.tocoo()
    unlike = -2.5 / (1 - weight) if weight < 1 else -1e12
    one, other = y[edges.row], y[edges.col]
    factor = np.where(one != other, np.exp(unlike), 1.0)
    factor[(one == UNKNOWN) | (other == UNKNOWN)] = np.exp(-1.0)
    edges.data = edges.data * factor
    edges.eliminate_zeros()
    return reconnected(edges.tocsr())


def by_target(
    graph: sp.csr_matrix, y: np.ndarray, weight: float, n_neighbors: int, metric: str
) -> sp.csr_matrix:
    """Return the graph that both the rows and targets with a distance make."""
    Y = torch.from_numpy(np.ascontiguousarray(y, dtype=np.float64).reshape(len(y), -1))
    measure = resolve_metric(metric, {}, sparse=False, parameter="target_metric").fitted(Y)
    own = membership_graph(nearest(Y, Y, n_neighbors, measure, same=True), 1.0)
    return intersection(graph, own, weight)


def intersection(graph: sp.csr_matrix, own: sp.csr_matrix, weight: float) -> sp.csr_matrix:
    r"""Return the graph that two graphs make.

    Its edges are :math:`p\,r^{w/(1-w)}` for :math:`w < 1/2`, else :math:`p^{(1-w)/w}\,r`, with r
    those of the second; an edge that one of the two lacks counts half its weakest there.
    """
    edges = (graph + own).tocoo()
    least = max(graph.data.min() / 2, 1e-8), min(max(own.data.min() / 2, 1e-8), 1e-4)
    p, r = (_values(g, edges, m) for g, m in zip((graph, own), least, strict=True))
    powers = (1, weight / (1 - weight)) if weight < 0.5 else ((1 - weight) / weight, 1)
    both = p ** powers[0] * r ** powers[1]
    # What is weaker still than a missing edge stays as it was, as in umap-learn.
    edges.data = np.where((p > least[0]) | (r > least[1]), both, edges.data)
    return reconnected(edges.tocsr())


def _values(graph: sp.csr_matrix, edges: sp.coo_matrix, missing: float) -> np.ndarray:
    """Return the weights of some edges in a graph, `missing` where it has not got them."""
    found = np.asarray(graph[edges.row, edges.col]).ravel()
    return np.where(found > 0, found, missing)
