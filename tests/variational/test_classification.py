"""Bayesian classification against grids, another optimiser and simulated truth."""

import copy
import pickle
import re
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.integrate import quad
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale

from skbasics import VariationalClassifier, fit_variational
from skbasics.variational._logistic import expected_probabilities, logit_moments

pytestmark = pytest.mark.filterwarnings("ignore:The Gaussian .* does not cover")

RNG = np.random.RandomState(0)
X = RNG.normal([0, 20], size=(80, 2))
Y = (X @ [1.5, -1.0] + 20 + RNG.logistic(size=80) > 0).astype(int)
WEIGHTS = RNG.randint(0, 3, size=80).astype(float)
IRIS, KINDS = load_iris(return_X_y=True)
IRIS = scale(IRIS)


def log_joint(X, y, prior_scale=1.0):
    """Return the model's log joint density, of weights and then heights at the mean of X."""
    X, n_classes = torch.from_numpy(X - X.mean(0)), len(np.unique(y))
    C, p = (1, X.shape[1]) if n_classes == 2 else (n_classes, X.shape[1])
    y = torch.from_numpy(y)

    def density(theta):
        W, b = theta[:, : C * p].view(-1, C, p), theta[:, C * p :]
        logits = torch.einsum("np,scp->snc", X, W) + b[:, None]
        if C == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], 2)
        fit = logits.log_softmax(2).gather(2, y.expand(len(W), -1)[..., None]).sum((1, 2))
        prior = torch.distributions.Normal(0.0, prior_scale).log_prob(theta[:, : C * p]).sum(1)
        return fit + prior + torch.distributions.Normal(0.0, 10.0).log_prob(b).sum(1)

    return density


def moments(model):
    """Return means and deviations of weights and heights."""
    scales = model._scale
    return model._mean, scales if scales.ndim == 1 else np.sqrt((scales**2).sum(1))


@pytest.mark.parametrize("inference", ["full_rank", "mean_field"])
@pytest.mark.parametrize("case", ["two", "three"])
@pytest.mark.filterwarnings("ignore:The Gaussian")
def test_another_optimiser_finds_the_same(inference, case):
    """Natural gradients and quadrature against L-BFGS on a set of draws."""
    data = (X, Y) if case == "two" else (IRIS, KINDS)
    model = VariationalClassifier(inference=inference, tol=1e-8).fit(*data)
    n_parameters = len(model._mean)
    other = fit_variational(
        log_joint(*data),
        n_parameters,
        family=inference,
        optimizer="lbfgs",
        n_samples=1024,
        random_state=0,
    )
    mean, deviation = moments(model)
    np.testing.assert_allclose((mean - other.mean) / deviation, 0, atol=0.05)
    ratios = np.sqrt(other.covariance.diagonal()) / deviation
    np.testing.assert_allclose(ratios, 1, rtol=0.05)
    assert model.elbo_ == pytest.approx(other.elbo, abs=0.05 + 4 * other.elbo_standard_error)


def test_a_grid_knows_the_posterior():
    """One feature: two parameters can be integrated."""
    x = X[:40, :1]
    grid = np.stack(np.meshgrid(np.linspace(-2, 6, 241), np.linspace(-4, 4, 241)), -1)
    log_p = log_joint(x, Y[:40])(torch.from_numpy(grid.reshape(-1, 2))).numpy()
    cell = (8 / 240) ** 2
    log_evidence = np.log(np.exp(log_p - log_p.max()).sum() * cell) + log_p.max()
    p = np.exp(log_p - log_evidence) * cell
    exact = p @ grid.reshape(-1, 2)
    exact_deviation = np.sqrt(p @ (grid.reshape(-1, 2) - exact) ** 2)
    model = VariationalClassifier(tol=1e-10).fit(x, Y[:40])
    mean, deviation = moments(model)
    np.testing.assert_allclose((mean - exact) / exact_deviation, 0, atol=0.05)
    np.testing.assert_allclose(deviation / exact_deviation, 1, rtol=0.05)
    assert log_evidence - 0.05 < model.elbo_ < log_evidence
    rows = np.array([[-1.0], [0.3], [5.0]])
    logits = (rows - x.mean()) * grid[..., 0].reshape(1, -1) + grid[..., 1].reshape(1, -1)
    np.testing.assert_allclose(model.predict_proba(rows)[:, 1], expit(logits) @ p, atol=0.01)


