"""Where a layout starts: the graph's own coordinates, or the rows'."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh
from sklearn.decomposition import PCA

from skbasics._threads import one_blas_thread

SIDE = 10.0
"""The width of the square, or cube, in which a layout starts."""

NOISE = 1e-4
"""What tells rows apart that would start in one place."""

DENSE = 64
"""Rows up to which all eigenvectors are computed."""


def starting_places(
    init: str | np.ndarray,
    graph: sp.csr_matrix,
    X: Any,
    n_components: int,
    random_state: np.random.RandomState,
) -> np.ndarray:
    """Return where each row starts, ``(n, n_components)`` in float64.

    Parameters
    ----------
    init : "spectral", "pca", "random" or ndarray
    graph : sparse matrix
        In which every row has an edge.
    X : ndarray, sparse matrix or None
        The rows, where they are such.
    """
    if isinstance(init, np.ndarray):
        return init.astype(np.float64)
    if init == "random":
        return random_state.uniform(-SIDE, SIDE, (graph.shape[0], n_components))
    # The threads of BLAS would leave their number in the last digit, and so in the whole layout.
    with one_blas_thread(user_api="blas"):
        if init == "pca":
            places = principal(X, n_components)
        else:
            places = spectral(graph, X, n_components, random_state)
    places = _scaled(places)
    return _boxed(places + random_state.normal(scale=NOISE, size=places.shape))


def principal(X: Any, n_components: int) -> np.ndarray:
    """Return the rows' principal coordinates, and zeros for those that they have not."""
    X = X.astype(np.float64)  # in float32 its last digits would depend on where X lies in memory
    n_found, solver = min(n_components, *X.shape), "full"
    if sp.issparse(X):
        if min(X.shape) <= max(DENSE, 2 * n_components):
            X = X.toarray()
        else:
            solver = "arpack"
    solver = PCA(n_found, svd_solver=solver, random_state=0)
    found = solver.fit_transform(X)
    return np.pad(found, ((0, 0), (0, n_components - n_found)))


def spectral(
    graph: sp.csr_matrix, X: Any, n_components: int, random_state: np.random.RandomState
) -> np.ndarray:
    r"""Return the eigenvectors of the normalised Laplacian after the first, part by part.

    They are those of :math:`D^{-1/2} A D^{-1/2}` with the largest eigenvalues. Where the graph
    falls into parts, each has its own, about the place of its mean among the means.
    """
    n_parts, part = connected_components(graph, directed=False)
    if n_parts == 1:
        return _eigenvectors(graph, n_components, random_state)
    centres = _centres(n_parts, part, X, n_components, random_state)
    radius = _radii(centres)
    places = np.empty((graph.shape[0], n_components))
    for i in range(n_parts):
        rows = np.flatnonzero(part == i)
        own = _eigenvectors(graph[rows][:, rows], n_components, random_state)
        places[rows] = centres[i] + radius[i] * _scaled(own) / SIDE
    return places


def _eigenvectors(
    graph: sp.csr_matrix, n_components: int, random_state: np.random.RandomState
) -> np.ndarray:
    n = graph.shape[0]
    root = sp.diags_array(1 / np.sqrt(np.asarray(graph.sum(1)).ravel()))
    matrix = (root @ graph.astype(np.float64) @ root).tocsr()
    n_found = min(n_components, n - 1)
    if n <= max(DENSE, 4 * n_components):
        vectors = np.linalg.eigh(matrix.toarray())[1][:, ::-1]
    else:
        first = np.ones(n)
        values, vectors = eigsh(matrix, n_found + 1, which="LA", v0=first, tol=1e-4, maxiter=5 * n)
        vectors = vectors[:, np.argsort(-values)]
    vectors = vectors[:, 1 : n_found + 1]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(0)[None], 0)
    vectors = vectors * np.where(largest < 0, -1, 1)
    rest = random_state.normal(scale=NOISE, size=(n, n_components - n_found))
    return np.hstack([vectors, rest])


def _centres(
    n_parts: int,
    part: np.ndarray,
    X: Any,
    n_components: int,
    random_state: np.random.RandomState,
) -> np.ndarray:
    """Return the places of parts: their means' principal coordinates, or drawn without rows."""
    if X is None:
        return random_state.uniform(-SIDE, SIDE, (n_parts, n_components))
    n_rows = np.bincount(part)
    members = sp.csr_array((1 / n_rows[part], (part, np.arange(len(part)))))
    means = members @ X
    places = principal(means.toarray() if sp.issparse(means) else means, n_components)
    return _scaled(places)


def _radii(centres: np.ndarray) -> np.ndarray:
    """Return half the distance of each centre from the next."""
    distances = np.linalg.norm(centres[:, None] - centres, axis=-1)
    np.fill_diagonal(distances, np.inf)
    return np.maximum(distances.min(1) / 2, 100 * NOISE)


def _scaled(places: np.ndarray) -> np.ndarray:
    """Return places whose largest coordinate is that of the box."""
    largest = np.abs(places).max()
    return places * (SIDE / largest) if largest > 0 else places


def _boxed(places: np.ndarray) -> np.ndarray:
    """Return places that fill the box in every coordinate."""
    low, width = places.min(0), np.ptp(places, axis=0)
    return SIDE * (places - low) / np.where(width > 0, width, 1)
