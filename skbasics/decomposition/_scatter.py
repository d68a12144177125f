r"""What principal components need of the data: its rows while they are few, then the scatter.

The scatter is that of `skbasics._moments`, which merges without loss. This module adds three
things: the products of long float32 batches in float32, which is what takes the time; sparse
rows, whose scatter is formed without densifying them; and the rows themselves, which while there
are fewer of them than features are smaller than the scatter and say more.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from skbasics._moments import Moments, batch_moments, merge

Array = Any  # np.ndarray on the CPU, torch.Tensor elsewhere

SCATTER_LIMIT = 10_000
"""Features from which no scatter matrix is formed: 800 MB in float64."""

FEW_ROWS = 256
"""Rows that are always worth collecting before a product is formed."""

BLOCK_ROWS = 4096
"""Rows of a float32 product: its sums are short enough to keep seven digits."""

FLOAT32_FROM = 2**27
"""Multiplications from which float32 products are worth their lost digits."""


def scatter_moments(X: Array, weights: Array | None = None, shift: Array | None = None) -> Moments:
    """Return the weight, mean and scatter matrix of rows, dense or sparse.

    `shift` is a value near the rows, if one is known.
    """
    if sp.issparse(X):
        return _sparse_moments(X, weights)
    if multiplied_in_float32(X, weights):
        return _float32_moments(X, shift)
    return batch_moments(X, weights, shift=shift, matrix=True)


def multiplied_in_float32(X: Any, weights: Array | None) -> bool:
    """Return whether the scatter of these rows is formed by float32 products."""
    long = X.shape[0] * X.shape[1] ** 2 >= FLOAT32_FROM
    return long and weights is None and isinstance(X, np.ndarray) and X.dtype == np.float32


@np.errstate(over="ignore", invalid="ignore")  # what overflows is summed in float64
def _float32_moments(X: np.ndarray, shift: np.ndarray | None) -> Moments:
    r"""Return moments by float32 products of centred blocks, added up in float64.

    With :math:`m_b` the mean of block b of :math:`n_b` rows,

    .. math::
        S = \sum_b \sum_{i \in b} (x_i - m_b)(x_i - m_b)^T
            + \sum_b n_b (m_b - \mu)(m_b - \mu)^T.

    A value near all rows goes first, whose subtraction is exact; after that of the mean, which
    has finer digits, equal entries round differently in each block, and errors cancel.
    """
    n, p = X.shape
    near = X[:: 1 + n // FEW_ROWS].mean(0)
    scatter, sizes, means = np.zeros((p, p)), [], []
    buffer, products = np.empty((min(n, BLOCK_ROWS), p), X.dtype), np.empty((p, p), X.dtype)
    for start in range(0, n, BLOCK_ROWS):
        block = X[start : start + BLOCK_ROWS]
        D = np.subtract(block, near, out=buffer[: len(block)])
        mean = D.mean(0)
        D -= mean
        scatter += np.matmul(D.T, D, out=products)  # NumPy sees the symmetry and forms half of it
        sizes.append(float(len(D)))
        means.append(mean)
    if not 1e-25 < scatter.trace() < 1e35:  # the squares leave the range of float32
        return batch_moments(X, shift=shift, matrix=True)
    means, weights = np.asarray(means, np.float64), np.asarray(sizes)
    mean = weights @ means / n
    if len(sizes) > 1:
        means -= mean
        scatter += (means.T * weights) @ means
    return Moments(float(n), near.astype(np.float64), mean, scatter)


@dataclass(frozen=True)
class Centred:
    """Sparse rows less their mean, weighted by square roots: ``Z - root mean^T``, never formed.

    Columns without a zero are shifted by their mean before, for only in those can the mean be
    so much larger than the spread that subtracting it later would cost digits.
    """

    Z: sp.csr_array
    root: np.ndarray
    mean: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, X: Any, weights: np.ndarray | None) -> "Centred":
        """Return the rows of a sparse matrix, centred by their weighted mean."""
        X = sp.csr_array(X).astype(np.float64)  # a copy unless X is in float64
        X.sum_duplicates()
        root = np.ones(X.shape[0]) if weights is None else np.sqrt(weights)
        share = np.square(root) / np.square(root).sum()
        shift = np.where(X.count_nonzero(axis=0) == X.shape[0], share @ X, 0.0)
        X = sp.csr_array((X.data - shift[X.indices], X.indices, X.indptr), shape=X.shape)
        Z = sp.csr_array(X.multiply(root[:, None]))
        return cls(Z, root, share @ X, shift)

    def scatter(self) -> np.ndarray:
        """Return the products of the columns, (n_features, n_features)."""
        products = (self.Z.T @ self.Z).toarray()
        return products - np.square(self.root).sum() * self.mean[:, None] * self.mean

    def gram(self) -> np.ndarray:
        """Return the products of the rows, (n_samples, n_samples)."""
        along = np.outer(self.Z @ self.mean, self.root)
        products = (self.Z @ self.Z.T).toarray() - along - along.T
        return products + (self.mean @ self.mean) * np.outer(self.root, self.root)

    def times(self, A: np.ndarray) -> np.ndarray:
        """Return the product with a vector or matrix of n_features rows."""
        return self.Z @ A - np.multiply.outer(self.root, self.mean @ A)

    def transposed_times(self, A: np.ndarray) -> np.ndarray:
        """Return the product of the transpose with a vector or matrix of n_samples rows."""
        return self.Z.T @ A - np.multiply.outer(self.mean, self.root @ A)

    def total(self) -> float:
        """Return the sum of squares."""
        squares = self.Z.multiply(self.Z).sum(axis=0)
        return float((squares - np.square(self.root).sum() * np.square(self.mean)).sum())


def _sparse_moments(X: Any, weights: np.ndarray | None) -> Moments:
    rows = Centred.of(X, weights)
    weight = float(X.shape[0] if weights is None else weights.sum())
    return Moments(weight, rows.shift, rows.mean, rows.scatter())


@dataclass(frozen=True)
class Collected:
    """All that a stream has shown.

    Attributes
    ----------
    moments : Moments or None
        Of the rows whose scatter is formed.
    blocks : tuple of arrays or sparse matrices
        The other rows, as they came.
    weights : tuple of arrays or None
        Their weights.
    coarse : bool
        Whether float32 products are in the scatter, whose small eigenvalues are then rounding.
    """

    moments: Moments | None = None
    blocks: tuple[Any, ...] = ()
    weights: tuple[Array | None, ...] = ()
    coarse: bool = False

    @property
    def n_rows(self) -> int:
        """The number of rows that are kept as rows."""
        return sum(block.shape[0] for block in self.blocks)

    @property
    def weight(self) -> float:
        """The sum of all weights."""
        kept = sum(
            block.shape[0] if weights is None else float(weights.sum())
            for block, weights in zip(self.blocks, self.weights, strict=True)
        )
        return kept + (self.moments.weight if self.moments else 0.0)

    def plus(self, X: Any, weights: Array | None) -> "Collected":
        """Return these rows and those of X; what is kept as rows is a copy."""
        most = max(X.shape[1], FEW_ROWS)
        if X.shape[0] >= most:
            return self._with_scatter(X, weights)
        more = self._with_block(_copied(X), weights if weights is None else _copied(weights))
        return more if more.n_rows < most else more.flushed()

    def joined(self, other: "Collected") -> "Collected":
        """Return the rows of both."""
        moments = self.moments or other.moments
        if self.moments and other.moments:
            moments = merge(self.moments, other.moments)
        blocks, weights = self.blocks + other.blocks, self.weights + other.weights
        both = Collected(moments, blocks, weights, self.coarse or other.coarse)
        few = not blocks or both.n_rows < max(blocks[0].shape[1], FEW_ROWS)
        return both if few else both.flushed()

    def flushed(self) -> "Collected":
        """Return the same with every row in the scatter."""
        if not self.blocks:
            return self
        X, weights = self.rows()
        return Collected(self.moments, coarse=self.coarse)._with_scatter(X, weights)

    def rows(self) -> tuple[Any, Array | None]:
        """Return the rows kept, and their weights."""
        weights = None
        if any(w is not None for w in self.weights):
            weights = _concatenated(
                [
                    _ones_like(block) if w is None else w
                    for block, w in zip(self.blocks, self.weights, strict=True)
                ]
            )
        if all(sp.issparse(block) for block in self.blocks):
            return sp.vstack(self.blocks, format="csr"), weights
        dense = [block.toarray() if sp.issparse(block) else block for block in self.blocks]
        return _concatenated(dense), weights

    def mapped(self, function: Callable[[Array], Array]) -> "Collected":
        """Return the same in other arrays; sparse blocks stay as they are."""
        moments = self.moments
        if moments:
            arrays = (function(a) for a in (moments.shift, moments.mean, moments.scatter))
            moments = Moments(moments.weight, *arrays)
        blocks = tuple(b if sp.issparse(b) else function(b) for b in self.blocks)
        weights = tuple(w if w is None else function(w) for w in self.weights)
        return Collected(moments, blocks, weights, self.coarse)

    def _with_block(self, X: Any, weights: Array | None) -> "Collected":
        """Return these rows and those of X, joined with blocks before it that are not longer.

        So a stream of n single rows holds no more than log n blocks, and takes them quickly.
        """
        blocks, others = self.blocks, self.weights
        while blocks and _joinable(blocks[-1], X) and (others[-1] is None) == (weights is None):
            last = Collected(blocks=(blocks[-1], X), weights=(others[-1], weights))
            X, weights = last.rows()
            blocks, others = blocks[:-1], others[:-1]
        return replace(self, blocks=(*blocks, X), weights=(*others, weights))

    def _with_scatter(self, X: Any, weights: Array | None) -> "Collected":
        if X.shape[1] > SCATTER_LIMIT:
            raise ValueError(
                f"PCA has seen {X.shape[0]} rows or more of {X.shape[1]} features. From as many "
                "rows as features on it adds up a scatter matrix of n_features x n_features, and "
                f"does so up to {SCATTER_LIMIT} features. Reduce the features first, for "
                "instance by SparseRandomProjection, or fit all rows at once with "
                "svd_solver='randomized'."
            )
        shift = self.moments.shift if self.moments else None
        moments = scatter_moments(X, weights, shift)
        if self.moments:
            moments = merge(self.moments, moments)
        coarse = self.coarse or multiplied_in_float32(X, weights)
        return replace(self, moments=moments, coarse=coarse)


def _joinable(before: Any, block: Any) -> bool:
    alike = type(before) is type(block) and before.dtype == block.dtype
    return alike and before.shape[0] <= block.shape[0]


def _copied(array: Any) -> Any:
    return array.clone() if isinstance(array, torch.Tensor) else array.copy()


def _concatenated(arrays: list[Array]) -> Array:
    if len(arrays) == 1:
        return arrays[0]
    joined = torch.cat if isinstance(arrays[0], torch.Tensor) else np.concatenate
    return joined(arrays)


def _ones_like(block: Any) -> Array:
    if isinstance(block, torch.Tensor):
        return torch.ones(len(block), dtype=torch.float64, device=block.device)
    return np.ones(block.shape[0])
