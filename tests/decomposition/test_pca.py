"""PCA does what scikit-learn's does: each of its own cases, and its numbers in float64."""

import re
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context, datasets, decomposition
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_array_api_input_and_values

from skbasics import PCA

IRIS = datasets.load_iris().data
SOLVERS = ["full", "covariance_eigh", "arpack", "randomized", "auto"]
CONTAINERS = [sp.csr_array, sp.csr_matrix, sp.csc_array, sp.csc_matrix]
ARRAYS = ("components_", "explained_variance_", "explained_variance_ratio_", "singular_values_")
DISPATCH = {"array_api_dispatch": True}


def normal(n=100, p=80, seed=0):
    return np.random.RandomState(seed).standard_normal((n, p))


def low_rank(n, p, rank, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, rank)) @ rng.standard_normal((rank, p))


def sparse(seed, density=0.1, shape=(400, 120), scale=10):
    rng = np.random.default_rng(seed)
    X = sp.random_array(shape, density=density, rng=rng)
    return X.multiply(rng.random(shape[1]) * scale).tocsr()


def close(a, b, rtol=1e-7, atol=1e-12):
    for name in (*ARRAYS, "mean_", "noise_variance_"):
        assert_allclose(getattr(a, name), getattr(b, name), rtol=rtol, atol=atol, err_msg=name)
    assert (a.n_components_, a.n_samples_) == (b.n_components_, b.n_samples_)


# scikit-learn's numbers.


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shape", [(600, 20), (60, 20), (20, 60)])
@pytest.mark.parametrize("whiten", [False, True])
def test_the_numbers_are_scikit_learns(solver, shape, whiten):
    X = normal(*shape) * np.logspace(0, -2, shape[1]) + 3
    settings = {"svd_solver": solver, "whiten": whiten, "random_state": 0, "n_oversamples": 20}
    ours, theirs = (kind(8, **settings).fit(X) for kind in (PCA, decomposition.PCA))
    for name in (*ARRAYS, "mean_"):
        assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-8, atol=1e-10)
    assert ours.n_components_ == theirs.n_components_ == 8
    assert ours.n_samples_ == theirs.n_samples_ == shape[0]
    full = decomposition.PCA(8, svd_solver="full").fit(X)  # whose divisor the documents give
    assert_allclose(ours.noise_variance_, full.noise_variance_, rtol=1e-8)
    Z = theirs.transform(X)
    assert_allclose(ours.transform(X), Z, rtol=1e-7, atol=1e-9)
    assert_allclose(ours.inverse_transform(Z), theirs.inverse_transform(Z), rtol=1e-8, atol=1e-10)
    assert ours._fit_svd_solver == theirs._fit_svd_solver


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("n_components", [0, 2, 4])
def test_the_probabilistic_model_is_scikit_learns(whiten, n_components):
    settings = {"svd_solver": "full", "whiten": whiten}
    ours, theirs = (kind(n_components, **settings).fit(IRIS) for kind in (PCA, decomposition.PCA))
    assert_allclose(ours.get_covariance(), theirs.get_covariance(), rtol=1e-9, atol=1e-12)
    assert_allclose(ours.get_precision(), theirs.get_precision(), rtol=1e-9, atol=1e-10)
    assert_allclose(ours.score_samples(IRIS), theirs.score_samples(IRIS), rtol=1e-9)
    assert ours.score(IRIS) == pytest.approx(theirs.score(IRIS), rel=1e-12)
    assert isinstance(ours.score(IRIS), float)


@pytest.mark.parametrize("solver", SOLVERS)
def test_against_numpys_singular_values(solver):
    X = normal(90, 12) * np.arange(1, 13)
    pca = PCA(5, svd_solver=solver, random_state=0, iterated_power=30).fit(X)
    _, S, V = np.linalg.svd(X - X.mean(0), full_matrices=False)
    assert_allclose(pca.singular_values_, S[:5], rtol=1e-9)
    assert_allclose(pca.explained_variance_ratio_, S[:5] ** 2 / np.sum(S**2), rtol=1e-9)
    assert_allclose(np.abs(np.sum(pca.components_ * V[:5], axis=1)), 1, rtol=1e-9)
    assert (pca.components_[range(5), np.abs(pca.components_).argmax(1)] > 0).all()


