r"""The fuzzy graph of a set of points.

A row's neighbours belong to it by

.. math:: p_{j|i} = \exp\big(-\max(0, d_{ij} - \rho_i) / \sigma_i\big), \qquad
    \sum_j p_{j|i} = \log_2 k,

with :math:`\rho_i` the distance to the nearest other row; the edge between two rows is the fuzzy
union :math:`p_{j|i} + p_{i|j} - p_{j|i}\,p_{i|j}`.
"""

import math

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.preprocessing import normalize
from torch import Tensor

from skbasics.manifold._neighbors import Neighbors

TOLERANCE = 1e-5
SMALLEST_SCALE = 1e-3
N_BISECTIONS = 64
"""Those of umap-learn: it stops so near to log2(k), and at so narrow a scale."""


def scales(
    distance: Tensor, local_connectivity: float, mean: Tensor, n_own: int = 1
) -> tuple[Tensor, Tensor]:
    r"""Return :math:`\rho` and :math:`\sigma` of each row, ``(n,)``.

    Parameters
    ----------
    distance : Tensor of float64, shape (n, k)
        Distances to neighbours, the smallest first.
    local_connectivity : float
        The neighbour, counted from one, at whose distance membership begins to fall.
    mean : Tensor
        The mean distance of all neighbours, for rows that have none but copies of themselves.
    n_own : int
        How many leading neighbours do not count: the row itself.
    """
    rho = _nearest_other(distance, local_connectivity)
    beyond = (distance - rho[:, None])[:, n_own:].clamp(min=0)
    sigma = _bisected(beyond, math.log2(distance.shape[1] - n_own + 1))
    finite = torch.isfinite(distance)
    own_mean = torch.where(finite, distance, 0).sum(1) / finite.sum(1).clamp(min=1)
    return rho, torch.maximum(sigma, SMALLEST_SCALE * torch.where(rho > 0, own_mean, mean))


def _nearest_other(distance: Tensor, local_connectivity: float) -> Tensor:
    local_connectivity = min(float(local_connectivity), distance.shape[1] + 1.0)
    n_zero = (distance == 0).sum(1, keepdim=True)
    whole = math.floor(local_connectivity)
    part = local_connectivity - whole

    def other(i: int) -> Tensor:
        return distance.gather(1, (n_zero + i).clamp(max=distance.shape[1] - 1))[:, 0]

    rho = other(whole - 1) if whole else torch.zeros_like(distance[:, 0])
    if part > TOLERANCE or not whole:
        rho = rho + part * (other(whole) - rho)
    enough = distance.shape[1] - n_zero[:, 0] >= local_connectivity
    rho = torch.where(enough, rho, distance[:, -1])
    return torch.where(torch.isfinite(rho), rho, 0)


def _bisected(beyond: Tensor, target: float) -> Tensor:
    r"""Return the :math:`\sigma` at which :math:`\sum_j e^{-\delta_{ij}/\sigma}` is the target."""
    low, middle = (torch.full_like(beyond[:, 0], value) for value in (0.0, 1.0))
    high = torch.full_like(low, torch.inf)
    found = torch.zeros_like(low, dtype=torch.bool)
    for _ in range(N_BISECTIONS):
        total = torch.exp(-beyond / middle[:, None]).sum(1)
        found |= (total - target).abs() < TOLERANCE
        if found.all():
            break
        large = total > target
        high = torch.where(large, middle, high)
        low = torch.where(large, low, middle)
        between = torch.where(torch.isinf(high), 2 * middle, (low + high) / 2)
        middle = torch.where(found, middle, between)
    return middle


def memberships(distance: Tensor, rho: Tensor, sigma: Tensor) -> Tensor:
    """Return to what degree each neighbour belongs to its row, ``(n, k)``."""
    beyond = (distance - rho[:, None]).clamp(min=0)
    degree = torch.exp(-beyond / torch.where(sigma > 0, sigma, torch.inf)[:, None])
    return torch.where(torch.isinf(distance), 0.0, degree)


def linked(distance: Tensor, limit: float) -> Tensor:
    """Return distances with infinity for those at which there is no edge."""
    return torch.where(distance >= limit, torch.inf, distance) if limit < math.inf else distance


def mean_distance(distance: Tensor) -> Tensor:
    """Return the mean of the finite distances, zero where there are none."""
    finite = distance[torch.isfinite(distance)]
    return finite.mean() if len(finite) else distance.new_zeros(())


def membership_graph(
    neighbors: Neighbors, local_connectivity: float, limit: float = math.inf
) -> sp.csr_matrix:
    """Return the graph of rows and their neighbours, each row its own first, as each row sees it.

    Parameters
    ----------
    neighbors : Neighbors
    local_connectivity : float
    limit : float
        The distance from which on there is no edge.
    """
    distance = linked(neighbors.distance.double(), limit)
    rho, sigma = scales(distance, local_connectivity, mean_distance(distance))
    values = memberships(distance, rho, sigma)
    n, k = distance.shape
    values[:, 0] = 0
    places = neighbors.index.reshape(-1).cpu().numpy(), np.arange(0, n * k + 1, k)
    graph = sp.csr_matrix((values.reshape(-1).cpu().numpy(), *places), shape=(n, n))
    graph.eliminate_zeros()
    return graph


def union(graph: sp.csr_matrix, mix: float = 1.0) -> sp.csr_matrix:
    """Return the symmetric graph of memberships."""
    other = graph.T.tocsr()
    both = graph.multiply(other).tocsr()
    merged = (mix * (graph + other - both) + (1 - mix) * both).tocsr()
    merged.eliminate_zeros()
    merged.sort_indices()
    return merged


def reconnected(graph: sp.csr_matrix) -> sp.csr_matrix:
    """Return the graph in which every row is again fully linked to one other at least."""
    return union(normalize(graph, norm="max").tocsr())
