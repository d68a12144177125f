"""Mean and scale of rows of which values may be missing."""

from dataclasses import dataclass
from typing import Any

import scipy.sparse as sp
import torch
from torch import Tensor

from skbasics._arrays import as_tensor
from skbasics._training import dense_rows

BLOCK = 2**20
"""Numbers that are looked at a time."""


def any_missing(X: Any) -> bool:
    """Whether a value is missing in rows held as a tensor, an array, or a sparse matrix."""
    return bool(as_tensor(X.data if sp.issparse(X) else X).isnan().any())


@dataclass
class Observed:
    """Moments of features over what is observed of them, in float64.

    Attributes
    ----------
    weight : Tensor of shape (n_features,)
        How much each feature was observed: the weights of its rows.
    mean : Tensor of shape (n_features,)
        Zero for a feature that never was.
    scale : Tensor of shape ()
        The root of the mean variance; one if nothing varies.
    """

    weight: Tensor
    mean: Tensor
    scale: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, X: Any, weights: Tensor | None, like: Tensor) -> "Observed":
        """Return the moments of the rows of a tensor, or of a csr matrix.

        They are computed on the device of `like`; `weights` are ``(n_samples,)``, or None.
        """
        tiny = torch.finfo(torch.float64).tiny
        weight, total = _sums(X, weights, like, None)
        mean = total / weight.clamp(min=tiny)
        variance = _sums(X, weights, like, mean)[1].sum() / weight.sum().clamp(min=tiny)
        return cls(weight, mean, torch.where(variance > 0, variance, 1).sqrt())


def _sums(
    X: Any, weights: Tensor | None, like: Tensor, mean: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return weights of each feature, and sums of its values, or of squares about a mean."""
    weight, total = torch.zeros(2, X.shape[1], dtype=torch.float64, device=like.device)
    n_rows = max(1, BLOCK // X.shape[1])
    for start in range(0, X.shape[0], n_rows):
        part = slice(start, start + n_rows)
        rows = dense_rows(X, part, like)
        own = rows.new_ones(len(rows)) if weights is None else weights[part]
        if mean is not None:
            rows = (rows - mean.to(rows)).square_()
        unknown = rows.isnan()
        weight += own.sum() if not unknown.any() else own @ (~unknown).to(own.dtype)
        total += own @ rows.masked_fill(unknown, 0)
    return weight, total