@pytest.mark.parametrize("inference", ["full_rank", "mean_field"])
@pytest.mark.filterwarnings("ignore:The Gaussian")
def test_the_best_gaussian_solves_its_equations(inference):
    """The mean gradient is zero and the precision is the expected curvature, by another rule."""
    model = VariationalClassifier(inference=inference, tol=1e-12).fit(X, Y)
    centred = np.c_[X - X.mean(0), np.ones(80)]
    scales = model._scale
    root = np.diag(scales) if scales.ndim == 1 else scales
    mu, sd = centred @ model._mean, np.linalg.norm(centred @ root, axis=1)

    def expected(function, m, s):
        density = lambda z: function(m + s * z) * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)  # noqa: E731
        return quad(density, -12, 12)[0]

    P = np.array([expected(expit, m, s) for m, s in zip(mu, sd, strict=True)])
    curve = lambda a: expit(a) * expit(-a)  # noqa: E731
    H = np.array([expected(curve, m, s) for m, s in zip(mu, sd, strict=True)])
    prior = np.array([1.0, 1.0, 0.01])
    np.testing.assert_allclose(centred.T @ (Y - P) - prior * model._mean, 0, atol=1e-4)
    precision = np.diag(prior) + (centred.T * H) @ centred
    if inference == "mean_field":
        np.testing.assert_allclose(scales**-2, precision.diagonal(), rtol=1e-4)
    else:
        np.testing.assert_allclose(np.linalg.inv(root @ root.T), precision, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prior_scale", [1.0, "learned"])
@pytest.mark.parametrize("inference", ["full_rank", "mean_field"])
@pytest.mark.filterwarnings("ignore:The Gaussian")
def test_the_bound_never_falls(inference, prior_scale):
    cancer, malign = load_breast_cancer(return_X_y=True)
    for data in ((IRIS, KINDS), (scale(cancer), malign), (X, Y)):
        model = VariationalClassifier(inference=inference, prior_scale=prior_scale)
        model.fit(*data)
        assert (np.diff(model.elbo_curve_) >= -1e-9 * abs(model.elbo_)).all()
        assert model.elbo_ == model.elbo_curve_[-1]


def test_a_learned_prior_scale_has_the_highest_bound():
    model = VariationalClassifier(prior_scale="learned", tol=1e-10).fit(X, Y)
    for factor in (0.9, 1.1):
        other = VariationalClassifier(prior_scale=factor * model.prior_scale_, tol=1e-10)
        assert other.fit(X, Y).elbo_ < model.elbo_ - 1e-4


@pytest.mark.parametrize("case", ["two", "three"])
def test_probabilities_are_averages_over_draws(case):
    data = (X, Y) if case == "two" else (IRIS, KINDS)
    model = VariationalClassifier().fit(*data)
    draws = model.sample_posterior(20000, random_state=0)
    width = 1 if case == "two" else 3
    W, b = draws[:, :-width].reshape(20000, width, -1), draws[:, -width:]
    logits = torch.from_numpy(np.einsum("np,scp->snc", data[0][::7], W) + b[:, None])
    if width == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], 2)
    P = logits.softmax(2).mean(0).numpy()
    np.testing.assert_allclose(model.predict_proba(data[0][::7]), P, atol=0.02)
    deviations = np.sqrt(model.covariance_.diagonal())
    known = np.append(model.coef_.ravel(), model.intercept_)
    np.testing.assert_allclose((draws.mean(0) - known) / deviations, 0, atol=0.05)
    np.testing.assert_allclose(draws.std(0) / deviations, 1, rtol=0.05)


def test_logits_have_the_moments_of_the_parameters():
    rows, generator = torch.from_numpy(IRIS[:4]), np.random.RandomState(0)
    mean, root = (torch.from_numpy(generator.normal(size=s)) for s in ((15,), (15, 15)))
    means, roots = logit_moments(rows, mean, root)
    design = torch.cat([torch.kron(torch.eye(3), rows[:1]).double(), torch.eye(3).double()], 1)
    torch.testing.assert_close(means[0], design @ mean)
    torch.testing.assert_close(roots[0] @ roots[0].mT, design @ root @ root.mT @ design.mT)
    diagonal = logit_moments(rows, mean, root[0].abs())[1]
    full = logit_moments(rows, mean, root[0].abs().diag())[1]
    torch.testing.assert_close(diagonal, full)
    certain = expected_probabilities(rows, mean, torch.full_like(mean, 1e-9))
    torch.testing.assert_close(certain, F.softmax(means, 1))


