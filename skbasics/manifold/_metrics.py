"""What is meant by a distance: torch's where torch has it, then scipy's, then umap-learn's."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import manhattan_distances
from torch import Tensor

from skbasics._arrays import as_numpy
from skbasics.manifold._extra import umap_module

PRODUCTS = {"euclidean": "euclidean", "l2": "euclidean", "cosine": "cosine"} | {
    "correlation": "correlation"
}
POWERS = {"manhattan": 1.0, "l1": 1.0, "taxicab": 1.0, "cityblock": 1.0} | {
    "chebyshev": float("inf"),
    "linfinity": float("inf"),
    "linf": float("inf"),
}
SCIPY = (
    *("braycurtis", "canberra", "dice", "hamming", "jaccard", "mahalanobis", "rogerstanimoto"),
    *("russellrao", "seuclidean", "sokalsneath", "sqeuclidean", "yule"),
)
INDEXED = (
    *("braycurtis", "canberra", "hamming", "jaccard", "rogerstanimoto", "sokalsneath"),
    *("sqeuclidean", "yule"),
)
"""Names under which scipy and pynndescent have the same distance."""

UNLINKED = {"correlation": 2.0, "cosine": 2.0, "hellinger": 1.0, "jaccard": 1.0, "dice": 1.0}
"""Distances of what has nothing in common; at them there is no edge, as in umap-learn."""


class Measure(ABC):
    """A distance between rows, which are a tensor or a sparse matrix.

    Attributes
    ----------
    moves : bool
        Whether distances stay when all rows are moved alike.
    indexed_as : tuple of str and dict, or None
        Name and keywords of the distance in pynndescent, where it has it.
    """

    moves = False

    @property
    def indexed_as(self) -> tuple[str, dict[str, Any]] | None:
        """What pynndescent calls it."""
        return None

    def prepared(self, X: Any) -> Any:
        """Return rows in the form in which they are measured."""
        return X

    @abstractmethod
    def between(self, Q: Any, T: Any) -> Tensor:
        """Return the distances ``(n_queries, n_rows)``."""


@dataclass(frozen=True)
class Products(Measure):
    r"""Distances that are had from products of rows.

    .. math:: \|x - y\|, \qquad 1 - \frac{x^T y}{\|x\| \|y\|}

    and for "correlation" the latter of rows less their own mean. For prepared rows all three
    are functions of squared Euclidean distances; `between` does not use products for them.
    """

    kind: str

    @property
    def moves(self) -> bool:
        """Whether distances stay when all rows are moved alike."""
        return self.kind == "euclidean"

    @property
    def indexed_as(self) -> tuple[str, dict[str, Any]]:
        """What pynndescent calls it."""
        return self.kind, {}

    def prepared(self, X: Any) -> Any:
        if self.kind == "euclidean":
            return X
        if self.kind == "correlation":
            X = X - X.mean(1, keepdim=True)
        length = torch.linalg.vector_norm(X, dim=1, keepdim=True)
        return X / torch.where(length > 0, length, 1)

    def direct(self, Q: Tensor, T: Tensor) -> Tensor:
        """Return squared distances without products: equal rows are at zero."""
        return torch.cdist(Q, T, compute_mode="donot_use_mm_for_euclid_dist").square_()

    def between(self, Q: Tensor, T: Tensor) -> Tensor:
        return self.of_squares(self.direct(Q, T), Q, T)

    def of_squares(self, squares: Tensor, Q: Tensor, T: Tensor) -> Tensor:
        """Return distances by squares ``(n, k)``, rows ``(n, d)`` and those ``(n, k, d)``."""
        if self.kind == "euclidean":
            return squares.sqrt()
        # 1 - x^T y, where rows are of length one, or of none.
        missing = 2 - _nonzero(Q)[:, None] - _nonzero(T)
        return (squares + missing) / 2


def _nonzero(X: Tensor) -> Tensor:
    return (X != 0).any(-1).to(X.dtype)


@dataclass(frozen=True)
class Powers(Measure):
    r"""Minkowski's distances, :math:`\big(\sum_j |x_j - y_j|^p\big)^{1/p}`."""

    p: float
    moves = True

    @property
    def indexed_as(self) -> tuple[str, dict[str, Any]]:
        """What pynndescent calls it."""
        names = {1.0: "manhattan", float("inf"): "chebyshev"}
        return (names[self.p], {}) if self.p in names else ("minkowski", {"p": self.p})

    def between(self, Q: Tensor, T: Tensor) -> Tensor:
        return torch.cdist(Q, T, p=self.p, compute_mode="donot_use_mm_for_euclid_dist")


