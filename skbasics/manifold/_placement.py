"""Where new rows go in a layout that stands still, and what places stand for."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from skbasics.manifold._forces import LONGEST, Forces
from skbasics.manifold._fuzzy import linked, memberships, scales
from skbasics.manifold._neighbors import Neighbors

N_DRAWN = 64
"""Rows of the layout by which new ones are repelled in an epoch, the same ones for all."""

NUMBERS = 2**22
"""Coordinates of pairs that are held at a time."""


class Frozen(NamedTuple):
    """A finished layout.

    Attributes
    ----------
    places : Tensor of float64, shape (n, n_components)
    nearest : Tensor of float64, shape (n,)
        How far the nearest other row was from each.
    mean_distance : float
        The mean distance of neighbours.
    local_connectivity : float
    forces : Forces
    learning_rate : float
    n_epochs : int
        For new rows.
    seed : int
    """

    places: Tensor
    nearest: Tensor
    mean_distance: float
    local_connectivity: float
    forces: Forces
    learning_rate: float
    n_epochs: int
    seed: int


def placed(neighbors: Neighbors, frozen: Frozen, limit: float) -> Tensor:
    r"""Return places of new rows, each found without looking at the others.

    A row starts at its neighbours' mean, weighted by its memberships p in them, or at the place of
    one of them if that is nearer to all, and climbs from there

    .. math:: \sum_j \frac{p_j}{\max p} \Big( \log q_j + m \gamma\, E_l \log(1 - q_l) \Big)

    with E the mean over rows of the layout drawn anew in each epoch, the same ones for all new
    rows. One that is nearer to a row of the fit than half the distance from there to the next
    goes to that row's place as it nears it. There are no edges at the distance `limit`.
    """
    distance = linked(neighbors.distance.double(), limit)
    mean = distance.new_tensor(frozen.mean_distance)
    rho, sigma = scales(distance, frozen.local_connectivity, mean, n_own=0)
    degree = memberships(distance, rho, sigma)
    width = frozen.places.shape[1] * max(N_DRAWN, degree.shape[1] ** 2)
    step = max(1, NUMBERS // width)
    parts = zip(degree.split(step), neighbors.index.split(step), strict=True)
    climbed = [_climbed(_starts(*part, frozen), *part, frozen) for part in parts]
    return _near_known_rows(torch.cat(climbed), neighbors, frozen)


def _starts(degree: Tensor, index: Tensor, frozen: Frozen) -> Tensor:
    """Return the best of the neighbours' places and their mean, by what attracts alone.

    Where neighbours lie apart, the mean is far from them all. Of a row without an edge it is the
    mean of those that are nearest.
    """
    total = degree.sum(1, keepdim=True)
    shares = torch.where(total > 0, degree, 1.0)
    shares = shares / shares.sum(1, keepdim=True)
    neighbours = frozen.places[index]
    mean = (shares[..., None] * neighbours).sum(1, keepdim=True)
    candidates = torch.cat([mean, neighbours], 1)
    apart = _square(candidates[:, :, None] - neighbours[:, None])
    cost = (softplus(frozen.forces.odds(apart)) * degree[:, None]).sum(-1)
    best = cost.argmin(1)
    return candidates[torch.arange(len(best), device=best.device), best]


def _climbed(Y: Tensor, degree: Tensor, index: Tensor, frozen: Frozen) -> Tensor:
    forces, places = frozen.forces, frozen.places
    pull = (degree / degree.max(1, keepdim=True).values.clamp(min=1e-300))[..., None]
    push = forces.n_negatives * pull.sum(1)
    neighbours = places[index]
    draws = torch.Generator().manual_seed(frozen.seed)
    for epoch in range(frozen.n_epochs):
        others = torch.randint(len(places), (N_DRAWN,), generator=draws).to(places.device)
        apart = Y[:, None] - neighbours
        drawn = apart * forces.attraction(_square(apart))[..., None]
        apart = Y[:, None] - places[others]
        driven = apart * forces.rejection(_square(apart))[..., None]
        force = (pull * drawn.clamp_(-LONGEST, LONGEST)).sum(1)
        force += push * driven.clamp_(-LONGEST, LONGEST).mean(1)
        rate = frozen.learning_rate / 4 * (1 - epoch / frozen.n_epochs)
        Y = Y + rate * force.clamp_(-LONGEST, LONGEST)
    return Y


def _square(apart: Tensor) -> Tensor:
    return (apart * apart).sum(-1)


def _near_known_rows(Y: Tensor, neighbors: Neighbors, frozen: Frozen) -> Tensor:
    nearest = neighbors.index[:, 0]
    own_scale = frozen.nearest[nearest]
    distance = neighbors.distance[:, 0].double()
    share = (1 - 2 * distance / torch.where(own_scale > 0, own_scale, 1)).clamp(min=0)
    share = torch.where(distance > 0, torch.where(own_scale > 0, share, 0.0), 1.0)[:, None]
    return torch.where(share < 1, Y + share * (frozen.places[nearest] - Y), frozen.places[nearest])


def meant(neighbors: Neighbors, rows: Tensor, forces: Forces) -> Tensor:
    """Return rows that places stand for: means of rows placed nearby, weighted by q."""
    distance = neighbors.distance.double().clamp(max=1e150)
    shares = torch.softmax(-softplus(forces.odds(distance.square())), 1)
    return (shares[..., None] * rows[neighbors.index].double()).sum(1)
