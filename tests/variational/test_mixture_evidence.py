"""The lower bound of a mixture, against evidences that can be had exactly."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln, logsumexp

from skbasics import VariationalGaussianMixture

KINDS = ["full", "tied", "diag", "spherical"]
WEIGHTS = ["dirichlet_process", "dirichlet_distribution"]
D = 2
PRIOR = {
    "mean_precision_prior": 0.7,
    "mean_prior": [0.3, -0.2],
    "degrees_of_freedom_prior": 3.5,
    "weight_concentration_prior": 0.8,
    "reg_covar": 0.0,
}
C_0 = {
    "full": np.array([[2.0, 0.5], [0.5, 1.0]]),
    "tied": np.array([[2.0, 0.5], [0.5, 1.0]]),
    "diag": np.array([2.0, 1.0]),
    "spherical": 1.5,
}


def mixture(kind, n_components=1, **more):
    settings = {"tol": 1e-12, "max_iter": 3000, "random_state": 0, **PRIOR, **more}
    return VariationalGaussianMixture(
        n_components, covariance_type=kind, covariance_prior=C_0[kind], **settings
    )


def predictive(kind, X):
    """Return the log density of the last row of X given those before it, under the prior.

    By the normal-Wishart conjugacy of a textbook's single Gaussian, with scipy's Student
    densities.
    """
    beta_0, m_0, nu_0 = PRIOR["mean_precision_prior"], PRIOR["mean_prior"], 3.5
    past, x = X[:-1], X[-1]
    n = len(past)
    beta, nu = beta_0 + n, nu_0 + n
    mean = past.mean(0) if n else np.zeros(D)
    m = (beta_0 * np.array(m_0) + n * mean) / beta
    delta = mean - m_0
    S = (past - mean).T @ (past - mean) + beta_0 * n / beta * np.outer(delta, delta)
    widen = 1 + 1 / beta
    if kind in ("full", "tied"):
        df = nu + 1 - D
        shape = (C_0[kind] + S) * widen / df
        return stats.multivariate_t(m, shape, df).logpdf(x)
    if kind == "diag":
        scale = np.sqrt((C_0[kind] + np.diag(S)) / nu * widen)
        return stats.t(nu, m, scale).logpdf(x).sum()
    scale = (C_0[kind] + np.trace(S) / D) / nu * widen
    return stats.multivariate_t(m, scale * np.eye(D), D * nu).logpdf(x)


def log_evidence(kind, X):
    """Return the log evidence of rows that come from one Gaussian."""
    return sum(predictive(kind, X[: i + 1]) for i in range(len(X)))


def few_rows(n, spread=1.0):
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, D)) + spread * np.array([1, -1]) * (np.arange(n) % 2)[:, None]


@pytest.mark.parametrize("kind", KINDS)
def test_one_component_has_the_exact_evidence(kind):
    X = few_rows(9)
    found = mixture(kind, weight_concentration_prior_type="dirichlet_distribution").fit(X)
    exact = log_evidence(kind, X)
    assert found.lower_bound_ == pytest.approx(exact, rel=1e-12)
    process = mixture(kind).fit(X)  # all rows at one table of the restaurant
    a = PRIOR["weight_concentration_prior"]
    together = math.log(a) + gammaln(a) + gammaln(9) - gammaln(9 + a)
    one_stick = math.log(a) + gammaln(a) + gammaln(10) - gammaln(10 + a)
    assert one_stick < together  # the first stick, and not just any
    assert process.lower_bound_ == pytest.approx(exact + one_stick, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_score_is_the_gain_of_evidence(kind):
    """log p(x | X) = log p(X, x) - log p(X), exact for one component."""
    X = few_rows(9)
    settings = {"weight_concentration_prior_type": "dirichlet_distribution"}
    before = mixture(kind, **settings).fit(X[:-1])
    after = mixture(kind, **settings).fit(X)
    gain = after.lower_bound_ - before.lower_bound_
    assert before.score_samples(X[-1:])[0] == pytest.approx(gain, rel=1e-10)
    assert before.score_samples(X[-1:])[0] == pytest.approx(predictive(kind, X), rel=1e-12)


def log_weight(counts, a, n_components):
    """Return the log probability of labels with these counts, under a Dirichlet distribution."""
    n = sum(counts)
    return (
        gammaln(n_components * a)
        - gammaln(n_components * a + n)
        + sum(gammaln(a + c) - gammaln(a) for c in counts)
    )


def exact_two_components(kind, X):
    """Return the log evidence, by the sum over all assignments of rows to two components."""
    a, terms = PRIOR["weight_concentration_prior"], []
    for labels in itertools.product([0, 1], repeat=len(X)):
        labels = np.array(labels)
        counts = [int((labels == k).sum()) for k in (0, 1)]
        rows = sum(log_evidence(kind, X[labels == k]) for k in (0, 1))
        terms.append(log_weight(counts, a, 2) + rows)
    return logsumexp(terms)


def partitions(items):
    """Yield all partitions of a list into blocks."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for smaller in partitions(rest):
        yield [[first], *smaller]
        for i, block in enumerate(smaller):
            yield [*smaller[:i], [first, *block], *smaller[i + 1 :]]


