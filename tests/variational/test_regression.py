"""Bayesian regression against the conjugate solution, and networks against their own bound."""

import copy
import pickle
import re
import warnings

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.model_selection import GridSearchCV

from skbasics import (
    LBFGS,
    SGD,
    Adam,
    TorchOptimizer,
    VariationalGaussianMixture,
    VariationalRegressor,
)
from skbasics._arrays import own_random_state
from skbasics._training import Batch
from skbasics.network import SquaredError, feed_forward
from skbasics.variational._conjugate import Statistics, linear_posterior
from skbasics.variational._weights import WeightPrior, WeightsObjective, unit_scales

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 4)) @ np.diag([1.0, 3.0, 0.1, 1.0]) + [0, 50, 0, 1]
X[:, 3] += X[:, 0]
Y = X @ [1.0, -0.5, 2.0, 0.0] + 7 + 0.8 * RNG.normal(size=60)
WEIGHTS = RNG.randint(0, 3, size=60).astype(float)


def conjugate(X, y, noise, prior):
    """Return mean and covariance of weights and intercept by the textbook's equations."""
    ones = np.c_[X, np.ones(len(X))]
    precision = ones.T @ ones / noise**2 + np.diag([prior**-2] * X.shape[1] + [0])
    covariance = np.linalg.inv(precision)
    return covariance @ ones.T @ y / noise**2, covariance


def log_evidence(X, y, noise, prior):
    """Return log p(y) with the intercept integrated out: a density of the contrasts of y."""
    n = len(y)
    contrasts = np.linalg.svd(np.eye(n) - 1 / n)[0][:, : n - 1]
    covariance = noise**2 * np.eye(n) + prior**2 * X @ X.T
    density = multivariate_normal(np.zeros(n - 1), contrasts.T @ covariance @ contrasts)
    return density.logpdf(contrasts.T @ y) - np.log(n) / 2


def test_the_conjugate_solution():
    model = VariationalRegressor(noise_scale=0.8, prior_scale=1.5).fit(X, Y)
    mean, covariance = conjugate(X, Y, 0.8, 1.5)
    np.testing.assert_allclose(model.coef_, mean[:-1], rtol=1e-8)
    assert model.intercept_ == pytest.approx(mean[-1], rel=1e-8)
    np.testing.assert_allclose(model.covariance_, covariance, rtol=1e-6)
    assert model.elbo_ == pytest.approx(log_evidence(X, Y, 0.8, 1.5), rel=1e-9)
    rows = RNG.normal(size=(5, 4))
    predicted, std = model.predict(rows, return_std=True)
    ones = np.c_[rows, np.ones(5)]
    np.testing.assert_allclose(predicted, ones @ mean, rtol=1e-8)
    variance = 0.8**2 + np.einsum("ij,jk,ik->i", ones, covariance, ones)
    np.testing.assert_allclose(std, np.sqrt(variance), rtol=1e-8)
    assert model.pareto_k_ == -np.inf


@pytest.mark.parametrize("given", [{}, {"noise_scale": 0.8}, {"prior_scale": 1.5}], ids=str)
def test_scales_are_where_the_evidence_is_highest(given):
    model = VariationalRegressor(**given).fit(X, Y)

    def minus_evidence(logs):
        noise, prior = np.exp(logs)
        return -log_evidence(X, Y, given.get("noise_scale", noise), given.get("prior_scale", prior))

    best = minimize(minus_evidence, [0, 0], method="Nelder-Mead", options={"xatol": 1e-7})
    assert model.elbo_ == pytest.approx(-best.fun, abs=1e-7)
    noise, prior = np.exp(best.x)
    assert model.noise_scale_ == pytest.approx(given.get("noise_scale", noise), rel=1e-3)
    assert model.prior_scale_ == pytest.approx(given.get("prior_scale", prior), rel=1e-3)
    assert (np.diff(model.elbo_curve_) >= 0).all()
    assert len(model.elbo_curve_) == model.n_iter_


def test_neighbours_in_scikit_learn():
    model = VariationalRegressor(noise_scale=2.0, prior_scale=0.5).fit(X, Y)
    np.testing.assert_allclose(model.coef_, Ridge(alpha=16.0).fit(X, Y).coef_, rtol=1e-8)
    X_d, y_d = load_diabetes(return_X_y=True)
    ours, theirs = VariationalRegressor().fit(X_d, y_d), BayesianRidge(tol=1e-10).fit(X_d, y_d)
    # theirs divides by n where the mean was fitted too
    np.testing.assert_allclose(ours.predict(X_d), theirs.predict(X_d), rtol=2e-2)
    assert ours.noise_scale_ == pytest.approx(theirs.alpha_**-0.5, rel=5e-3)


