"""Neighbours against brute force, the graph and its targets against umap-learn's."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from skbasics import UMAP
from skbasics.manifold import _approximate
from skbasics.manifold._approximate import neighbors_among
from skbasics.manifold._distinct import distinct, row_keys, with_target
from skbasics.manifold._extra import umap_module
from skbasics.manifold._forces import fitted_curve
from skbasics.manifold._fuzzy import membership_graph, union
from skbasics.manifold._metrics import INDEXED, resolve_metric
from skbasics.manifold._neighbors import nearest
from skbasics.manifold._target import by_class, intersection

X = np.random.RandomState(0).normal(size=(300, 6))
Y = np.random.RandomState(1).uniform(size=300)
LABELS = np.arange(300) % 3 - 1
METRICS = ["euclidean", "cosine", "correlation", "manhattan", "chebyshev", "canberra", "hamming"]


def neighbors_of(X, metric="euclidean", k=15):
    X = torch.from_numpy(X)
    return nearest(X, X, k, resolve_metric(metric, {}, sparse=False), same=True)


@pytest.fixture(scope="module")
def reference():
    """Return umap-learn's functions; their compilation is what takes the time."""
    return umap_module("umap_", "a test")


def their_graph(reference, neighbors, **options):
    index, distance = neighbors.index.numpy(), neighbors.distance.numpy().astype(np.float32)
    return reference.fuzzy_simplicial_set(
        X[: len(index)], index.shape[1], np.random, "euclidean", {}, index, distance, **options
    )[0]


@pytest.mark.parametrize("metric", [*METRICS, "minkowski"])
def test_neighbours_are_those_of_all_distances(metric):
    name = {"manhattan": "cityblock"}.get(metric, metric)
    distances = cdist(X[:40], X, name)
    Q, T = torch.from_numpy(X[:40]), torch.from_numpy(X)
    found = nearest(Q, T, 10, resolve_metric(metric, {}, sparse=False))
    np.testing.assert_allclose(found.distance, np.sort(distances, 1)[:, :10], atol=1e-12)
    taken = np.take_along_axis(distances, found.index.numpy(), 1)
    np.testing.assert_allclose(taken, found.distance, atol=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_sparse_rows_have_the_neighbours_of_dense_ones(metric):
    digits = load_digits().data[:200]
    rows = sp.csr_matrix(digits)
    sparse = nearest(rows, rows, 8, resolve_metric(metric, {}, sparse=True), same=True)
    dense = neighbors_of(digits, metric, 8)
    np.testing.assert_allclose(sparse.distance, dense.distance, atol=1e-9)


def test_neighbours_far_from_the_origin_are_exact_in_float32():
    far = (X + 1e4).astype(np.float32)
    exact = np.sort(cdist(far.astype(float), far.astype(float)), 1)[:, :15]
    np.testing.assert_allclose(neighbors_of(far).distance, exact, rtol=1e-6)


def test_who_is_near_does_not_depend_on_who_else_asks():
    measure, T = resolve_metric("euclidean", {}, sparse=False), torch.from_numpy(X)
    together = nearest(T, T, 9, measure)
    alone = [nearest(T[i : i + 1], T, 9, measure) for i in range(30)]
    assert torch.equal(together.distance[:30], torch.cat([found.distance for found in alone]))
    assert torch.equal(together.index[:30], torch.cat([found.index for found in alone]))


def test_many_equidistant_rows_are_told_by_their_number():
    grid = np.stack(np.meshgrid(*[np.arange(6.0)] * 3), -1).reshape(-1, 3)
    found = neighbors_of(grid, k=5)
    np.testing.assert_allclose(found.distance, np.sort(cdist(grid, grid), 1)[:, :5], atol=1e-12)


@pytest.mark.xdist_group("descent")  # numba compiles it once in a process
@pytest.mark.parametrize("sparse", [False, True])
def test_neighbours_of_many_rows_are_found_by_descent(monkeypatch, sparse):
    """Nearly all of them, also far from the origin, and the same ones whatever the threads."""
    rows = load_digits().data[:1200]
    rows, exact = (sp.csr_matrix(rows), rows) if sparse else (rows + 1e7, rows)
    measure = resolve_metric("euclidean", {}, sparse)
    rows = rows if sparse else torch.from_numpy(rows)
    monkeypatch.setattr(_approximate, "MANY", 1000)
    one, two = (neighbors_among(rows, 10, measure, n_jobs) for n_jobs in (1, 1000))
    assert torch.equal(one.index, two.index)
    assert torch.equal(one.distance, two.distance)
    assert torch.equal(one.index[:, 0], torch.arange(1200))
    true = neighbors_of(exact, k=10)
    np.testing.assert_allclose(one.distance, true.distance, rtol=0.2, atol=1e-4)
    assert (one.distance - true.distance < 1e-4).double().mean() > 0.98


def test_what_descent_has_lost_is_found(monkeypatch):
    rows = torch.from_numpy(X)
    true = neighbors_of(X)
    index, distance = true.index.numpy().copy(), true.distance.numpy().copy()
    index[5, 3:], distance[5, 3:] = -1, np.inf
    index[7, :2], distance[7, :2] = index[7, 1::-1], 0  # found a neighbour before itself
    monkeypatch.setattr(_approximate, "MANY", 100)
    monkeypatch.setattr(_approximate, "_descended", lambda *_: (index, distance))
    found = neighbors_among(rows, 15, resolve_metric("euclidean", {}, sparse=False))
    assert torch.equal(found.index, true.index)
    np.testing.assert_allclose(found.distance[5], true.distance[5], atol=1e-12)


@pytest.mark.parametrize("metric", [*INDEXED, "minkowski", "chebyshev", "correlation"])
def test_distances_by_descent_are_those_of_all_pairs(metric):
    pynndescent_distances = pytest.importorskip("pynndescent").distances.named_distances
    rows = np.abs(X[:12, :]) * (X[:12, ::-1] > 0)
    if metric in ("rogerstanimoto", "sokalsneath", "yule"):
        rows = (rows > 0).astype(float)
    measure = resolve_metric(metric, {"p": 3} if metric == "minkowski" else {}, sparse=False)
    name, keywords = measure.indexed_as
    theirs = pynndescent_distances[name]
    pairs = [[theirs(a, b, *keywords.values()) for b in rows] for a in rows]
    rows = measure.prepared(torch.from_numpy(rows))
    np.testing.assert_allclose(pairs, measure.between(rows, rows), atol=1e-6)


def test_distinct_rows():
    rows = np.array([[0.0, 1], [2, 3], [-0.0, 1], [2, 3], [2, 4]])
    for X in (torch.from_numpy(rows), sp.csr_matrix(rows)):
        first, places = distinct(row_keys(X))
        assert first.tolist() == [0, 1, 4]
        assert places.tolist() == [0, 1, 0, 1, 2]
    first, _ = distinct(with_target(row_keys(rows), np.array([[0.0], [0], [0], [1], [0]])))
    assert first.tolist() == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("local_connectivity", "mix"), [(1.0, 1.0), (2.5, 0.3), (0.5, 0.0), (1.5, 1.0)]
)
def test_graph_is_that_of_umap_learn(reference, local_connectivity, mix):
    neighbors = neighbors_of(X)
    own = union(membership_graph(neighbors, local_connectivity), mix)
    theirs = their_graph(
        reference, neighbors, local_connectivity=local_connectivity, set_op_mix_ratio=mix
    )
    assert abs(own - theirs).max() < 1e-5