def exact_process(kind, X):
    """Return the log evidence of a Dirichlet process mixture, by the sum over partitions."""
    a, n = PRIOR["weight_concentration_prior"], len(X)
    terms = []
    for blocks in partitions(list(range(n))):
        prior = len(blocks) * math.log(a) + gammaln(a) - gammaln(a + n)
        prior += sum(gammaln(len(block)) for block in blocks)
        terms.append(prior + sum(log_evidence(kind, X[block]) for block in blocks))
    return logsumexp(terms)


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_the_bound_is_below_the_exact_evidence(kind, spread):
    X = few_rows(6, spread)
    exact = exact_two_components(kind, X)
    settings = {"weight_concentration_prior_type": "dirichlet_distribution", "n_init": 5}
    found = mixture(kind, 2, **settings).fit(X)
    assert exact - 2.5 < found.lower_bound_ < exact
    exact = exact_process(kind, X)
    for n_components in (2, 4):
        found = mixture(kind, n_components, n_init=5).fit(X)
        assert exact - 4 < found.lower_bound_ < exact


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_the_gap_is_the_labels_where_components_are_certain(kind):
    """With hardly a doubt of any row, q is the posterior of one of the K! labellings."""
    X = few_rows(6, spread=1e3)
    found = mixture(kind, 2, weight_concentration_prior_type="dirichlet_distribution").fit(X)
    exact = exact_two_components(kind, X)
    assert found.lower_bound_ + math.log(2) == pytest.approx(exact, abs=1e-3)


def wishart_parts(kind, fitted, k):
    """Return the posterior and the prior of the k-th precision: degrees and scales, a list."""
    nu = np.atleast_1d(fitted.degrees_of_freedom_)
    nu, nu_0 = nu[0 if kind == "tied" else k], fitted.degrees_of_freedom_prior_
    C = fitted.covariances_ if kind == "tied" else fitted.covariances_[k]
    C = nu * np.asarray(C)
    if kind in ("full", "tied"):
        q, p = stats.wishart(nu, np.linalg.inv(C)), stats.wishart(nu_0, np.linalg.inv(C_0[kind]))
        return [(q, p)]
    if kind == "diag":
        shapes, scales = (nu / 2, nu_0 / 2), zip(2 / C, 2 / C_0[kind], strict=True)
    else:
        shapes, scales = (D * nu / 2, D * nu_0 / 2), [(2 / (D * C), 2 / (D * C_0[kind]))]
    return [
        tuple(stats.gamma(a, scale=scale) for a, scale in zip(shapes, pair, strict=True))
        for pair in scales
    ]


def as_matrix(kind, draws):
    if kind in ("full", "tied"):
        return draws[0]
    return np.diag(np.broadcast_to(np.array(draws), D))


def log_ratio_of_weights(fitted, rng):
    """Return drawn log weights, and log p - log q of them."""
    a = fitted.weight_concentration_prior_
    if not isinstance(fitted.weight_concentration_, tuple):
        alpha = fitted.weight_concentration_
        pi = rng.dirichlet(alpha)
        prior = stats.dirichlet(np.full(len(alpha), a))
        return np.log(pi), prior.logpdf(pi) - stats.dirichlet(alpha).logpdf(pi)
    first, second = fitted.weight_concentration_
    v = rng.beta(first, second)
    ratio = stats.beta(1, a).logpdf(v) - stats.beta(first, second).logpdf(v)
    before = np.concatenate([[0], np.log1p(-v).cumsum()[:-1]])
    return np.log(v) + before, ratio.sum()


