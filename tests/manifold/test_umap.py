"""UMAP as a transformer: what it promises of places, rows, seeds, engines and bad input."""

import copy
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.optimize import brentq
from scipy.spatial.distance import cdist
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.callback import FitCallback
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from skbasics import UMAP
from skbasics._arrays import own_random_state
from skbasics.manifold import _extra, _layout
from skbasics.manifold._forces import Forces
from skbasics.manifold._layout import layout
from skbasics.manifold._metrics import Products
from skbasics.manifold._neighbors import nearest

DIGITS, CLASSES = load_digits(return_X_y=True)
OLD, NEW = DIGITS[:1500], DIGITS[1500:]
SHORT = {"n_epochs": 30, "random_state": 0, "engine": "torch"}


@pytest.fixture(scope="module")
def ours():
    return UMAP(random_state=0, engine="torch").fit(OLD)


@pytest.fixture(scope="module")
def theirs():
    """Return umap-learn's own model, seeded."""
    umap = _extra.umap_module("umap_", "a test")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return umap.UMAP(random_state=0, n_jobs=1).fit(OLD)


@pytest.fixture(scope="module")
def wrapped():
    return UMAP(random_state=0, engine="umap-learn", n_jobs=3).fit(OLD)


def accuracy(embedding, places):
    nearest = KNeighborsClassifier(10).fit(embedding, CLASSES[:1500])
    return nearest.score(places, CLASSES[1500:])


