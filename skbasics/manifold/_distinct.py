"""Rows that are the same, found by what they hold."""

from typing import Any

import numpy as np
import scipy.sparse as sp


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
