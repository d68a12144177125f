"""Rows that are the same, found by keys of what they hold."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from skbasics._arrays import as_numpy

Array = np.ndarray


def row_keys(X: Any) -> Array:
    r"""Return a number of 64 bits for each row, the same for the same row, dense or sparse.

    It is :math:`\sum_j m_j\,h(x_j)` modulo :math:`2^{64}`, with h a mixing of the bits that leaves
    zero alone and m odd numbers drawn once. Two rows that differ share it once in :math:`2^{64}`.

    Parameters
    ----------
    X : Tensor, array or sparse matrix
    """
    draws = np.random.RandomState(0)
    odd = draws.randint(0, 2**63, X.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    if sp.issparse(X):
        X = X.tocsr()
        return sp.csr_matrix((_mixed(X.data), X.indices, X.indptr), X.shape) @ odd
    return _mixed(as_numpy(X)) @ odd


def with_target(keys: Array, y: Array | None) -> Array:
    """Return keys of rows that are to agree in their target as well, where there is one."""
    return keys if y is None else keys * np.uint64(3) + row_keys(y)


def _mixed(values: Array) -> Array:
    values = values + values.dtype.type(0)  # which makes one zero of two
    bits = values.view(f"u{values.itemsize}").astype(np.uint64)
    for shift, factor in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)):
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    return bits ^ (bits >> np.uint64(33))


def distinct(keys: Array) -> tuple[Array, Array]:
    """Return the first of each kind of row, and for every row the place of its kind among them."""
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[kind]


def known_as(keys: Array, known: Array) -> Array:
    """Return for each key its first place among the known ones, -1 where it is new."""
    order = np.argsort(known, kind="stable")
    place = np.searchsorted(known[order], keys).clip(max=len(known) - 1)
    return np.where(known[order][place] == keys, order[place], -1)


def of_all(graph: sp.csr_matrix, first: Array, places: Array) -> sp.csr_matrix:
    """Return the graph of all rows: copies are linked to the first of their kind, and fully."""
    n = len(places)
    if len(first) == n:
        return graph
    edges = graph.tocoo()
    copies = np.setdiff1d(np.arange(n), first)
    originals = first[places[copies]]
    row = np.concatenate([first[edges.row], copies, originals])
    column = np.concatenate([first[edges.col], originals, copies])
    values = np.concatenate([edges.data, np.ones(2 * len(copies), edges.data.dtype)])
    return sp.csr_matrix((values, (row, column)), (n, n))
