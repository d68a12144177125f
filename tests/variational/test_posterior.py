"""`fit_variational` against Gaussians, whose answers are known, and against quadrature."""

import math
import re
import warnings

import numpy as np
import pytest
import torch
from pyro.ops.stats import fit_generalized_pareto
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning

from skbasics import LBFGS, Adam, Cosine, GradientDescent, TorchOptimizer, fit_variational
from skbasics.variational._elbo import NegativeElbo, antithetic, balanced
from skbasics.variational._families import FAMILIES
from skbasics.variational._log_joint import LogJoint
from skbasics.variational._mode import Laplace, laplace
from skbasics.variational._psis import effective_share, generalised_pareto_fit, pareto_k

MEAN = torch.tensor([30.0, -1.0, 0.2], dtype=torch.float64)
ROOT = torch.tensor([[2.0, 0, 0], [0.5, 0.1, 0], [-0.7, 0.03, 5.0]], dtype=torch.float64)
COVARIANCE = (ROOT @ ROOT.T).numpy()
PRECISION = np.linalg.inv(COVARIANCE)
LOG_Z = 7.0


def correlated(z):
    """Return the log density of a correlated Gaussian, of which all is known, plus LOG_Z."""
    off = z - MEAN
    constant = 3 / 2 * math.log(2 * math.pi) + ROOT.diagonal().log().sum()
    return -((off @ torch.from_numpy(PRECISION)) * off).sum(-1) / 2 - constant + LOG_Z


def counts(z):
    """Return the log posterior of a Poisson rate's logarithm: twenty counts of sum 31."""
    return 31 * z[:, 0] - 20 * z[:, 0].exp() - z[:, 0].square() / 2


OPTIMIZERS = [
    *("adam", "sgd", "momentum", "nag", "rmsprop", "adamw", "gd", "newton", "lbfgs"),
    Adam(Cosine(0.05)),
    TorchOptimizer(torch.optim.Adam, {"lr": 0.02}),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_full_rank_finds_a_correlated_gaussian(optimizer):
    found = fit_variational(correlated, 3, family="full_rank", optimizer=optimizer, random_state=0)
    deviations = np.sqrt(np.diag(COVARIANCE))
    np.testing.assert_allclose(found.mean / deviations, MEAN.numpy() / deviations, atol=0.05)
    scaled = (found.covariance - COVARIANCE) / np.outer(deviations, deviations)
    assert np.abs(scaled).max() < 0.1
    assert abs(found.elbo - LOG_Z) < 0.1
    assert found.elbo <= LOG_Z + 3 * found.elbo_standard_error + 1e-9
    assert found.converged


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.filterwarnings("ignore:The Gaussian")
def test_mean_field_has_the_variances_of_the_precision(optimizer):
    found = fit_variational(correlated, 3, optimizer=optimizer, random_state=0)
    deviations = np.sqrt(np.diag(COVARIANCE))
    np.testing.assert_allclose(found.mean / deviations, MEAN.numpy() / deviations, atol=0.05)
    np.testing.assert_allclose(found.covariance.diagonal(), 1 / PRECISION.diagonal(), rtol=0.1)
    assert np.count_nonzero(found.covariance) == 3
    gap = (np.log(PRECISION.diagonal()).sum() - np.linalg.slogdet(PRECISION)[1]) / 2
    assert found.elbo == pytest.approx(LOG_Z - gap, abs=0.1 + 3 * found.elbo_standard_error)
    assert found.elbo <= LOG_Z


def test_a_gaussian_is_found_exactly_where_nothing_is_noisy():
    found = fit_variational(correlated, 3, family="full_rank", optimizer="lbfgs", random_state=0)
    np.testing.assert_allclose(found.mean, MEAN.numpy(), atol=1e-6)
    np.testing.assert_allclose(found.covariance, COVARIANCE, rtol=1e-6)
    assert found.elbo == pytest.approx(LOG_Z, abs=1e-9)
    assert found.pareto_k == -math.inf


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "newton", "momentum"])
def test_the_best_gaussian_for_a_density_that_is_none(optimizer):
    """In one dimension the bound can be integrated and maximised on a grid."""
    grid = np.linspace(-1, 2, 4001)
    log_p = counts(torch.from_numpy(grid)[:, None]).numpy()
    means, deviations = np.linspace(0.2, 0.6, 81)[:, None], np.linspace(0.12, 0.25, 66)

    # E_q of exp(z) is exp(m + s^2 / 2), so the bound is in closed form
    energy = 31 * means - 20 * np.exp(means + deviations**2 / 2) - (means**2 + deviations**2) / 2
    bounds = energy + np.log(deviations) + 0.5 * math.log(2 * math.pi * math.e)
    best = np.unravel_index(bounds.argmax(), bounds.shape)

    found = fit_variational(counts, 1, optimizer=optimizer, random_state=0)
    assert found.mean[0] == pytest.approx(means[best[0], 0], abs=0.01)
    assert found.scale[0] == pytest.approx(deviations[best[1]], rel=0.05)
    assert found.elbo == pytest.approx(bounds.max(), abs=0.01 + 3 * found.elbo_standard_error)
    log_evidence = np.log(np.trapezoid(np.exp(log_p - log_p.max()), grid)) + log_p.max()
    assert found.elbo < log_evidence + 3 * found.elbo_standard_error