def test_mean_field_has_the_variances_of_the_precision():
    model = VariationalRegressor(inference="mean_field", noise_scale=0.8, prior_scale=1.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, Y)
    mean, covariance = conjugate(X, Y, 0.8, 1.5)
    centred = X - X.mean(0)
    expected = centred.T @ centred / 0.8**2 + np.eye(4) / 1.5**2
    np.testing.assert_allclose(model.covariance_.diagonal()[:4], 1 / expected.diagonal(), rtol=1e-8)
    np.testing.assert_allclose(model.coef_, mean[:-1], rtol=1e-8)
    assert (model.covariance_.diagonal()[:4] < covariance.diagonal()[:4]).all()
    gap = (np.log(expected.diagonal()).sum() - np.linalg.slogdet(expected)[1]) / 2
    assert model.elbo_ == pytest.approx(log_evidence(X, Y, 0.8, 1.5) - gap, rel=1e-9)


def test_a_mean_field_that_is_too_narrow_is_warned_of():
    rng = np.random.RandomState(0)
    x = rng.normal(size=(50, 1))
    twins = np.hstack([x + 0.05 * rng.normal(size=(50, 1)) for _ in range(6)])
    model = VariationalRegressor(inference="mean_field", random_state=0)
    with pytest.warns(UserWarning, match="mean_field.*does not cover") as caught:
        model.fit(twins, x[:, 0] + 0.1 * rng.normal(size=50))
    assert len(caught) == 1
    assert model.pareto_k_ > 0.7


@pytest.mark.parametrize("learned", [False, True])
def test_intervals_cover_what_they_say(learned):
    """3000 data sets of 40 rows as one stack, their weights drawn from the prior."""
    K, n, p = 3000, 40, 3
    generator = torch.Generator().manual_seed(0)
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    w, rows, new = 0.7 * normal(K, p, 1), normal(K, n, p) + 1, normal(K, 5, p)
    y = (rows @ w)[..., 0] + 2 + 1.3 * normal(K, n)
    given = {} if learned else {"noise_scale": 1.3, "prior_scale": 0.7}
    data = Statistics.of_rows(rows, y)
    found = linear_posterior(data, **given)
    off = new - data.x_mean[:, None]
    design = torch.cat([off, torch.ones(K, 5, 1, dtype=torch.float64)], 2)
    mean = (design @ found.mean[..., None])[..., 0]
    variance = (design @ found.scale).square().sum(2) + found.noise_scale[:, None].square()
    target = (new @ w)[..., 0] + 2 + 1.3 * normal(K, 5)
    z = (target - mean) / variance.sqrt()
    assert 0.93 < float((z.abs() < 1.96).double().mean()) < 0.97
    assert 0.78 < float((z.abs() < 1.2816).double().mean()) < 0.82
    if learned:  # a scale learned from three weights is a guess, and not an interval's own doubt
        return
    weights = (found.mean[:, :p] - w[..., 0]) / (found.scale[:, :p, :p].square().sum(2)).sqrt()
    assert 0.93 < float((weights.abs() < 1.96).double().mean()) < 0.97


def test_a_data_set_of_a_stack_is_the_estimators():
    stack = np.stack([X, X[::-1] * 2]), np.stack([Y, -Y])
    found = linear_posterior(Statistics.of_rows(*map(torch.from_numpy, stack)))
    for k in range(2):
        model = VariationalRegressor().fit(stack[0][k], stack[1][k])
        np.testing.assert_allclose(found.mean[k, :-1], model.coef_, rtol=1e-8)
        assert float(found.elbo[k]) == pytest.approx(model.elbo_, rel=1e-10)


@pytest.mark.parametrize("inference", ["full_rank", "mean_field"])
@pytest.mark.filterwarnings("ignore:The Gaussian")
def test_a_stream_is_one_fit(inference):
    whole = VariationalRegressor(inference=inference).fit(X, Y, WEIGHTS)
    stream = VariationalRegressor(inference=inference)
    for part in (slice(0, 30), slice(30, 31), slice(31, None)):
        stream.partial_fit(X[part], Y[part], WEIGHTS[part])
    for name in ("coef_", "intercept_", "noise_scale_", "prior_scale_", "elbo_", "covariance_"):
        np.testing.assert_allclose(getattr(stream, name), getattr(whole, name), rtol=1e-8)
    assert not np.allclose(stream.fit(X[:30], Y[:30]).coef_, whole.coef_)


