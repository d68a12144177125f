"""Nearest neighbours, exactly: candidates by matrix products, distances by differences."""

import warnings
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skbasics.manifold._metrics import Measure, Products

BLOCK_NUMBERS = 2**23
"""Distances that are held at a time."""

EXTRA = 8
"""Candidates beyond the neighbours asked for, so that rounding seldom decides who is one."""


class Neighbors(NamedTuple):
    """The nearest rows of each query, the nearest first.

    Attributes
    ----------
    index : Tensor of int64, shape (n_queries, k)
    distance : Tensor of shape (n_queries, k)
    """

    index: Tensor
    distance: Tensor


def clipped(n_neighbors: int, n: int) -> int:
    """Return how many neighbours n rows can have, the row itself among them; warn if fewer."""
    k = min(int(n_neighbors), max(n - 1, min(2, n)))
    if k < n_neighbors:
        warnings.warn(
            f"n_neighbors={n_neighbors} is too many for {n} distinct rows; it is set to {k} (a row "
            "is its own first neighbour).",
            stacklevel=2,
        )
    return k


def nearest(Q: Any, T: Any, k: int, measure: Measure, *, same: bool = False) -> Neighbors:
    """Return the k rows of T that are nearest to each row of Q.

    Whoever the neighbours are does not depend on which queries are asked together, nor on the
    number of threads.

    Parameters
    ----------
    Q, T : Tensor or sparse matrix
        Queries and rows.
    k : int
        Not more than T has rows.
    measure : Measure
    same : bool
        Whether Q is T; then each row is its own first neighbour, at zero.
    """
    Q, T = (Q, Q) if same and Q is T else (Q, T)
    Q = measure.prepared(Q)
    T = Q if same else measure.prepared(T)
    step = max(1, BLOCK_NUMBERS // T.shape[0])
    parts = []
    for first in range(0, Q.shape[0], step):
        rows = Q[first : first + step]
        own = torch.arange(first, first + rows.shape[0]) if same else None
        parts.append(_nearest(rows, T, k, measure, own))
    return Neighbors(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _nearest(Q: Any, T: Any, k: int, measure: Measure, own: Tensor | None) -> Neighbors:
    """Return the neighbours of some queries, which are the rows `own` of T if not None."""
    if not measure.refines:
        return _in_order(*_smallest(_without(measure.between(Q, T), own), k), own)
    if T.shape[0] <= max(k + EXTRA, 64):
        squares, index = _smallest(_without(measure.direct(Q, T), own), k)
        return _measured(squares, index, Q, T, measure, own)
    found = _refined(Q, T, k, measure, own)
    squares, index, certain = found
    if not certain.all():
        rows = torch.nonzero(~certain)[:, 0]
        where = None if own is None else own.to(rows.device)[rows]
        direct = _smallest(_without(measure.direct(Q[rows], T), where), k)
        squares[rows], index[rows] = direct
    return _measured(squares, index, Q, T, measure, own)


def _refined(
    Q: Tensor, T: Tensor, k: int, measure: Products, own: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return squares and numbers of k neighbours, and of which queries they are certain.

    They are where the last is nearer than any row beyond the candidates can be.
    """
    rounded, candidates = _smallest(_without(measure.between(Q, T), own), k + EXTRA)
    squares = torch.cat(
        [(q[:, None] - T[c]).square_().sum(-1) for q, c in _chunks(Q, candidates, T.shape[1])]
    )
    squares = torch.where(rounded == -torch.inf, rounded, squares)
    index, order = candidates.sort(1)
    squares, order = squares.gather(1, order).sort(dim=1, stable=True)
    certain = squares[:, k - 1] < rounded[:, -1] - measure.rounding(Q, T)
    return squares[:, :k], index.gather(1, order)[:, :k], certain


def _chunks(Q: Tensor, index: Tensor, width: int) -> list[tuple[Tensor, Tensor]]:
    """Return queries and their candidates in pieces whose differences fit into memory."""
    step = max(1, BLOCK_NUMBERS // (index.shape[1] * max(1, width)))
    return list(zip(Q.split(step), index.split(step), strict=True))


def _without(distances: Tensor, own: Tensor | None) -> Tensor:
    """Return distances in which each query is nearer to itself than anything can be."""
    if own is not None:
        own = own.to(distances.device)
        distances[torch.arange(len(own), device=own.device), own] = -torch.inf
    return distances


def _smallest(distances: Tensor, k: int) -> tuple[Tensor, Tensor]:
    return torch.topk(distances, min(k, distances.shape[1]), dim=1, largest=False)


def _measured(
    squares: Tensor, index: Tensor, Q: Tensor, T: Tensor, measure: Products, own: Tensor | None
) -> Neighbors:
    """Return neighbours with their distances in place of squares."""
    own_first = squares == -torch.inf
    pieces = [
        measure.of_squares(s, q, T[c]) if measure.kind != "euclidean" else s.clamp(min=0).sqrt()
        for (q, c), s in zip(
            _chunks(Q, index, T.shape[1]),
            squares.split(max(1, BLOCK_NUMBERS // (index.shape[1] * max(1, T.shape[1])))),
            strict=True,
        )
    ]
    distance = torch.cat(pieces)
    return _in_order(torch.where(own_first, squares, distance), index, own)


def _in_order(distance: Tensor, index: Tensor, own: Tensor | None) -> Neighbors:
    """Return neighbours by distance, and of equally distant ones the first row first."""
    index, order = index.sort(1)
    distance, order = distance.gather(1, order).sort(dim=1, stable=True)
    if own is not None:
        distance[:, 0] = 0
    return Neighbors(index.gather(1, order), distance)


def distinct(X: Any, y: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of each kind of row, and for every row the place of its kind among them.

    Parameters
    ----------
    X : Tensor or sparse matrix
    y : ndarray of shape (n_samples, n_targets) or None
        Rows of one kind have one target, too.
    """
    kinds: dict[tuple[bytes, ...], int] = {}
    first, places = [], np.empty(X.shape[0], np.int64)
    for i, key in enumerate(_keys(X, y)):
        places[i] = kinds.setdefault(key, len(kinds))
        if places[i] == len(first):
            first.append(i)
    return np.array(first), places


def _keys(X: Any, y: np.ndarray | None) -> Any:
    target = [b""] * X.shape[0] if y is None else [row.tobytes() for row in y + 0.0]
    if sp.issparse(X):
        X = X.sorted_indices()
        X.eliminate_zeros()
        for i, (start, stop) in enumerate(zip(X.indptr[:-1], X.indptr[1:], strict=True)):
            yield X.indices[start:stop].tobytes(), X.data[start:stop].tobytes(), target[i]
        return
    rows = X.cpu().numpy() + 0  # which makes one zero of two
    yield from zip((row.tobytes() for row in rows), target, strict=True)