@pytest.mark.filterwarnings("ignore:The Gaussian")
def test_probabilities_are_calibrated():
    """Parameters drawn from the prior: of rows said to be p, a share p are ones."""
    generator, said, true = np.random.RandomState(0), [], []
    for _ in range(150):
        w, rows = generator.normal(size=3) * [1, 1, 3], generator.normal(size=(45, 2))
        y = (rows @ w[:2] + w[2] + generator.logistic(size=45) > 0).astype(int)
        if y[:15].min() < y[:15].max():
            model = VariationalClassifier().fit(rows[:15], y[:15])
            said.append(model.predict_proba(rows[15:])[:, 1])
            true.append(y[15:])
    said, true = np.concatenate(said), np.concatenate(true)
    for low, high in ((0.02, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 0.98)):
        inside = (said > low) & (said < high)
        assert said[inside].mean() == pytest.approx(true[inside].mean(), abs=0.06)


@pytest.mark.filterwarnings("ignore:The Gaussian")
def test_a_posterior_is_the_next_prior():
    """The second step by another optimiser, from the first one's Gaussian."""
    model = VariationalClassifier(tol=1e-10).partial_fit(X[:40], Y[:40], classes=[0, 1])
    q = torch.distributions.MultivariateNormal(
        torch.from_numpy(model._mean), torch.from_numpy(model._scale @ model._scale.T)
    )
    rows, y = torch.from_numpy(X[40:] - model._center), torch.from_numpy(Y[40:]).double()

    def density(theta):
        logits = theta[:, :2] @ rows.T + theta[:, 2:]
        return q.log_prob(theta) + (y * logits - F.softplus(logits)).sum(1)

    other = fit_variational(density, 3, family="full_rank", optimizer="lbfgs", n_samples=512)
    model.partial_fit(X[40:], Y[40:])
    mean, deviation = moments(model)
    np.testing.assert_allclose((mean - other.mean) / deviation, 0, atol=0.02)
    whole = VariationalClassifier(tol=1e-10).fit(X, Y)
    np.testing.assert_allclose((model.coef_ - whole.coef_) / deviation[:2], 0, atol=0.2)


MODELS = [
    VariationalClassifier(),
    VariationalClassifier(inference="mean_field", prior_scale="learned"),
    VariationalClassifier((5,), max_iter=30, random_state=0),
]
quiet = pytest.mark.filterwarnings(
    "ignore:The Gaussian", "ignore::sklearn.exceptions.ConvergenceWarning"
)


@quiet
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_the_weight_law(model):
    def said(*data):
        return clone(model).fit(*data).predict_proba(X)

    np.testing.assert_array_equal(said(X, Y, np.ones(80)), said(X, Y))
    counted = WEIGHTS > 0
    zeros = np.where(counted, 1.0, 0.0)
    np.testing.assert_array_equal(said(X, Y, zeros), said(X[counted], Y[counted]))
    twice = np.repeat(np.arange(80), WEIGHTS.astype(int))
    np.testing.assert_allclose(said(X, Y, WEIGHTS), said(X[twice], Y[twice]), rtol=1e-7)


@quiet
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_words_tensors_pickles_and_callbacks(model):
    words = np.array(["setosa", "versicolor", "virginica"])[KINDS]
    fitted = clone(model).set_params(random_state=0).fit(IRIS, words)
    assert fitted.score(IRIS, words) > 0.6
    assert set(fitted.predict(IRIS)) <= set(words)
    P = fitted.predict_proba(IRIS)
    np.testing.assert_allclose(P.sum(1), 1)
    np.testing.assert_array_equal(fitted.predict(IRIS), fitted.classes_[P.argmax(1)])
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(other.predict_proba(IRIS), P)
    watched = clone(model).set_params(random_state=0)
    watched.set_callbacks(ProgressBar()).fit(IRIS, words)
    np.testing.assert_array_equal(watched.predict_proba(IRIS), P)
    with config_context(array_api_dispatch=True):
        tensors = clone(fitted).fit(torch.from_numpy(IRIS), torch.from_numpy(KINDS))
        assert isinstance(tensors.predict(torch.from_numpy(IRIS)), torch.Tensor)
        np.testing.assert_allclose(tensors.predict_proba(torch.from_numpy(IRIS)), P, atol=1e-6)


