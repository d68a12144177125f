"""The variational autoencoder against closed forms, quadrature and torch's distributions."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import MinMaxScaler

from skbasics import SGD, Adam, VAETransformer
from skbasics.autoencoder._observed import Observed

DIGITS = load_digits().data / 16
LINEAR = {
    "hidden_layer_sizes": (),
    "optimizer": Adam(1e-2),
    "max_iter": 400,
    "n_iter_no_change": np.inf,
    "random_state": 0,
}


def low_rank(n=1000, noise=0.3, seed=0):
    """Return rows of rank three and noise, off centre."""
    rng = np.random.RandomState(seed)
    W = np.linalg.qr(rng.randn(10, 3))[0] * [2.0, 1.5, 1.0]
    return rng.randn(n, 3) @ W.T + noise * rng.randn(n, 10) + rng.randn(10)


class ProbabilisticPCA:
    """The maximum of the likelihood of a linear model (Tipping and Bishop 1999)."""

    def __init__(self, X, n_components):
        values, vectors = np.linalg.eigh(np.cov(X.T, bias=True))
        noise = values[:-n_components].mean()
        W = vectors[:, -n_components:] * np.sqrt(values[-n_components:] - noise)
        self.noise_scale = np.sqrt(noise)
        self.density = multivariate_normal(X.mean(0), W @ W.T + noise * np.eye(X.shape[1]))


@pytest.fixture(scope="module")
def linear():
    X = low_rank()
    return X, VAETransformer(3, **LINEAR).fit(X)


def test_a_linear_model_comes_to_the_likelihood_of_probabilistic_pca(linear):
    X, vae = linear
    exact = ProbabilisticPCA(X, 3)
    log_likelihood = exact.density.logpdf(X)
    assert -0.15 < vae.score(X) - log_likelihood.mean() < 0.0  # its expectation has no error here
    np.testing.assert_allclose(vae.log_likelihood(X).mean(), log_likelihood.mean(), atol=0.1)
    np.testing.assert_allclose(vae.noise_scale_, exact.noise_scale, rtol=0.05)


def test_the_bound_is_a_bound_of_the_models_own_density(linear):
    X, vae = linear
    W, b = vae.coefs_[-1].T, vae.intercepts_[-1]
    density = multivariate_normal(b, W @ W.T + vae.noise_scale_**2 * np.eye(10)).logpdf(X)
    assert (vae.score_samples(X) < density).all()
    np.testing.assert_allclose(vae.log_likelihood(X, n_importance=3000), density, atol=0.1)
    assert vae.score(X) < vae.log_likelihood(X).mean() < density.mean() + 0.05


def test_the_bound_is_exact_for_a_linear_decoder(linear):
    X, vae = linear
    mean, std = vae.posterior(X)
    W, b, variance = vae.coefs_[-1].T, vae.intercepts_[-1], vae.noise_scale_**2
    squares = np.square(X - mean @ W.T - b).sum(1) + (std**2 @ np.square(W).sum(0))
    likelihood = -squares / (2 * variance) - 5 * np.log(2 * np.pi * variance)
    divergence = (mean**2 + std**2 - 1 - 2 * np.log(std)).sum(1) / 2
    np.testing.assert_allclose(vae.score_samples(X), likelihood - divergence, rtol=1e-9)


def test_latents_beyond_the_rank_are_not_active():
    X = low_rank()
    with pytest.warns(ConvergenceWarning, match=r"in 5 of 8 latents: .*kl_warmup=10.*beta than 1,"):
        vae = VAETransformer(8, **LINEAR).fit(X)
    assert len(vae.active_units_) == 3
    assert 0 < ProbabilisticPCA(X, 3).density.logpdf(X).mean() - vae.score(X) < 0.15
    mean, std = vae.posterior(X)
    divergence = (mean**2 + std**2 - 1 - 2 * np.log(std)).mean(0) / 2
    np.testing.assert_allclose(vae.kl_per_component_, divergence, rtol=1e-9)
    np.testing.assert_array_equal(vae.active_units_, np.flatnonzero(divergence > 0.1))


def quadrature(vae, X):
    """Return log densities of rows under a model of one latent, on a grid of it."""
    z = np.linspace(-7, 7, 4001)[:, None]
    with torch.no_grad():
        out = vae.to_torch().decoder(torch.from_numpy(z))
    if vae.out_activation_ == "logistic":
        rows = torch.distributions.Bernoulli(logits=out[:, None], validate_args=False)
    else:
        rows = torch.distributions.Normal(out[:, None], vae.noise_scale_)
    joint = rows.log_prob(torch.from_numpy(X)).sum(-1).numpy() + norm.logpdf(z)
    return logsumexp(joint, axis=0) + np.log(z[1, 0] - z[0, 0])


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_the_density_of_a_model_of_one_latent_is_that_of_quadrature(likelihood):
    options = {"likelihood": likelihood, "optimizer": Adam(5e-3), "max_iter": 60}
    vae = VAETransformer(1, (20,), random_state=0, **options).fit(DIGITS)
    density = quadrature(vae, DIGITS[:300])
    bound, estimate = vae.score_samples(DIGITS[:300]), vae.log_likelihood(DIGITS[:300], 2000)
    assert (bound < density + 0.05).all()
    assert bound.mean() < density.mean()
    assert np.median(np.abs(estimate - density)) < 0.05
    gaps = density.mean() - bound.mean(), density.mean() - estimate.mean()
    assert -0.02 < gaps[1] < 0.25 * gaps[0]


def test_the_expectation_of_the_bound_is_that_of_quadrature():
    vae = VAETransformer(1, (20,), optimizer=Adam(5e-3), max_iter=60, random_state=0).fit(DIGITS)
    X = DIGITS[:200]
    mean, std = vae.posterior(X)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    codes = (mean + std * nodes).reshape(-1, 1)
    rows = vae.inverse_transform(codes).reshape(200, 60, 64)
    likelihood = norm(rows, vae.noise_scale_).logpdf(X[:, None]).sum(2) @ weights / weights.sum()
    divergence = (mean**2 + std**2 - 1 - 2 * np.log(std))[:, 0] / 2
    difference = vae.score_samples(X) - (likelihood - divergence)
    assert np.abs(difference).mean() < 0.15
    assert abs(difference.mean()) < 0.1


def test_beta_trades_divergence_for_reconstruction():
    fits = [
        VAETransformer(4, (32,), beta=beta, optimizer=Adam(3e-3), max_iter=40, random_state=0)
        for beta in (0.25, 1.0, 4.0)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        divergences = [vae.fit(DIGITS).kl_per_component_.sum() for vae in fits]
    assert divergences == sorted(divergences, reverse=True)
    errors = [np.square(DIGITS - vae.reconstruct(DIGITS)).sum(1).mean() for vae in fits]
    assert errors == sorted(errors)


def test_free_bits_keep_every_latent_in_use():
    options = {"optimizer": Adam(1e-2), "max_iter": 100, "random_state": 0}
    with pytest.warns(ConvergenceWarning, match="collapsed"):
        VAETransformer(8, (), **options).fit(low_rank())
    vae = VAETransformer(8, (), free_bits=0.5, **options).fit(low_rank())
    assert (vae.kl_per_component_ > 0.3).all()
    assert len(vae.active_units_) == 8


def test_patience_waits_for_the_warm_up():
    options = {"optimizer": Adam(1e-2), "max_iter": 100, "n_iter_no_change": 3, "random_state": 0}
    vae = VAETransformer(2, (16,), kl_warmup=30, beta=5.0, tol=0.5, **options).fit(DIGITS)
    assert 30 < vae.n_iter_ < 100
    curve = vae.loss_curve_
    assert np.argmin(curve) < 30  # it was better while the divergence was cheap
    assert vae.best_loss_ == min(curve[30:])


def test_curves_are_the_parts_of_the_loss():
    vae = VAETransformer(3, (16,), max_iter=12, kl_warmup=4, beta=2.0, random_state=0).fit(DIGITS)
    strength = 2 * np.minimum(1, np.arange(12) / 4)
    likelihood, kl = np.array(vae.reconstruction_curve_), np.array(vae.kl_curve_)
    np.testing.assert_allclose(vae.loss_curve_, strength * kl - likelihood, rtol=1e-10)
    np.testing.assert_allclose(vae.elbo_curve_, likelihood - kl, rtol=1e-12)
    np.testing.assert_allclose(vae.history_["kl"], kl)


# Missing values.


def with_holes(X, share=0.3, seed=1):
    holes = np.random.RandomState(seed).uniform(size=X.shape) < share
    return np.where(holes, np.nan, X), holes


def test_missing_values_are_filled_in_by_what_the_row_says():
    X = low_rank(2000, noise=0.1)
    known, holes = with_holes(X)
    vae = VAETransformer(3, **LINEAR | {"max_iter": 150}).fit(X)
    filled = vae.reconstruct(known)
    # The conditional mean given what is observed, under the model's own Gaussian.
    W, b = vae.coefs_[-1].T, vae.intercepts_[-1]
    covariance = W @ W.T + vae.noise_scale_**2 * np.eye(10)
    expected = X.copy()
    for row, hole, out in zip(X, holes, expected, strict=True):
        if hole.any() and not hole.all():
            cross, own = covariance[np.ix_(hole, ~hole)], covariance[np.ix_(~hole, ~hole)]
            out[hole] = b[hole] + cross @ np.linalg.solve(own, row[~hole] - b[~hole])
        elif hole.all():
            out[:] = b
    best = np.sqrt(np.mean((expected - X)[holes] ** 2))
    ours = np.sqrt(np.mean((filled - X)[holes] ** 2))
    by_mean = np.sqrt(np.mean((X.mean(0) - X)[holes] ** 2))
    assert best < 0.5 * by_mean
    assert ours < 1.25 * best


def test_training_with_missing_values_learns_from_the_others():
    X = low_rank(2000, noise=0.1)
    known, holes = with_holes(X)
    vae = VAETransformer(3, **LINEAR | {"max_iter": 150}).fit(known)
    filled = vae.reconstruct(known)
    assert np.isfinite(filled).all()
    complete = ~holes.any(1)
    expected = vae.inverse_transform(vae.transform(X[complete]))
    np.testing.assert_allclose(filled[complete], expected, atol=1e-10)
    ours = np.sqrt(np.mean((filled - X)[holes] ** 2))
    assert ours < 0.5 * np.sqrt(np.mean((X.mean(0) - X)[holes] ** 2))
    assert np.isfinite(vae.score_samples(known)).all()
    assert np.isfinite(vae.transform(known)).all()


def test_the_scores_of_rows_with_missing_values_are_of_what_was_observed():
    X = DIGITS[:200]
    known, holes = with_holes(X)
    for likelihood in ("gaussian", "bernoulli"):
        options = {"likelihood": likelihood, "optimizer": SGD(1e-300), "max_iter": 1}
        vae = VAETransformer(2, (), noise_scale=0.5, random_state=0, **options).fit(known)
        mean = np.nanmean(known, 0)
        same = vae.score_samples(known) - vae.score_samples(np.where(holes, mean, X))
        # An encoder sees the mean in both; the decoder is scored on fewer features in one.
        out = vae.transform(known)
        np.testing.assert_allclose(out, vae.transform(np.where(holes, mean, X)), atol=1e-12)
        assert (same[holes.any(1)] > 0).all()
    full = np.where(np.arange(64) < 63, X, np.nan)
    assert np.isfinite(VAETransformer(2, max_iter=2).fit(full).score(full))  # never observed


def test_missing_values_in_sparse_rows():
    known, _ = with_holes(DIGITS[:150], 0.1)
    options = {"max_iter": 5, "random_state": 0}
    dense = VAETransformer(2, **options).fit(known)
    sparse = VAETransformer(2, **options).fit(sp.csr_array(known))
    np.testing.assert_allclose(sparse._theta, dense._theta, atol=1e-12)
    np.testing.assert_allclose(
        sparse.reconstruct(sp.csr_array(known)), dense.reconstruct(known), atol=1e-12
    )


# New rows, and bad input.


def test_samples_have_the_moments_of_the_model(linear):
    _, vae = linear
    W, b = vae.coefs_[-1].T, vae.intercepts_[-1]
    means = vae.sample(20000, random_state=0)
    np.testing.assert_allclose(means.mean(0), b, atol=0.06)
    np.testing.assert_allclose(np.cov(means.T), W @ W.T, atol=0.12)
    noisy = vae.sample(20000, random_state=0, noise=True)
    np.testing.assert_allclose(np.var(noisy - means), vae.noise_scale_**2, rtol=0.02)
    np.testing.assert_array_equal(means, vae.sample(20000, random_state=0))


def test_samples_of_yes_no_features():
    vae = VAETransformer(2, (8,), likelihood="bernoulli", max_iter=3, random_state=0).fit(DIGITS)
    rows = vae.sample(4000, random_state=0)
    assert ((rows > 0) & (rows < 1)).all()
    drawn = vae.sample(4000, random_state=0, noise=True)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(0), rows.mean(0), atol=0.04)
    assert vae.sample().shape == (1, 64)


def test_scores_do_not_depend_on_the_rows_beside_them_nor_on_the_call():
    vae = VAETransformer(2, (16,), max_iter=5, random_state=0).fit(DIGITS)
    for method in (vae.score_samples, vae.log_likelihood, vae.transform):
        whole = method(DIGITS)
        np.testing.assert_array_equal(whole, method(DIGITS))
        np.testing.assert_allclose(whole[40:41], method(DIGITS[40:41]), rtol=1e-9)
        np.testing.assert_allclose(whole[::-1], method(DIGITS[::-1]), rtol=1e-9)
    with pytest.raises(
        ValueError, match="n_importance must be a whole number of draws >= 1, got 0"
    ):
        vae.log_likelihood(DIGITS, 0)
    with pytest.raises(ValueError, match="n_samples must be a whole number of rows >= 1, got 0"):
        vae.sample(0)


def test_values_outside_the_unit_interval_show_their_range():
    vae = VAETransformer(likelihood="bernoulli", max_iter=2)
    X = DIGITS.copy()
    X[3, 5], X[9, 2] = -1.5, 3
    message = r"likelihood='bernoulli' models features between 0 and 1, and X goes from -1.5 to 3\."
    with pytest.raises(ValueError, match=message):
        vae.fit(X)
    vae.fit(DIGITS)
    for method in (vae.score_samples, vae.log_likelihood):
        with pytest.raises(ValueError, match=message):
            method(sp.csr_array(X))
    scaled = MinMaxScaler().fit_transform(DIGITS * 0.3236180904522613 + 0.7)
    assert scaled.max() > 1  # by rounding
    VAETransformer(likelihood="bernoulli", max_iter=2).fit(scaled)
    assert np.isfinite(vae.transform(X)).all()  # the encoder may see what it likes


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_constant_features_and_few_rows(likelihood):
    options = {"likelihood": likelihood, "max_iter": 30, "random_state": 0}
    for X in (np.ones((30, 4)), np.zeros((30, 1)), DIGITS[:1], DIGITS[:2]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            vae = VAETransformer(2, (8,), **options).fit(X)
        assert np.isfinite(vae.score(X))
        assert np.isfinite(vae.sample(5)).all()


def test_a_noise_that_vanishes_does_not_end_in_infinity():
    X = np.outer(np.linspace(-1, 1, 100), [1.0, 2.0, -1.0])  # of rank one, without any noise
    vae = VAETransformer(1, (), optimizer=Adam(0.05), max_iter=3000, random_state=0).fit(X)
    scale = np.sqrt(X.var(0).mean())
    assert 1e-4 * scale <= vae.noise_scale_ < 0.1 * scale
    assert np.isfinite(vae.score(X))


def test_the_noise_starts_at_the_scale_of_the_data():
    for factor in (1e-6, 1.0, 10.0):
        X = low_rank(200) * factor
        vae = VAETransformer(2, (), optimizer=SGD(1e-300), max_iter=1, random_state=0).fit(X)
        np.testing.assert_allclose(vae.noise_scale_, np.sqrt(X.var(0).mean()), rtol=1e-7)


def test_parameters_changed_after_the_fit_do_not_change_the_model():
    vae = VAETransformer(2, (8,), noise_scale=0.3, max_iter=3, random_state=0).fit(DIGITS)
    before = vae.score_samples(DIGITS), vae.sample(3, random_state=0, noise=True)
    vae.set_params(likelihood="bernoulli", noise_scale=2.0, beta=7.0, n_components=5)
    after = vae.score_samples(DIGITS), vae.sample(3, random_state=0, noise=True)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_that_vary_by_rounding_alone_are_constant(dtype):
    for X in (np.full((100, 5), 0.1), np.full((100, 5), 123.456), np.tile(DIGITS[:1], (50, 1))):
        vae = VAETransformer(2, (8,), max_iter=30, random_state=0)
        vae.fit(X.astype(dtype))
        assert np.abs(vae.loss_curve_).max() < 1e3
        assert vae.noise_scale_ > 0.5  # of the scale of one that stands for none


def test_what_is_read_off_the_rows_keeps_its_digits():
    X = (1e5 + low_rank(500)).astype(np.float32)
    known, _ = with_holes(X)
    weights = np.random.RandomState(0).uniform(size=500)
    observed = Observed.of(torch.from_numpy(known), torch.from_numpy(weights), torch.zeros(1))
    masked = np.ma.masked_invalid(known.astype(np.float64))
    mean = np.ma.average(masked, axis=0, weights=weights)
    np.testing.assert_allclose(observed.mean, mean, rtol=1e-12)
    total = np.ma.average(np.square(masked - mean), axis=0, weights=weights)
    shares = (weights[:, None] * ~masked.mask).sum(0)
    np.testing.assert_allclose(observed.weight, shares, rtol=1e-12)
    np.testing.assert_allclose(observed.scale, np.sqrt(np.average(total, weights=shares)))


def test_a_model_remembers_that_it_has_seen_missing_values():
    X = low_rank(600, noise=0.1)
    known, holes = with_holes(X, 0.2)
    vae = VAETransformer(3, (16,), optimizer=Adam(1e-2), max_iter=60, random_state=0).fit(known)
    before = np.abs(vae.reconstruct(known) - X)[holes].mean()
    after = np.abs(vae.partial_fit(X[:1]).reconstruct(known) - X)[holes].mean()
    assert after < 1.2 * before


def test_missing_values_of_rows_that_do_not_count_do_not_count():
    known, _ = with_holes(DIGITS[:100], 0.3)
    counts = np.arange(100) % 3 > 0
    rows = np.where(counts[:, None], DIGITS[:100], known)
    options = {"max_iter": 5, "random_state": 0}
    weighted = VAETransformer(2, **options).fit(rows, sample_weight=counts.astype(float))
    without = VAETransformer(2, **options).fit(DIGITS[:100][counts])
    np.testing.assert_allclose(weighted.reconstruct(known), without.reconstruct(known), rtol=1e-9)


def test_rows_like_no_others_have_low_scores_and_not_none():
    rows = np.random.RandomState(0).standard_normal((300, 6))
    for seed in range(3):
        vae = VAETransformer(2, max_iter=20, random_state=seed).fit(rows)
        far = np.outer([1e6, -1e6, 1e4], np.ones(6))
        for method in (vae.score_samples, vae.log_likelihood):
            assert (method(far) < method(rows).min()).all()
        assert np.isfinite(vae.reconstruct(np.where([True] + 5 * [False], np.nan, far))).all()


def test_a_changed_strength_gets_new_patience():
    options = {"warm_start": True, "max_iter": 30, "random_state": 0}
    vae = VAETransformer(2, (8,), beta=0.1, **options).fit(DIGITS[:300])
    vae.set_params(beta=5.0).fit(DIGITS[:300])
    assert vae.n_iter_ == 30
    assert vae.best_loss_ == min(vae.loss_curve_[30:])


def test_a_warm_up_that_is_longer_than_the_fit():
    with pytest.warns(ConvergenceWarning, match="before the warm-up of 50 epochs was over"):
        VAETransformer(2, (8,), kl_warmup=50, max_iter=5).fit(DIGITS)
