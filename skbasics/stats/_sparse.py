"""Moments of sparse rows, whose zeros count though they are not stored."""

from functools import partial

import numpy as np
import scipy.sparse as sp

from skbasics._moments import (
    MATRIX_BLOCK,
    Array,
    Moments,
    add_rows,
    merge,
    positive,
    well_centred,
    without_negative,
)


def first_row(X: sp.csr_array) -> np.ndarray:
    """Return the first row, with 0 for NaN: a value near the rows."""
    return np.nan_to_num(X[:1].toarray()[0].astype(np.float64), posinf=0.0, neginf=0.0)


@np.errstate(over="ignore", invalid="ignore")
def add_sparse_rows(
    total: Moments,
    X: sp.csr_array,
    weights: np.ndarray | None = None,
    *,
    missing: bool = False,
    squares: np.ndarray | None = None,
) -> Moments:
    """Return `total` merged with the moments of a sparse batch, which is never densified whole.

    The parameters are those of `add_rows`. The matrix of products is of dense blocks of rows.
    """
    if total.scatter.ndim == 2:
        n_rows = max(1, MATRIX_BLOCK // X.shape[1])
        for start in range(0, X.shape[0], n_rows):
            rows = slice(start, start + n_rows)
            shares = [None if w is None else w[rows] for w in (weights, squares)]
            total = add_rows(total, X[rows].toarray(), shares[0], squares=shares[1])
        return total
    about = partial(_about, X=X, weights=weights, squares=squares, missing=missing)
    return merge(total, well_centred(about, total))


def _about(
    centre: Array | None,
    X: sp.csr_array,
    weights: np.ndarray | None,
    squares: np.ndarray | None,
    missing: bool,
) -> Moments:
    """Return moments by the squares about a centre: of what is stored, and of the zeros."""
    n, p = X.shape
    shift = np.zeros(p) if centre is None else centre
    counts = np.ones(n) if weights is None else weights
    D = X.data - shift[X.indices]
    absent = np.isnan(D) if missing else np.zeros(0, bool)
    D[np.flatnonzero(absent)] = 0.0

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(X.indices, values, minlength=p)

    def present(shares: np.ndarray) -> float | np.ndarray:
        whole = float(shares.sum())
        return whole - sums(spread(shares) * absent) if missing else whole

    def spread(shares: np.ndarray) -> np.ndarray:
        return np.repeat(shares, np.diff(X.indptr))

    stored = spread(counts)
    full = np.bincount(X.indices, minlength=p) == n  # where the difference would not be 0
    zeros = np.where(full, 0.0, counts.sum() - sums(stored))
    total = present(counts)
    first = sums(stored * D) - zeros * shift
    mean = first / positive(total)
    second = sums(stored * D * D) + zeros * shift * shift
    rest = None if squares is None else present(squares)
    return Moments(total, shift, mean, without_negative(second - mean * first), rest)