# scikit-learn's cases.


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_fit_transform_and_precision(solver, k):
    pca = PCA(k, svd_solver=solver)
    Z = pca.fit(IRIS).transform(IRIS)
    assert Z.shape == (150, k)
    assert_allclose(pca.fit_transform(IRIS), Z)
    assert_allclose(pca.get_covariance() @ pca.get_precision(), np.eye(4), atol=1e-12)


@pytest.mark.parametrize("solver", ["arpack", "covariance_eigh"])
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("density", [0.01, 0.3])
@pytest.mark.parametrize("scale", [1, 100])
def test_sparse_is_dense(solver, container, density, scale):
    X = sparse(1, density, scale=scale)
    pca = PCA(10, svd_solver=solver, random_state=0).fit(container(X))
    dense = PCA(10, svd_solver=solver, random_state=0).fit(X.toarray())
    close(pca, dense)
    new = sparse(2, density)
    assert_allclose(pca.transform(container(new)), dense.transform(new.toarray()), atol=1e-10)
    again = PCA(10, svd_solver=solver, random_state=0)
    assert_allclose(again.fit_transform(container(X)), pca.transform(X), atol=1e-12)


@pytest.mark.parametrize("solver", ["full", "randomized"])
def test_sparse_needs_a_solver_that_can(solver):
    sentence = (
        'PCA only support sparse inputs with the "arpack" and "covariance_eigh" solvers, while '
        f'"{solver}" was passed. See TruncatedSVD'
    )
    with pytest.raises(TypeError, match=re.escape(sentence)):
        PCA(svd_solver=solver).fit(sparse(0))


def test_sparse_auto_is_arpack_and_nothing_is_densified(monkeypatch):
    X = sparse(3)
    monkeypatch.setattr(sp.csr_array, "toarray", None)
    monkeypatch.setattr(sp.csr_array, "todense", None)
    pca = PCA(10, random_state=0).fit(X)
    assert pca._fit_svd_solver == "arpack"
    Z = pca.transform(X)
    monkeypatch.undo()
    assert_allclose(Z, PCA(10, svd_solver="full").fit_transform(X.toarray()), atol=1e-9)


def test_no_warning_for_more_features_than_rows():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PCA(10).fit(normal(10, 12))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("copy", [True, False])
def test_whitening(solver, copy):
    X = low_rank(100, 80, 50) * np.where(np.arange(80) < 50, 3, 1)
    before = X.copy()
    pca = PCA(30, whiten=True, copy=copy, svd_solver=solver, random_state=0, iterated_power=7)
    Z = pca.fit_transform(X)
    assert_array_equal(X, before)
    assert_allclose(Z, pca.transform(X), rtol=5e-4)
    assert_allclose(Z.std(axis=0, ddof=1), 1)
    assert_allclose(Z.mean(axis=0), 0, atol=1e-12)
    plain = PCA(30, copy=copy, svd_solver=solver, random_state=0, iterated_power=7)
    assert_allclose(plain.fit_transform(X), Z * np.sqrt(pca.explained_variance_), rtol=1e-6)


@pytest.mark.parametrize("other", ["covariance_eigh", "arpack", "randomized"])
@pytest.mark.parametrize("shape", [(100, 30), (30, 100)])
@pytest.mark.parametrize("deficient", [False, True])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_solvers_agree_where_nothing_varies_too(other, shape, deficient, whiten, dtype):
    n, p = shape
    X = low_rank(n + 10, p, 15) if deficient else normal(n + 10, p) * np.logspace(0, -1, p)
    X, new = np.split(X.astype(dtype), [n])
    k = {"randomized": 10, "arpack": 29, "covariance_eigh": None}[other]
    options = {"iterated_power": 50} if other == "randomized" else {}
    full = PCA(k, svd_solver="full", whiten=whiten).fit(X)
    pca = PCA(k, svd_solver=other, whiten=whiten, random_state=0, **options).fit(X)
    small = 1e-8 if dtype == np.float64 else 3e-3
    assert_allclose(pca.explained_variance_, full.explained_variance_, rtol=small, atol=small)
    assert_allclose(pca.components_, full.components_, atol=small)  # all, completed ones too
    Z = pca.transform(new)
    assert Z.dtype == pca.components_.dtype == pca.mean_.dtype == dtype
    assert_allclose(Z, full.transform(new), rtol=small, atol=10 * small)
    back = pca.inverse_transform(Z)
    assert back.dtype == dtype
    if k is None and p < n:
        assert_allclose(back, new, rtol=small, atol=small)


