"""Divergences, against torch.distributions, scipy and exact arithmetic."""

from fractions import Fraction

import array_api_strict
import numpy as np
import pytest
import scipy.stats
import torch
from scipy.integrate import quad
from scipy.spatial.distance import jensenshannon
from sklearn import config_context
from torch.distributions import MultivariateNormal, Normal
from torch.distributions import kl_divergence as torch_kl

from skbasics import gaussian_kl, jeffreys, jensen_shannon, kl_divergence, minimize

rng = np.random.default_rng(0)
D = 4


def covariance(*batch, n=D):
    A = rng.normal(size=(*batch, n, n))
    return A @ A.swapaxes(-1, -2) + 0.1 * np.eye(n)


def torch_gaussian(mean, scale):
    mean, scale = torch.as_tensor(mean), torch.as_tensor(scale)
    if scale.ndim <= mean.ndim:
        scale = torch.diag_embed(scale.broadcast_to(*scale.shape[:-1], D) ** 2)
    return MultivariateNormal(mean, scale)


MEANS = [rng.normal(size=D) for _ in range(2)]
SCALES = {"deviations": lambda: rng.uniform(0.3, 2, D), "covariance": covariance}


@pytest.mark.parametrize("kind_0", SCALES)
@pytest.mark.parametrize("kind_1", SCALES)
def test_kinds_of_scale_mixed(kind_0, kind_1):
    scale_0, scale_1 = SCALES[kind_0](), SCALES[kind_1]()
    found = gaussian_kl(MEANS[0], scale_0, MEANS[1], scale_1)
    p, q = torch_gaussian(MEANS[0], scale_0), torch_gaussian(MEANS[1], scale_1)
    assert isinstance(found, float)
    assert found == pytest.approx(float(torch_kl(p, q)), rel=1e-12)


def test_numbers_are_the_same_for_every_feature():
    expected = torch_kl(Normal(1.0, 0.5), Normal(-1.0, 2.0)).item()
    assert gaussian_kl(1.0, 0.5, -1.0, 2.0) == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(1.4175, abs=1e-4)
    three = gaussian_kl(1.0, [0.5, 0.5, 0.5], -1, 2)
    assert three == pytest.approx(3 * gaussian_kl(1.0, 0.5, -1.0, 2.0), rel=1e-15)
    with_matrix = gaussian_kl(1.0, 0.25 * np.eye(3), -1, 2)
    assert with_matrix == pytest.approx(three, rel=1e-14)
    assert gaussian_kl(0.0, 2.0, 0.0, 2.0) == 0


def test_what_is_often_printed_is_something_else():
    def printed(m_0, s_0, m_1, s_1):
        return np.log(s_1 / s_0) - 1 / (2 * s_0**2) + (s_0**2 + (m_1 - m_0) ** 2) / (2 * s_1**2)

    assert printed(0.0, 2.0, 0.0, 2.0) == pytest.approx(0.375)
    assert printed(1.0, 0.5, -1.0, 2.0) == pytest.approx(-0.0825, abs=1e-4)  # and negative


def test_every_integral_of_the_divergence():
    """By quadrature: the two squares under q, and the whole."""
    m_0, s_0, m_1, s_1 = 1.0, 0.5, -1.0, 2.0
    q, p = scipy.stats.norm(m_0, s_0), scipy.stats.norm(m_1, s_1)

    def under_q(function):
        return quad(lambda x: q.pdf(x) * function(x), -9, 11, points=[m_0], epsabs=1e-12)[0]

    own = under_q(lambda x: (x - m_0) ** 2 / (2 * s_0**2))
    other = under_q(lambda x: (x - m_1) ** 2 / (2 * s_1**2))
    assert own == pytest.approx(1 / 2, rel=1e-10)
    assert other == pytest.approx((s_0**2 + (m_1 - m_0) ** 2) / (2 * s_1**2), rel=1e-10)
    whole = under_q(lambda x: q.logpdf(x) - p.logpdf(x))
    assert np.log(s_1 / s_0) + other - own == pytest.approx(whole, rel=1e-10)
    assert gaussian_kl(m_0, s_0, m_1, s_1) == pytest.approx(whole, rel=1e-10)


