"""Nearest neighbours, exactly: candidates by matrix products, distances by differences."""

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skbasics.manifold._metrics import Measure, Products, present

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
            f"n_neighbors={n_neighbors} is too many for {n} distinct rows; it is set to {k}.",
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
    Q = measure.prepared(Q)
    T = Q if same else measure.prepared(T)
    by_products = isinstance(measure, Products) and T.shape[0] > max(k + EXTRA, 64)
    centred = Centred.of(T) if by_products else None
    step = max(1, BLOCK_NUMBERS // T.shape[0])
    parts = []
    for first in range(0, Q.shape[0], step):
        rows = Q[first : first + step]
        own = torch.arange(first, first + rows.shape[0]) if same else None
        if centred is None:
            found = _smallest(_without(measure.between(rows, T), own), k)
        else:
            found = _by_products(rows, T, k, measure, centred, own)
        parts.append(in_order(*found, own))
    return Neighbors(*(torch.cat(part) for part in zip(*parts, strict=True)))


class Centred(NamedTuple):
    """Rows about their mean, where squared distances by products lose least to rounding.

    Attributes
    ----------
    middle : Tensor of shape (n_features,)
    rows : Tensor of shape (n, n_features)
    squares : Tensor of shape (n,)
        The squared lengths of the rows.
    largest : Tensor
        Of those.
    present : Tensor of shape (n,)
        Whether a row had a length before.
    """

    middle: Tensor
    rows: Tensor
    squares: Tensor
    largest: Tensor
    present: Tensor

    @classmethod
    def of(cls, T: Tensor) -> "Centred":
        """Return rows about their mean."""
        middle = T.mean(0)
        rows = T - middle
        squares = _squares(rows)
        return cls(middle, rows, squares, squares.max(), present(T))

    def nearest(self, Q: Tensor, k: int, own: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return squared distances and numbers of k rows, and by how much squares may be wrong."""
        Q = Q - self.middle
        squares = _squares(Q)
        beyond = torch.addmm(self.squares, Q, self.rows.mT, alpha=-2)
        found, index = _smallest(_without(beyond, own), k)
        error = 16 * torch.finfo(Q.dtype).eps * (squares + self.largest)
        return found + squares[:, None], index, error


def _squares(X: Tensor) -> Tensor:
    return (X * X).sum(-1)


def _by_products(
    Q: Tensor, T: Tensor, k: int, measure: Products, centred: Centred, own: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return distances and numbers of the neighbours of some queries.

    They are certain where the last of them is nearer than any row beyond the candidates can be;
    the other queries are held against every row.
    """
    rounded, candidates, error = centred.nearest(Q, k + EXTRA, own)
    index, _ = candidates.sort(1)
    squares = torch.cat([_squares(q[:, None] - T[c]) for q, c in _chunks(Q, index, T.shape[1])])
    if own is not None:
        squares[index == own.to(index.device)[:, None]] = -torch.inf
    squares, order = squares.sort(dim=1, stable=True)
    squares, index = squares[:, :k], index.gather(1, order)[:, :k]
    unsure = torch.nonzero(squares[:, -1] >= rounded[:, -1] - error)[:, 0]
    if len(unsure):
        where = None if own is None else own.to(unsure.device)[unsure]
        direct = _smallest(_without(measure.direct(Q[unsure], T), where), k)
        squares[unsure], index[unsure] = direct
    found = measure.of_squares(squares.clamp(min=0), Q, centred.present[index])
    return torch.where(squares == -torch.inf, squares, found), index  # its own still the smallest


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


def in_order(distance: Tensor, index: Tensor, own: Tensor | None) -> Neighbors:
    """Return neighbours by distance, and of equally distant ones the first row first."""
    index, order = index.sort(1)
    distance, order = distance.gather(1, order).sort(dim=1, stable=True)
    if own is not None:
        distance[:, 0] = 0
    return Neighbors(index.gather(1, order), distance)
