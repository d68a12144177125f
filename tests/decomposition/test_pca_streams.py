"""What PCA does beyond scikit-learn's: digits at any mean, weights, streams, merging."""

import copy
import itertools
import pickle
import re
from fractions import Fraction
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context, decomposition
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skbasics import PCA
from skbasics._arrays import CPU
from skbasics.decomposition import _scatter as scatter
from skbasics.decomposition import _solvers as solvers
from skbasics.decomposition._directions import completed, fixed_signs

EXACT = ["full", "covariance_eigh"]
SOLVERS = [*EXACT, "arpack", "randomized"]
ARRAYS = ("components_", "explained_variance_", "explained_variance_ratio_", "singular_values_")
SPREAD = np.array([1, 0.5, 0.2, 0.1, 0.05])


def normal(n=400, p=5, mean=0.0, seed=0):
    return np.random.default_rng(seed).standard_normal((n, p)) * np.resize(SPREAD, p) + mean


def true_variances(X):
    """Return the eigenvalues of the covariance, centred in exact arithmetic, in float64."""
    means = [sum(map(Fraction, column.tolist())) / len(column) for column in X.T]
    D = [[float(Fraction(v) - m) for v, m in zip(row, means, strict=True)] for row in X.tolist()]
    return np.linalg.svd(np.array(D), compute_uv=False) ** 2 / (len(X) - 1)


def error(pca, truth):
    return np.max(np.abs(pca.explained_variance_ - truth) / truth)


def stream(X, cuts, weights=None, **settings):
    pca = PCA(**settings)
    parts = [None] * (len(cuts) + 1) if weights is None else np.split(weights, cuts)
    for batch, w in zip(np.split(X, cuts), parts, strict=True):
        pca.partial_fit(batch, sample_weight=w)
    return pca


def close(a, b, tolerance=1e-10):
    for name in (*ARRAYS, "mean_", "noise_variance_"):
        mine, theirs = np.asarray(getattr(a, name)), np.asarray(getattr(b, name))
        size = np.abs(theirs).max(initial=0)
        assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance * size, err_msg=name)
    assert a.n_components_ == b.n_components_
    assert a.n_samples_ == pytest.approx(b.n_samples_, rel=1e-12)
    assert a.n_features_in_ == b.n_features_in_


def state(pca):
    return {name: copy.deepcopy(value) for name, value in vars(pca).items()}


def assert_unchanged(pca, before):
    assert pickle.dumps(vars(pca)) == pickle.dumps(before)


# Digits.


@pytest.mark.parametrize(("mean", "tolerance"), [(0.0, 1e-13), (1e4, 1e-12), (1e6, 1e-12)])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_large_mean_costs_no_digits(mean, tolerance, solver):
    X = normal(mean=mean)
    truth = true_variances(X)
    k = 4 if solver == "arpack" else None
    pca = PCA(k, svd_solver=solver, random_state=0).fit(X)
    assert error(pca, truth[:k]) <= tolerance
    if solver not in EXACT:
        return
    assert error(stream(X, range(7, 400, 7)), truth) <= tolerance
    parts = [PCA().partial_fit(part) for part in np.array_split(X, 9)]
    assert error(sum(parts), truth) <= tolerance
    if mean:
        theirs = decomposition.PCA(svd_solver="covariance_eigh").fit(X)
        assert error(theirs, truth) > 1e6 * tolerance


@pytest.mark.parametrize("mean", [0.0, 10.0, 1e3])
@pytest.mark.parametrize("long", [False, True])
def test_float32_is_summed_in_float64(mean, long, monkeypatch):
    if long:
        monkeypatch.setattr(scatter, "FLOAT32_FROM", 0)
        monkeypatch.setattr(scatter, "BLOCK_ROWS", 300)
    X = normal(3000, mean=mean).astype(np.float32)
    truth = true_variances(X.astype(np.float64))
    ours, theirs = (kind(svd_solver="covariance_eigh") for kind in (PCA, decomposition.PCA))
    assert error(ours.fit(X), truth) < 2e-7
    assert error(stream(X, [100, 1000]), truth) < 2e-7
    if mean:
        assert error(theirs.fit(X), truth) > 10 * error(ours, truth)
    assert ours.components_.dtype == np.float32
    assert ours._collected.moments.scatter.dtype == np.float64


