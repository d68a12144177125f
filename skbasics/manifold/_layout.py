"""The layout: gradient steps on edges drawn by their weight and pairs drawn at random."""

from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skbasics._threads import one_torch_thread
from skbasics.manifold._forces import LONGEST, Forces

N_PARTS = 2
"""Into how many steps the edges of an epoch are cut. All at once, the many edges of a row would
carry it past its neighbours."""


SMALL = 2**20
"""Coordinates of pairs up to which an epoch is for one thread."""


def default_epochs(n: int) -> int:
    """Return how many epochs n rows get, as in umap-learn."""
    return 500 if n <= 10000 else 200


def strong_edges(graph: sp.csr_matrix, n_epochs: int) -> sp.coo_matrix:
    """Return the edges that are drawn once at least in so many epochs."""
    epochs = n_epochs if n_epochs > 10 else default_epochs(graph.shape[0])
    edges = graph.tocoo()
    kept = edges.data >= edges.data.max(initial=0) / epochs
    return sp.coo_matrix((edges.data[kept], (edges.row[kept], edges.col[kept])), graph.shape)


def layout(
    graph: sp.csr_matrix,
    start: np.ndarray,
    forces: Forces,
    *,
    n_epochs: int,
    learning_rate: float,
    seed: int,
    device: torch.device,
) -> Iterator[Tensor]:
    r"""Move places epoch by epoch; yield them ``(n_components, n)``, the same tensor every time.

    In an epoch an edge of weight p is drawn :math:`p / \max p` times, at regular intervals. Its
    ends are drawn together and its first is driven from `n_negatives` rows drawn at random, by
    steps along the gradient of

    .. math:: \log q_{ij} + \gamma \sum_l \log(1 - q_{il})

    whose length falls linearly from `learning_rate` to zero. The draws are sums of fixed order,
    so that the result is that of the seed whatever the number of threads.

    It is all in float32: the steps, drawn at random, are a million times as long as its rounding.
    """
    edges = strong_edges(graph, n_epochs)
    head, tail = (torch.from_numpy(e.astype(np.int64)).to(device) for e in (edges.row, edges.col))
    share = torch.from_numpy(edges.data.astype(np.float32)).to(device)
    share = share / share.max() if len(share) else share
    draws = torch.Generator(device).manual_seed(seed)
    clock = torch.rand(len(share), generator=draws, device=device)
    Y = torch.from_numpy(start.T.astype(np.float32, order="C")).to(device)
    alone = len(share) * len(Y) * max(1, forces.n_negatives) < SMALL
    for epoch in range(n_epochs):
        # On little, threads wait for each other longer than they help.
        with one_torch_thread() if alone else nullcontext(), torch.no_grad():
            clock += share
            due = torch.nonzero(clock >= 1)[:, 0]
            clock[due] -= 1
            rate = learning_rate * (1 - epoch / n_epochs)
            for part in range(N_PARTS):
                now = due[part::N_PARTS]
                Y += rate * _step(Y, head[now], tail[now], forces, draws)
        if not torch.isfinite(Y).all():
            raise ValueError(
                f"The layout diverged: places were not finite in epoch {epoch + 1}, at "
                f"learning_rate={learning_rate:g}. Lower it; 1.0 is usual."
            )
        yield Y


def _step(Y: Tensor, head: Tensor, tail: Tensor, forces: Forces, draws: torch.Generator) -> Tensor:
    """Return the forces on all places, of some edges and as many times `n_negatives` pairs."""
    here = Y[:, head]
    apart = here - Y[:, tail]
    drawn = (apart * forces.attraction(_square(apart))).clamp_(-LONGEST, LONGEST)
    shape = (forces.n_negatives, len(head))
    others = torch.randint(Y.shape[1], shape, generator=draws, device=Y.device)
    apart = here[:, None] - Y[:, others.view(-1)].view(len(Y), *shape)
    driven = apart.mul_(forces.rejection(_square(apart))).clamp_(-LONGEST, LONGEST).sum(1)
    total = torch.zeros_like(Y)
    for sum_, pull, push in zip(total, drawn, driven, strict=True):
        _add_at(sum_, head, pull + push)
        _add_at(sum_, tail, -pull)
    return total.clamp_(-LONGEST, LONGEST)


def _square(apart: Tensor) -> Tensor:
    square = apart[0] * apart[0]
    for coordinate in apart[1:]:
        square.addcmul_(coordinate, coordinate)
    return square


def _add_at(total: Tensor, index: Tensor, values: Tensor) -> None:
    """Add values at their places, in a fixed order."""
    if total.is_cuda:  # scatter_add_ is in any order there, and this is not
        total.index_put_((index,), values, accumulate=True)
    else:
        total.scatter_add_(0, index, values)
