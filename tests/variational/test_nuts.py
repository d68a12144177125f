"""The no-U-turn sampler on the same models, one parameter away."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch

from skbasics import VariationalClassifier, VariationalRegressor
from skbasics.variational._nuts import sample_nuts

RNG = np.random.RandomState(0)
X = RNG.normal([0, 5], size=(100, 2))
LABELS = np.where(X @ [1.0, -0.5] + 2.5 + RNG.logistic(size=100) > 0, "yes", "no")
NUMBERS = X @ [1.0, -0.5] + RNG.normal(size=100)


def test_nuts_and_full_rank_agree_on_a_logistic_regression():
    drawn = VariationalClassifier(inference="nuts", n_draws=1600, random_state=0).fit(X, LABELS)
    gaussian = VariationalClassifier().fit(X, LABELS)
    deviations = np.sqrt(gaussian.covariance_.diagonal())
    np.testing.assert_allclose((drawn.coef_ - gaussian.coef_) / deviations[:2], 0, atol=0.1)
    np.testing.assert_allclose(drawn.intercept_, gaussian.intercept_, atol=0.1 * deviations[2])
    np.testing.assert_allclose(np.sqrt(drawn.covariance_.diagonal()) / deviations, 1, rtol=0.1)
    np.testing.assert_allclose(drawn.predict_proba(X), gaussian.predict_proba(X), atol=0.02)
    assert drawn.r_hat_.shape == drawn.effective_sample_size_.shape == (3,)
    assert (drawn.r_hat_ < 1.02).all()
    assert (drawn.effective_sample_size_ > 400).all()
    draws = drawn.sample_posterior(50, random_state=0)
    known = drawn.sample_posterior(10**5, random_state=1)
    assert draws.shape == (50, 3)
    assert len(np.unique(known, axis=0)) <= 1600
    assert set(drawn.predict(X)) == {"yes", "no"}


def test_nuts_draws_the_conjugate_posterior():
    fixed = {"noise_scale": 1.0, "prior_scale": 1.0}
    drawn = VariationalRegressor(inference="nuts", random_state=0, **fixed).fit(X, NUMBERS)
    exact = VariationalRegressor(**fixed).fit(X, NUMBERS)
    deviations = np.sqrt(exact.covariance_.diagonal())
    np.testing.assert_allclose((drawn.coef_ - exact.coef_) / deviations[:2], 0, atol=0.1)
    np.testing.assert_allclose(drawn.covariance_.diagonal(), deviations**2, rtol=0.2)
    means, stds = zip(
        drawn.predict(X[:9], return_std=True), exact.predict(X[:9], return_std=True), strict=True
    )
    np.testing.assert_allclose(*means, atol=0.03)
    np.testing.assert_allclose(*stds, rtol=0.02)


def test_nothing_global_is_touched_and_the_seed_decides(monkeypatch):
    monkeypatch.setattr("skbasics.variational._nuts.WARMUP", 20)
    before, torch_before = (
        np.random.mtrand._rand.get_state()[1].copy(),
        torch.random.get_rng_state(),
    )
    kind = {"inference": "nuts", "n_draws": 16, "random_state": 1}
    with pytest.warns(UserWarning, match="chains of NUTS disagree: the largest R-hat is"):
        first = VariationalRegressor(**kind).fit(X, NUMBERS)
    with pytest.warns(UserWarning, match="chains of NUTS disagree"):
        again = VariationalRegressor(**kind).fit(X, NUMBERS)
    np.testing.assert_array_equal(first.sample_posterior(9, 0), again.sample_posterior(9, 0))
    np.testing.assert_array_equal(np.random.mtrand._rand.get_state()[1], before)
    assert torch.equal(torch.random.get_rng_state(), torch_before)


def test_a_gaussian_is_drawn_as_it_is():
    def log_density(theta):
        return -((theta - 3) / torch.tensor([1.0, 10.0])).square().sum(1) / 2

    mean, scale = torch.zeros(2).double(), torch.tensor([1.0, 10.0]).double()
    drawn = sample_nuts(log_density, mean, scale, 800, np.random.RandomState(0))
    torch.testing.assert_close((drawn.draws.mean(0) - 3) / scale, mean, rtol=0, atol=0.12)
    torch.testing.assert_close(drawn.draws.std(0) / scale, mean + 1, rtol=0.1, atol=0)


def test_a_missing_pyro_is_named_with_the_command_that_installs_it(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "pyro" else found(name, *a)
    )
    with pytest.raises(ImportError, match=r"needs Pyro.*pip install 'skbasics\[mcmc\]'"):
        VariationalRegressor(inference="nuts").fit(X, NUMBERS)
    VariationalRegressor().fit(X, NUMBERS)


def test_pyro_is_loaded_only_where_it_is_used():
    code = "import sys, skbasics.variational; print({'pyro', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
