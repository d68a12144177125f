"""Mean and scale of rows of which values may be missing."""

from typing import Any

import scipy.sparse as sp
import torch
from torch import Tensor

from skbasics._arrays import as_tensor
from skbasics._training import dense_rows

BLOCK = 2**22
"""Numbers that are looked at a time."""


def any_missing(X: Any) -> bool:
    """Whether a value is missing in rows held as a tensor, an array, or a sparse matrix."""
    return bool(as_tensor(X.data if sp.issparse(X) else X).isnan().any())


@torch.no_grad()
def observed_mean_and_scale(X: Any, weights: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the features' means, and the root of their mean variance, over what is observed.

    Parameters
    ----------
    X : Tensor or csr matrix of shape (n_samples, n_features)
    weights : Tensor of shape (n_samples,) or None
    like : Tensor
        Of the device where rows are computed with.

    Returns
    -------
    mean : Tensor of shape (n_features,)
        In float64; zero for a feature that is never observed.
    scale : Tensor of shape ()
        One if nothing varies.
    """
    count, total = _sums(X, weights, like, None)
    mean = total / count.clamp(min=torch.finfo(count.dtype).tiny)
    _, squares = _sums(X, weights, like, mean)
    variance = squares.sum() / count.sum().clamp(min=torch.finfo(count.dtype).tiny)
    return mean, torch.where(variance > 0, variance, 1).sqrt()


def _sums(
    X: Any, weights: Tensor | None, like: Tensor, mean: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return weights of each feature, and sums of its values, or of squares about a mean."""
    count, total = torch.zeros(2, X.shape[1], dtype=torch.float64, device=like.device)
    n_rows = max(1, BLOCK // X.shape[1])
    for start in range(0, X.shape[0], n_rows):
        part = slice(start, start + n_rows)
        rows = dense_rows(X, part, like).double()
        own = rows.new_ones(len(rows)) if weights is None else weights[part].double()
        observed = ~rows.isnan()
        rows = rows if mean is None else (rows - mean).square_()
        count += own @ observed.double()
        total += own @ rows.masked_fill(~observed, 0)
    return count, total