@pytest.mark.parametrize("scale", [1e-30, 1e25])
def test_squares_that_float32_cannot_hold(scale, monkeypatch):
    monkeypatch.setattr(scatter, "FLOAT32_FROM", 0)
    X = normal().astype(np.float32)
    ours = PCA(svd_solver="covariance_eigh").fit(X * np.float32(scale))
    plain = PCA(svd_solver="covariance_eigh").fit(X)
    assert_allclose(ours.explained_variance_ratio_, plain.explained_variance_ratio_, rtol=1e-6)
    assert_allclose(ours.components_, plain.components_, atol=1e-5)


def test_sparse_columns_without_a_zero_keep_their_digits():
    X = normal(mean=1e6)
    X[:, 3:] = 0
    X[::7, 3:] = normal(58, 2)
    truth = true_variances(X)
    for solver, k in (("covariance_eigh", None), ("arpack", 4)):
        pca = PCA(k, svd_solver=solver, random_state=0).fit(sp.csr_array(X))
        assert error(pca, truth[:k]) < 1e-9
        assert_allclose(pca.mean_, X.mean(0), rtol=1e-15, atol=1e-15)


# Directions.


def test_signs_are_those_of_the_first_of_the_largest():
    V = torch.tensor([[0.5, -0.5 - 1e-12, 0.1], [-0.9, 0.1, 0.2], [0.0, 0.0, 0.0]])
    expected = [[0.5, -0.5, 0.1], [0.9, -0.1, -0.2], [0.0, 0.0, 0.0]]
    assert_allclose(fixed_signs(V.double().numpy(), 1e-8), expected, atol=1e-7)


def test_completion_is_orthonormal_and_of_the_space_alone():
    rng = np.random.default_rng(0)
    V = np.linalg.qr(rng.standard_normal((8, 3)))[0].T
    turned = np.linalg.qr(rng.standard_normal((3, 3)))[0] @ V
    whole = completed(V, 8)
    assert_allclose(whole @ whole.T, np.eye(8), atol=1e-14)
    assert_allclose(completed(turned, 8)[3:], whole[3:], atol=1e-13)


@pytest.mark.parametrize("solver", SOLVERS)
def test_constant_features_come_last_as_axes(solver):
    X = np.insert(normal(60, 3), [1, 3], [[7.0, -1e6]], axis=1)
    k = 4 if solver == "arpack" else 5
    pca = PCA(k, svd_solver=solver, random_state=0).fit(X)
    assert_array_equal(pca.components_[3:], np.eye(5)[[1, 4]][: k - 3])
    assert_array_equal(pca.explained_variance_[3:], 0)
    still = PCA(2, svd_solver=solver, whiten=True, random_state=0).fit(np.full((9, 3), 2.0))
    assert_array_equal(still.components_, np.eye(3)[:2])
    assert_array_equal(still.explained_variance_ratio_, 0)
    assert_array_equal(still.transform(np.full((1, 3), 2.0)), 0)


@pytest.mark.parametrize("how", ["auto", *EXACT, "arpack", "stream", "sum"])
def test_small_variances_of_float32_features_are_kept(how):
    X = (np.random.default_rng(0).standard_normal((2000, 4)) * [1e4, 100, 10, 0.5]).astype("f")
    if how == "stream":
        pca = stream(X, [700, 800], n_components=3)
    elif how == "sum":
        pca = sum(PCA(3).partial_fit(part) for part in np.split(X, 5))
    else:
        pca = PCA(3, svd_solver=how, random_state=0).fit(X)
    truth = true_variances(X)
    assert_allclose(pca.explained_variance_, truth[:3], rtol=1e-6)
    assert pca.noise_variance_ == pytest.approx(truth[3], rel=1e-6)


@pytest.mark.parametrize("how", ["fit", "stream"])
def test_float32_products_keep_features_on_a_smaller_scale(monkeypatch, how):
    monkeypatch.setattr(scatter, "FLOAT32_FROM", 1)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((9000, 6)) * [1e4, 1, 1, 1, 0.5, 0]
    X[:, 1] += X[:, 0] / 1e4
    X = X.astype(np.float32)
    pca = PCA(svd_solver="covariance_eigh")
    pca = pca.fit(X) if how == "fit" else stream(X, [4500])
    truth = true_variances(X)
    assert_allclose(pca.explained_variance_[:5], truth[:5], rtol=2e-5)
    assert pca.explained_variance_[5] == 0


