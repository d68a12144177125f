"""Two ways from rows to places: torch here, and umap-learn."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skbasics._arrays import SEED_BOUND, as_numpy
from skbasics._threads import numba_threads, threads_kept, without_warnings
from skbasics.manifold._approximate import graph_of, neighbors_among
from skbasics.manifold._extra import umap_module
from skbasics.manifold._forces import Forces
from skbasics.manifold._fuzzy import mean_distance
from skbasics.manifold._layout import default_epochs, layout
from skbasics.manifold._metrics import Given, Measure
from skbasics.manifold._neighbors import Neighbors, nearest
from skbasics.manifold._start import starting_places
from skbasics.manifold._target import by_class, by_target

THEIRS = {"cityblock": "manhattan"}
"""Distances that umap-learn has by another name."""


@dataclass
class Task:
    """What there is to lay out: rows, no two alike, and what was asked for.

    Attributes
    ----------
    X : Tensor or sparse matrix of shape (n, n_features)
    keys : ndarray of uint64, shape (n,)
        By which the rows are known again.
    y : ndarray of shape (n, n_targets) or None
    measure : Measure
    n_neighbors, n_components : int
    forces : Forces
    init : str or ndarray
    n_epochs : int
    random_state : RandomState
        The fit's own.
    asked : UMAP
        For the parameters that are used as they are.
    """

    X: Any
    keys: np.ndarray
    y: np.ndarray | None
    measure: Measure
    n_neighbors: int
    n_components: int
    forces: Forces
    init: Any
    n_epochs: int
    random_state: np.random.RandomState
    asked: Any

    @property
    def rows(self) -> Any:
        """The rows as NumPy or sparse, or None where there are only distances."""
        return None if isinstance(self.measure, Given) else as_numpy(self.X)

    def neighbors_of(self, queries: np.ndarray) -> Tensor:
        """Return the numbers of the rows nearest to some of them, themselves left out."""
        index = torch.from_numpy(queries)
        Q = self.X[queries] if sp.issparse(self.X) else self.X[index.to(self.X.device)]
        k = min(self.n_neighbors + 1, self.X.shape[0])
        found = nearest(Q, self.X, k, self.measure).index.cpu()
        others = found != index[:, None]
        others[others.all(1), -1] = False
        return found[others].view(len(queries), -1)


@dataclass
class Layout:
    """What has become of the rows.

    Attributes
    ----------
    places : Tensor of float64, shape (n, n_components)
        Without nan.
    graph : sparse matrix of shape (n, n)
    nearest : Tensor of shape (n,)
        How far the nearest other row is.
    mean_distance : float
        The mean distance of neighbours.
    disconnected : ndarray of int
        The rows without an edge.
    """

    places: Tensor
    graph: sp.csr_matrix
    nearest: Tensor
    mean_distance: float
    disconnected: np.ndarray


def fuzzy(task: Task) -> tuple[sp.csr_matrix, Neighbors]:
    """Return the graph of the rows, which minds the target where there is one."""
    X, asked = task.X, task.asked
    graph, neighbors = graph_of(X, task.n_neighbors, task.measure, asked, asked.n_jobs)
    if task.y is None or graph.nnz == 0:
        return graph, neighbors
    if asked.target_metric == "categorical":
        return by_class(graph, task.y[:, 0], asked.target_weight), neighbors
    k, metric = task.n_neighbors, asked.target_metric
    return by_target(graph, task.y, asked.target_weight, k, metric), neighbors


def by_torch(task: Task, device: torch.device, *, every: bool) -> Iterator[Layout | None]:
    """Lay the rows out; yield the start, and what there is after each epoch.

    Unless `every` one is wanted, places are looked at after the last one alone.
    """
    graph, neighbors = fuzzy(task)
    connected = np.flatnonzero(np.diff(graph.indptr) > 0)
    lonely = np.setdiff1d(np.arange(graph.shape[0]), connected)
    part = graph[connected][:, connected]
    others = task.neighbors_of(lonely) if len(lonely) else None
    distance = neighbors.distance
    rest = distance[:, min(1, distance.shape[1] - 1)], float(mean_distance(distance))
    for epoch, found in enumerate(_laid_out(task, part, connected, device)):
        if not (every or epoch in (0, task.n_epochs)):
            yield None
            continue
        places = torch.zeros(graph.shape[0], task.n_components, dtype=torch.float64)
        places[torch.from_numpy(connected)] = found.cpu().double()
        _settle(places, lonely, others)
        yield Layout(places, graph, *rest, lonely)


def _laid_out(
    task: Task, graph: sp.csr_matrix, connected: np.ndarray, device: torch.device
) -> Iterator[Tensor]:
    """Yield the places of the connected rows."""
    if len(connected) == 0:
        yield torch.zeros(0, task.n_components, dtype=torch.float64)
        return
    rows, init = task.rows, task.init
    rows = None if rows is None else rows[connected]
    init = init[connected] if isinstance(init, np.ndarray) else init
    start = starting_places(init, graph, rows, task.n_components, task.random_state)
    yield torch.from_numpy(start)
    for Y in layout(
        graph,
        start,
        task.forces,
        n_epochs=task.n_epochs,
        learning_rate=task.asked.learning_rate,
        seed=task.random_state.randint(SEED_BOUND),
        device=device,
    ):
        yield Y.mT


def _settle(places: Tensor, lonely: np.ndarray, others: Tensor | None) -> None:
    """Put rows without an edge at the mean of those that are nearest to them."""
    if len(lonely):
        places[torch.from_numpy(lonely)] = places[others].mean(1)


def by_umap(task: Task) -> Layout:
    """Let umap-learn make graph and layout."""
    asked = task.asked
    seeded = asked.random_state is not None
    options = {
        name: getattr(asked, name)
        for name in (
            *("metric", "metric_kwds", "learning_rate", "set_op_mix_ratio", "local_connectivity"),
            *("repulsion_strength", "negative_sample_rate", "target_metric", "target_weight"),
            "densmap",
        )
    }
    few = task.X.shape[0] <= task.n_components + 2  # for eigenvectors of its kind
    model = umap_module("umap_", "engine='umap-learn'").UMAP(
        n_neighbors=task.n_neighbors,
        n_components=task.n_components,
        n_epochs=task.n_epochs,
        init="random" if few and isinstance(task.init, str) else task.init,
        a=task.forces.a,
        b=task.forces.b,
        random_state=task.random_state.randint(SEED_BOUND) if seeded else None,
        # Its layout is in a race where it uses more than one thread, and then has no seed.
        n_jobs=1 if seeded else numba_threads(asked.n_jobs),
        **options | {"metric": THEIRS.get(asked.metric, asked.metric)},
    )
    X = as_numpy(task.X)
    y = None if task.y is None else task.y[:, 0] if task.y.shape[1] == 1 else task.y
    # It warns of parts of the graph that are told of here by `disconnected_`, and of itself; and as
    # one thread at a time is without warnings, one at a time has the global generator.
    with without_warnings(), threads_kept(), _OwnGlobalState(task.random_state):
        try:
            model.fit(X, y)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"umap-learn could not lay out {X.shape[0]} distinct rows with these parameters: "
                f"{error}. Try engine='torch'."
            ) from error
    return _of_model(model, task)


def _of_model(model: Any, task: Task) -> Layout:
    places = torch.from_numpy(model.embedding_.astype(np.float64))
    graph = sp.csr_matrix(model.graph_)
    lonely = np.flatnonzero(~np.isfinite(model.embedding_).all(1))
    if len(lonely):
        places[torch.from_numpy(lonely)] = 0
        _settle(places, lonely, task.neighbors_of(lonely))
    distance = neighbors_among(task.X, min(2, task.X.shape[0]), task.measure, task.asked.n_jobs)[1]
    reach = np.nan_to_num((model._rhos + model._sigmas).astype(np.float64), posinf=0)
    return Layout(places, graph, distance[:, -1], float(reach.mean()), lonely)


class _OwnGlobalState:
    """NumPy's global generator seeded by a fit's own, and put back.

    umap-learn draws from it whenever it may use all cores.
    """

    def __init__(self, random_state: np.random.RandomState) -> None:
        self.seed = random_state.randint(SEED_BOUND)

    def __enter__(self) -> None:
        self.state = np.random.get_state()  # noqa: NPY002
        np.random.seed(self.seed)  # noqa: NPY002

    def __exit__(self, *exception: object) -> None:
        np.random.set_state(self.state)  # noqa: NPY002


def epochs_of(n_epochs: int | None, n: int, densmap: bool) -> int:
    """Return how many epochs n rows get."""
    if n_epochs is not None:
        return int(n_epochs)
    return default_epochs(n) + (200 if densmap else 0)
