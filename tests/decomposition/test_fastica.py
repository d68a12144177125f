"""FastICA against scikit-learn's, closed forms, and sources that are known."""

import itertools
import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm, t
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.decomposition import FastICA as Reference
from sklearn.exceptions import ConvergenceWarning

from skbasics import FastICA
from skbasics._arrays import Border
from skbasics.decomposition import _fixed_point, _negentropy

NUMPY = Border(np, None)
KNOWN = {
    "logcosh": lambda u: np.logaddexp(u, -u) - np.log(2),
    "exp": lambda u: -np.exp(-(u**2) / 2),
    "cube": lambda u: u**4 / 4,
}


def own_cube(x):
    return x**3, (3 * x**2).mean(axis=-1)


def own_exp(x, width):
    bell = np.exp(-(x**2) / (2 * width))
    return x * bell, ((1 - x**2 / width) * bell).mean(axis=-1)


def mixture(n=2000, n_features=6, seed=0, noise=0.05):
    rng = np.random.default_rng(seed)
    wave = np.sign(np.sin(np.arange(n) / 7))
    sources = [rng.laplace(size=n), rng.uniform(-1, 1, n), wave, rng.standard_t(5, n)]
    S = np.stack(sources, axis=1)
    X = S @ rng.normal(size=(4, n_features)) + noise * rng.normal(size=(n, n_features)) + 2
    return S, X


def white(X):
    return (X - X.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(X.T, bias=True))).T


def matched(found, sources):
    """Return the correlation of each source with the component nearest to it."""
    k = sources.shape[1]
    return np.abs(np.corrcoef(found.T, sources.T)[:-k, -k:]).max(axis=0)


# The same numbers as scikit-learn.


@pytest.mark.parametrize(
    "fun", ["logcosh", "exp", "cube", own_cube], ids=lambda fun: getattr(fun, "__name__", fun)
)
@pytest.mark.parametrize("whiten", ["unit-variance", "arbitrary-variance", False])
@pytest.mark.parametrize("algorithm", ["parallel", "deflation"])
def test_numbers_are_those_of_scikit_learn(algorithm, whiten, fun):
    X = mixture()[1] if whiten else white(mixture()[1])
    settings = itertools.product(["svd", "eigh"], [None, 4]) if whiten else [("svd", None)]
    for solver, k in settings:
        given = {"algorithm": algorithm, "whiten": whiten, "fun": fun, "whiten_solver": solver}
        given |= {"n_components": k, "random_state": 3}
        expected, ica = Reference(**given).fit(X), FastICA(**given).fit(X)
        assert ica.n_iter_ == expected.n_iter_
        assert ica.converged_
        for name in ("components_", "mixing_", "whitening_", "mean_"):
            assert hasattr(ica, name) == hasattr(expected, name)
            if hasattr(ica, name):
                wanted = getattr(expected, name)
                tolerance = 1e-9 * np.abs(wanted).max()
                np.testing.assert_allclose(getattr(ica, name), wanted, rtol=0, atol=tolerance)
        np.testing.assert_allclose(ica.transform(X), expected.transform(X), atol=1e-8)
        np.testing.assert_allclose(ica.fit_transform(X), expected.fit_transform(X), atol=1e-8)
        sources = ica.transform(X)
        again = expected.inverse_transform(sources)
        np.testing.assert_allclose(ica.inverse_transform(sources), again, atol=1e-8)


@pytest.mark.parametrize(
    "given",
    [
        {"fun_args": {"alpha": 1.5}},
        {"fun_args": {"alpha": 2}, "algorithm": "deflation"},
        {"fun": own_exp, "fun_args": {"width": 1.5}},
        {"fun": own_exp, "fun_args": {"width": 1.5}, "algorithm": "deflation"},
        {"fun": lambda x: (np.tanh(x), 1 - np.tanh(x) ** 2), "algorithm": "deflation"},
        {"w_init": np.random.default_rng(1).normal(size=(4, 4)).tolist()},
    ],
)
def test_numbers_with_other_arguments(given):
    X = mixture()[1]
    expected = Reference(4, random_state=0, **given).fit(X)
    ica = FastICA(4, random_state=0, **given).fit(X)
    np.testing.assert_allclose(ica.components_, expected.components_, rtol=1e-9, atol=1e-10)