def test_float32_products_are_remembered_in_a_stream(monkeypatch):
    monkeypatch.setattr(scatter, "FLOAT32_FROM", 1)
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((2000, 4)) @ rng.standard_normal((4, 8))).astype(np.float32)
    first = PCA().partial_fit(X[:1000])
    parts = [PCA().fit(X[1000:].astype(np.float64)), PCA().partial_fit(X[1000:].astype(np.float64))]
    for pca in (first + parts[0], parts[1] + first, first.partial_fit(X[1000:].astype(np.float64))):
        assert pca.components_.dtype == np.float64
        assert_array_equal(pca.explained_variance_[4:], 0)  # no rounding is taken for variance
        assert (pca.explained_variance_[:4] > 0).all()


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_whitening_and_score_where_float32_cannot_hold_the_variances(solver, scale):
    X, settings = normal(p=4) * 3, {"svd_solver": solver, "whiten": True, "random_state": 0}
    plain = PCA(2, **settings).fit(X)
    pca = PCA(2, **settings).fit((X * scale).astype(np.float32))
    Z = pca.transform((X * scale).astype(np.float32))
    assert_allclose(Z, plain.transform(X), atol=2e-5)
    assert_allclose(pca.inverse_transform(Z) / scale, plain.inverse_transform(Z), atol=1e-4)
    plain, pca = (estimator.set_params(whiten=False) for estimator in (plain, pca))
    shift = 4 * np.log(scale)  # of the log-density, by the change of units
    assert pca.score((X * scale).astype(np.float32)) == pytest.approx(plain.score(X) - shift, 1e-4)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid:RuntimeWarning")
@pytest.mark.parametrize("solver", ["stream", *SOLVERS])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_squares_beyond_float64_are_refused(solver, kind):
    if kind is sp.csr_array and solver in ("full", "randomized"):
        return
    X = normal(50) * 1e200
    for rows in (X, X * [1, 1, 1, 1, 0]):
        pca = PCA(2, random_state=0)
        if solver == "stream":
            method = partial(getattr, pca.partial_fit(kind(rows)), "components_")
        else:
            method = partial(pca.set_params(svd_solver=solver).fit, kind(rows))
        with pytest.raises(ValueError, match=r"squares of X do not fit in float64.*Divide X by a"):
            method()


# Weights.


@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
@pytest.mark.parametrize("shape", [(60, 5), (12, 30)])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_a_weight_is_a_repetition(solver, shape, kind):
    if kind is sp.csr_array and solver in ("full", "randomized"):
        return
    X = normal(*shape, mean=3.0)
    weights = np.random.default_rng(1).integers(0, 4, len(X)).astype(float)
    settings = {"svd_solver": solver, "random_state": 0, "iterated_power": 20}
    pca = PCA(4, **settings).fit(kind(X), sample_weight=weights)
    repeated = PCA(4, **settings).fit(kind(np.repeat(X, weights.astype(int), axis=0)))
    close(pca, repeated, 1e-8)
    assert pca.n_samples_ == weights.sum()
    assert_allclose(pca.score_samples(X), repeated.score_samples(X), rtol=1e-6)
    assert len(pca.fit_transform(X, sample_weight=weights)) == len(X)


@pytest.mark.parametrize("solver", SOLVERS)
def test_ones_are_none_and_zeros_are_absent(solver):
    X = normal()
    settings = {"svd_solver": solver, "random_state": 0}
    weights = np.ones(400)
    plain, ones = PCA(3, **settings).fit(X), PCA(3, **settings).fit(X, sample_weight=weights)
    for name in ARRAYS:
        assert_array_equal(getattr(plain, name), getattr(ones, name))
    weights[::3] = 0
    zeros, absent = PCA(3, **settings).fit(X, None, weights), PCA(3, **settings).fit(X[weights > 0])
    for name in ARRAYS:
        assert_array_equal(getattr(zeros, name), getattr(absent, name))
    assert isinstance(ones.n_samples_, int)
    assert ones.n_samples_ == 400


