"""The mixture as an estimator: scikit-learn's numbers, weights, restarts, densities, errors."""

import functools
import warnings

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from scipy.special import logsumexp
from sklearn import config_context
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

from skbasics import VariationalGaussianMixture
from skbasics.variational._mixture._covariances import COVARIANCES
from skbasics.variational._mixture._kernels import ElementwiseKernel, ExpandedKernel, elementwise
from skbasics.variational._mixture._mixture_ascent import ascend
from skbasics.variational._mixture._mixture_models import summarise
from skbasics.variational._mixture._preparation import drawn_starts, prepared
from skbasics.variational._mixture._sweep import Rows, Terms, sweep

KINDS = ["full", "tied", "diag", "spherical"]
FITTED = ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"]
iris = load_iris().data


def close(found, expected, rtol=1e-8, atol=1e-10):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def blobs(n=300, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.array([[-8.0, 0, 1], [0, 8, 0], [8, 0, -1]])
    return centres[rng.integers(0, 3, n)] + rng.normal(size=(n, 3)) * [1, 0.5, 2]


# scikit-learn's numbers.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random"])
def test_em_is_that_of_scikit_learn(kind, init_params):
    settings = {"covariance_type": kind, "max_iter": 300, "reg_covar": 1e-4}
    own = {"inference": "em", "random_state": 1, "init_params": init_params}
    start = VariationalGaussianMixture(3, **own, **settings | {"max_iter": 0}).fit(iris)
    ours = VariationalGaussianMixture(3, **own, **settings).fit(iris)
    theirs = GaussianMixture(
        3,
        weights_init=start.weights_,
        means_init=start.means_,
        precisions_init=start.precisions_,
        **settings,
    ).fit(iris)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.converged_ == theirs.converged_
    for name in FITTED:
        close(getattr(ours, name), getattr(theirs, name), rtol=1e-6)
    close(ours.lower_bounds_, theirs.lower_bounds_)
    for method in ("score_samples", "predict_proba", "score", "bic", "aic"):
        close(getattr(ours, method)(iris), getattr(theirs, method)(iris), rtol=1e-6)
    np.testing.assert_array_equal(ours.predict(iris), theirs.predict(iris))


POSTERIOR = ["weight_concentration_", "mean_precision_", "degrees_of_freedom_"]


def scikit_learn_from(start, X, **settings):
    """Return scikit-learn's posterior mixture, fitted from where ours starts."""
    theirs = BayesianGaussianMixture(
        n_components=start.n_components,
        covariance_type=start.covariance_type,
        weight_concentration_prior_type=start.weight_concentration_prior_type,
        warm_start=True,
        **settings,
    )
    for name in ("means_", "covariances_", "precisions_cholesky_", *POSTERIOR):
        setattr(theirs, name, getattr(start, name))
    theirs.converged_, theirs.lower_bound_ = False, -np.inf
    return theirs.fit(X)


@pytest.mark.parametrize("prior", ["dirichlet_process", "dirichlet_distribution"])
def test_the_posterior_is_that_of_scikit_learn_where_its_updates_are_right(prior):
    """That is, for full covariances."""
    settings = {"tol": 1e-10, "max_iter": 2000, "reg_covar": 0}
    own = {"random_state": 0, "weight_concentration_prior_type": prior}
    start = VariationalGaussianMixture(3, **own, **settings | {"max_iter": 0}).fit(iris)
    ours = VariationalGaussianMixture(3, **own, **settings).fit(iris)
    theirs = scikit_learn_from(start, iris, **settings)
    for name in [*FITTED, *POSTERIOR, "mean_prior_", "covariance_prior_"]:
        close(getattr(ours, name), getattr(theirs, name), rtol=1e-5, atol=1e-8)
    close(ours.predict_proba(iris), theirs.predict_proba(iris), rtol=1e-5, atol=1e-8)
    own["init_params"] = "random"
    start = VariationalGaussianMixture(3, **own, **settings | {"max_iter": 0}).fit(iris)
    other = VariationalGaussianMixture(3, **own, **settings).fit(iris)
    assert abs(other.lower_bound_ - ours.lower_bound_) > 1
    constant = ours.lower_bound_ - theirs.lower_bound_
    theirs = scikit_learn_from(start, iris, **settings)
    assert other.lower_bound_ - theirs.lower_bound_ == pytest.approx(constant, abs=1e-6)


@pytest.mark.parametrize("prior", ["dirichlet_process", "dirichlet_distribution"])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_covariances_have_scikit_learn_s_shapes(kind, prior):
    settings = {"covariance_type": kind, "weight_concentration_prior_type": prior}
    settings |= {"random_state": 0, "max_iter": 3, "tol": 1.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours = VariationalGaussianMixture(4, **settings).fit(iris)
        theirs = BayesianGaussianMixture(n_components=4, **settings).fit(iris)
    public = {name for name in vars(theirs) if name.endswith("_") and name[0] != "_"}
    public -= {"lower_bounds_", "lower_bound_"}  # for tied covariances, arrays of one number
    assert public <= set(vars(ours))
    for name in public:
        shapes = [np.shape(getattr(fitted, name)) for fitted in (ours, theirs)]
        assert shapes[0] == shapes[1], name
    assert np.shape(ours.weight_concentration_) == np.shape(theirs.weight_concentration_)


@functools.cache
def data_set(name):
    if name == "iris":
        return load_iris(return_X_y=True)
    X, y = load_digits(return_X_y=True)
    return (PCA(15, random_state=0).fit_transform(X) if name == "reduced digits" else X), y


@pytest.mark.parametrize(("data", "k"), [("iris", 3), ("digits", 10), ("reduced digits", 10)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_clusters_are_as_good_as_those_of_scikit_learn(data, k, kind):
    """From the same start, by the adjusted Rand index."""
    X, y = data_set(data)
    settings = {"covariance_type": kind, "random_state": 0}
    start = VariationalGaussianMixture(k, max_iter=0, **settings).fit(X)
    ours = VariationalGaussianMixture(k, max_iter=40, **settings).fit(X)
    theirs = scikit_learn_from(start, X, max_iter=40)
    scores = [adjusted_rand_score(y, fitted.predict(X)) for fitted in (ours, theirs)]
    assert scores[0] > scores[1] - 0.02


# What is climbed.


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_of_em_never_falls(kind):
    X = blobs()
    fitted = VariationalGaussianMixture(
        5, inference="em", covariance_type=kind, reg_covar=0, tol=1e-9, max_iter=500, random_state=0
    ).fit(X)
    assert len(fitted.lower_bounds_) > 5
    assert np.diff(fitted.lower_bounds_).min() > -1e-13
    assert fitted.lower_bound_ == pytest.approx(fitted.score(X), abs=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_em_is_the_limit_of_many_rows(kind):
    """With each row a million times, the posterior is where EM is."""
    X = blobs(90)
    settings = {"covariance_type": kind, "random_state": 0, "tol": 1e-9, "max_iter": 1000}
    settings["reg_covar"] = 0
    em = VariationalGaussianMixture(3, inference="em", **settings).fit(X)
    many = VariationalGaussianMixture(3, **settings).fit(X, sample_weight=np.full(90, 1e6))
    for name in ("weights_", "means_", "covariances_"):
        close(getattr(many, name), getattr(em, name), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inference", ["variational", "em"])
def test_restarts_side_by_side_are_the_fits_alone(kind, inference):
    estimator = VariationalGaussianMixture(
        4,
        inference=inference,
        covariance_type=kind,
        init_params="k-means++",
        n_init=4,
        random_state=3,
    )
    data = prepared(iris, None, 4, torch.device("cpu"))
    model = estimator._model(data)
    starts = drawn_starts(estimator, data, model)
    settings = {"tol": 1e-4, "max_iter": 80}
    *_, together = ascend(data.rows, model, starts, **settings)
    lengths = set()
    for k in range(4):
        *_, alone = ascend(data.rows, model, starts.at([k]), **settings)
        close(together.bounds[k], alone.bounds[0], rtol=1e-10)
        close(together.mixture.means[k], alone.mixture.means[0])
        assert together.converged[k] == alone.converged[0]
        lengths.add(len(alone.bounds[0]))
    assert len(lengths) > 1  # they end at different times
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.set_params(**settings).fit(iris)
    assert estimator.lower_bound_ == max(bounds[-1] for bounds in together.bounds)


def test_components_far_from_each_other_keep_their_digits():
    """Where multiplying out would lose the deviations, the direct kernel takes over."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2)) * 1e-3 + np.array([-1e5, 1e5])[rng.integers(0, 2, 60)][:, None]
    for kind in ("diag", "spherical", "full", "tied"):
        fitted = VariationalGaussianMixture(
            2, inference="em", covariance_type=kind, reg_covar=0, random_state=0
        ).fit(X)
        side = X[:, 0] > 0
        for k in range(2):
            part = X[side == (fitted.means_[k, 0] > 0)]
            close(fitted.means_[k], part.mean(0), rtol=1e-14)
        inner = sum(((X[s] - X[s].mean(0)) ** 2).sum(0) for s in (side, ~side)) / 60
        if kind == "tied":
            close(fitted.covariances_.diagonal(), inner, rtol=1e-6)
        if kind == "diag":
            close(fitted.weights_ @ fitted.covariances_, inner, rtol=1e-6)
        if kind == "spherical":
            close(fitted.weights_ @ fitted.covariances_, inner.mean(), rtol=1e-6)


def test_both_elementwise_kernels_sum_alike():
    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.normal(size=(3, 5000)))
    rows = Rows(X, torch.from_numpy(rng.uniform(size=5000)), 1.0)
    terms = Terms(torch.randn(2, 4, 3).double(), torch.rand(2, 4, 3).double(), torch.zeros(2, 4))
    fast, direct = (sweep(rows, terms, kernel) for kernel in (ExpandedKernel, ElementwiseKernel))
    for one, other in zip(fast, direct, strict=True):
        close(one, other, rtol=1e-10)
    assert isinstance(elementwise(terms, rows), ExpandedKernel)
    far = terms._replace(P=terms.P * 1e6)
    assert isinstance(elementwise(far, rows), ElementwiseKernel)
    assert isinstance(
        elementwise(terms._replace(P=terms.P * 1e3), Rows(X.float(), None, 1.0)), ElementwiseKernel
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_offset_changes_nothing(kind):
    X = np.round(blobs() * 64) / 64  # so that the offset is exact
    settings = {"covariance_type": kind, "random_state": 0}
    here = VariationalGaussianMixture(3, **settings).fit(X)
    there = VariationalGaussianMixture(3, **settings).fit(X + 2.0**30)
    close(there.means_ - 2.0**30, here.means_, atol=1e-6)
    close(there.lower_bound_, here.lower_bound_, rtol=1e-8)
    np.testing.assert_array_equal(there.predict(X + 2.0**30), here.predict(X))
    close(there.score_samples(X + 2.0**30), here.score_samples(X), rtol=1e-5)


# Weights.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
@pytest.mark.parametrize("inference", ["variational", "em"])
def test_weights_are_frequencies_to_the_last_digit(kind, init_params, inference):
    settings = {"inference": inference, "covariance_type": kind, "init_params": init_params}
    rng = np.random.default_rng(0)
    X, weights = blobs(60), rng.integers(0, 4, 60)
    repeated = rng.permutation(np.repeat(X, weights, axis=0))

    def fit(X, weights=None):
        estimator = VariationalGaussianMixture(3, n_init=2, random_state=0, max_iter=15, **settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return estimator.fit(X, sample_weight=weights)

    weighted, twice, kept = fit(X, weights), fit(repeated), weights > 0
    same = [twice, fit(X[kept], weights[kept])]
    for name in ("weights_", "means_", "covariances_", "lower_bounds_", "precisions_"):
        for other in same:
            np.testing.assert_array_equal(getattr(weighted, name), getattr(other, name))
        ones = fit(X, np.ones(60))
        np.testing.assert_array_equal(getattr(ones, name), getattr(fit(X[::-1]), name))
    close(weighted.score(X, sample_weight=weights), twice.score(repeated), rtol=1e-13)
    if inference == "em":
        close(weighted.bic(X, sample_weight=weights), twice.bic(repeated), rtol=1e-13)
        close(weighted.aic(X, sample_weight=weights), twice.aic(repeated), rtol=1e-13)


def test_rows_whose_order_is_hard_to_tell():
    """Different rows with the same key are put in order by their values."""
    X = np.repeat(blobs(40), 3, axis=0)
    X[::2, 1] = 1e300  # beside which no other feature counts
    found = prepared(X / 1e300, None, 1, torch.device("cpu")).found
    again = prepared(X[::-1] / 1e300, None, 1, torch.device("cpu")).found
    np.testing.assert_array_equal(found.X, again.X)
    np.testing.assert_array_equal(found.weights, again.weights)
    assert len(np.unique(found.X, axis=0)) == len(found.X)


def test_the_start_is_that_of_k_means():
    X = blobs()
    fitted = VariationalGaussianMixture(3, inference="em", max_iter=0, random_state=0).fit(X)
    centres = KMeans(3, n_init=5, random_state=0).fit(X).cluster_centers_
    close(np.sort(fitted.means_, axis=0), np.sort(centres, axis=0))


# Densities.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inference", ["variational", "em"])
def test_the_density_integrates_to_one(kind, inference):
    X = blobs(40)[:, :1]
    fitted = VariationalGaussianMixture(
        2, inference=inference, covariance_type=kind, random_state=0, tol=1.0
    ).fit(X)
    total, _ = integrate.quad(
        lambda x: float(np.exp(fitted.score_samples([[x]])[0])), -np.inf, np.inf, limit=300
    )
    assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_density_is_the_mean_over_the_posterior(kind):
    """By draws of precisions and means, in two dimensions and with two components."""
    X = blobs(25)[:, :2]
    fitted = VariationalGaussianMixture(2, covariance_type=kind, random_state=0, tol=1.0).fit(X)
    rng, x, S = np.random.default_rng(0), np.array([[0.5, 6.0], [-7.0, 1.0]]), 4000
    parts = []
    for k in range(2):
        nu = np.atleast_1d(fitted.degrees_of_freedom_)[0 if kind == "tied" else k]
        C = fitted.covariances_ if kind == "tied" else fitted.covariances_[k]
        if kind in ("full", "tied"):
            draws = stats.wishart(nu, np.linalg.inv(C) / nu).rvs(S, random_state=rng)
        elif kind == "diag":
            draws = rng.gamma(nu / 2, 2 / (nu * C), (S, 2))[:, :, None] * np.eye(2)
        else:
            draws = rng.gamma(nu, 1 / (nu * C), S)[:, None, None] * np.eye(2)
        root = np.linalg.cholesky(np.linalg.inv(draws) / fitted.mean_precision_[k])
        mu = fitted.means_[k] + (root @ rng.normal(size=(S, 2, 1)))[..., 0]
        delta = x[:, None] - mu
        q = np.einsum("nsi,sij,nsj->ns", delta, draws, delta)
        logs = np.linalg.slogdet(draws)[1] / 2 - np.log(2 * np.pi) - q / 2
        parts.append(np.log(fitted.weights_[k]) + logsumexp(logs, axis=1) - np.log(S))
    close(fitted.score_samples(x), logsumexp(parts, axis=0), rtol=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inference", ["variational", "em"])
def test_draws_have_the_density(kind, inference):
    """A Kolmogorov-Smirnov test of densities: under draws, they are as likely as they say."""
    fitted = VariationalGaussianMixture(
        2, inference=inference, covariance_type=kind, random_state=0, tol=1.0
    ).fit(blobs(30))
    X, labels = fitted.sample(4000, random_state=1)
    assert X.shape == (4000, 3)
    close(np.bincount(labels) / 4000, fitted.weights_, rtol=0.1, atol=0.03)
    again, _ = fitted.sample(4000, random_state=1)
    np.testing.assert_array_equal(X, again)
    one, _ = fitted.sample()
    assert one.shape == (1, 3)
    # E[f(x) / p(x)] under the draws is the integral of f, here that of a Gaussian beside
    beside = stats.multivariate_normal(fitted.means_[0], np.cov(X[labels == 0].T) / 2)
    ratio = np.exp(beside.logpdf(X) - fitted.score_samples(X))
    error = ratio.std() / np.sqrt(len(ratio))
    assert error < 0.1
    assert abs(ratio.mean() - 1) < 4 * error


@pytest.mark.parametrize("kind", KINDS)
def test_rows_whose_squares_overflow_have_responsibilities(kind):
    fitted = VariationalGaussianMixture(2, covariance_type=kind, random_state=0, tol=1.0).fit(iris)
    far = np.full((1, 4), 1e200)
    assert fitted.predict_proba(far).sum() == pytest.approx(1)
    assert fitted.score_samples(far)[0] < -1e3
    assert fitted.predict(far).shape == (1,)


# The estimator.


def test_a_warm_start_goes_on_where_the_fit_ended():
    settings = {"random_state": 0, "tol": 0.0}
    once = VariationalGaussianMixture(3, max_iter=8, **settings)
    twice = VariationalGaussianMixture(3, max_iter=4, warm_start=True, **settings)
    with pytest.warns(ConvergenceWarning, match="did not converge.*8 iterations gained"):
        once.fit(iris)
    for _ in range(2):
        with pytest.warns(ConvergenceWarning, match="did not converge.*4 iterations gained"):
            twice.fit(iris)
    close(twice.means_, once.means_, rtol=1e-12)
    close(twice.lower_bounds_, once.lower_bounds_[4:], rtol=1e-12)
    with pytest.raises(ValueError, match="n_components was 3 in the fit that this one continues"):
        twice.set_params(n_components=2).fit(iris)
    with pytest.raises(ValueError, match=r"covariance_type was 'full'.*warm_start=False"):
        twice.set_params(n_components=3, covariance_type="diag").fit(iris)
    assert twice.set_params(covariance_type="full", tol=1e9).fit(iris).n_iter_ == 1


def test_another_inference_leaves_nothing_of_the_first():
    estimator = VariationalGaussianMixture(2, random_state=0, tol=0.1).fit(iris)
    assert hasattr(estimator, "mean_precision_")
    estimator.set_params(inference="em").fit(iris)
    assert not hasattr(estimator, "mean_precision_")
    estimator.set_params(inference="variational")  # what is fitted is what is asked
    assert estimator.score(iris) == pytest.approx(estimator.lower_bound_, abs=0.1)


def test_tensors_stay_tensors():
    X = torch.from_numpy(iris).float()
    with config_context(array_api_dispatch=True):
        fitted = VariationalGaussianMixture(2, random_state=0, tol=0.1).fit(X)
        outputs = [fitted.predict_proba(X), fitted.score_samples(X), fitted.sample(3)[0]]
        assert all(isinstance(out, torch.Tensor) for out in outputs)
        assert all(out.dtype == torch.float32 for out in outputs)
        assert isinstance(fitted.weight_concentration_[0], torch.Tensor)
        again = VariationalGaussianMixture(
            2, random_state=0, tol=0.1, warm_start=True, max_iter=1, device="cpu"
        )
        again.fit(X).fit(X)
    single = VariationalGaussianMixture(2, random_state=0, tol=0.1).fit(iris.astype(np.float32))
    close(fitted.means_.numpy(), single.means_)
    double = VariationalGaussianMixture(2, random_state=0, tol=0.1).fit(iris)
    close(single.means_, double.means_, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_unit_will_do(kind, dtype):
    """Means and covariances in other units are those of the first, as far as numbers go."""
    X = blobs().astype(dtype)
    settings = {"covariance_type": kind, "random_state": 0, "tol": 0.1}
    one = VariationalGaussianMixture(3, reg_covar=1e-8, **settings).fit(X)
    for unit in (2.0**-60, 2.0**40):
        other = VariationalGaussianMixture(3, reg_covar=1e-8 * unit**2, **settings)
        other.fit(X * dtype(unit))
        close(other.means_ / unit, one.means_, rtol=1e-4, atol=1e-4)
        close(
            other.covariances_ / dtype(unit) / dtype(unit), one.covariances_, rtol=1e-3, atol=1e-3
        )
        np.testing.assert_array_equal(other.predict(X * dtype(unit)), one.predict(X))


def test_callbacks_see_iterations_and_may_stop():
    class Watcher:
        def __init__(self, stop_after=None):
            self.stop_after, self.scores = stop_after, []

        def setup(self, estimator, context): ...

        def teardown(self, estimator, context): ...

        def on_fit_task_begin(self, estimator, context): ...

        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            if context.task_name == "iteration":
                self.scores.append(fitted_estimator.score(iris))
            return len(self.scores) == self.stop_after

    settings = {"random_state": 0, "tol": 0.01}
    plain = VariationalGaussianMixture(3, **settings).fit(iris)
    watcher, stopper = Watcher(), Watcher(3)
    watched = VariationalGaussianMixture(3, **settings).set_callbacks(watcher).fit(iris)
    np.testing.assert_array_equal(watched.means_, plain.means_)
    assert len(watcher.scores) == plain.n_iter_
    assert watcher.scores[-1] == plain.score(iris)
    halted = VariationalGaussianMixture(3, **settings).set_callbacks(stopper).fit(iris)
    assert halted.n_iter_ == 3  # and no warning: it was asked for
    assert not halted.converged_


def test_verbose_shows_a_bar(capsys):
    VariationalGaussianMixture(2, random_state=0, verbose=1, tol=1.0).fit(iris)
    assert "VariationalGaussianMixture" in capsys.readouterr().err


def test_criteria_of_parameters_are_those_of_em_alone():
    fitted = VariationalGaussianMixture(2, random_state=0, tol=0.1).fit(iris)
    assert not hasattr(fitted, "bic")
    with pytest.raises(AttributeError) as caught:
        _ = fitted.aic
    assert "Compare lower_bound_" in str(caught.value.__cause__)
    assert not hasattr(fitted.set_params(inference="em"), "bic")  # what is fitted is a posterior
    assert hasattr(fitted.fit(iris), "bic")


def test_no_iterations_keep_the_start():
    fitted = VariationalGaussianMixture(2, max_iter=0, random_state=0).fit(iris)
    assert fitted.n_iter_ == 0
    assert fitted.lower_bounds_ == []
    assert fitted.lower_bound_ == -np.inf
    assert not fitted.converged_


# Bad input.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inference", ["variational", "em"])
def test_constant_features_and_repeated_rows_work(kind, inference):
    X = np.concatenate([blobs(40), np.full((40, 1), 7.0)], axis=1)
    settings = {"inference": inference, "covariance_type": kind, "random_state": 0, "tol": 0.1}
    fitted = VariationalGaussianMixture(3, **settings).fit(X)
    assert np.isfinite(fitted.score_samples(X)).all()
    same = VariationalGaussianMixture(2, **settings).fit(np.ones((5, 3)))
    close(same.means_ @ np.ones(3) / 3, 1)
    assert np.isfinite(same.score(np.ones((2, 3))))
    few = VariationalGaussianMixture(4, **settings).fit(np.repeat(np.eye(3), 2, axis=0))
    assert np.isfinite(few.score(np.eye(3)))


def test_one_row():
    x = np.array([[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"sum\(sample_weight\) - 1, which is 0 for 1 sample"):
        VariationalGaussianMixture().fit(x)
    prior = VariationalGaussianMixture(covariance_prior=np.eye(2), reg_covar=0).fit(x)
    close(prior.covariances_[0], np.eye(2) / 3)
    close(VariationalGaussianMixture(inference="em").fit(x).means_, x)
    twice = VariationalGaussianMixture().fit(x, sample_weight=[2.0])
    close(twice.means_, x)


@pytest.mark.parametrize(
    ("parameters", "X", "weights", "sentence"),
    [
        ({"n_components": 0}, iris, None, "The 'n_components' parameter .* must be an int"),
        ({"inference": "mcmc"}, iris, None, "The 'inference' parameter"),
        ({"n_components": 5}, iris[:3], None, "n_components = 5, n_samples = 3. Ask for fewer"),
        ({"n_components": 5}, iris[:9], [1, 1, 1] + [0] * 6, "n_components = 5, n_samples = 3"),
        ({}, iris[:9], np.zeros(9), "zero"),
        ({}, iris[:9], [-1] + [1] * 8, "[Nn]egative"),
        ({}, np.where(iris > 7, np.nan, iris), None, "Input X contains NaN"),
        ({}, iris * 1e200, None, "X is too widely spread for float64.*StandardScaler"),
        ({}, iris[:2], [0.3, 0.4], r"sum\(sample_weight\) - 1, which is -0.3"),
        ({"reg_covar": 0}, np.ones((5, 3)), None, "not positive definite.*Raise reg_covar"),
        (
            {"inference": "em", "reg_covar": 0, "n_components": 5},
            np.eye(5),
            None,
            "not positive definite.*Raise reg_covar",
        ),
        ({"mean_prior": [1, 2]}, iris, None, "mean_prior must be 4 finite numbers.*shape \\(2,\\)"),
        ({"covariance_prior": 1.0}, iris, None, r"covariance_prior must have the shape \(4, 4\)"),
        ({"covariance_prior": -np.eye(4)}, iris, None, "covariance_prior must be a covariance"),
        (
            {"covariance_prior": np.eye(4), "covariance_type": "diag"},
            iris,
            None,
            r"the shape \(4,\) for covariance_type='diag', got \(4, 4\)",
        ),
        ({"degrees_of_freedom_prior": 3.0}, iris, None, "must be greater than 3 .* got 3"),
        ({"weight_concentration_prior": 0.0}, iris, None, "'weight_concentration_prior' parameter"),
        ({"device": "no such"}, iris, None, "device='no such' cannot be used"),
    ],
)
def test_errors_teach_and_change_nothing(parameters, X, weights, sentence):
    estimator = VariationalGaussianMixture(2, random_state=0, tol=0.1).fit(iris)
    before = estimator.set_params(**parameters).__dict__.copy()
    with pytest.raises(ValueError, match=sentence):
        estimator.fit(X, sample_weight=weights)
    assert vars(estimator) == before


def test_drawing_no_rows_is_an_error():
    fitted = VariationalGaussianMixture(2, random_state=0, tol=0.1).fit(iris)
    with pytest.raises(ValueError, match="n_samples must be a whole number from 1, got 0"):
        fitted.sample(0)


def test_a_summary_is_that_of_numpy():
    rng = np.random.default_rng(0)
    data = prepared(iris, None, 1, torch.device("cpu"))
    r = torch.from_numpy(rng.dirichlet(np.ones(2), len(data.found.X)).T)[None].contiguous()
    found = summarise(data.rows, COVARIANCES["full"](4), r)
    for k in range(2):
        w = r[0, k].numpy() * data.found.weights
        close(found.means[0, k], np.average(data.found.X, axis=0, weights=w))
        cov = np.cov(data.found.X.T, aweights=w, ddof=0)
        close(found.scatter[0, k] / found.N[0, k], cov)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inference", ["variational", "em"])
def test_cuda_finds_the_same(kind, inference):
    settings = {"covariance_type": kind, "inference": inference, "n_init": 3, "random_state": 0}
    here = VariationalGaussianMixture(3, tol=0.1, **settings).fit(iris)
    there = VariationalGaussianMixture(3, tol=0.1, device="cuda", **settings).fit(iris)
    assert isinstance(there.means_, np.ndarray)
    for name in FITTED:
        close(getattr(there, name), getattr(here, name), rtol=1e-6, atol=1e-8)
    close(there.score_samples(iris), here.score_samples(iris), rtol=1e-6)
    close(there.predict_proba(iris), here.predict_proba(iris), rtol=1e-6, atol=1e-8)
    assert there.sample(3)[0].shape == (3, 4)