@quiet
def test_a_network_learns_what_a_line_cannot():
    rows = np.random.RandomState(0).uniform(-1, 1, size=(300, 2))
    crossed = (rows[:, 0] * rows[:, 1] > 0).astype(int)
    network = VariationalClassifier((20,), "tanh", random_state=0).fit(rows, crossed)
    assert network.score(rows, crossed) > 0.93
    assert VariationalClassifier().fit(rows, crossed).score(rows, crossed) < 0.7
    search = GridSearchCV(clone(network).set_params(max_iter=20), {"n_samples": [1, 2]}, cv=2)
    assert search.fit(rows, crossed).best_score_ > 0.3


# Bad input.


def test_one_class_and_unknown_classes():
    message = re.escape("needs rows of two classes or more, got one class: [1]")
    with pytest.raises(ValueError, match=message):
        VariationalClassifier().fit(X, np.ones(80, dtype=int))
    with pytest.raises(ValueError, match=message):
        VariationalClassifier().fit(X, Y, sample_weight=(Y == 1).astype(float))
    with pytest.raises(ValueError, match="first call of partial_fit must be given classes"):
        VariationalClassifier().partial_fit(X, Y)
    model = VariationalClassifier().partial_fit(X[Y == 1], Y[Y == 1], classes=[0, 1])
    assert model.predict_proba(X)[:, 1].mean() > 0.5
    with pytest.raises(ValueError, match=r"y contains \[2\], not among the classes \[0 1\]"):
        model.partial_fit(X[:2], [0, 2])
    with pytest.raises(ValueError, match="are not those of the first call"):
        model.partial_fit(X, Y, classes=[0, 1, 2])


@pytest.mark.parametrize(
    "bad", [{"prior_scale": 0}, {"prior_scale": -1.0}, {"n_draws": 1}, {"tol": -1}], ids=str
)
def test_bad_parameters(bad):
    with pytest.raises(ValueError, match=f"The '{next(iter(bad))}' parameter of Variational"):
        VariationalClassifier(**bad).fit(X, Y)


@pytest.mark.filterwarnings("ignore:The Gaussian .* does not cover")
def test_a_search_that_is_cut_short_is_warned_of():
    with pytest.warns(ConvergenceWarning, match=r"rising after max_iter=1 iterations, by .* nats"):
        VariationalClassifier(max_iter=1, random_state=0).fit(X, Y)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_a_learned_prior_does_not_mind_units(unit):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    y = np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=300) > 0
    model = VariationalClassifier(prior_scale="learned", tol=1e-8).fit(X * unit, y)
    reference = VariationalClassifier(prior_scale="learned", tol=1e-8).fit(X, y)
    np.testing.assert_allclose(model.elbo_, reference.elbo_, rtol=1e-6)
    np.testing.assert_allclose(model.prior_scale_ * unit, reference.prior_scale_, rtol=1e-3)


def test_features_that_no_prior_tells_apart():
    X = np.random.default_rng(0).normal(size=(100, 2))
    with pytest.raises(ValueError, match="singular to rounding: some features are"):
        VariationalClassifier(prior_scale=1e10).fit(np.c_[X, X], X[:, 0] > 0)


def test_an_activation_belongs_to_the_fit():
    X = np.random.default_rng(0).normal(size=(60, 3))
    model = VariationalClassifier(5, random_state=0, max_iter=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = model.fit(X, X[:, 0] > 0).predict_proba(X)
        np.testing.assert_array_equal(model.set_params(activation="tanh").predict_proba(X), before)
    with pytest.raises(ValueError, match=r"activation was 'relu' in the fit .* is now 'tanh'"):
        model.partial_fit(X, X[:, 0] > 0)


def test_log_probabilities_are_never_minus_infinity():
    X = np.array([[-1.0], [1.0]] * 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # separable classes have a posterior like no Gaussian
        model = VariationalClassifier(prior_scale=1e3).fit(X, X[:, 0] > 0)
    logs = model.predict_log_proba(X * 1e6)
    assert np.isfinite(logs).all()
    inside = model.predict_proba(X)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(inside))