def test_fractions_of_rows_count():
    X, weights = normal(), np.random.default_rng(1).random(400)
    pca = PCA(svd_solver="full").fit(X, sample_weight=weights)
    covariance = np.cov(X, rowvar=False, fweights=None, aweights=weights)
    n = weights.sum()
    unbiased = (n - (weights**2).sum() / n) / (n - 1)  # NumPy's divisor to that of frequencies
    assert_allclose(pca.get_covariance(), covariance * unbiased, rtol=1e-10, atol=1e-12)
    assert pca.n_samples_ == pytest.approx(n)
    close(stream(X, [3, 50], weights), pca)


@pytest.mark.parametrize("solver", SOLVERS)
def test_large_weights(solver):
    X, weights = normal(), np.random.default_rng(1).random(400) + 1
    n = weights.sum()
    settings = {"svd_solver": solver, "random_state": 0}
    pca = PCA(3, **settings).fit(X, sample_weight=weights * 1e30)
    expected = PCA(3, **settings).fit(X, sample_weight=weights).explained_variance_ * (n - 1) / n
    assert_allclose(pca.explained_variance_, expected, rtol=1e-10)
    assert np.isfinite(pca.score(X))


@pytest.mark.parametrize("weights", [None, np.full(400, 1e-3)])
def test_rows_must_count_as_more_than_one(weights):
    X = normal()[:1] if weights is None else normal()
    n = 1 if weights is None else 0.4
    sentence = f"divided by n_samples - 1; got n_samples = {n} (the sum of the weights)"
    pca = PCA()
    with pytest.raises(ValueError, match=re.escape(sentence)):
        pca.fit(X, sample_weight=weights)
    assert_unchanged(pca, vars(PCA()))


# Streams.


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(700, 6), (40, 6), (30, 50), (300, 280)])
@pytest.mark.parametrize("k", [None, 3])
def test_any_split_and_any_order_of_merging(seed, shape, k):
    rng = np.random.default_rng(seed)
    X = normal(*shape, mean=1e3, seed=seed)
    once = PCA(k, svd_solver="full").fit(X)
    cuts = np.sort(rng.choice(np.arange(1, len(X)), 9, replace=False))
    close(stream(X, cuts, n_components=k), once)
    parts = [PCA(k).partial_fit(part) for part in np.split(X, cuts)]
    order = rng.permutation(len(parts))
    tree = [parts[i] for i in order]
    while len(tree) > 1:
        tree.append(tree.pop(0) + tree.pop(0))
    close(tree[0], once)
    close(sum(parts), once)
    assert parts[0].n_samples_ == cuts[0]  # + leaves both as they were


@pytest.mark.parametrize("shape", [(300, 4), (12, 30)])
def test_row_by_row(shape):
    X = normal(*shape)
    close(stream(X, range(1, len(X))), PCA(svd_solver="full").fit(X))


@pytest.mark.parametrize("solver", EXACT)
@pytest.mark.parametrize("shape", [(500, 6), (100, 6), (30, 50)])
def test_a_stream_goes_on_from_a_fit(solver, shape):
    X = normal(*shape)
    half = len(X) // 2
    whole = PCA(svd_solver=solver).fit(X)
    close(PCA(svd_solver=solver).fit(X[:half]).partial_fit(X[half:]), whole)
    first, second = (PCA(svd_solver=solver).fit(part) for part in np.split(X, [half]))
    close(first + second, whole)
    assert first.merge(second) is first
    close(first, whole)


def test_the_eigenproblem_is_solved_when_first_asked_for(monkeypatch):
    solved = []
    spectrum = solvers.spectrum
    monkeypatch.setattr(solvers, "spectrum", lambda *a: solved.append(1) or spectrum(*a))
    pca = stream(normal(), range(10, 400, 10), n_components=2)
    assert not solved
    assert pca.n_samples_ == 400
    assert pca.components_.shape == (2, 5)
    pca.transform(normal()), pca.score(normal()), pca.noise_variance_
    assert len(solved) == 1
    pca.partial_fit(normal())
    assert len(solved) == 1
    close(pca, PCA(2, svd_solver="full").fit(np.vstack([normal(), normal()])))


def test_noise_variance_is_right_in_a_stream():
    X = normal(600, 20) @ np.random.default_rng(3).standard_normal((20, 20))
    pca = stream(X, range(100, 600, 100), n_components=5)
    expected = np.linalg.eigvalsh(np.cov(X, rowvar=False))[:15].mean()
    assert pca.noise_variance_ == pytest.approx(expected, rel=1e-10)
    close(pca, decomposition.PCA(5, svd_solver="full").fit(X))