def test_numbers_where_the_generator_is_an_object_or_the_global_one():
    X = mixture()[1]
    for state in (np.random.RandomState(5), None):
        np.random.seed(7)  # noqa: NPY002
        expected = Reference(random_state=pickle.loads(pickle.dumps(state))).fit(X)
        np.random.seed(7)  # noqa: NPY002
        ica = FastICA(random_state=state).fit(X)
        np.testing.assert_allclose(ica.mixing_, expected.mixing_, rtol=0, atol=1e-10)


def test_float32_is_close_to_scikit_learn_and_stays_float32():
    X = mixture()[1].astype(np.float32)
    for solver in ("svd", "eigh"):
        expected = Reference(4, random_state=0).fit(X.astype(np.float64))
        ica = FastICA(4, random_state=0, whiten_solver=solver).fit(X)
        for name in ("components_", "mixing_", "mean_", "whitening_"):
            assert getattr(ica, name).dtype == np.float32
            wanted = getattr(expected, name)
            tolerance = 1e-3 * np.abs(wanted).max()
            np.testing.assert_allclose(getattr(ica, name), wanted, rtol=0, atol=tolerance)
        assert ica.transform(X).dtype == np.float32
        assert ica.transform(X.astype(np.float64)).dtype == np.float64


# The cases that scikit-learn's own tests specify.


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("seed", [0, 42])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_two_sources_are_found(seed, noise, dtype):
    n, angle = 1000, 0.6
    square = np.where(np.sin(np.linspace(0, 100, n)) > 0, 1.0, -1.0)
    heavy = t.rvs(1, size=n, random_state=seed)
    S = np.stack([square, heavy], axis=1)
    S = (S - S.mean(0)) / S.std(0)
    A = np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]])
    X = S @ A + noise * np.random.default_rng(seed).normal(size=(n, 2))
    X = ((X - X.mean(0)) / X.std(0)).astype(dtype)
    ways = itertools.product(
        ["parallel", "deflation"],
        ["logcosh", "exp", "cube", own_cube],
        ["unit-variance", "arbitrary-variance", False],
    )
    for algorithm, fun, whiten in ways:
        data = X if whiten else PCA(whiten=True).fit_transform(X)
        ica = FastICA(algorithm=algorithm, fun=fun, whiten=whiten, random_state=seed)
        found = ica.fit_transform(data)
        assert found.shape == (n, 2)
        assert (matched(found, S) > (0.99 if noise == 0 else 0.9)).all()
        centred = data - (ica.mean_ if whiten else 0)
        np.testing.assert_allclose(centred @ ica.components_.T, found, atol=1e-5 * abs(found).max())
        np.testing.assert_array_equal(found, ica.transform(data))
        with pytest.raises(ValueError, match="fun must return two arrays"):
            FastICA(algorithm=algorithm, fun=np.tanh, whiten=whiten).fit(data)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("seed", [0, 1])
def test_fewer_sources_than_features(seed, noise):
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 100, 1000)
    S = np.stack([np.sin(time), np.ceil(np.sin(np.pi * time))], axis=1)
    S = (S - S.mean(0)) / S.std(0)
    X = S @ rng.normal(size=(2, 6)) + noise * rng.normal(size=(1000, 6))
    ica = FastICA(2, random_state=seed).fit(X)
    assert ica.components_.shape == (2, 6)
    assert ica.mixing_.shape == (6, 2)
    assert (matched(ica.transform(X), S) > (0.999 if noise == 0 else 0.9)).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("whiten", ["unit-variance", "arbitrary-variance", False])
