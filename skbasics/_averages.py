"""Means of an epoch, gathered batch by batch."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Averages:
    """The weighted means of K numbers over the batches of an epoch."""

    def __init__(self, n_replicas: int, device: torch.device) -> None:
        self.sums = torch.zeros(n_replicas, dtype=torch.float64, device=device)
        self.weights = torch.zeros_like(self.sums)
        self.common_weight = 0.0  # of batches that weigh the same for every replica

    def add(self, numbers: Tensor, totals: float | Tensor, active: Sequence[int] | None) -> None:
        """Take the K means of a batch, and the sums of its weights; None are all active."""
        if active is None and not isinstance(totals, Tensor):
            self.sums.add_(numbers, alpha=totals)
            self.common_weight += totals
            return
        present = slice(None) if active is None else active
        totals = totals[present, 0]
        self.sums[present] += numbers[present] * totals
        self.weights[present] += totals

    def values(self) -> list[float]:
        """Return the K means."""
        return (self.sums / (self.weights + self.common_weight)).tolist()