def test_what_a_short_stream_still_needs():
    X = normal(10)
    pca = PCA(4)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        pca.transform(X)
    for method in (pca.get_covariance, pca.get_precision):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            method()
    pca.partial_fit(X[:1])
    sentence = "n_components=4 needs 4 rows, and this PCA has seen 1. Add 3 more by partial_fit."
    with pytest.raises(NotFittedError, match=re.escape(sentence)):
        pca.transform(X)
    assert not hasattr(pca, "components_")
    assert pca.partial_fit(X[1:4]).transform(X).shape == (10, 4)
    with pytest.raises(NotFittedError, match="needs 2 rows, and this PCA has seen 1"):
        _ = PCA().partial_fit(X[:1]).mean_
    with pytest.raises(NotFittedError, match="n_components='mle' needs 5 rows"):
        _ = PCA("mle").partial_fit(X[:3]).components_
    assert PCA("mle").partial_fit(X).n_components_ >= 1


def test_a_stream_of_sparse_rows():
    X = sp.random_array((900, 40), density=0.1, rng=np.random.default_rng(0)).tocsr()
    whole = PCA(svd_solver="full").fit(X.toarray())
    for cuts in ([300, 600], range(50, 900, 50)):
        edges = [0, *cuts, 900]
        pca = PCA()
        for start, stop in itertools.pairwise(edges):
            pca.partial_fit(X[start:stop])
        close(pca, whole)
    mixed = PCA().partial_fit(X[:100]).partial_fit(X[100:150].toarray()).partial_fit(X[150:])
    close(mixed, whole)
    wide = sp.random_array((20, 300), density=0.1, rng=np.random.default_rng(1)).tocsr()
    pca = PCA().partial_fit(wide[:7]).partial_fit(wide[7:])
    close(pca, PCA(svd_solver="full").fit(wide.toarray()), 1e-8)


def test_sparse_rows_are_computed_with_on_the_cpu(monkeypatch):
    X = sp.random_array((450, 8), density=0.3, rng=np.random.default_rng(0)).tocsr()
    weights = np.random.default_rng(1).random(450) + 0.5
    whole = PCA(3, svd_solver="full").fit(X.toarray(), sample_weight=weights)
    # "meta" stands for a device whose tensors NumPy cannot mix with; it is refused as a device.
    meta = lambda border, device: torch.device("meta") if device == "meta" else CPU  # noqa: E731
    monkeypatch.setattr("skbasics.decomposition._spectral.compute_device", meta)
    elsewhere = PCA(3, device="meta")
    for rows in (slice(0, 300), slice(300, 400), slice(400, 450)):
        elsewhere.partial_fit(X[rows], sample_weight=weights[rows])
    close(elsewhere, whole)
    parts = [
        PCA(3, device="meta").partial_fit(X[rows], None, weights[rows])
        for rows in (slice(0, 300), slice(300, 450))
    ]
    close(parts[0] + parts[1], whole)


@pytest.mark.parametrize("namespace", ["torch", "array_api_strict"])
def test_tensors_stay_tensors(namespace):
    xp = pytest.importorskip(namespace)
    X = normal(600)
    with config_context(array_api_dispatch=True):
        parts = [PCA(3).partial_fit(xp.asarray(part)) for part in np.split(X, [20, 300])]
        pca = parts[0] + parts[1]
        pca.merge(parts[2])
        assert type(pca._collected.moments.scatter) is type(pca.components_)
        assert isinstance(pca.components_, type(xp.asarray(X)))
        Z = pca.transform(xp.asarray(X))
        assert isinstance(Z, type(pca.components_))
        assert isinstance(pca.score_samples(xp.asarray(X)), type(pca.components_))
        with pytest.raises(ValueError, match="must use the same namespace"):
            pca.partial_fit(X)
        with pytest.raises(ValueError, match="must use the same namespace"):
            pca.score(X)
    close(pca, PCA(3, svd_solver="full").fit(X))