def drawn_bound(kind, fitted, X, r, rng):
    """Return one unbiased draw of the bound: E_q log p(X, z, theta) - log q(z) - log q(theta)."""
    log_pi, total = log_ratio_of_weights(fitted, rng)
    total -= np.sum(r * np.log(np.maximum(r, 1e-300)))
    precision = None
    for k in range(len(fitted.weights_)):
        if precision is None or kind != "tied":
            parts = wishart_parts(kind, fitted, k)
            draws = [q.rvs(random_state=rng) for q, _ in parts]
            total += sum(p.logpdf(d) - q.logpdf(d) for (q, p), d in zip(parts, draws, strict=True))
            precision = as_matrix(kind, draws)
        covariance = np.linalg.inv(precision)
        beta, beta_0 = fitted.mean_precision_[k], fitted.mean_precision_prior_
        q = stats.multivariate_normal(fitted.means_[k], covariance / beta)
        mu = q.rvs(random_state=rng)
        total += stats.multivariate_normal(fitted.mean_prior_, covariance / beta_0).logpdf(mu)
        noisy = X + np.sqrt(fitted.reg_covar) * rng.normal(size=X.shape)
        total += r[:, k] @ (log_pi[k] + stats.multivariate_normal(mu, covariance).logpdf(noisy))
        total -= q.logpdf(mu)
    return total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prior", WEIGHTS)
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_bound_is_the_expectation_that_defines_it(kind, prior, noise):
    """By Monte Carlo with scipy's densities, every one of them."""
    X = few_rows(8, spread=2.0)
    fitted = mixture(kind, 2, weight_concentration_prior_type=prior, reg_covar=noise).fit(X)
    assert fitted.converged_
    rng = np.random.default_rng(0)
    r = fitted.predict_proba(X)
    draws = np.array([drawn_bound(kind, fitted, X, r, rng) for _ in range(150)])
    error = draws.std() / np.sqrt(len(draws))
    assert error < 0.3
    assert abs(draws.mean() - fitted.lower_bound_) < 4 * error


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prior", WEIGHTS)
@pytest.mark.parametrize("init_params", ["kmeans", "random"])
def test_the_bound_never_falls(kind, prior, init_params):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 3)) * [1, 3, 0.1] + rng.integers(0, 3, 150)[:, None]
    weights = rng.integers(0, 4, 150).astype(float)
    fitted = VariationalGaussianMixture(
        5,
        covariance_type=kind,
        weight_concentration_prior_type=prior,
        init_params=init_params,
        reg_covar=0.05,  # much beside a variance of 0.01
        tol=1e-6,
        max_iter=2000,
        random_state=0,
    ).fit(X, sample_weight=weights)
    bounds = np.array(fitted.lower_bounds_)
    assert len(bounds) > 5
    assert np.diff(bounds).min() > -1e-12 * abs(bounds[-1])


def three_clusters():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(c, 1, size=(80, 2)) for c in ([-6, 0], [0, 6], [6, 0])])


@pytest.mark.parametrize("kind", KINDS)
def test_the_evidence_picks_three_components(kind):
    X, settings = three_clusters(), {"n_init": 4, "random_state": 0, "max_iter": 500}
    settings["weight_concentration_prior_type"] = "dirichlet_distribution"
    bounds = [
        VariationalGaussianMixture(k, covariance_type=kind, **settings).fit(X).lower_bound_
        for k in range(1, 6)
    ]
    assert int(np.argmax(bounds)) + 1 == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_uses_three_components_and_its_bound_rises_with_the_truncation(kind):
    X, settings = three_clusters(), {"n_init": 4, "random_state": 0, "max_iter": 500}
    fits = [
        VariationalGaussianMixture(
            k, covariance_type=kind, weight_concentration_prior=0.5, **settings
        ).fit(X)
        for k in (2, 3, 6)
    ]
    bounds = [fit.lower_bound_ for fit in fits]
    assert bounds[1] > bounds[0] + 50
    assert -0.01 < bounds[2] - bounds[1] < 1
    assert (fits[2].weights_ > 0.01).sum() == 3
