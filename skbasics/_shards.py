"""Rows that lie on several ranks, and what each sees of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skbasics._collective import Group


@dataclass(frozen=True)
class Shard:
    """The rows of all ranks, of which some are here; it stands where X does.

    Attributes
    ----------
    rows : Tensor of shape (n_here, n_features)
    places : ndarray of int, of shape (n_here,)
        Their numbers among all rows, in rising order.
    n_rows : int
        All rows.
    group : Group
    """

    rows: Tensor
    places: np.ndarray
    n_rows: int
    group: Group

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of X."""
        return self.n_rows, self.rows.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of X."""
        return self.rows.dtype

    @cached_property
    def _number_here(self) -> Tensor:
        """Where each row is here; -1 if it is elsewhere."""
        numbers = torch.full((self.n_rows,), -1, device=self.rows.device)
        numbers[torch.from_numpy(self.places)] = torch.arange(
            len(self.places), device=self.rows.device
        )
        return numbers

    def holding(self, rows: Tensor) -> "Shard":
        """Return the same rows held otherwise."""
        return replace(self, rows=rows)

    def locate(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return which of some row numbers are here, by position, and those rows."""
        here = self._number_here[numbers]
        places = torch.nonzero(here >= 0)[:, 0]
        return places, self.rows[here[places]]

    def select(self, numbers: np.ndarray) -> "Shard":
        """Return some rows, numbered anew in their order."""
        places, rows = self.locate(torch.from_numpy(numbers).to(self.rows.device))
        return Shard(rows, places.cpu().numpy(), len(numbers), self.group)

    def whole(self, values: Tensor) -> Tensor:
        """Return values of all rows, of those that each rank has of its own."""
        whole = values.new_zeros(self.n_rows, *values.shape[1:])
        whole[torch.from_numpy(self.places).to(values.device)] = values
        return self.group.sums(whole)[0]

    def first(self, numbers: Sequence[float]) -> list[float]:
        """Return the numbers that the first rank has."""
        own = torch.tensor(numbers, dtype=torch.float64, device=self.rows.device)
        return self.group.sums(own if self.group.rank == 0 else torch.zeros_like(own))[0].tolist()


def of_first_rank(X: Any, numbers: Sequence[float]) -> Sequence[float]:
    """Return numbers by which a fit on X decides how it goes on.

    Of a shard they are the first rank's: ranks round as their threads and devices do, and one that
    stopped by its own would leave the others behind.
    """
    return X.first(numbers) if isinstance(X, Shard) else numbers


@dataclass(frozen=True)
class Part:
    """What of a batch is here.

    Attributes
    ----------
    places : Tensor of int, of shape (n_here,)
        The positions in the batch of the rows that are here.
    n_rows : int
        The rows of the batch.
    group : Group
    """

    places: Tensor
    n_rows: int
    group: Group

    def own(self, values: Tensor) -> Tensor:
        """Return what is here of values ``(K, n_rows, ...)``."""
        return values.index_select(1, self.places)

    def spread(self, values: Tensor) -> Tensor:
        """Return values that are here in their places, ``(K, n_rows, ...)``, among zeros."""
        whole = values.new_zeros(values.shape[0], self.n_rows, *values.shape[2:])
        return whole.index_copy_(1, self.places, values)