def test_a_posterior_is_the_next_prior():
    """With given scales two halves are Bayes' rule twice, written out."""
    first = VariationalRegressor(noise_scale=0.8, prior_scale=1.5).fit(X[:30], Y[:30])
    P = np.linalg.inv(first.covariance_)
    ones = np.c_[X[30:], np.ones(30)]
    both = P + ones.T @ ones / 0.8**2
    start = P @ np.append(first.coef_, first.intercept_)
    mean = np.linalg.solve(both, start + ones.T @ Y[30:] / 0.8**2)
    first.partial_fit(X[30:], Y[30:])
    np.testing.assert_allclose(np.append(first.coef_, first.intercept_), mean, rtol=1e-6)


MODELS = [VariationalRegressor(), VariationalRegressor((5,), max_iter=30, random_state=0)]


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.filterwarnings("ignore:batch_size")
def test_the_weight_law(model):
    def predicted(*data):
        return clone(model).fit(*data).predict(X)

    np.testing.assert_array_equal(predicted(X, Y, np.ones(60)), predicted(X, Y))
    counted = WEIGHTS > 0
    some = np.where(counted, 1.0, 0.0)
    np.testing.assert_array_equal(predicted(X, Y, some), predicted(X[counted], Y[counted]))
    twice = np.repeat(np.arange(60), WEIGHTS.astype(int))
    np.testing.assert_allclose(predicted(X, Y, WEIGHTS), predicted(X[twice], Y[twice]), rtol=1e-7)


def test_draws_have_the_posteriors_moments():
    model = VariationalRegressor().fit(X, Y)
    draws = model.sample_posterior(40000, random_state=0)
    assert draws.shape == (40000, 5)
    deviations = np.sqrt(model.covariance_.diagonal())
    mean = np.append(model.coef_, model.intercept_)
    np.testing.assert_allclose((draws.mean(0) - mean) / deviations, 0, atol=0.03)
    correlations = model.covariance_ / np.outer(deviations, deviations)
    np.testing.assert_allclose(np.corrcoef(draws.T), correlations, atol=0.02)
    np.testing.assert_allclose(np.cov(draws.T).diagonal(), deviations**2, rtol=0.03)
    np.testing.assert_array_equal(draws, model.sample_posterior(40000, random_state=0))


# Networks.


def wave(n):
    x = np.random.RandomState(1).uniform(-2, 2, size=(n, 1))
    return x, 100 * np.sin(2 * x[:, 0]) + 500 + 10 * np.random.RandomState(2).normal(size=n)


