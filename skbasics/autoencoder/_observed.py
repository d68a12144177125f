"""Mean and scale of rows of which values may be missing."""

from dataclasses import dataclass
from typing import Any

import scipy.sparse as sp
import torch
from torch import Tensor

from skbasics._arrays import as_tensor
from skbasics._shards import Shard
from skbasics._training import dense_rows

READ_AT_ONCE = 2**20
"""Numbers of the rows that are looked at a time."""


def any_missing(X: Any) -> bool:
    """Whether a value is missing in rows held as a tensor, an array, a sparse matrix, a shard."""
    if isinstance(X, Shard):
        return any(X.group.gather(any_missing(X.rows)))
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
        The root of the mean variance; one if nothing varies but by rounding.
    """

    weight: Tensor
    mean: Tensor
    scale: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, X: Any, weights: Tensor | None, like: Tensor) -> "Observed":
        """Return the moments of the rows of a tensor, of a csr matrix, or of all ranks' shards.

        They are computed on the device of `like`; `weights` are ``(n_samples,)``, or None.
        """
        sums = _Sums(X.shape[1], like)
        sums.add_all(X, weights)
        weight = sums.weight.clamp(min=torch.finfo(torch.float64).tiny)
        off = sums.total / weight
        mean = torch.nan_to_num(sums.shift) + off
        variance = (sums.squares - sums.total * off).clamp(min=0)
        rounding = (sums.epsilon * mean).square() * sums.weight
        scale = (variance.sum() / weight.sum()).sqrt()
        varies = (variance > rounding).any()
        return cls(sums.weight, mean, torch.where(varies, scale, 1))


class _Sums:
    """Weights and sums of features about the first value that is seen of each.

    About itself a constant has sums of exactly zero.
    """

    def __init__(self, n_features: int, like: Tensor) -> None:
        self._like = like
        zeros = torch.zeros(n_features, dtype=torch.float64, device=like.device)
        self.shift = torch.full_like(zeros, torch.nan)
        self.weight, self.total, self.squares = zeros, zeros.clone(), zeros.clone()

    def add_all(self, X: Any, weights: Tensor | None) -> None:
        if isinstance(X, Shard):
            self._add_shard(X, weights)
            return
        self.epsilon = torch.finfo(dense_rows(X, slice(0), self._like).dtype).eps
        n_rows = max(1, READ_AT_ONCE // X.shape[1])
        for start in range(0, X.shape[0], n_rows):
            part = slice(start, start + n_rows)
            rows = dense_rows(X, part, self._like)
            self.add(rows.double(), None if weights is None else weights[part].double())

    def _add_shard(self, X: Shard, weights: Tensor | None) -> None:
        """Add the rows of all ranks, about what the first of them has seen."""
        firsts = X.group.gather(_first_known(X.rows).cpu() if len(X.rows) else None)
        for first in firsts:
            if first is not None:
                first = first.to(self.shift)
                self.shift = torch.where(self.shift.isnan(), first, self.shift)
        self.add_all(X.rows, None if weights is None else weights[X.places])
        sums = X.group.sums(self.weight, self.total, self.squares)
        self.weight, self.total, self.squares = sums

    def add(self, rows: Tensor, weights: Tensor | None) -> None:
        known = ~rows.isnan()
        self.shift = torch.where(self.shift.isnan(), _first_known(rows), self.shift)
        rows = (rows - self.shift).masked_fill_(~known, 0)
        weights = rows.new_ones(len(rows)) if weights is None else weights
        self.weight += weights @ known.double()
        self.total += weights @ rows
        self.squares += weights @ rows.square_()


def _first_known(rows: Tensor) -> Tensor:
    """Return the first value of each feature that is not missing; NaN where all are."""
    return rows.gather(0, (~rows.isnan()).int().argmax(0, keepdim=True))[0]