def test_memory_is_the_smaller_of_rows_and_scatter():
    X = normal(300, 280)
    few = PCA().partial_fit(X[:100].astype(np.float32))
    assert few._collected.moments is None
    assert sum(block.nbytes for block in few._collected.blocks) == 100 * 280 * 4
    many = few.partial_fit(X[100:])
    assert many._collected.blocks == ()
    assert many._collected.moments.scatter.shape == (280, 280)
    assert few.components_.dtype == np.float64  # some rows were


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_single_rows_are_kept_in_few_blocks(kind, weighted):
    X, weights = normal(200), np.random.default_rng(0).random(200) + 0.5
    pca = PCA()
    for i in range(200):
        row = X[i : i + 1].astype(np.float32 if i == 70 else np.float64)
        pca.partial_fit(kind(row), sample_weight=weights[i : i + 1] if weighted else None)
    assert len(pca._collected.blocks) <= 16
    assert pca._collected.n_rows == 200
    X[70] = X[70].astype(np.float32)
    whole = PCA(svd_solver="full").fit(X, sample_weight=weights if weighted else None)
    close(pca, whole, 1e-8)


def test_rows_kept_are_copies():
    X = normal(20)
    pca = PCA().partial_fit(X)
    X += np.arange(5)
    close(pca, PCA(svd_solver="full").fit(normal(20)))


def test_weights_kept_are_copies():
    X, weights = normal(20), np.random.default_rng(0).random(20) + 1
    expected = PCA(svd_solver="full").fit(X, sample_weight=weights.copy())
    streams = [PCA().partial_fit(X, sample_weight=w) for w in (weights, torch.from_numpy(weights))]
    weights[:] = 100
    for pca in streams:
        close(pca, expected)


def test_a_sum_of_one_is_a_copy():
    pca = PCA().partial_fit(normal())
    total = sum([pca])
    close(total.partial_fit(normal(10)), PCA().partial_fit(np.vstack([normal(), normal(10)])))
    assert pca.n_samples_ == 400


@pytest.mark.parametrize("n", [1.5, 2.5])
def test_rows_that_count_as_a_few_are_enough_for_as_many(n):
    X, weights = normal(), np.full(400, n / 400)
    for k in (None, int(n)):
        fitted = PCA(k, svd_solver="full").fit(X, sample_weight=weights)
        close(stream(X, [100], weights, n_components=k), fitted)
    with pytest.raises(NotFittedError, match=f"needs {int(n) + 1} rows, and this PCA has seen {n}"):
        _ = stream(X, [100], weights, n_components=int(n) + 1).components_