def test_a_network_learns_a_curve_and_its_noise():
    x, y = wave(300)
    model = VariationalRegressor((30,), "tanh", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    assert model.score(x, y) > 0.96
    assert 8 < model.noise_scale_ < 16
    mean, std = model.predict(x, return_std=True)
    assert 0.9 < np.mean(np.abs(y - mean) < 1.96 * std) < 0.995
    assert (std > model.noise_scale_).all()
    assert len(model.elbo_curve_) == model.n_iter_
    assert [c.shape for c in model.coefs_] == [(1, 30), (30, 1)]
    assert [c.shape for c in model.intercepts_] == [(30,), (1,)]


def test_a_networks_draws_are_networks_in_the_units_of_y():
    x, y = wave(80)
    model = VariationalRegressor((4,), "tanh", random_state=0, max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    theta = torch.from_numpy(model.sample_posterior(4000, random_state=0))
    network = feed_forward(1, (4,), 1, activation="tanh")
    block = torch.from_numpy(x[:5]).expand(4000, -1, -1)
    outputs = network.apply(theta, theta.new_zeros(4000, 0), block)[..., 0].numpy()
    mean, std = model.predict(x[:5], return_std=True)
    spread = np.sqrt(outputs.var(0) + model.noise_scale_**2)
    np.testing.assert_allclose(mean, outputs.mean(0), atol=0.2 * std.max())
    np.testing.assert_allclose(std, spread, rtol=0.1)


def objective(n_samples, learn_noise=True, n=40.0):
    network = feed_forward(3, (4,), 1, activation="tanh")
    generator = own_random_state(0)
    start = torch.from_numpy(generator.normal(size=network.n_parameters))
    scale = torch.from_numpy(generator.uniform(0.05, 0.5, size=network.n_parameters))
    prior = WeightPrior(torch.full_like(start, 0.1), unit_scales(network, start), True)
    made = WeightsObjective(
        network,
        SquaredError(),
        prior,
        start,
        scale,
        noise_scale=0.7,
        learn_noise=learn_noise,
        n=n,
        n_samples=n_samples,
    )
    made.n_steps = 10 * made.warm_up
    made.seed_epoch([generator])
    return network, made


def rows(n, weighted=False):
    generator = np.random.RandomState(3)
    draw = lambda *shape: torch.from_numpy(generator.normal(size=(1, *shape)))  # noqa: E731
    weights = draw(n, 1).abs() if weighted else None
    return Batch(draw(n, 3), draw(n, 1), weights, weights.sum(1) if weighted else float(n))


@pytest.mark.parametrize("weighted", [False, True])
def test_a_networks_bound_and_gradient_are_those_of_autograd(weighted):
    network, made = objective(6)
    batch, theta = rows(10, weighted), made.theta.clone().requires_grad_()
    loss = made.gradient(batch)
    noise = (made.networks.theta - made.mean) / made.scale
    P = network.n_parameters
    mean, scale, noise_scale, tau = theta[0, :P], theta[0, P : 2 * P].exp(), theta[0, -2].exp(), 1
    tau = theta[0, -1].exp()
    draws = mean + scale * noise
    Z = network.apply(draws, draws.new_zeros(6, 0), batch.X.expand(6, -1, -1))
    rows_ = -torch.distributions.Normal(Z, noise_scale).log_prob(batch.y.expand(6, -1, -1))
    shares = 1 / 10 if batch.weights is None else batch.weights / batch.weights.sum()
    q, prior = (
        torch.distributions.Normal(mean, scale),
        torch.distributions.Normal(made.prior.mean, tau * made.prior.scale),
    )
    divergence = torch.distributions.kl_divergence(q, prior).sum()
    expected = (rows_ * shares).sum((1, 2)).mean() + divergence / made.n
    (gradient,) = torch.autograd.grad(expected, theta)
    torch.testing.assert_close(loss[0], expected.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(made.theta_gradient, gradient, rtol=1e-10, atol=1e-10)


def test_batches_are_unbiased():
    """With the same draws the mean gradient of equal batches is that of all rows."""
    whole, parts = rows(40), []
    _, made = objective(4)
    made.gradient(whole)
    expected = made.theta_gradient.clone()
    for i in range(0, 40, 10):
        _, made = objective(4)
        part = slice(i, i + 10)
        made.gradient(Batch(whole.X[:, part], whole.y[:, part], None, 10.0))
        parts.append(made.theta_gradient.clone())
    torch.testing.assert_close(torch.stack(parts).mean(0), expected, rtol=1e-10, atol=1e-10)


def test_a_network_streams():
    x, y = wave(200)
    model = VariationalRegressor((10,), "tanh", random_state=0, max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.partial_fit(x[:150], y[:150])
        before, noise = model._scale.copy(), model.noise_scale_
        model.partial_fit(x[150:], y[150:])
    assert model.score(x, y) > 0.9
    assert model.noise_scale_ == noise
    assert np.median(model._scale / before) < 1  # more rows, less doubt
    with pytest.raises(ValueError, match=r"hidden_layer_sizes was \(10,\).* is now \(5,\)"):
        model.set_params(hidden_layer_sizes=(5,)).partial_fit(x, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "optimizer", ["sgd", "rmsprop", Adam(0.01), TorchOptimizer(torch.optim.NAdam)]
)
def test_optimizers_train_networks(optimizer):
    model = VariationalRegressor((3,), optimizer=optimizer, max_iter=3, random_state=0)
    assert np.isfinite(model.fit(X, Y).elbo_)


# The contract.


def test_float32_and_float64_agree():
    single = VariationalRegressor().fit(X.astype("float32"), Y)
    assert single.coef_.dtype == np.float32
    assert all(array.dtype == np.float32 for array in single.predict(X.astype("float32"), True))
    np.testing.assert_allclose(single.coef_, VariationalRegressor().fit(X, Y).coef_, rtol=1e-3)


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_pickles_copies_and_callbacks(model):
    fitted = clone(model).fit(X, Y)
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(other.predict(X), fitted.predict(X))
    watched = clone(model)
    watched.set_callbacks(ProgressBar()).fit(X, Y)
    np.testing.assert_array_equal(watched.predict(X), fitted.predict(X))
    search = GridSearchCV(clone(model), {"prior_scale": [0.1, 1.0]}, cv=2).fit(X, Y)
    np.testing.assert_array_equal(copy.deepcopy(search).predict(X), search.predict(X))


def test_linear_attributes_are_for_linear_models():
    model = MODELS[1]
    with pytest.raises(AttributeError, match=r"no attribute 'coef_'.*coefs_"):
        _ = model.coef_
    assert not hasattr(VariationalRegressor(inference="nuts"), "partial_fit")
    assert hasattr(VariationalRegressor(), "partial_fit")


BAD = {
    "The 'prior_scale' parameter": {"prior_scale": 0.0},
    "The 'noise_scale' parameter": {"noise_scale": -1},
    "The 'inference' parameter": {"inference": "vi"},
    "hidden_layer_sizes must be whole numbers > 0": {"hidden_layer_sizes": (3, 0)},
    "inference='full_rank' is for linear models": {
        "hidden_layer_sizes": 3,
        "inference": "full_rank",
    },
    "LBFGS evaluates a batch more than once": {"hidden_layer_sizes": 3, "optimizer": LBFGS()},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_parameters_leave_the_estimator_as_it_was(message):
    model = VariationalRegressor().fit(X, Y)
    before = model.predict(X)
    model.set_params(**BAD[message])
    with pytest.raises(ValueError, match=message):
        model.fit(X[:30], Y[:30])
    model.set_params(**VariationalRegressor().get_params())
    np.testing.assert_array_equal(model.predict(X), before)


def test_bad_data():
    with pytest.raises(ValueError, match=re.escape("got n_samples = 1 of total weight 1")):
        VariationalRegressor().fit(X[:1], Y[:1])
    one = VariationalRegressor(noise_scale=1.0, prior_scale=1.0).fit(X[:1], Y[:1])
    assert one.predict(X[:1]) == pytest.approx(Y[:1])
    with pytest.raises(ValueError, match=r"y has 2 columns.*MultiOutputRegressor"):
        VariationalRegressor().fit(X, np.c_[Y, Y])
    with pytest.raises(ValueError, match=r"training diverged\. Take a lower learning rate"):
        VariationalRegressor((3,), optimizer=SGD(1e9), random_state=0).fit(X, Y)


def test_degenerate_data():
    constant = VariationalRegressor().fit(X, np.full(60, 3.0))
    np.testing.assert_allclose(constant.predict(X), 3.0)
    flat = VariationalRegressor().fit(np.ones((60, 2)), Y)
    np.testing.assert_allclose(flat.predict(np.ones((2, 2))), Y.mean())
    exact = VariationalRegressor().fit(X, X @ [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(exact.coef_, [1, 2, 3, 4], rtol=1e-4)


@pytest.mark.parametrize("unit", [1e-30, 1e25])
def test_deviations_of_float32_in_any_unit(unit):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2)).astype(np.float32)
    y = X[:, 0] + 0.1 * rng.normal(size=100)
    _, expected = VariationalRegressor().fit(X, y).predict(X, return_std=True)
    y = (y * unit).astype(np.float32)
    _, deviation = VariationalRegressor().fit(X, y).predict(X, return_std=True)
    np.testing.assert_allclose(deviation / unit, expected, rtol=1e-3)


def test_weights_that_float32_cannot_hold():
    X = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    for weight in (1e-60, 1e60):
        for model in (VariationalRegressor(3, max_iter=2), VariationalGaussianMixture(2)):
            with pytest.raises(ValueError, match="which cannot hold such weights"):
                model.fit(X, X[:, 0], sample_weight=np.full(30, weight))


def test_a_networks_stream_keeps_its_prior_scale_and_checks_its_draws():
    X = np.random.default_rng(0).normal(size=(60, 2))
    model = VariationalRegressor(3, prior_scale=1.5, max_iter=5, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.partial_fit(X, X[:, 0]).partial_fit(X, X[:, 0])
    assert model.prior_scale_ == 1.5
    with pytest.raises(ValueError, match="n must be a whole number of draws >= 1, got -1"):
        model.sample_posterior(-1)