def test_a_small_rate_is_right_because_the_start_is_the_mode():
    """From zero, 2000 steps of 0.001 would come as far as 2; the mode is at 20."""
    far = lambda z: correlated(z + MEAN - 20)  # noqa: E731
    found = fit_variational(far, 3, family="full_rank", optimizer=Adam(1e-3), random_state=0)
    np.testing.assert_allclose(found.mean, 20, rtol=1e-2)


def test_units_do_not_matter():
    scales = np.array([1e-4, 1.0, 1e5])
    plain = fit_variational(correlated, 3, family="full_rank", random_state=0)
    scaled = fit_variational(
        lambda z: correlated(z / torch.from_numpy(scales)), 3, family="full_rank", random_state=0
    )
    np.testing.assert_allclose(scaled.mean / scales, plain.mean, rtol=1e-2, atol=1e-2)
    ratio = scaled.covariance.diagonal() / scales**2 / plain.covariance.diagonal()
    np.testing.assert_allclose(ratio, 1, rtol=0.02)


def test_the_start_is_safe_where_the_density_bends_up():
    """Between two modes, on a saddle and on a plain, scales are positive and the climb goes on."""

    def two_modes(z):
        return torch.logaddexp(-(z - 3).square() / 2, -(z + 3).square() / 2).sum(-1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fit_variational(two_modes, 1, random_state=0)
    assert abs(abs(found.mean[0]) - 3) < 0.05
    assert found.scale[0] == pytest.approx(1, rel=0.05)

    density = LogJoint(lambda z: z[:, 0] ** 2 - z[:, 1].abs().pow(3), 2)
    curvature_at = laplace(density, FAMILIES["mean_field"](2), torch.zeros(2).double())
    assert (curvature_at.factor > 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_autograd(family):
    members = FAMILIES[family](3)
    start = Laplace(MEAN, ROOT if family == "full_rank" else ROOT.diagonal())
    density = LogJoint(lambda z: correlated(z) - (z / 10).cosh().log().sum(-1), 3)
    objective = NegativeElbo(density, members, start, landing=False)
    generator = np.random.RandomState(0)
    objective.theta += torch.from_numpy(0.3 * generator.standard_normal(objective.theta.shape))
    noise = antithetic(7, 3, generator)
    loss = objective.gradient(noise)
    theta = objective.theta.clone().requires_grad_()
    smooth = objective.smooth(theta, noise)
    (expected,) = torch.autograd.grad(smooth.sum(), theta)
    torch.testing.assert_close(loss, smooth.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(objective.theta_gradient, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
def test_sticking_the_landing_has_the_same_mean_and_no_noise_at_the_posterior(family):
    members, identity = FAMILIES[family](2), torch.ones(2).double()
    start = Laplace(
        torch.zeros(2).double(), identity if family == "mean_field" else torch.eye(2).double()
    )
    objective = NegativeElbo(
        LogJoint(lambda z: -z.square().sum(-1) / 2, 2), members, start, landing=True
    )
    objective.gradient(antithetic(1, 2, np.random.RandomState(0)))
    assert objective.theta_gradient.abs().max() < 1e-15
    objective.theta += 0.3
    even = balanced(2**12, 2, np.random.RandomState(0))
    objective.gradient(even)
    landed = objective.theta_gradient.clone()
    objective.landing = False
    objective.gradient(even)
    torch.testing.assert_close(landed, objective.theta_gradient, rtol=1e-6, atol=1e-6)


def test_balanced_noise_has_exact_moments():
    noise = balanced(64, 5, np.random.RandomState(0))
    torch.testing.assert_close(noise.mean(0), torch.zeros(5).double(), rtol=0, atol=1e-14)
    torch.testing.assert_close(noise.mT @ noise / len(noise), torch.eye(5).double())


def test_what_a_posterior_can_do():
    found = fit_variational(correlated, 3, family="full_rank", random_state=0)
    points = np.random.RandomState(0).normal(size=(5, 3))
    expected = multivariate_normal(found.mean, found.covariance).logpdf(points)
    np.testing.assert_allclose(found.log_prob(points), expected, rtol=1e-8)
    assert isinstance(found.log_prob(torch.from_numpy(points)), torch.Tensor)
    assert np.ndim(found.log_prob(points[0])) == 0
    draws = found.sample(20000, random_state=0)
    deviations = np.sqrt(found.covariance.diagonal())
    np.testing.assert_allclose((draws.mean(0) - found.mean) / deviations, 0, atol=0.03)
    np.testing.assert_allclose(np.cov(draws.T) / found.covariance, 1, rtol=0.1)
    np.testing.assert_array_equal(draws, found.sample(20000, random_state=0))
    assert found.elbo_curve.shape == (found.n_iter,)
    assert "pareto_k" in repr(found)
    with pytest.raises(ValueError, match=re.escape("z has shape (2,); expected (3,), or (n, 3)")):
        found.log_prob([1.0, 2.0])


def test_the_seed_decides_and_nothing_global_is_touched():
    before, torch_before = (
        np.random.mtrand._rand.get_state()[1].copy(),
        torch.random.get_rng_state(),
    )
    first, again = (fit_variational(counts, 1, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(first.elbo_curve, again.elbo_curve)
    assert first.elbo == again.elbo
    np.testing.assert_array_equal(np.random.mtrand._rand.get_state()[1], before)
    assert torch.equal(torch.random.get_rng_state(), torch_before)


# Pareto-smoothed importance sampling.


@pytest.mark.parametrize("k", [-0.3, 0.2, 0.5, 1.0])
def test_the_pareto_fit_is_another_implementations(k):
    u = np.random.RandomState(0).uniform(size=3000)
    excesses = np.sort(2.0 * (u**-k - 1) / k)
    found, scale = generalised_pareto_fit(excesses)
    theirs, their_scale = fit_generalized_pareto(torch.from_numpy(excesses))
    assert (len(u) * found + 5) / (len(u) + 10) == pytest.approx(theirs, rel=1e-9)
    assert scale == pytest.approx(their_scale, rel=1e-9)
    assert (found, scale) == (pytest.approx(k, abs=0.1), pytest.approx(2.0, rel=0.1))


@pytest.mark.parametrize("k", [0.3, 0.7, 1.2])
def test_k_of_ratios_that_are_pareto_distributed(k):
    """Ratios u^-k have a tail of shape k above any threshold."""
    u = np.random.RandomState(0).uniform(size=100_000)
    assert pareto_k(-k * np.log(u)) == pytest.approx(k, abs=0.1)


def test_k_of_gaussian_ratios():
    """Of N(0, 1) over N(0, s^2) the ratio has moments below 1 / (1 - s^2): its k is 1 - s^2."""
    z = np.random.RandomState(0).normal(size=200_000)
    narrow, wide = 0.6, 2.0
    ratios = -((narrow * z) ** 2) / 2 + z**2 / 2
    assert pareto_k(ratios) == pytest.approx(1 - narrow**2, abs=0.15)
    ratios = -((wide * z) ** 2) / 2 + z**2 / 2
    assert pareto_k(ratios) < 0.1
    assert pareto_k(ratios * 0 + 3) == -math.inf
    assert effective_share(ratios * 0 + 3) == pytest.approx(1)
    assert effective_share(np.log([1.0, 1e-30])) == pytest.approx(0.5)


def test_one_warning_where_the_gaussian_does_not_cover():
    def funnel(z):
        return (
            -z[:, 0].square() / 18 - 2 * z[:, 0] - (z[:, 1:].square() / z[:, :1].exp()).sum(1) / 2
        )

    with pytest.warns(UserWarning, match="does not cover the posterior: pareto_k=") as caught:
        found = fit_variational(funnel, 5, random_state=0)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert found.pareto_k > 0.7
    assert found.effective_share < 0.1


# Bad input.

BAD = {
    "shape": (lambda z: z.square(), "returned a tensor of shape (2, 2) for z of shape (2, 2)"),
    "number": (lambda z: z.square().sum(), "returned a tensor of shape () for z of shape (2, 2)"),
    "float": (lambda z: 1.0, "log_joint returned float for z of shape (2, 2)"),
    "nan": (lambda z: (z - 100).sum(-1).log(), "the value of log_joint is nan at z="),
    "infinite": (lambda z: -torch.inf * z[:, 0].square(), "the value of log_joint is -inf at z="),
    "detached": (lambda z: z.detach().sum(-1), "without a gradient for z of shape (1, 2)"),
    "constant": (lambda z: torch.zeros(len(z)), "without a gradient for z of shape (1, 2)"),
    "wide": (lambda z: z @ torch.ones(3, dtype=z.dtype), "on rows of n_parameters=2 numbers"),
    "mixed": (lambda z: -(z - z.mean(0)).square().sum(-1), "must depend on row s alone"),
    "unbounded": (lambda z: z.sum(-1), "it has no mode, so it is no density. Is a prior missing"),
    "complex": (lambda z: z.sum(-1) * 1j, "complex numbers; a log density is real"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_log_densities(case):
    function, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        fit_variational(function, 2, random_state=0)


@pytest.mark.parametrize("n_parameters", [0, -1, 2.5, "3"])
def test_bad_numbers_of_parameters(n_parameters):
    with pytest.raises(ValueError, match="The 'n_parameters' parameter of fit_variational must be"):
        fit_variational(correlated, n_parameters)


def test_other_bad_parameters():
    for bad in ({"family": "full"}, {"n_samples": 0}, {"max_iter": 0}, {"optimizer": 3}):
        with pytest.raises(ValueError, match=f"The '{next(iter(bad))}' parameter"):
            fit_variational(correlated, 3, **bad)
    with pytest.raises(ValueError, match="Unknown optimizer 'adamn'"):
        fit_variational(correlated, 3, optimizer="adamn")


@pytest.mark.filterwarnings("ignore:The Gaussian")
def test_a_bound_that_still_rises_is_warned_of():
    def skewed(z):  # the mean is far from the mode
        return (z / 10 - (10 * z).exp() / 100).sum(-1)

    message = r"still rising after max_iter=20 steps, by .* nats"
    with pytest.warns(ConvergenceWarning, match=message):
        fit_variational(skewed, 1, optimizer=GradientDescent(1e-3), max_iter=20, random_state=0)
    assert fit_variational(counts, 1, optimizer=LBFGS(), random_state=0).converged


def test_a_density_with_a_kink_has_no_curvature_and_is_fitted_all_the_same():
    """Of exp(-|z|) the best Gaussian has the deviation sqrt(pi / 2): dE|z|/ds = 1/s."""
    found = fit_variational(lambda z: -z.abs().sum(-1), 2, n_samples=64, random_state=0)
    np.testing.assert_allclose(found.mean, 0, atol=0.1)
    np.testing.assert_allclose(found.scale, np.sqrt(np.pi / 2), rtol=0.05)


def test_many_parameters_need_no_whole_hessian():
    scales = torch.logspace(-2, 2, 3000, dtype=torch.float64)

    def wide(z):
        return -((z - 1) / scales).square().sum(-1) / 2

    found = fit_variational(wide, 3000, random_state=0, max_iter=200)
    np.testing.assert_allclose((found.mean - 1) / scales.numpy(), 0, atol=0.05)
    np.testing.assert_allclose(found.scale / scales.numpy(), 1, rtol=0.05)


def test_a_tail_of_ratios_that_hardly_vary_is_not_warned_of():
    """A warning would be an error here: k is of the shape of a tail, however small."""
    generator = np.random.RandomState(0)
    rows = torch.from_numpy(generator.normal(size=(50, 3)))
    labels = torch.from_numpy(generator.uniform(size=50) < 0.5).double()

    def logistic(z):
        logits = z @ rows.mT
        fit = labels * logits - torch.nn.functional.softplus(logits)
        return fit.sum(-1) - z.square().sum(-1) / 2

    found = fit_variational(logistic, 3, family="full_rank", optimizer="lbfgs", random_state=0)
    assert found.pareto_k > 0.7
    assert found.effective_share > 0.98


def test_a_draw_that_outweighs_all_others_is_no_sign_of_a_perfect_fit():
    ratios = np.append(np.random.default_rng(0).normal(-1000, 1, 999), 0.0)
    assert pareto_k(ratios) == math.inf


@pytest.mark.filterwarnings("ignore:The Gaussian .* does not cover")
def test_a_rate_too_low_to_move_has_not_converged():
    def log_joint(z):
        return torch.distributions.StudentT(3.0).log_prob(z).sum(-1)

    with pytest.warns(ConvergenceWarning, match="still rising after max_iter=200"):
        found = fit_variational(log_joint, 2, optimizer=Adam(1e-6), max_iter=200, random_state=0)
    assert not found.converged
    assert fit_variational(log_joint, 2, random_state=0).converged