@pytest.mark.parametrize("X", [normal(100, 80), low_rank(100, 80, 78), normal(10, 100)])
@pytest.mark.parametrize("solver", SOLVERS)
def test_explained_variance_is_that_of_the_components(X, solver):
    pca = PCA(2, svd_solver=solver, random_state=0)
    Z = pca.fit_transform(X)
    assert_allclose(pca.explained_variance_, np.var(Z, ddof=1, axis=0))
    assert_allclose(pca.singular_values_, np.linalg.norm(Z, axis=0))
    expected = np.linalg.eigvalsh(np.cov(X, rowvar=False))[::-1][:2]
    assert_allclose(pca.explained_variance_, expected, rtol=5e-3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_singular_values_that_were_set(solver):
    Z = PCA(3, svd_solver=solver, random_state=0).fit_transform(normal(100, 110))
    Z = Z / np.linalg.norm(Z, axis=0) * [3.142, 2.718, 1.0]
    pca = PCA(3, svd_solver=solver, random_state=0).fit(Z @ np.eye(3, 110))
    assert_allclose(pca.singular_values_, [3.142, 2.718, 1.0])


@pytest.mark.parametrize("solver", SOLVERS)
def test_projection(solver):
    X = normal(100, 3) * 0.1
    X[:10] += [3, 4, 5]
    new = PCA(2, svd_solver=solver).fit(X).transform(normal(1, 3, 1) * 0.1 + [3, 4, 5])
    assert abs(new[0, 0]) / np.linalg.norm(new) == pytest.approx(1, rel=5e-3)
    listed = PCA(1, svd_solver=solver, random_state=0).fit_transform([[1.0, 0.0], [0.0, 1.0]])
    assert listed.shape == (2, 1)
    assert_allclose([listed.mean(), listed.std()], [0, np.sqrt(0.5)], atol=1e-12)


@pytest.mark.parametrize("solver", ["full", "arpack", "randomized"])
@pytest.mark.parametrize("whiten", [False, True])
def test_inverse(solver, whiten):
    X = normal(50, 3) * [1, 1e-5, 1] + [5, 4, 3]
    pca = PCA(2, svd_solver=solver, whiten=whiten).fit(X)
    assert_allclose(pca.inverse_transform(pca.transform(X)), X, rtol=5e-6)
    sentence = "X has 3 columns, and inverse_transform expects one for each of the 2 components"
    with pytest.raises(ValueError, match=sentence):
        pca.inverse_transform(X)


@pytest.mark.parametrize(
    "X", [np.array([[0, 1, 0], [1, 0, 0]]), np.array([[0, 1], [1, 0], [0, 0]])]
)
@pytest.mark.parametrize(
    ("solver", "k", "sentence"),
    [
        ("arpack", 0, "n_components=0 must be between 1 and min(n_samples, n_features)=2"),
        ("randomized", 0, "n_components=0 must be between 1 and min(n_samples, n_features)=2"),
        ("arpack", 2, "must be strictly less than min(n_samples, n_features)=2 with svd_solver"),
        ("auto", 3, "between 0 and min(n_samples, n_features)=2 with svd_solver='full'"),
        ("randomized", "mle", "n_components='mle' cannot be a string with svd_solver='rand"),
    ],
)
def test_impossible_numbers_of_components(X, solver, k, sentence):
    pca = PCA(k, svd_solver=solver)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        pca.fit(X)
    assert not [name for name in vars(pca) if name.endswith("_")]


@pytest.mark.parametrize(("solver", "k"), [("full", 4), ("arpack", 3), ("randomized", 4)])
@pytest.mark.parametrize("X", [IRIS, IRIS.T])
def test_no_number_is_as_many_as_there_are(X, solver, k):
    assert PCA(svd_solver=solver).fit(X).n_components_ == k


def test_minkas_dimension():
    assert PCA("mle").fit(normal(600, 10)).n_components_ == 1
    X = normal(100, 5) * 0.1
    X[:10] += [3, 4, 5, 1, 2]
    assert PCA("mle", svd_solver="full").fit(X).n_components_ == 1
    X[10:20] += [6, 0, 7, 2, -1]
    X[30:40] += [-2, 2, -2, 2, -2]
    theirs = decomposition.PCA("mle", svd_solver="full").fit(X).n_components_
    assert PCA("mle", svd_solver="full").fit(X).n_components_ == theirs > 2
    X = normal(1000, 10)
    X[:, -1] = X[:, :-1].mean(1)
    for solver in ("full", "covariance_eigh"):
        assert PCA("mle", svd_solver=solver).fit(X).n_components_ == 9
    repeated = np.repeat(normal(100, 1), 20, axis=1)
    assert PCA("mle").fit(repeated).n_components_ == 1
    with pytest.raises(ValueError, match="only supported if n_samples >= n_features"):
        PCA("mle").fit(normal(20, 21))


@pytest.mark.parametrize(
    ("X", "share", "k"),
    [(IRIS, 0.95, 2), (IRIS, 0.01, 1), (np.random.RandomState(0).rand(5, 20), 0.5, 2)],
)
def test_a_share_of_the_variance(X, share, k):
    pca = PCA(share, svd_solver="full").fit(X)
    assert pca.n_components_ == k == len(pca.components_)
    stream = PCA(share).partial_fit(X[:3]).partial_fit(X[3:])
    assert stream.n_components_ == k


def test_more_than_the_share_not_as_much():
    reached = PCA().fit(IRIS).explained_variance_ratio_.cumsum()[-2]
    assert PCA(n_components=reached).fit(IRIS).n_components_ == 4


@pytest.mark.parametrize("solver", SOLVERS)
def test_score(solver):
    X = normal(1000, 3) * 0.1 + [3, 4, 5]
    pca = PCA(2, svd_solver=solver).fit(X)
    entropy = -0.5 * np.log(2 * np.pi * np.e * 0.1**2) * 3
    assert pca.score(X) == pytest.approx(entropy, rel=5e-2)
    assert pca.score(X) > pca.score(normal(1000, 3, 1) * 0.2 + [3, 4, 5])
    assert pca.score(X) > PCA(2, whiten=True, svd_solver=solver).fit(X).score(X)


def test_score_selects_the_model():
    rng = np.random.RandomState(0)
    X, new = (rng.randn(200, 3) + rng.randn(200, 1) * [3, 4, 5] + [1, 0, 7] for _ in range(2))
    scores = [PCA(k, svd_solver="full").fit(X).score(new) for k in range(3)]
    assert np.argmax(scores) == 1


@pytest.mark.parametrize("solver", SOLVERS)
def test_noise_variance(solver):
    X = datasets.load_digits().data
    pca = PCA(30, svd_solver=solver, random_state=0).fit(X)
    assert (pca.explained_variance_ >= pca.noise_variance_).all()
    full = PCA(30, svd_solver="full").fit(X)
    assert_allclose(pca.score(X), full.score(X), rtol=5e-6)
    assert_allclose(pca.noise_variance_, full.noise_variance_, rtol=1e-4)


@pytest.mark.parametrize("solver", ["full", "randomized", "covariance_eigh"])
def test_no_noise_is_left(solver):
    X = normal(100, 3) * 0.1 + [3, 4, 5]
    for rows in (X, X.T):
        pca = PCA(3, svd_solver=solver).fit(rows)
        assert pca.noise_variance_ == 0
        assert np.isfinite(pca.score(rows))
        C, P = pca.get_covariance(), pca.get_precision()
        assert_allclose(C @ P @ C, C, atol=1e-12)  # the pseudo-inverse where C is singular


@pytest.mark.parametrize(
    ("shape", "k", "solver"),
    [
        ((10, 50), 5, "full"),
        ((1000, 50), 50, "covariance_eigh"),
        ((1000, 500), 400, "full"),
        ((1000, 500), 10, "randomized"),
        ((1000, 500), 0.5, "full"),
    ],
)
def test_auto(shape, k, solver):
    X = np.random.RandomState(0).uniform(size=shape)
    auto, named = (PCA(k, svd_solver=s, random_state=0).fit(X) for s in ("auto", solver))
    assert auto._fit_svd_solver == solver
    assert_array_equal(auto.components_, named.components_)


@pytest.mark.parametrize("solver", SOLVERS)
def test_deterministic(solver):
    rng = np.random.RandomState(0)
    X = rng.rand(10, 10)
    rows = [PCA(2, svd_solver=solver, random_state=rng).fit_transform(X)[0] for _ in range(9)]
    assert_allclose(rows, np.tile(rows[0], (9, 1)))


@pytest.mark.parametrize("solver", SOLVERS)
def test_dtypes(solver):
    X = np.random.RandomState(0).rand(1000, 4)
    pca, single = (PCA(3, svd_solver=solver).fit(X.astype(t)) for t in (float, np.float32))
    assert single.components_.dtype == single.transform(X.astype(np.float32)).dtype == np.float32
    assert single.transform(X).dtype == np.float64
    assert_allclose(single.components_, pca.components_, rtol=1e-3, atol=1e-3)
    whole = np.random.RandomState(0).randint(0, 1000, (1000, 4))
    pcas = [PCA(3, svd_solver=solver).fit(whole.astype(t)) for t in (np.int64, np.int32)]
    assert pcas[0].components_.dtype == pcas[0].transform(whole).dtype == np.float64
    assert_allclose(pcas[0].components_, pcas[1].components_, rtol=1e-4)


def test_oversampling_finds_one_of_many():
    X = normal(1000, 100)
    found = PCA(1, svd_solver="randomized", n_oversamples=100, random_state=0).fit(X)
    assert_allclose(found.components_, PCA(1, svd_solver="full").fit(X).components_, atol=1e-9)


def test_names_and_total_variance():
    assert list(PCA(2).fit(IRIS).get_feature_names_out()) == ["pca0", "pca1"]
    X = normal(1000, 200)
    pca = PCA().fit(X)
    total = pca.explained_variance_ / pca.explained_variance_ratio_
    assert_allclose(total, np.var(X, ddof=1, axis=0).sum())


# Other namespaces.

SUPPORTED = [
    PCA(2, svd_solver="full"),
    PCA(0.1, svd_solver="full", whiten=True),
    PCA(2, svd_solver="covariance_eigh", whiten=True),
    PCA(2, svd_solver="randomized", power_iteration_normalizer="QR", random_state=0),
]


@pytest.mark.parametrize("pca", SUPPORTED, ids=str)
@pytest.mark.parametrize("namespace", ["torch", "array_api_strict"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_namespaces(pca, namespace, dtype):
    device = {"torch": "cpu", "array_api_strict": "CPU_DEVICE"}[namespace]
    check_array_api_input_and_values("PCA", clone(pca), namespace, device, dtype)
    xp = pytest.importorskip(namespace)
    X = IRIS.astype(dtype)
    here = clone(pca).fit(X)
    with config_context(**DISPATCH):
        there = clone(pca).fit(xp.asarray(X))
        for name in ("get_covariance", "get_precision"):
            matrix = getattr(there, name)()
            assert type(matrix) is type(there.components_)
            assert matrix.dtype == there.components_.dtype
            assert_allclose(np.asarray(matrix), getattr(here, name)(), rtol=2e-4)


def test_what_other_namespaces_lack():
    X = torch.from_numpy(IRIS)
    with config_context(**DISPATCH):
        sentence = "PCA with svd_solver='arpack' is not supported for Array API inputs."
        with pytest.raises(ValueError, match=re.escape(sentence)):
            PCA(2, svd_solver="arpack").fit(X)
        pca = PCA(2, svd_solver="randomized", power_iteration_normalizer="LU", random_state=0)
        with pytest.raises(ValueError, match="Array API does not support LU factorization"):
            pca.fit(X)
        with pytest.warns(UserWarning, match="falling back to QR instead"):
            pca.set_params(power_iteration_normalizer="auto").fit(X)


def test_off_the_support_of_a_singular_gaussian_there_is_no_density():
    X = normal(200, 3)
    wide = np.c_[X, np.full(200, 7.0)]
    for dtype in (np.float64, np.float32):
        pca = PCA(3).fit(wide.astype(dtype))
        within = pca.score_samples(wide.astype(dtype))
        assert_allclose(within, PCA(3).fit(X).score_samples(X), rtol=1e-4)
        assert (
            pca.score_samples((wide + np.array([0, 0, 0, 0.01])).astype(dtype)) == -np.inf
        ).all()
    assert PCA(2).fit(wide).score(wide + np.array([0, 0, 0, 1])) > -np.inf
    rows = normal(20, 50)
    few = PCA(19).fit(rows)
    assert np.isfinite(few.score(rows))
    assert few.score(normal(20, 50) + 1) == -np.inf