def test_the_nearest_independent_gaussian_depends_on_the_direction():
    """KL(p || q) takes the variances of p, KL(q || p) the smaller ones that its precision has."""
    S = torch.from_numpy(covariance())
    zero, start = torch.zeros(D, dtype=torch.float64), torch.zeros(D, dtype=torch.float64)
    options = {"optimizer": "newton", "tol": 1e-10}
    covers = minimize(lambda t: gaussian_kl(zero, S, zero, t.exp()), start, **options)
    inside = minimize(lambda t: gaussian_kl(zero, t.exp(), zero, S), start, **options)
    variances, conditional = S.diagonal(), 1 / torch.linalg.inv(S).diagonal()
    np.testing.assert_allclose((2 * covers.x).exp(), variances, rtol=1e-8)
    np.testing.assert_allclose((2 * inside.x).exp(), conditional, rtol=1e-8)
    assert (conditional < variances).all()
    whole = float(torch.linalg.slogdet(S)[1])
    assert float(covers.fun) == pytest.approx(float(variances.log().sum() - whole) / 2)
    assert float(inside.fun) == pytest.approx(float(whole - conditional.log().sum()) / 2)


@pytest.mark.parametrize("kind_0", SCALES)
@pytest.mark.parametrize("kind_1", SCALES)
def test_batches_broadcast(kind_0, kind_1):
    make = {"deviations": lambda *b: rng.uniform(0.3, 2, (*b, D)), "covariance": covariance}
    mean_0, mean_1 = rng.normal(size=(3, 1, D)), rng.normal(size=(5, D))
    scale_0, scale_1 = make[kind_0](3, 1), make[kind_1](5)
    found = gaussian_kl(mean_0, scale_0, mean_1, scale_1)
    assert found.shape == (3, 5)
    p, q = torch_gaussian(mean_0[1, 0], scale_0[1, 0]), torch_gaussian(mean_1[2], scale_1[2])
    assert found[1, 2] == pytest.approx(float(torch_kl(p, q)), rel=1e-12)


def test_axes_and_not_sizes_tell_deviations_from_covariances():
    scales = rng.uniform(1, 2, (D, D))  # a batch of D vectors, as large as a matrix
    means = np.zeros((D, D))
    found = gaussian_kl(means, scales, 0.0, 1.0)
    one = [gaussian_kl(0.0, row, 0.0, 1.0) for row in scales]
    np.testing.assert_allclose(found, one, rtol=1e-14)
    S = covariance()
    found = gaussian_kl(means, S[None], 0.0, 1.0)
    np.testing.assert_allclose(found, gaussian_kl(0.0, S, 0.0, 1.0), rtol=1e-14)


def exact_series(u):
    """Return u - log(1 + u) by its series in exact arithmetic."""
    u = Fraction(u)
    return float(sum((-1) ** k * u**k / k for k in range(2, 12)))


@pytest.mark.parametrize("step", [2.0**-k for k in (8, 20, 30, 40, 50)])
def test_gaussians_near_each_other_keep_their_digits(step):
    r = (1 + Fraction(step)) ** 2
    expected = exact_series(r - 1) / 2
    assert gaussian_kl(0.0, 1 + step, 0.0, 1.0) == pytest.approx(expected, rel=1e-14)
    assert gaussian_kl(0.0, np.eye(1) * 1.0, 0.0, 1.0) == 0
    # covariances I + step * J with J of ones: one eigenvalue is off, by 2 step
    S = np.eye(2) + step
    expected = exact_series(2 * Fraction(step)) / 2
    assert gaussian_kl(0.0, S, 0.0, np.eye(2)) == pytest.approx(expected, rel=1e-9)
    assert gaussian_kl(0.0, S, 0.0, 1.0) == pytest.approx(expected, rel=1e-9)