@dataclass(frozen=True)
class OnNumPy(Measure):
    """A distance that another library computes, on NumPy arrays.

    Attributes
    ----------
    distances : callable
        Maps two matrices, the metric and its keywords to distances.
    """

    metric: str | Callable
    keywords: dict[str, Any] = field(default_factory=dict)
    distances: Callable = lambda Q, T, metric, keywords: cdist(Q, T, metric, **keywords)

    @property
    def indexed_as(self) -> tuple[str, dict[str, Any]] | None:
        """What pynndescent calls it, for the names under which it has the same as scipy."""
        return (self.metric, {}) if self.metric in INDEXED and not self.keywords else None

    def between(self, Q: Tensor, T: Tensor) -> Tensor:
        out = self.distances(as_numpy(Q), as_numpy(T), self.metric, self.keywords)
        return torch.from_numpy(np.asarray(out)).to(T)


@dataclass(frozen=True)
class Given(Measure):
    """Distances that the caller has computed: the queries are rows of them."""

    def between(self, Q: Tensor, T: Tensor) -> Tensor:
        return Q.clone()


@dataclass(frozen=True)
class SparseProducts(Measure):
    """Distances of sparse rows that are had from products."""

    kind: str

    @property
    def indexed_as(self) -> tuple[str, dict[str, Any]]:
        """What pynndescent calls it."""
        return self.kind, {}

    def prepared(self, X: Any) -> Any:
        if self.kind == "euclidean":
            return X
        length = np.sqrt(np.asarray(X.multiply(X).sum(1))).reshape(-1, 1)
        return sp.csr_matrix(X.multiply(1 / np.where(length > 0, length, 1)))

    def between(self, Q: Any, T: Any) -> Tensor:
        products = torch.from_numpy((Q @ T.T).toarray())
        squares = [torch.from_numpy(np.asarray(X.multiply(X).sum(1)).ravel()) for X in (Q, T)]
        if self.kind == "cosine":
            return (1 - products).clamp_(min=0)
        total = squares[0][:, None] + squares[1]
        distances = total - 2 * products
        # What is left by rounding where rows are equal.
        distances[distances < 8 * torch.finfo(products.dtype).eps * total] = 0
        return distances.sqrt_()


@dataclass(frozen=True)
class SparseManhattan(Measure):
    """The sum of absolute differences of sparse rows."""

    indexed_as = ("manhattan", {})

    def between(self, Q: Any, T: Any) -> Tensor:
        return torch.from_numpy(manhattan_distances(Q, T)).to(getattr(torch, str(T.dtype)))


def resolve_metric(metric: str | Callable, keywords: dict[str, Any], sparse: bool) -> Measure:
    """Return the distance of a name or function, for dense or sparse rows.

    Raises
    ------
    ValueError
        If nobody has such a metric, or not for sparse rows.
    """
    if metric == "precomputed":
        if sparse:
            raise ValueError(
                "metric='precomputed' takes a dense matrix of distances, got a sparse one. Pass "
                "X.toarray(), with the distance of every pair."
            )
        return Given()
    return _of_sparse(metric) if sparse else _of_dense(metric, keywords)


def _of_sparse(metric: str | Callable) -> Measure:
    if metric in PRODUCTS and metric != "correlation":
        return SparseProducts(PRODUCTS[metric])
    if metric in POWERS and POWERS[metric] == 1:
        return SparseManhattan()
    raise ValueError(
        f"metric={metric!r} is not for sparse rows here: 'euclidean', 'cosine' and 'manhattan' "
        "are. Pass X.toarray()."
    )


def _of_dense(metric: str | Callable, keywords: dict[str, Any]) -> Measure:
    if callable(metric):
        return OnNumPy(metric, keywords)
    if metric in PRODUCTS:
        return Products(PRODUCTS[metric])
    if metric in POWERS:
        return Powers(POWERS[metric])
    if metric == "minkowski":
        return Powers(float(keywords.get("p", 2)))
    if metric in SCIPY:
        return OnNumPy(metric, keywords)
    distances = umap_module("distances", f"metric={metric!r}, which torch and scipy do not have,")
    if metric not in distances.named_distances:
        raise ValueError(
            f"metric={metric!r} is no distance that torch, scipy or umap-learn has. Use one of "
            f"{sorted({*PRODUCTS, *POWERS, *SCIPY, 'minkowski', 'precomputed'})}, another of "
            "umap-learn's, or a function of two rows."
        )
    special = distances.pairwise_special_metric
    return OnNumPy(metric, keywords, lambda Q, T, name, kwds: special(Q, T, name, kwds))