def test_graph_of_digits_is_that_of_umap_learn(reference):
    digits = load_digits().data
    neighbors = neighbors_of(digits)
    index, distance = neighbors.index.numpy(), neighbors.distance.numpy().astype(np.float32)
    theirs = reference.fuzzy_simplicial_set(digits, 15, np.random, "euclidean", {}, index, distance)
    fitted = UMAP(n_epochs=0).fit(digits)
    assert abs(fitted.graph_ - theirs[0]).max() < 1e-5


def test_parts_of_the_graph_are_those_of_the_rows_that_are_larger_than_a_neighbourhood():
    """Two far heaps of 40 rows are apart with 15 neighbours, and joined with 50."""
    rows = np.r_[X[:40], X[40:80] + 100]
    for k, parts in ((15, 2), (50, 1)):
        graph = union(membership_graph(neighbors_of(rows, k=k), 1.0))
        assert connected_components(sp.csr_matrix(graph), directed=False)[0] == parts


@pytest.mark.parametrize("weight", [0.2, 0.5, 1.0])
def test_classes_weaken_edges_as_in_umap_learn(reference, weight):
    graph = union(membership_graph(neighbors_of(X), 1.0))
    far = 2.5 / (1 - weight) if weight < 1 else 1e12
    theirs = reference.discrete_metric_simplicial_set_intersection(
        graph.copy(), LABELS, far_dist=far
    )
    assert abs(by_class(graph, LABELS, weight) - theirs).max() < 1e-6


@pytest.mark.parametrize("weight", [0.2, 0.5, 0.8])
def test_targets_with_a_distance_weaken_edges_as_in_umap_learn(reference, weight):
    graph = union(membership_graph(neighbors_of(X), 1.0))
    target = membership_graph(neighbors_of(Y[:, None]), 1.0)
    as_theirs = their_graph(reference, neighbors_of(Y[:, None]), apply_set_operations=False)
    assert abs(target - as_theirs).max() < 1e-5
    theirs = reference.general_simplicial_set_intersection(graph, target, weight)
    theirs = reference.reset_local_connectivity(theirs)
    assert abs(intersection(graph, target, weight) - theirs).max() < 1e-5


@pytest.mark.parametrize(("spread", "min_dist"), [(1.0, 0.1), (2.0, 0.5), (1.0, 0.0)])
def test_curve_is_that_of_umap_learn(reference, spread, min_dist):
    theirs = reference.find_ab_params(spread, min_dist)
    np.testing.assert_allclose(fitted_curve(spread, min_dist), theirs, rtol=1e-6)