@pytest.mark.parametrize(
    ("k", "sentence"),
    [
        (6, "n_components=6 must be between 0 and min(n_samples, n_features)=5"),
        (-1, "The 'n_components' parameter of PCA must be"),
        ("all", "The 'n_components' parameter of PCA must be"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_mid_stream(k, sentence):
    pca = PCA(2).partial_fit(normal()).set_params(n_components=k)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        _ = pca.components_
    assert not hasattr(pca, "components_")
    assert "partial_fit" in dir(pca)
    close(pca.set_params(n_components=3), PCA(3, svd_solver="full").fit(normal()))


def test_too_many_features_for_a_scatter(monkeypatch):
    monkeypatch.setattr(scatter, "SCATTER_LIMIT", 270)
    X = normal(300, 280)
    pca = PCA().partial_fit(X[:200])
    close(pca, PCA(svd_solver="full").fit(X[:200]))  # while they are fewer than features
    before = state(pca)
    sentence = "does so up to 270 features. Reduce the features first, for instance by Sparse"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        pca.partial_fit(X[200:])
    assert_unchanged(pca, before)


# Bad input.


def test_a_stream_whose_width_changes_is_refused():
    pca = PCA(2).partial_fit(normal())
    before = state(pca)
    with pytest.raises(ValueError, match="X has 4 features, but PCA is expecting 5 features"):
        pca.partial_fit(normal(p=4))
    with pytest.raises(ValueError, match="contains NaN"):
        pca.partial_fit(np.full((3, 5), np.nan))
    with pytest.raises(ValueError, match=r"(?i)zero"):
        pca.partial_fit(normal(), sample_weight=np.zeros(400))
    assert_unchanged(pca, before)


def test_more_components_than_features():
    pca = PCA(6)
    sentence = "n_components=6 must be between 0 and min(n_samples, n_features)=5"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        pca.partial_fit(normal())
    assert_unchanged(pca, vars(PCA(6)))


def test_a_fit_that_fails_leaves_the_last_one():
    pca = PCA(2).fit(normal())
    before = state(pca)
    with pytest.raises(ValueError, match="contains NaN"):
        pca.fit(np.full((3, 5), np.nan))
    assert_unchanged(pca, before)
    with pytest.raises(ValueError, match="'n_components' parameter of PCA must be"):
        pca.set_params(n_components=-1).fit(normal())


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (PCA(3).partial_fit(normal()), "n_components=2 here and n_components=3 there"),
        (PCA(2, whiten=True).partial_fit(normal()), "whiten=False here and whiten=True there"),
        (PCA(2).partial_fit(normal(p=4)), "5 features here and 4 there"),
        (PCA(2, svd_solver="arpack").fit(normal()), "merge needs what svd_solver='arpack' has not"),
    ],
)
def test_what_cannot_be_merged(other, sentence):
    pca = PCA(2).partial_fit(normal())
    mine, theirs = state(pca), state(other)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        pca.merge(other)
    assert_unchanged(pca, mine)
    assert_unchanged(other, theirs)


def test_merging_with_something_else():
    pca = PCA().partial_fit(normal())
    with pytest.raises(TypeError, match="cannot merge int and PCA: give another PCA"):
        pca.merge(3)
    with pytest.raises(TypeError, match="unsupported operand"):
        _ = pca + 3
    names = [PCA().partial_fit(pd.DataFrame(normal(), columns=list(c))) for c in ("abcde", "abced")]
    with pytest.raises(ValueError, match="the same features, in one order"):
        names[0].merge(names[1])


def test_truncated_solvers_do_not_stream():
    assert not hasattr(PCA(svd_solver="randomized"), "partial_fit")
    with pytest.raises(AttributeError) as raised:
        PCA(svd_solver="arpack").partial_fit(normal())
    assert "Take 'auto', 'covariance_eigh' or 'full' for a stream" in str(raised.value.__cause__)
    pca = PCA(2).fit(normal(502, 501))
    assert pca._fit_svd_solver == "randomized"
    with pytest.raises(ValueError, match=r"svd_solver='randomized' \(which 'auto' took\) has not"):
        pca.partial_fit(normal(502, 501))


# An estimator among others.


def test_pickles_copies_and_grids():
    X = normal()
    pca = stream(X, [100, 200])
    for twin in (pickle.loads(pickle.dumps(pca)), copy.deepcopy(pca), copy.copy(pca)):
        close(twin.partial_fit(X), PCA(svd_solver="full").fit(np.vstack([X, X])))
    close(pca, PCA(svd_solver="full").fit(X))
    assert not hasattr(clone(pca), "n_samples_")
    search = GridSearchCV(make_pipeline(PCA()), {"pca__n_components": [1, 2, 0.9, "mle"]})
    assert isinstance(pickle.loads(pickle.dumps(search.fit(X))).best_score_, float)
    assert "components_" in PCA().fit(X)._repr_html_()


def test_global_state_is_left_alone():
    X = normal(600, 30)
    X.setflags(write=False)
    before, threads = np.random.mtrand._rand.get_state()[1].copy(), torch.get_num_threads()
    for solver in SOLVERS:
        PCA(3, svd_solver=solver, random_state=0).fit(X).transform(X)
    assert_array_equal(np.random.mtrand._rand.get_state()[1], before)
    assert torch.get_num_threads() == threads


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("solver", ["full", "covariance_eigh", "randomized"])
def test_cuda(solver):
    X = normal(2000, 20).astype(np.float64)
    settings = {"svd_solver": solver, "random_state": 0, "power_iteration_normalizer": "QR"}
    here = PCA(3, **settings).fit(X)
    moved = PCA(3, device="cuda", **settings).fit(X)
    assert isinstance(moved.components_, np.ndarray)
    close(moved, here)
    with config_context(array_api_dispatch=True):
        tensor = torch.from_numpy(X).cuda()
        there = PCA(3, **settings).fit(tensor)
        assert there.transform(tensor).is_cuda
        assert_allclose(there.components_.cpu(), here.components_, atol=1e-9)
        if solver != "randomized":
            stream = PCA(3).partial_fit(tensor[:100]).partial_fit(tensor[100:])
            assert_allclose(stream.components_.cpu(), here.components_, atol=1e-9)
    if solver != "randomized":
        mixed = PCA(3, device="cuda").partial_fit(X[:100]).partial_fit(sp.csr_array(X[100:150]))
        close(mixed.partial_fit(X[150:200]).partial_fit(sp.csr_array(X[200:])), here)