def test_gaussians_far_from_each_other():
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(60):
        for ratio in (1e-9, 1e-3, 0.86, 0.87, 0.88, 1.11, 1.12, 1.13, 1e5):
            r = mpmath.mpf(ratio) ** 2
            expected = float((r - 1 - mpmath.log(r)) / 2)
            assert gaussian_kl(0.0, ratio, 0.0, 1.0) == pytest.approx(expected, rel=3e-14)
            S = np.diag([ratio**2, 1.0])
            assert gaussian_kl(0.0, S, 0.0, 1.0) == pytest.approx(expected, rel=3e-14)


def test_namespaces_and_dtypes():
    m, s = np.zeros((3, D), np.float32), np.full((3, D), 0.5, np.float32)
    found = gaussian_kl(m, s, 0.0, 1.0)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    tensor = gaussian_kl(torch.from_numpy(m), torch.from_numpy(s), 0.0, 1.0)
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(tensor.numpy(), found)
    assert kl_divergence(torch.tensor([0.5, 0.5]), [0.1, 0.9]).dtype == torch.float64
    with config_context(array_api_dispatch=True):
        strict = gaussian_kl(array_api_strict.asarray(m), 0.5, 0.0, 1.0)
    assert isinstance(strict, type(array_api_strict.asarray(m)))
    assert gaussian_kl(0, 1, 1, 1) == 0.5  # whole numbers are numbers