@pytest.mark.parametrize("k", [None, 5, 10])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Ignoring n_components")
def test_fit_transform_and_back(k, whiten, dtype):
    X = np.random.default_rng(0).random((100, 10)).astype(dtype)
    ica = FastICA(k, whiten=whiten, random_state=0, max_iter=300)
    found = ica.fit_transform(X)
    n_found = 10 if k is None or not whiten else k
    assert ica.mixing_.shape == (10, n_found)
    np.testing.assert_array_equal(found, clone(ica).fit(X).transform(X))
    if whiten:
        variance = 1 if whiten == "unit-variance" else 0.01
        np.testing.assert_allclose(found.var(axis=0), variance, rtol=1e-4)
    back = ica.inverse_transform(found)
    assert back.shape == X.shape
    assert back.dtype == dtype
    if n_found == 10:
        np.testing.assert_allclose(back, X, atol=1e-12 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_both_whitening_solvers_agree(noise, seed):
    X = mixture(noise=noise, seed=seed)[1]
    found = [FastICA(4, random_state=0, whiten_solver=s).fit_transform(X) for s in ("svd", "eigh")]
    np.testing.assert_allclose(found[0], found[1], atol=1e-10)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_low_rank_warns():
    A = np.random.default_rng(0).normal(size=(10, 2))
    for solver in ("svd", "eigh"):
        with pytest.warns(UserWarning, match="small singular values: X varies in 2 directions"):
            FastICA(random_state=0, whiten_solver=solver).fit(A @ A.T)


def test_no_whitening_takes_all_components():
    with pytest.warns(UserWarning, match=r"Ignoring n_components with whiten=False."):
        ica = FastICA(1, whiten=False, random_state=0).fit([[0, 1], [1, 0]])
    assert ica.mixing_.shape == (2, 2)
    assert not hasattr(ica, "mean_")


def test_too_many_components_are_clipped():
    X = mixture()[1]
    with pytest.warns(UserWarning, match="n_components is too large: it will be set to 6"):
        ica = FastICA(7, random_state=0).fit(X)
    assert ica.components_.shape == (6, 6)


# The formulas.


@pytest.mark.parametrize("fun", KNOWN)
def test_contrasts_are_derivatives_of_their_function(fun):
    contrast = _negentropy.resolve_contrast(fun, None, NUMPY, 0)
    G = KNOWN[fun]
    u = np.random.default_rng(0).normal(size=(3, 50)) * 2
    h = 1e-5
    g, slope = contrast.derivatives(torch.from_numpy(u.copy()))
    np.testing.assert_allclose(g, (G(u + h) - G(u - h)) / (2 * h), atol=1e-8)
    second = (G(u + 100 * h) - 2 * G(u) + G(u - 100 * h)) / (100 * h) ** 2
    np.testing.assert_allclose(slope, second.mean(axis=1), rtol=1e-4)
    np.testing.assert_allclose(contrast.mean(torch.from_numpy(u)), G(u).mean(axis=1), rtol=1e-12)
    expected = quad(lambda x: G(x) * norm.pdf(x), -12, 12, epsabs=1e-13)[0]
    assert abs(contrast.gaussian_mean() - expected) < 1e-10


def test_logcosh_with_alpha():
    contrast = _negentropy.logcosh(1.7)
    u = torch.linspace(-3, 3, 31, dtype=torch.float64)[None]
    wide = u.clone().requires_grad_()
    value = (torch.cosh(1.7 * wide).log() / 1.7).sum()
    (g,) = torch.autograd.grad(value, wide, create_graph=True)
    (slope,) = torch.autograd.grad(g.sum(), wide)
    own_g, own_slope = contrast.derivatives(u.clone())
    torch.testing.assert_close(own_g, g.detach())
    torch.testing.assert_close(own_slope, slope.mean(dim=1))
    torch.testing.assert_close(contrast.mean(u), value.detach()[None] / 31)


def test_kurtosis_step_in_exact_arithmetic():
    """With g(u) = u^3 the step is E[z u^3] - 3 E[u^2] w: rational numbers in and out."""
    Z = [[1, -1, 2, -2], [1, 1, -1, -1]]
    w = [Fraction(3, 5), Fraction(4, 5)]
    u = [w[0] * a + w[1] * b for a, b in zip(*Z, strict=True)]
    slope = 3 * sum(x**2 for x in u) / 4
    exact = [
        sum(z * x**3 for z, x in zip(row, u, strict=True)) / 4 - slope * v
        for row, v in zip(Z, w, strict=True)
    ]
    rows = torch.tensor([[[0.6, 0.8]]], dtype=torch.float64)
    step = _fixed_point.fixed_point(torch.tensor(Z).double(), rows, _negentropy.cube())
    np.testing.assert_allclose(step[0, 0], [float(x) for x in exact], rtol=1e-14)


def test_decorrelation_is_the_inverse_root_and_survives_a_singular_matrix():
    W = torch.randn(3, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values, vectors = torch.linalg.eigh(W @ W.mT)
    root = (vectors / values.sqrt()[:, None]) @ vectors.mT
    torch.testing.assert_close(_fixed_point.decorrelated(W), root @ W, rtol=0, atol=1e-10)
    singular = _fixed_point.decorrelated(torch.ones(1, 4, 4, dtype=torch.float64))
    torch.testing.assert_close(singular @ singular.mT, torch.eye(4).double()[None])


def test_orthogonal_rows_have_no_part_along_those_found():
    rng = np.random.default_rng(0)
    found = torch.from_numpy(np.linalg.qr(rng.normal(size=(10, 10)))[0])[None]
    w = torch.from_numpy(rng.normal(size=(1, 1, 10)))
    assert _fixed_point.orthogonal(w, found).norm() < 1e-14
    rest = _fixed_point.orthogonal(w, found[:, :5])
    assert (rest @ found.mT)[0, 0, :5].norm() < 1e-14


def test_parts_make_the_whole(monkeypatch):
    Z = torch.randn(3, 1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    W = torch.randn(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for fun in KNOWN:
        contrast = _negentropy.resolve_contrast(fun, None, NUMPY, 0)
        whole = _fixed_point.fixed_point(Z, W, contrast), _fixed_point.negentropy(Z, W, contrast)
        monkeypatch.setattr(_fixed_point, "BLOCK", 6 * 37)
        parts = _fixed_point.fixed_point(Z, W, contrast), _fixed_point.negentropy(Z, W, contrast)
        monkeypatch.undo()
        torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("whiten", ["unit-variance", "arbitrary-variance", False])
def test_mixing_is_the_pseudo_inverse(whiten):
    X = mixture()[1] if whiten else white(mixture()[1])
    ica = FastICA(4 if whiten else None, whiten=whiten, random_state=0).fit(X)
    np.testing.assert_allclose(ica.mixing_, np.linalg.pinv(ica.components_), rtol=0, atol=1e-12)
    assert not np.shares_memory(ica.mixing_, ica.components_)


# What scikit-learn has not.


def test_ordered_components():
    S, X = mixture()
    for algorithm in ("parallel", "deflation"):
        ica = FastICA(4, algorithm=algorithm, ordered=True, random_state=0).fit(X)
        plain = FastICA(4, algorithm=algorithm, random_state=0).fit(X)
        explained = (ica.mixing_**2).sum(axis=0)
        assert (np.diff(explained) < 0).all()
        np.testing.assert_allclose(
            sorted(explained), sorted((plain.mixing_**2).sum(axis=0)), rtol=1e-12
        )
        np.testing.assert_allclose(ica.components_ @ ica.mixing_, np.eye(4), atol=1e-12)
        largest = np.abs(ica.mixing_).argmax(axis=0)
        assert (ica.mixing_[largest, np.arange(4)] > 0).all()
        assert (matched(ica.transform(X), S) > 0.97).all()
    seeds = [FastICA(4, tol=1e-10, ordered=True, random_state=s).fit(X).mixing_ for s in range(4)]
    for mixing in seeds:  # the same, wherever the search started
        np.testing.assert_allclose(mixing, seeds[0], atol=1e-4)


@pytest.mark.parametrize("algorithm", ["parallel", "deflation"])
@pytest.mark.parametrize(
    "fun", ["logcosh", "exp", "cube", own_cube], ids=lambda fun: getattr(fun, "__name__", fun)
)
def test_restarts_are_single_fits_of_which_the_best_is_kept(algorithm, fun):
    rng = np.random.default_rng(1)
    X = rng.laplace(size=(150, 5)) @ rng.normal(size=(5, 5))
    starts = np.random.RandomState(0).normal(size=(6, 5, 5))
    common = {"algorithm": algorithm, "fun": fun, "max_iter": 500}
    singles = [FastICA(w_init=w, **common).fit(X) for w in starts]
    first = FastICA(random_state=0, **common).fit(X)
    np.testing.assert_allclose(first.components_, singles[0].components_, atol=1e-10)
    G = KNOWN["logcosh" if fun is own_cube else fun]
    gauss = quad(lambda x: G(x) * norm.pdf(x), -12, 12)[0]
    scores = [((G(s.transform(X)).mean(axis=0) - gauss) ** 2).sum() for s in singles]
    best = singles[int(np.argmax(scores))]
    for start in ({"random_state": 0}, {"w_init": starts[0], "random_state": 0}):
        ica = FastICA(restarts=6, **start, **common).fit(X)
        score = ((G(ica.transform(X)).mean(axis=0) - gauss) ** 2).sum()
        assert score >= scores[0] - 1e-12
        if "w_init" in start:
            continue
        np.testing.assert_allclose(ica.components_, best.components_, atol=1e-8)
        assert (ica.n_iter_, ica.converged_) == (best.n_iter_, best.converged_)


@pytest.mark.parametrize("algorithm", ["parallel", "deflation"])
def test_a_search_that_did_not_converge_says_so(algorithm):
    X = mixture()[1]
    ica = FastICA(2, algorithm=algorithm, random_state=0, max_iter=2, tol=0.0)
    said = (
        r"^FastICA did not converge\. Consider increasing tolerance or the maximum number of "
        r"iterations: after 2 the last change was [0-9.e-]+, which is not below tol=0\.$"
    )
    with pytest.warns(ConvergenceWarning, match=said):
        ica.fit(X)
    assert not ica.converged_
    assert ica.n_iter_ == 2


def test_the_change_that_the_warning_names_is_right():
    X = mixture()[1]
    with pytest.warns(ConvergenceWarning) as caught:
        later = FastICA(whiten=False, random_state=0, max_iter=3).fit(white(X))
    with pytest.warns(ConvergenceWarning):
        before = FastICA(whiten=False, random_state=0, max_iter=2).fit(white(X))
    cosines = (later.components_ * before.components_).sum(axis=1)
    change = np.abs(np.abs(cosines) - 1).max()
    assert f"the last change was {change:.3g}," in str(caught[0].message)


def test_a_constant_first_feature_hides_nothing():
    """scikit-learn's axes take the sign of their first entry, which is then zero."""
    digits = load_digits().data
    for solver in ("svd", "eigh"):
        ica = FastICA(7, random_state=0, whiten_solver=solver, max_iter=1000).fit(digits)
        assert (np.abs(ica.whitening_).max(axis=1) > 0).all()
        np.testing.assert_allclose(np.cov(ica.transform(digits).T, bias=True), np.eye(7), atol=1e-8)


@pytest.mark.parametrize("solver", ["svd", "eigh"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_directions_without_variance_are_zero_and_nothing_is_lost(solver):
    wide = np.random.default_rng(0).normal(size=(12, 30)) + 5
    with pytest.warns(UserWarning, match=r"X varies in 11 directions.*Set n_components=11\."):
        ica = FastICA(random_state=0, whiten_solver=solver).fit(wide)
    assert ica.components_.shape == ica.whitening_.shape == (12, 30)
    assert ica.mixing_.shape == (30, 12)
    assert (ica.components_[11:] == 0).all()
    found = ica.transform(wide)
    np.testing.assert_allclose(found.var(axis=0), [1] * 11 + [0], atol=1e-9)
    np.testing.assert_allclose(ica.inverse_transform(found), wide, atol=1e-9)


def test_a_large_mean_costs_few_digits():
    X = mixture(noise=0.5)[1]
    near = FastICA(4, random_state=0).fit(X)
    for solver in ("svd", "eigh"):
        far = FastICA(4, random_state=0, whiten_solver=solver).fit(X + 1e6)
        np.testing.assert_allclose(far.components_, near.components_, atol=1e-7)


@pytest.mark.parametrize(
    ("dtype", "scale"), [(np.float64, 1e200), (np.float64, 1e-200), (np.float32, 1e30)]
)
def test_units_do_not_matter(dtype, scale):
    X = mixture()[1]
    expected = FastICA(4, random_state=0).fit(X).transform(X)
    X = (X * scale).astype(dtype)
    found = FastICA(4, random_state=0).fit(X).transform(X)
    np.testing.assert_allclose(found, expected, atol=1e-9 if dtype is np.float64 else 1e-3)


@pytest.mark.parametrize("restarts", [1, 2])
def test_any_memory_will_do_for_the_start(restarts, recwarn):
    X = mixture()[1]
    start = np.random.default_rng(1).normal(size=(6, 6))
    reversed_rows, read_only = start[::-1], start[::-1].copy()
    read_only.flags.writeable = False
    given = {"restarts": restarts, "random_state": 0}
    found = [FastICA(w_init=w, **given).fit(X).components_ for w in (reversed_rows, read_only)]
    np.testing.assert_array_equal(found[0], found[1])
    assert [str(warning.message) for warning in recwarn] == []


# The contract.


def test_bad_input_says_what_would_be_right():
    S, X = mixture()
    ica = FastICA(random_state=0).fit(X)
    before = dict(vars(ica))
    wrong = [
        ({"fun_args": {"alpha": 0}}, X, r"alpha must be in \[1,2\], got fun_args={'alpha': 0}"),
        ({"fun_args": {"alpha": "1"}}, X, r"alpha must be in \[1,2\], got fun_args={'alpha': '1'}"),
        ({"w_init": np.eye(7)}, X, r"w_init has invalid shape -- should be \(6, 6\).*got \(7, 7\)"),
        ({"w_init": np.zeros((6, 6))}, X, "w_init must be finite, and none of its rows zero"),
        ({"fun": np.tanh}, X, r"x of shape \(6, 2000\) it returned ndarray\. An example"),
        ({"fun": lambda x: (x**3, 3 * x**2)}, X, r"a pair of shapes \(6, 2000\) and \(6, 2000\)"),
        ({"whiten": False}, X[:3], "3 rows of 6 features cannot be. Set whiten='unit-variance'"),
        ({"whiten": False, "fun": "cube"}, X * 1e200, "FastICA diverged: a step is not finite"),
        ({}, np.ones((5, 3)), "X is constant up to rounding: there is nothing to separate"),
        ({}, X[:1], "1 sample"),
        (
            {},
            np.abs(X) * 1e306,
            "cannot be whitened with whiten_solver='svd'.* Divide X by its largest",
        ),
        ({"whiten_solver": "eigh"}, X * 1e160, "whiten_solver='eigh': its entries are too large"),
        (
            {"whiten_solver": "eigh"},
            X * 1e-170,
            "X is constant up to rounding .*'svd' sees further",
        ),
        ({"restarts": 0}, X, "The 'restarts' parameter of FastICA must be an int"),
        ({"device": "nowhere"}, X, "device='nowhere' cannot be used"),
    ]
    for given, data, message in wrong:
        with pytest.raises(ValueError, match=message):
            ica.set_params(**given).fit(data)
        ica.set_params(**clone(FastICA(random_state=0)).get_params())
        assert vars(ica).keys() == before.keys()
        assert all(vars(ica)[name] is before[name] for name in before if name.endswith("_"))
    with pytest.raises(ValueError, match="X has 3 columns, but FastICA found 6 components"):
        ica.inverse_transform(S[:, :3])


def test_a_refit_without_whitening_leaves_nothing_of_the_first():
    X = white(mixture()[1])
    ica = FastICA(random_state=0).fit(X)
    ica.set_params(whiten=False).fit(X)
    assert not hasattr(ica, "mean_")
    assert not hasattr(ica, "whitening_")
    np.testing.assert_allclose(ica.transform(X), X @ ica.components_.T)


@pytest.mark.parametrize("algorithm", ["parallel", "deflation"])
@pytest.mark.parametrize(
    "fun", ["logcosh", own_cube], ids=lambda fun: getattr(fun, "__name__", fun)
)
def test_tensors_stay_tensors(algorithm, fun):
    X = mixture()[1]
    seen = []

    def spy(x):
        seen.append(type(x))
        return fun(x)

    given = {"algorithm": algorithm, "fun": spy if fun is own_cube else fun, "random_state": 0}
    expected = FastICA(4, **given, restarts=2).fit(X)
    assert set(seen) == ({np.ndarray} if fun is own_cube else set())
    seen.clear()
    with config_context(array_api_dispatch=True):
        ica = FastICA(4, **given, restarts=2).fit(torch.from_numpy(X))
        found = ica.transform(torch.from_numpy(X))
        assert isinstance(ica.inverse_transform(found), torch.Tensor)
    assert set(seen) == ({torch.Tensor} if fun is own_cube else set())
    for name in ("components_", "mixing_", "mean_", "whitening_"):
        array = getattr(ica, name)
        assert isinstance(array, torch.Tensor)
        assert array.is_contiguous()
        np.testing.assert_allclose(array, getattr(expected, name), atol=1e-12)
    np.testing.assert_allclose(found, expected.transform(X), atol=1e-10)


def test_fit_leaves_the_data_the_global_generators_and_the_threads_alone():
    X = mixture()[1]
    X.flags.writeable = False
    copy, threads = X.copy(), torch.get_num_threads()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    torch_before = torch.get_rng_state()
    FastICA(random_state=0, restarts=2).fit(X)
    np.testing.assert_array_equal(X, copy)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert torch.get_num_threads() == threads


class Recorder:
    """A callback that notes what it is told, and may ask to stop."""

    def __init__(self, stop_after=None):
        self.stop_after, self.events, self.fits = stop_after, [], []

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.events.append(f"end {context.task_name}")
        self.fits.append(fitted_estimator)
        return len(self.fits) == self.stop_after


@pytest.mark.parametrize("algorithm", ["parallel", "deflation"])
def test_callbacks_see_every_iteration_and_may_stop(algorithm):
    X = mixture()[1]
    plain = FastICA(4, algorithm=algorithm, random_state=0).fit(X)
    watcher = Recorder()
    watched = clone(plain).set_callbacks(watcher).fit(X)
    np.testing.assert_array_equal(watched.components_, plain.components_)
    n_iter = len(watcher.fits) - 1
    assert watcher.events == [
        "begin fit",
        *["begin iteration", "end iteration"] * n_iter,
        "end fit",
    ]
    assert n_iter == plain.n_iter_ if algorithm == "parallel" else n_iter > plain.n_iter_
    rows = [fit.transform(X).shape[1] for fit in watcher.fits]
    assert rows == sorted(rows)
    assert rows[-1] == 4
    np.testing.assert_allclose(watcher.fits[-1].transform(X), plain.transform(X), atol=1e-12)

    halted = clone(plain).set_callbacks(Recorder(stop_after=2)).fit(X)  # no warning: it was asked
    assert not halted.converged_
    assert halted.n_iter_ == 2
    assert halted.components_.shape == ((4 if algorithm == "parallel" else 1), 6)
    back = halted.components_ @ halted.mixing_
    np.testing.assert_allclose(back, np.eye(len(back)), atol=1e-12)


def test_pickle_and_names():
    X = mixture()[1]
    ica = FastICA(3, random_state=0).fit(X)
    again = pickle.loads(pickle.dumps(ica))
    np.testing.assert_array_equal(again.transform(X), ica.transform(X))
    assert list(ica.get_feature_names_out()) == ["fastica0", "fastica1", "fastica2"]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("algorithm", ["parallel", "deflation"])
def test_cuda_finds_the_same(algorithm):
    X = mixture()[1]
    ica = FastICA(4, algorithm=algorithm, random_state=0, restarts=3)
    here, there = clone(ica).fit(X), clone(ica).set_params(device="cuda").fit(X)
    assert isinstance(there.components_, np.ndarray)
    np.testing.assert_allclose(there.components_, here.components_, atol=1e-8)
    with config_context(array_api_dispatch=True):
        from_tensor = clone(ica).fit(torch.from_numpy(X).cuda())
        assert from_tensor.components_.is_cuda
        assert from_tensor.transform(torch.from_numpy(X).cuda()).is_cuda