@pytest.mark.parametrize("engine", ["ours", "wrapped"])
def test_as_good_as_umap_learn(engine, theirs, request):
    model = request.getfixturevalue(engine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        places = theirs.transform(NEW)
    reference = trustworthiness(OLD, theirs.embedding_, n_neighbors=12)
    assert model.trustworthiness(OLD) > reference - 0.005
    own = trustworthiness(OLD, model.embedding_, n_neighbors=12)
    assert model.trustworthiness(OLD) == pytest.approx(own)
    assert accuracy(model.embedding_, model.transform(NEW)) > (
        accuracy(theirs.embedding_, places) - 0.02
    )


def test_wrapper_keeps_what_it_was_given(wrapped):
    assert wrapped.engine_ == "umap-learn"
    assert wrapped.n_jobs == 3
    assert wrapped.embedding_.dtype == np.float64
    np.testing.assert_array_equal(wrapped.transform(OLD), wrapped.embedding_)


def test_wrapper_without_a_seed_uses_all_threads_and_no_global_numbers():
    np.random.seed(5)  # noqa: NPY002
    model = UMAP(engine="umap-learn", n_epochs=50, n_jobs=1000).fit(DIGITS[:300])
    assert model.trustworthiness(DIGITS[:300]) > 0.95
    drawn = np.random.randint(1000)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    own_random_state(None)
    assert np.random.randint(1000) == drawn  # noqa: NPY002


def test_wrapper_with_densities_is_that_of_its_seed():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    X = np.vstack([DIGITS[:200], DIGITS[:200]])
    model = UMAP(engine="umap-learn", n_epochs=20, densmap=True, random_state=1).fit(X)
    again = UMAP(engine="umap-learn", n_epochs=20, densmap=True, random_state=1).fit(X)
    np.testing.assert_array_equal(model.embedding_, again.embedding_)
    np.testing.assert_array_equal(model.embedding_[:200], model.embedding_[200:])
    assert np.isfinite(model.transform(NEW[:3])).all()
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("engine", ["ours", "wrapped"])
def test_a_row_goes_where_it_goes_alone(engine, request):
    model = request.getfixturevalue(engine)
    together = model.transform(NEW)
    alone = np.vstack([model.transform(NEW[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(alone, together[:20], rtol=0, atol=1e-9)
    order = np.random.RandomState(0).permutation(len(NEW))
    np.testing.assert_allclose(model.transform(NEW[order]), together[order], rtol=0, atol=1e-9)


def test_rows_of_the_fit_keep_their_places_and_those_beside_them_come_near(ours):
    before = ours.embedding_.copy()
    np.testing.assert_array_equal(ours.transform(OLD), before)
    noise = np.random.RandomState(0).normal(size=OLD.shape)
    for size, limit in ((1e-6, 1e-4), (1e-2, 0.1)):
        moved = np.linalg.norm(ours.transform(OLD + size * noise) - before, axis=1)
        assert moved.max() < limit
    np.testing.assert_array_equal(ours.embedding_, before)


def test_new_rows_climb():
    """Places that are found are better, by the objective of all pairs, than where they start."""
    model = UMAP(random_state=0).fit(OLD)
    frozen = model._frozen(torch.device("cpu"))
    rows, known = model._comparable(NEW, torch.device("cpu"))
    near = nearest(rows, known, 14, Products("euclidean"))
    at = {}
    for n_epochs in (0, 60):
        model.n_epochs_ = n_epochs
        at[n_epochs] = model.transform(NEW)
    gain = _objective(at[60], near, frozen) - _objective(at[0], near, frozen)
    assert gain.mean() > 5 * gain.std() / np.sqrt(len(gain))


def _objective(places, near, frozen):
    a, b, gamma, m = frozen.forces
    to_all = cdist(places, frozen.places) ** 2
    q = 1 / (1 + a * to_all**b)
    d = near.distance.numpy()
    beyond = d - d[:, :1]
    sigma = [brentq(lambda s, g=g: np.exp(-g / s).sum() - np.log2(15), 1e-3, 1e3) for g in beyond]
    p = np.exp(-beyond / np.array(sigma)[:, None])
    attracted = (p * np.log(np.take_along_axis(q, near.index.numpy(), 1))).sum(1)
    return attracted + m * gamma * p.sum(1) * np.log1p(-q + 1e-6).mean(1)


@pytest.mark.parametrize("small", [True, False])
def test_one_seed_one_result_whatever_the_threads(monkeypatch, small):
    X = np.vstack([DIGITS[:300], DIGITS[:100], np.tile(DIGITS[:1], (50, 1))])
    if not small:  # so many pairs that torch shares them among threads
        monkeypatch.setattr(_layout, "SMALL", 0)
        X = np.vstack([X, np.random.RandomState(0).normal(size=(6000, 64))])
    threads = torch.get_num_threads()
    results = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            results += [UMAP(random_state=3, n_epochs=20).fit(X).embedding_ for _ in range(2)]
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)
    np.testing.assert_array_equal(results[0][:100], results[0][300:400])


def test_layout_is_the_gradient_step_of_the_edges():
    """With one edge and no pairs, a step is its force on both ends."""
    graph = sp.csr_matrix(np.array([[0, 1.0], [0, 0]]))
    start = np.array([[0.0, 0.0], [1.0, 2.0]])
    steps = layout(
        graph,
        start,
        Forces(1.5, 0.8, 1.0, 0),
        n_epochs=1,
        learning_rate=0.1,
        seed=0,
        device=torch.device("cpu"),
    )
    square = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(-torch.log1p(1.5 * square**0.8), square)
    force = 2 * slope.item() * np.array([-1.0, -2.0])
    moved = next(steps).T.numpy()
    np.testing.assert_allclose(moved, [0.1 * force, [1, 2] - 0.1 * force], rtol=1e-5)


def test_what_falls_is_the_loss_of_the_draws_and_not_the_cross_entropy():
    """Rows are drawn to be repelled whatever their p, which is less than 1 - p by far.

    A pair repels by n_negatives (d_i + d_j) / 4n, with d the sums of p, for each p that attracts
    (Damrich and Hamprecht 2021). At that price no other scale of the map is better.
    """
    X, n = DIGITS[:400], 400
    first, second = np.triu_indices(n, 1)

    def losses(Y):
        graph = model.graph_.toarray()
        p, degree = graph[first, second], graph.sum(1)
        square = ((Y[first] - Y[second]) ** 2).sum(1)
        q = np.clip(1 / (1 + model.a_ * square**model.b_), 1e-9, 1 - 1e-9)
        drawn = 5 * (degree[first] + degree[second]) / (4 * n)
        return [-(p * np.log(q) + w * np.log(1 - q)).sum() for w in (drawn, 1 - p)]

    options = {"n_neighbors": 10, "random_state": 0, "engine": "torch"}
    model = UMAP(n_epochs=0, **options).fit(X)
    before = losses(model.embedding_)
    model = UMAP(n_epochs=300, **options).fit(X)
    scales = np.array([0.5, 0.8, 0.9, 1, 1.1, 1.25, 2])
    after = np.array([losses(scale * model.embedding_) for scale in scales])
    assert after[3, 0] < 0.9 * before[0]
    assert abs(after[:, 0].argmin() - 3) <= 1
    assert after[3, 1] > 1.5 * after[-1, 1]  # for the cross-entropy the map is far too small


def test_pickle_beyond_4096_rows():
    X = np.random.RandomState(0).normal(size=(4200, 3)).astype(np.float32)
    model = UMAP(n_epochs=2, n_neighbors=5, engine="torch", random_state=0).fit(X)
    loaded = pickle.loads(pickle.dumps(model))
    new = X[:20] + np.float32(0.1)
    np.testing.assert_array_equal(loaded.transform(new), model.transform(new))
    assert loaded.transform(new).dtype == np.float32


def test_grid_search_in_a_pipeline():
    steps = [("umap", UMAP(random_state=0, n_epochs=100)), ("knn", KNeighborsClassifier())]
    search = GridSearchCV(Pipeline(steps), {"umap__n_neighbors": [5, 15]}, cv=2)
    search.fit(DIGITS[:400], CLASSES[:400])
    assert search.best_score_ > 0.85
    assert copy.deepcopy(search).predict(DIGITS[:3]).shape == (3,)


def test_classes_pull_apart_and_rows_without_one_follow():
    y = CLASSES[:600].copy()
    y[::2] = -1
    words = np.where(y == -1, "-1", np.char.add("digit ", y.astype(str)))
    plain = UMAP(**SHORT).fit(DIGITS[:600])
    half = UMAP(**SHORT).fit(DIGITS[:600], y)
    assert abs(half.graph_ - plain.graph_).max() > 0.5
    full = UMAP(**SHORT).fit(DIGITS[:600], words)
    assert full.embedding_.shape == (600, 2)
    score = [
        _within(m.embedding_, CLASSES[:600])
        for m in (plain, UMAP(**SHORT).fit(DIGITS[:600], CLASSES[:600]))
    ]
    assert score[1] < 0.7 * score[0]


def _within(places, classes):
    """Return the spread within classes over that of all."""
    within = [places[classes == c].var(0).sum() for c in np.unique(classes)]
    return np.mean(within) / places.var(0).sum()


@pytest.mark.parametrize("metric", ["cosine", "precomputed", "callable", "hellinger"])
def test_metrics(metric):
    X, new = DIGITS[:150], DIGITS[150:160]
    given = metric
    if metric == "precomputed":
        X, new = cdist(X, X), cdist(new, X)
    if metric == "callable":
        given = lambda a, b: np.abs(a - b).sum()  # noqa: E731
    model = UMAP(metric=given, **SHORT).fit(X)
    np.testing.assert_array_equal(model.transform(X), model.embedding_)
    assert np.isfinite(model.transform(new)).all()
    assert model.trustworthiness(X, n_neighbors=5) > 0.8
    if metric == "precomputed":
        same = UMAP(**SHORT).fit(DIGITS[:150])
        assert abs(same.graph_ - model.graph_).max() < 1e-9
        np.testing.assert_array_equal(same.embedding_, model.embedding_)


def test_sparse_rows():
    rows = sp.csr_matrix(DIGITS[:200])
    model, dense = UMAP(**SHORT).fit(rows), UMAP(**SHORT).fit(DIGITS[:200])
    assert abs(model.graph_ - dense.graph_).max() < 1e-9
    np.testing.assert_array_equal(model.transform(rows), model.embedding_)
    np.testing.assert_allclose(model.transform(DIGITS[:200]), model.embedding_, atol=1e-9)
    np.testing.assert_allclose(dense.transform(rows), dense.embedding_, atol=1e-9)
    with pytest.raises(ValueError, match=r"was fitted to sparse rows\. Fit it to dense rows"):
        model.inverse_transform(model.embedding_)


def test_places_stand_for_rows(ours):
    back = ours.inverse_transform(ours.transform(NEW))
    error, spread = ((back - NEW) ** 2).sum(), ((NEW - OLD.mean(0)) ** 2).sum()
    assert error < 0.45 * spread
    far = ours.inverse_transform(np.array([[1e200, 0.0]]))
    assert ((far >= OLD.min(0)) & (far <= OLD.max(0))).all()
    with pytest.raises(ValueError, match="X has 3 columns, and places have 2"):
        ours.inverse_transform(np.zeros((1, 3)))


def test_start_and_parts():
    X = np.vstack([DIGITS[:60], DIGITS[60:120] + 1000])
    for init in ("spectral", "pca", "random", DIGITS[:120, 2:4]):
        model = UMAP(init=init, **SHORT).fit(X)
        assert np.isfinite(model.embedding_).all()
    model = UMAP(random_state=0).fit(X)
    centres = [model.embedding_[part].mean(0) for part in (slice(60), slice(60, None))]
    radius = np.linalg.norm(model.embedding_[:60] - centres[0], axis=1).max()
    assert np.linalg.norm(centres[0] - centres[1]) > radius
    same = UMAP(init=DIGITS[:120, 2:4], n_epochs=0).fit(X)
    np.testing.assert_array_equal(same.embedding_, DIGITS[:120, 2:4])


@pytest.mark.parametrize("engine", ["torch", "umap-learn"])
def test_rows_without_an_edge_are_listed_and_placed(engine):
    X = (np.random.RandomState(0).uniform(size=(60, 30)) < 0.2).astype(float)
    X[:, 29] = 0
    X[7] = 0
    X[7, 29] = 1
    model = UMAP(metric="jaccard", engine=engine, n_epochs=20, random_state=0).fit(X)
    assert model.disconnected_.tolist() == [7]
    assert np.isfinite(model.embedding_).all()
    low, high = (f(np.delete(model.embedding_, 7, 0), 0) for f in (np.min, np.max))
    assert ((low <= model.embedding_[7]) & (model.embedding_[7] <= high)).all()


@pytest.mark.parametrize("metric", ["seuclidean", "mahalanobis", "russellrao", "cosine", "yule"])
@pytest.mark.parametrize("sparse", [False, True])
def test_every_distance_is_one_of_the_row(metric, sparse):
    """Places depend on no other row, and rows of the fit have their own, multiples too."""
    X = np.random.RandomState(0).normal(size=(120, 6)) * [1, 2, 3, 4, 5, 0]
    X = np.vstack([X, 2 * X[:5]])
    if metric in ("russellrao", "yule"):
        X = (np.random.RandomState(1).uniform(size=(120, 40)) < 0.4).astype(float)
    given = sp.csr_matrix(X.astype(np.float32)) if sparse else X
    if sparse and metric != "cosine":
        with pytest.raises(ValueError, match="is not for sparse rows here"):
            UMAP(metric=metric, **SHORT).fit(given)
        return
    model = UMAP(metric=metric, **SHORT).fit(given)
    np.testing.assert_array_equal(model.transform(given), model.embedding_)
    new = X[:9] + (X[:9] == 0) * 0.5
    alone = np.vstack([model.transform(row[None]) for row in new])
    np.testing.assert_allclose(alone, model.transform(new), atol=1e-9)


def test_near_sparse_rows_are_told_apart_in_float32():
    X = np.tile(DIGITS[:1], (30, 1)) * (1 + 1e-4 * np.arange(30)[:, None])
    model = UMAP(**SHORT, n_neighbors=5).fit(sp.csr_matrix(X.astype(np.float32)))
    dense = UMAP(**SHORT, n_neighbors=5).fit(X.astype(np.float32))
    assert abs(model.graph_ - dense.graph_).max() < 1e-2


def test_what_is_kept_is_its_own():
    sparse = sp.csr_matrix(DIGITS[:60])
    model = UMAP(**SHORT).fit(sparse)
    before = model.transform(NEW[:3])
    sparse.data[:] = 0
    model.set_params(learning_rate=9.0, metric="cosine", local_connectivity=3)
    np.testing.assert_array_equal(model.transform(NEW[:3]), before)
    with config_context(array_api_dispatch=True):
        model = UMAP(**SHORT)
        model.fit_transform(torch.from_numpy(DIGITS[:60])).zero_()
        assert model.embedding_.abs().max() > 0


def test_copies_share_a_place_by_distances_alone():
    X = np.random.RandomState(0).normal(size=(80, 5))
    X = np.vstack([X, X[:20]])
    model = UMAP(metric="precomputed", **SHORT).fit(cdist(X, X))
    np.testing.assert_array_equal(model.embedding_[:20], model.embedding_[80:])
    np.testing.assert_array_equal(model.transform(cdist(X, X)), model.embedding_)
    same = UMAP(**SHORT).fit(X)
    assert abs(same.graph_ - model.graph_).max() < 1e-9


@pytest.mark.parametrize(("n", "n_components"), [(3, 2), (8, 10), (20, 2)])
def test_wrapper_of_few_rows(n, n_components):
    model = UMAP(
        n_neighbors=2, n_components=n_components, engine="umap-learn", n_epochs=5, random_state=0
    )
    assert np.isfinite(model.fit(DIGITS[:n]).embedding_).all()


def test_wrapper_says_who_could_not():
    with pytest.raises(ValueError, match=r"could not lay out 20 .* Try engine='torch'"):
        UMAP(engine="umap-learn", metric="jaccard", n_epochs=5).fit(np.eye(20))


@pytest.mark.parametrize("n", [2, 3])
def test_two_and_three_rows(n):
    with pytest.warns(UserWarning, match=f"n_neighbors=15 is too many for {n} distinct") as caught:
        model = UMAP(random_state=0).fit(DIGITS[:n])
    assert len(caught) == 1
    assert np.isfinite(model.embedding_).all()
    assert len(np.unique(model.embedding_, axis=0)) == n
    assert np.isfinite(model.transform(NEW[:2])).all()


def test_constant_rows_and_thousands_of_copies():
    with pytest.warns(UserWarning, match="too many for 1 distinct rows"):
        model = UMAP(**SHORT).fit(np.ones((40, 3)))
    np.testing.assert_array_equal(model.transform(np.zeros((2, 3))), np.zeros((2, 2)))
    copies = np.vstack([np.tile(DIGITS[:1], (3000, 1)), DIGITS[1:100]])
    model = UMAP(**SHORT).fit(copies)
    assert np.isfinite(model.embedding_).all()
    assert (model.embedding_[:3000] == model.embedding_[0]).all()
    assert model.graph_.shape == (3099, 3099)


@pytest.mark.parametrize(
    ("parameters", "X", "message"),
    [
        ({"metric": "nobody's"}, OLD[:30], "no distance that torch, scipy or umap-learn has"),
        ({"metric": "precomputed"}, OLD[:30], "a square matrix; got one of shape"),
        ({"metric": "precomputed"}, -np.eye(30), "some of these are < 0"),
        ({"metric": "precomputed", "init": "pca"}, np.eye(30), "Use init='spectral'"),
        ({"metric": "precomputed"}, sp.eye(30, format="csr"), "Pass X.toarray()"),
        ({"metric": "canberra"}, sp.csr_matrix(OLD[:30]), "is not for sparse rows here"),
        ({"min_dist": 2.0}, OLD[:30], "Lower min_dist or raise spread"),
        ({"init": np.ones((3, 2))}, OLD[:30], r"have shape \(30, 2\)"),
        ({"densmap": True, "engine": "torch"}, OLD[:30], "densmap=True is umap-learn's"),
        ({"a": 5.0}, OLD[:30], "give both, or neither"),
        ({"metric_kwds": {"p": 1}}, OLD[:30], "are not keywords of metric='euclidean'"),
        ({"metric": "canberra", "metric_kwds": {"q": 1}}, OLD[:30], "are not keywords"),
        ({"metric": "minkowski", "metric_kwds": {"p": -1}}, OLD[:30], "a power p above 0"),
        ({}, OLD[:1], "1 sample"),
        ({}, np.full((30, 3), np.nan), "NaN"),
    ],
)
def test_errors_teach(parameters, X, message):
    model = UMAP(**parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(X)
    assert not [name for name in vars(model) if name.endswith("_")]


def test_bad_targets():
    with pytest.raises(ValueError, match="Rows without a class have y=-1"):
        UMAP(**SHORT).fit(OLD[:30], np.full(30, np.nan))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        UMAP(**SHORT).fit(OLD[:30], np.zeros(29))


def test_targets_of_words_and_without_a_class():
    words = np.array(["one", "two", -1] * 10, dtype=object)
    half = UMAP(**SHORT, n_neighbors=5).fit(OLD[:30], words)
    numbers = UMAP(**SHORT, n_neighbors=5).fit(OLD[:30], np.array([0, 1, -1] * 10))
    assert abs(half.graph_ - numbers.graph_).max() == 0
    with pytest.raises(ValueError, match="Labels are all words or all numbers"):
        UMAP(**SHORT).fit(OLD[:30], np.array(["one", 2, None] * 10, dtype=object))
    with pytest.raises(ValueError, match="target_metric='euclidian' is no distance"):
        UMAP(**SHORT, target_metric="euclidian").fit(OLD[:30], np.arange(30.0))
    with pytest.raises(ValueError, match="has no targets to measure"):
        UMAP(**SHORT, target_metric="precomputed").fit(OLD[:30], np.arange(30.0))


def test_missing_extra_is_told_by_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr(_extra, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"Run: pip install 'skbasics\[umap\]'"):
        UMAP(engine="umap-learn").fit(OLD[:50])
    assert UMAP(n_epochs=2).fit(OLD[:50]).engine_ == "torch"


def test_nothing_of_umap_is_imported_for_small_data():
    code = (
        "import sys, numpy as np; from skbasics import UMAP; "
        "UMAP(n_epochs=2).fit(np.random.RandomState(0).normal(size=(50, 3))); "
        "print([m for m in ('umap', 'numba', 'pynndescent') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_tensors_stay_tensors():
    X = torch.from_numpy(OLD[:100])
    with config_context(array_api_dispatch=True):
        model = UMAP(**SHORT).fit(X, torch.from_numpy(CLASSES[:100]))
        results = [model.embedding_, model.transform(X), model.disconnected_]
        results.append(model.inverse_transform(model.embedding_))
        assert all(isinstance(result, torch.Tensor) for result in results)
        assert isinstance(model.trustworthiness(X), float)


class Halting(BaseEstimator):
    """Stops a fit after five epochs, and looks at what there is."""

    def __init__(self):
        self.seen, self.modes = [], set()

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.modes.add(torch.is_grad_enabled())
        self.seen.append(fitted_estimator.embedding_)
        return len(self.seen) == 5


def test_callbacks_see_and_stop_epochs():
    halting = Halting()
    assert isinstance(halting, FitCallback)
    model = UMAP(**SHORT).set_callbacks(halting).fit(OLD[:80])
    assert halting.modes == {True}
    seen = halting.seen[:5]
    np.testing.assert_array_equal(seen[-1], model.embedding_)
    assert not np.array_equal(seen[0], seen[-1])