@pytest.mark.parametrize("scale", [torch.full((D,), 0.7), torch.eye(D) + 0.3])
def test_gradients_flow(scale):
    scale = scale.double().requires_grad_()
    mean = torch.zeros(D, dtype=torch.float64, requires_grad=True)
    arguments = (mean, scale, torch.ones(D, dtype=torch.float64), torch.ones(D).double())

    def symmetric(m, s, *others):
        return gaussian_kl(m, (s + s.mT) / 2 if s.ndim == 2 else s, *others)

    assert torch.autograd.gradcheck(symmetric, arguments)
    same = torch.ones(D, dtype=torch.float64, requires_grad=True)
    gaussian_kl(0.0, same, 0.0, torch.ones(D).double()).backward()
    assert torch.equal(same.grad, torch.zeros_like(same))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0.0, 0.0, 0.0, 1.0), "scale_0 holds standard deviations, which must be positive, got 0"),
        ((0.0, 1.0, 0.0, -2.0), "scale_1 holds standard deviations.*got -2"),
        ((0.0, 1.0, 0.0, np.ones((2, 2))), "scale_1 is a covariance that is not positive definite"),
        ((0.0, np.diag([1.0, -1.0]), 0.0, 1.0), "scale_0 is a covariance that is not positive"),
        ((0.0, [[1.0, 0.5], [0.0, 1.0]], 0.0, 1.0), "scale_0 must be symmetric"),
        ((np.nan, 1.0, 0.0, 1.0), "mean_0 must be finite"),
        ((0.0, np.inf, 0.0, 1.0), "scale_0 must be finite"),
        (([0.0, 0.0], np.ones((3, 2)), 0.0, 1.0), r"mean_0\[None\]"),
        (([0.0, 0.0], 1.0, [0.0, 0.0, 0.0], 1.0), "mean_0 has 2 features, where another .* has 3"),
        ((0.0, np.eye(1), [0.0, 0.0], 1.0), "scale_0 has 1 features, where another .* has 2"),
        ((np.zeros((3, 2)), np.eye(2), 0.0, 1.0), r"must be positive, got 0.*scale_0\[None\]"),
        ((np.zeros((3, 2)), np.eye(2) + 0.1, 0.0, 1.0), r"do not broadcast.*S\[None\]"),
    ],
)
def test_gaussian_errors_teach(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        gaussian_kl(*arguments)


def distributions(*shape):
    p = rng.gamma(0.5, size=shape)
    return p / p.sum(-1, keepdims=True)


def test_discrete_divergences_are_those_of_scipy():
    p, q = distributions(3, 1, 7), distributions(5, 7)
    expected = scipy.stats.entropy(p, q, axis=-1)
    np.testing.assert_allclose(kl_divergence(p, q), expected, rtol=1e-12)
    np.testing.assert_allclose(
        jeffreys(p, q), expected + scipy.stats.entropy(q, p, axis=-1), rtol=1e-12
    )
    np.testing.assert_allclose(jensen_shannon(p, q), jensenshannon(p, q, axis=-1) ** 2, rtol=1e-10)
    assert isinstance(kl_divergence(p[0, 0], q[0]), float)


def test_zeros():
    assert kl_divergence([0.0, 1.0], [0.5, 0.5]) == pytest.approx(np.log(2), rel=1e-15)
    assert kl_divergence([0.5, 0.5], [0.0, 1.0]) == np.inf
    assert kl_divergence([0.0, 1.0], [0.0, 1.0]) == 0
    assert jeffreys([0.5, 0.5], [0.0, 1.0]) == np.inf
    assert jensen_shannon([0.0, 1.0], [1.0, 0.0]) == pytest.approx(np.log(2), rel=1e-15)
    tiny = [5e-324, 1.0]
    assert kl_divergence(tiny, [0.5, 0.5]) == pytest.approx(np.log(2), rel=1e-15)


@pytest.mark.parametrize("step", [2.0**-k for k in (6, 20, 40, 50)])
def test_distributions_near_each_other_keep_their_digits(step):
    """KL(1/2 -+ step || 1/2) is half of (1 - t) log(1 - t) + (1 + t) log(1 + t), t = 2 step."""
    t = 2 * Fraction(step)
    expected = float(sum(t ** (2 * k) / (2 * k * (2 * k - 1)) for k in range(1, 8)))
    assert kl_divergence([0.5 - step, 0.5 + step], [0.5, 0.5]) == pytest.approx(expected, rel=1e-13)


def test_gradients_of_discrete_divergences():
    logits = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    q = torch.full((5,), 0.2, dtype=torch.float64)

    def through(z):
        p = z.softmax(-1)
        return kl_divergence(p, q), jeffreys(q, p), jensen_shannon(p, q)

    assert torch.autograd.gradcheck(through, logits.requires_grad_())
    far = torch.tensor([0.0, 1.0, -2000.0], dtype=torch.float64, requires_grad=True)
    q = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    sum(f(far.softmax(-1), q) for f in (kl_divergence, jensen_shannon)).backward()
    assert torch.isfinite(far.grad).all()  # a probability that has underflown is no harm


@pytest.mark.parametrize(
    ("p", "q", "sentence"),
    [
        ([0.5, 0.6], [0.5, 0.5], r"p must sum to one along its last axis, and is off by 0.1"),
        ([0.5, 0.5], [3.0, 5.0], r"q must sum to one.*q.sum\(-1, keepdims=True\)"),
        ([1.5, -0.5], [0.5, 0.5], "p has a negative or undefined probability: -0.5"),
        ([np.nan, 0.5], [0.5, 0.5], "p has a negative or undefined probability"),
        ([0.5, 0.5], [0.2, 0.3, 0.5], "p has 2 outcomes and q has 3"),
        (1.0, [1.0], "p must have an axis of outcomes"),
        (np.ma.masked_array([0.5, 0.5], [0, 1]), [0.5, 0.5], "masked array with 1 hidden"),
    ],
)
@pytest.mark.parametrize("divergence", [kl_divergence, jeffreys, jensen_shannon])
def test_discrete_errors_teach(divergence, p, q, sentence):
    with pytest.raises(ValueError, match=sentence):
        divergence(p, q)


def test_the_least_numbers_and_read_only_arrays():
    assert float(jensen_shannon([5e-324, 1.0], [0.0, 1.0])) <= np.log(2)
    p = np.array([0.5, 0.5])
    p.flags.writeable = False
    assert kl_divergence(p, [0.5, 0.5]) == 0
