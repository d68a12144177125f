"""Edges as what a network is trained on: a price of codes, by pairs of rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn.functional import softplus

from skbasics.manifold._forces import LONGEST, NEAR, Forces
from skbasics.network import (
    BatchOfRows,
    Loss,
    PricedLayer,
    RandomLayer,
    ReconstructionObjective,
    TrainingPass,
)

N_DIRECTIONS = 1024
"""Draws of noise an epoch, which its rows take in any order: drawing costs more than a step."""


@dataclass(frozen=True, eq=False)
class Edges:
    """A graph to draw neighbours from.

    Attributes
    ----------
    X : Tensor of shape (n, n_features)
        The rows that batches are taken from, and others.
    start, stop : Tensor of float64, shape (n,)
        Between which running sums the edges of a row are.
    sums : Tensor of float64, shape (n_edges,)
        The running sum of the weights.
    tail : Tensor of int64, shape (n_edges,)
        Where each edge leads.
    noise : Tensor of shape (n, 1) or None
        The deviation of what is added to each feature of a row in training.
    """

    X: Tensor
    start: Tensor
    stop: Tensor
    sums: Tensor
    tail: Tensor
    noise: Tensor | None

    @classmethod
    def of(
        cls,
        graph: sp.csr_matrix,
        X: Tensor,
        numbers: np.ndarray,
        kinds: tuple[np.ndarray, np.ndarray] | None = None,
        radius: Tensor | None = None,
    ) -> "Edges":
        """Return the edges of some rows of X, by their numbers there.

        Parameters
        ----------
        graph : sparse matrix
            Of the distinct ones among them.
        X : Tensor
        numbers : ndarray of int
        kinds : tuple of ndarray or None
            Which of these rows are the first of their kind, and the kind of each; None if no two
            are alike.
        radius : Tensor of shape (n_distinct,) or None
            By how much noise moves each kind of row on average.
        """
        first, kind = (np.arange(len(numbers)),) * 2 if kinds is None else kinds
        sums = np.cumsum(graph.data, dtype=np.float64)
        ends = np.append(0.0, sums)[graph.indptr]
        span = np.full((2, X.shape[0]), np.nan)
        span[:, numbers] = ends[:-1][kind], ends[1:][kind]
        tail = numbers[first][graph.indices]
        noise = None
        if radius is not None:
            noise = X.new_zeros(X.shape[0], 1)
            rows, kind = (torch.from_numpy(part).to(X.device) for part in (numbers, kind))
            noise[rows, 0] = radius[kind] / X.shape[1] ** 0.5
        return cls(X, *(torch.from_numpy(part).to(X.device) for part in (*span, sums, tail)), noise)

    def neighbours(self, rows: Tensor, draws: Tensor) -> Tensor:
        """Return a neighbour of each row, by a number from 0 to 1 each, as its edges weigh."""
        start, stop = self.start[rows], self.stop[rows]
        at = start + draws * (stop - start)
        place = torch.searchsorted(self.sums, at, right=True)
        return self.tail[place.clamp(max=len(self.tail) - 1)]

    def directions(self, draws: torch.Generator) -> Tensor:
        """Draw noise of deviation one."""
        shape = (N_DIRECTIONS, self.X.shape[1])
        return torch.randn(shape, generator=draws, dtype=self.X.dtype, device=self.X.device)


class EdgePrice(PricedLayer, RandomLayer):
    r"""The cross-entropy of edges, as a price of the codes that pass through unchanged.

    The rows of a batch are B heads of edges, and after them their tails. With
    :math:`q = 1 / (1 + a\,\|y - y'\|^{2b})` the price is

    .. math::
        \sum_i s_i \Big( -\log q_{i,t(i)}
        - \frac{m \gamma}{B} \sum_l \log \big(1 - q_{i,t(l)}\big) \Big)

    with s the shares of the heads: each is driven from all tails, as m rows drawn at random would
    drive it.

    Parameters
    ----------
    forces : Forces
    edges : list of K Edges
        Of each replica; empty for prediction.
    """

    measured = "cross_entropy"
    longest = LONGEST
    """Longer forces are cut: training goes better so, but not quite downhill."""

    def __init__(self, forces: Forces, edges: Sequence[Edges]) -> None:
        self.forces, self.edges = forces, edges

    def seed(self, random_states: Sequence[np.random.RandomState], device: torch.device) -> None:
        super().seed(random_states, device)
        self.directions = [
            None if edges.noise is None else edges.directions(draws)
            for edges, draws in zip(self.edges, self.generators, strict=True)
        ]

    def pairs(self, batch: BatchOfRows) -> tuple[Tensor, Tensor]:
        """Return the rows of a batch and drawn neighbours of theirs, and both with noise.

        Both are ``(K, 2 B, n_features)``, the neighbours behind the rows.
        """
        sizes = [batch.y.shape[1]] * len(batch.y) if batch.sizes is None else batch.sizes
        pairs = [
            self._pairs(k, heads, own)
            for k, (heads, own) in enumerate(zip(batch.y[..., 0], sizes, strict=True))
        ]
        rows, noisy = (torch.stack(part) for part in zip(*pairs, strict=True))
        return rows, noisy

    def _pairs(self, replica: int, heads: Tensor, n_own: int) -> tuple[Tensor, Tensor]:
        """Draw for the leading rows, which are the replica's own; the others are padding."""
        edges, generator = self.edges[replica], self.generators[replica]
        place = {"generator": generator, "device": heads.device}
        draws = torch.zeros(len(heads), dtype=torch.float64, device=heads.device)
        draws[:n_own] = torch.rand(n_own, dtype=torch.float64, **place)
        ends = torch.cat([heads, edges.neighbours(heads, draws)])
        rows = edges.X[ends]
        if edges.noise is None:
            return rows, rows
        picks = torch.zeros(2, len(heads), dtype=torch.int64, device=heads.device)
        picks[:, :n_own] = torch.randint(N_DIRECTIONS, (2, n_own), **place)
        directions = self.directions[replica][picks.view(-1)]
        return rows, torch.addcmul(rows, directions, edges.noise[ends])

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        heads, tails = X.split(X.shape[1] // 2, 1)
        shares, weights = self._weights(X, training)
        apart, away = heads - tails, heads[:, :, None] - tails[:, None]
        near, far = apart.square().sum(-1), away.square().sum(-1)
        self.prices = self._price(near, far, shares, weights)
        pull = self._cut(apart * self.forces.attraction(near)[..., None]) * shares[..., None]
        push = self._cut(away * self.forces.rejection(far)[..., None])
        push *= (shares[:, :, None] * weights)[..., None]
        # The forces lead uphill, and what is minimised is minus the hill.
        self._slope = torch.cat([-pull - push.sum(2), pull + push.sum(1)], 1)
        return X

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        return delta.add_(self._slope)

    def price(self, X: Tensor, training: TrainingPass) -> Tensor:
        heads, tails = X.split(X.shape[1] // 2, 1)
        near = (heads - tails).square().sum(-1)
        far = (heads[:, :, None] - tails[:, None]).square().sum(-1)
        return self._price(near, far, *self._weights(X, training))

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        return X

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> None:
        return None

    def _price(self, near: Tensor, far: Tensor, shares: Tensor, weights: Tensor) -> Tensor:
        forces = self.forces
        attracted = softplus(forces.odds(near))
        repelled = (softplus(-forces.odds(far + NEAR)) * weights).sum(2) * forces.repulsion
        return (shares * (attracted + repelled)).sum(1)

    def go_downhill(self) -> None:
        self.longest = np.inf

    def _cut(self, forces: Tensor) -> Tensor:
        return forces.clamp_(-self.longest, self.longest)

    def _weights(self, X: Tensor, training: TrainingPass) -> tuple[Tensor, Tensor]:
        """Return the shares of heads ``(K, B)``, and how much each tail repels ``(K, 1, B)``."""
        B = X.shape[1] // 2
        if isinstance(training.shares, Tensor):
            shares = 2 * training.shares[:, :B, 0]
        else:
            shares = X.new_full((X.shape[0], B), 2 * training.shares)
        present = (shares > 0).to(X.dtype)  # and not padding
        count = present.sum(1, keepdim=True).clamp(min=1)
        return shares, (present * (float(self.forces.n_negatives) / count))[:, None]


class Doubled:
    """A batch of rows, and behind them neighbours of theirs."""

    def __init__(self, batch: BatchOfRows, rows: Tensor, noisy: Tensor) -> None:
        self.X, self.rows = noisy, rows
        self.y = torch.cat([batch.y, batch.y], 1)
        weights = batch.weights
        self.weights = None if weights is None else torch.cat([weights, weights], 1)
        self.totals = 2 * batch.totals
        self.sizes, self.active, self.part = None, batch.active, None


class EdgeObjective(ReconstructionObjective):
    """The price of edges, and beside it what rows cost that are reconstructed."""

    def gradient(self, batch: BatchOfRows) -> Tensor:
        return super().gradient(self._doubled(batch))

    def loss(self, batch: BatchOfRows) -> Tensor:
        return super().loss(self._doubled(batch))

    def hessian(self, batch: BatchOfRows) -> Tensor:
        return super().hessian(self._doubled(batch))

    def _target(self, batch: Doubled) -> Tensor:
        return batch.rows

    def _record(self, losses: Tensor, batch: BatchOfRows) -> None:
        super()._record(losses, batch)
        if isinstance(self.loss_function, NoLoss):
            del self._averages["reconstruction_loss"]

    def _doubled(self, batch: BatchOfRows) -> Doubled:
        (layer,) = self.network.priced_layers
        return Doubled(batch, *layer.pairs(batch))


@dataclass(frozen=True)
class NoLoss(Loss):
    """Nothing is asked of the output: where there is no decoder, the codes are the output."""

    def rows(self, Z: Tensor, y: Tensor) -> Tensor:
        return Z.new_zeros(Z.shape[:2])

    def rows_and_delta(self, Z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.rows(Z, y), torch.zeros_like(Z)


@dataclass(frozen=True)
class ScaledSquaredError(Loss):
    r"""Half the squared error of a row, :math:`\ell = \tfrac{w}{2} \|z - y\|^2`."""

    weight: float

    def rows(self, Z: Tensor, y: Tensor) -> Tensor:
        return (Z - y).square().sum(-1) * (self.weight / 2)

    def rows_and_delta(self, Z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.rows(Z, y), (Z - y).mul_(self.weight)
