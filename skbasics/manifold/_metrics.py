"""What is meant by a distance: torch's where torch has it, then scipy's, then umap-learn's."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

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
    "linfty": float("inf"),
    "linf": float("inf"),
}
SCIPY = (
    *("braycurtis", "canberra", "dice", "hamming", "jaccard", "mahalanobis", "rogerstanimoto"),
    *("russellrao", "seuclidean", "sokalsneath", "sqeuclidean", "yule"),
)
LEARNED = (
    *("haversine", "hellinger", "kulsinski", "ll_dirichlet", "matching", "poincare"),
    *("sokalmichener", "symmetric_kl", "wminkowski"),
)
"""Distances that umap-learn has and scipy has not."""

INDEXED = (
    *("braycurtis", "canberra", "hamming", "jaccard", "rogerstanimoto", "sokalsneath"),
    *("sqeuclidean", "yule"),
)
"""Names under which scipy and pynndescent have the same distance."""

SCALED = {"seuclidean": "V", "mahalanobis": "VI"}
"""Distances with scales, and what scipy calls these; unless given they are those of the fit."""

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
    limit : float
        The distance of what has nothing in common: from it on there is no edge, as in umap-learn.
    """

    moves = False
    limit = math.inf

    @property
    def indexed_as(self) -> tuple[str, dict[str, Any]] | None:
        """What pynndescent calls it."""
        return None

    def fitted(self, rows: Any) -> Self:
        """Return the distance with the scales of some rows, where it has scales."""
        return self

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
    def limit(self) -> float:
        """The distance of opposites."""
        return UNLINKED.get(self.kind, math.inf)

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
        return self.of_squares(self.direct(Q, T), Q, present(T))

    def of_squares(self, squares: Tensor, Q: Tensor, others: Tensor) -> Tensor:
        """Return distances by squares ``(n, k)``, and by whether the `others` are `present`."""
        if self.kind == "euclidean":
            return squares.sqrt()
        # 1 - x^T y, where rows are of length one, or of none.
        missing = 2 - present(Q)[:, None] - others
        return (squares + missing) / 2


def present(X: Tensor) -> Tensor:
    """Return one for each row that has a length, and zero for the others."""
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

    @property
    def limit(self) -> float:
        """The distance of what has nothing in common."""
        return UNLINKED.get(self.metric, math.inf)

    def fitted(self, rows: Tensor) -> Self:
        """Return the distance with the variances or the inverse covariance of some rows."""
        if self.metric not in SCALED or SCALED[self.metric] in self.keywords:
            return self
        rows = as_numpy(rows).astype(np.float64)
        if self.metric == "seuclidean":
            scales = rows.var(0, ddof=1) if len(rows) > 1 else np.ones(rows.shape[1])
            scales[scales == 0] = 1
        else:
            scales = np.linalg.pinv(np.atleast_2d(np.cov(rows.T)))
        return replace(self, keywords=self.keywords | {SCALED[self.metric]: scales})

    def between(self, Q: Tensor, T: Tensor) -> Tensor:
        try:
            out = self.distances(as_numpy(Q), as_numpy(T), self.metric, self.keywords)
        except TypeError as error:
            if callable(self.metric):
                raise
            raise _unknown_keywords(self.metric, self.keywords) from error
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
    def limit(self) -> float:
        """The distance of opposites."""
        return UNLINKED.get(self.kind, math.inf)

    @property
    def indexed_as(self) -> tuple[str, dict[str, Any]]:
        """What pynndescent calls it."""
        return self.kind, {}

    def prepared(self, X: Any) -> Any:
        X = X.astype(np.float64)  # in float32 rows that lie near each other would be the same
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


def resolve_metric(
    metric: str | Callable, keywords: dict[str, Any], sparse: bool, parameter: str = "metric"
) -> Measure:
    """Return the distance of a name or function, for dense or sparse rows.

    Raises
    ------
    ValueError
        If nobody has such a metric, or not for sparse rows, or not with these keywords; the
        message names the `parameter`.
    """
    if metric == "precomputed":
        if sparse:
            raise ValueError(
                "metric='precomputed' takes a dense matrix of distances, got a sparse one. Pass "
                "X.toarray(), with the distance of every pair."
            )
        return Given()
    if not sparse:
        return _of_dense(metric, keywords, parameter)
    if keywords:
        raise _unknown_keywords(metric, keywords)
    return _of_sparse(metric)


def _unknown_keywords(metric: str | Callable, keywords: dict[str, Any]) -> ValueError:
    return ValueError(
        f"metric_kwds={keywords!r} are not keywords of metric={metric!r}. Leave them out, or see "
        "scipy.spatial.distance for those of its distances ('minkowski' has p and w)."
    )


def _of_sparse(metric: str | Callable) -> Measure:
    if metric in PRODUCTS and metric != "correlation":
        return SparseProducts(PRODUCTS[metric])
    if metric in POWERS and POWERS[metric] == 1:
        return SparseManhattan()
    raise ValueError(
        f"metric={metric!r} is not for sparse rows here: 'euclidean', 'cosine' and 'manhattan' "
        "are. Pass X.toarray()."
    )


def _of_dense(metric: str | Callable, keywords: dict[str, Any], parameter: str) -> Measure:
    if callable(metric) or metric in SCIPY:
        return OnNumPy(metric, keywords)
    if metric == "minkowski":
        return _minkowski(keywords)
    if metric in PRODUCTS or metric in POWERS:
        if keywords:
            raise _unknown_keywords(metric, keywords)
        return Products(PRODUCTS[metric]) if metric in PRODUCTS else Powers(POWERS[metric])
    distances = None
    if metric in LEARNED:
        distances = umap_module("distances", f"{parameter}={metric!r}")
    if distances is None or metric not in distances.named_distances:
        raise ValueError(
            f"{parameter}={metric!r} is no distance that torch, scipy or umap-learn has. Use a "
            "function of two rows, 'precomputed' for distances as X, or one of "
            f"{sorted({*PRODUCTS, *POWERS, *SCIPY, *LEARNED, 'minkowski'})}."
        )
    special = distances.pairwise_special_metric
    return OnNumPy(metric, keywords, lambda Q, T, name, kwds: special(Q, T, name, kwds))


def _minkowski(keywords: dict[str, Any]) -> Measure:
    p = keywords.get("p", 2)
    if not keywords.keys() <= {"p", "w"}:
        raise _unknown_keywords("minkowski", keywords)
    if not p > 0:
        raise ValueError(f"metric='minkowski' has a power p above 0, got p={p!r}.")
    return OnNumPy("minkowski", keywords) if "w" in keywords else Powers(float(p))
