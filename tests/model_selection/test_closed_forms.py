"""Experiments whose bias, variance and noise are known."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LinearRegression, Ridge

from skbasics import bias_variance_decomposition

N, SIGMA = 40, 0.7
x = np.linspace(-1, 1, N)
DESIGN = np.stack([x, x**2, np.sin(5 * x)], axis=1)
TRUTH = 1 + x - 2 * x**3  # not in the span: there is bias


def sampler(rng):
    return DESIGN, TRUTH + rng.normal(0, SIGMA, N)


def hat(penalty):
    """Return the matrix that maps y to the predictions of ridge with an intercept."""
    centred = DESIGN - DESIGN.mean(axis=0)
    gram = centred.T @ centred + penalty * np.eye(3)
    return 1 / N + centred @ np.linalg.solve(gram, centred.T)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 20.0])
def test_linear_and_ridge_regression_on_a_fixed_design(penalty):
    model = Ridge(alpha=penalty) if penalty else LinearRegression()
    y = sampler(np.random.RandomState(1))[1]
    found = bias_variance_decomposition(
        model, None, None, X_test=DESIGN, y_test=y, resampling=sampler, true_values=TRUTH,
        n_rounds=400, random_state=0,
    )  # fmt: skip
    H = hat(penalty)
    squared_bias = ((H @ TRUTH - TRUTH) ** 2).mean()
    variance = SIGMA**2 * (H**2).sum() / N
    known = {
        "bias": squared_bias,
        "variance": variance,
        "noise": SIGMA**2,
        "expected_loss": squared_bias + variance + ((y - TRUTH) ** 2).mean(),
    }
    for name, value in known.items():
        error = found.standard_errors[name]
        assert 0 < error < 0.3 * value
        assert abs(getattr(found, name) - value) < 3 * error, name


def test_the_training_error_is_too_low_by_the_optimism():
    """For the y that were trained on the cross term does not vanish: 2 / n sum cov(y, fitted)."""
    losses = []

    class Watches(Ridge):
        def fit(self, X, y):
            super().fit(X, y)
            losses.append(((y - self.predict(X)) ** 2).mean())
            return self

    y = sampler(np.random.RandomState(1))[1]
    found = bias_variance_decomposition(
        Watches(), None, None, X_test=DESIGN, y_test=y, resampling=sampler, true_values=TRUTH,
        n_rounds=400, random_state=0,
    )  # fmt: skip
    fresh = SIGMA**2 + found.bias + found.variance
    optimism = 2 * SIGMA**2 * np.trace(hat(1.0)) / N
    errors = found.standard_errors
    error = np.std(losses) / 20 + errors["bias"] + errors["variance"]
    assert optimism > 3 * error
    assert abs(fresh - np.mean(losses) - optimism) < 3 * error


def test_noise_from_repeats_is_that_from_true_values():
    """Twenty measurements at each row: no true value is needed."""
    repeated = np.repeat(DESIGN, 20, axis=0)
    truth = np.repeat(TRUTH, 20)
    y = truth + np.random.RandomState(2).normal(0, SIGMA, len(truth))
    options = {"X_test": repeated, "y_test": y, "resampling": sampler, "random_state": 0}
    found = bias_variance_decomposition(Ridge(), None, None, **options)
    known = bias_variance_decomposition(Ridge(), None, None, true_values=truth, **options)
    assert abs(found.noise - SIGMA**2) < 3 * found.standard_errors["noise"]
    assert found.variance == pytest.approx(known.variance, rel=1e-12)  # sums may be taken apart
    # the bias is measured against means of twenty y, and freed of what they scatter
    scatter = 2 * np.sqrt(known.bias * SIGMA**2 / len(truth)) + SIGMA**2 / 20 * np.sqrt(2 / N)
    assert abs(found.bias - known.bias) < 3 * scatter
    assert found.expected_loss == pytest.approx(found.observed_loss, abs=1e-12)
    assert found.noise + found.bias + found.variance == pytest.approx(
        found.expected_loss, abs=1e-10
    )


class Majority(ClassifierMixin, BaseEstimator):
    """Predicts the most frequent class of its training set, everywhere."""

    def fit(self, X, y):
        self.classes_, counts = np.unique(y, return_counts=True)
        self.most_ = self.classes_[counts.argmax()]
        self.shares_ = counts / counts.sum()
        return self

    def predict(self, X):
        return np.full(len(X), self.most_)

    def predict_proba(self, X):
        return np.tile(self.shares_, (len(X), 1))


def test_zero_one_loss_of_a_vote_among_nine():
    """Nine draws of a class with chance 0.6: the vote is a binomial tail."""
    from scipy.stats import binom

    def labels(rng):
        return np.zeros((9, 1)), np.where(rng.uniform(size=9) < 0.6, "yes", "no")

    right = binom.sf(4, 9, 0.6)
    law = np.tile([0.4, 0.6], (30, 1))
    y = labels(np.random.RandomState(0))[1]
    options = {"resampling": labels, "loss": "zero_one", "n_rounds": 2000, "random_state": 0}
    options |= {"X_test": np.zeros((30, 1)), "y_test": np.resize(y, 30), "true_values": law}
    found = bias_variance_decomposition(Majority(), None, None, **options)
    assert (found.bias, found.per_sample["main_prediction"][0]) == (0, "yes")
    known = {"variance": 1 - right, "noise": 0.4 * (2 * right - 1)}
    known["expected_loss"] = 0.6 * (1 - right) + 0.4 * right
    for name, value in known.items():
        assert abs(getattr(found, name) - value) < 3 * found.standard_errors[name], name
    other = bias_variance_decomposition(
        Majority(), None, None, zero_one_definition="kohavi_wolpert", **options
    )
    known = {"bias": (0.6 - right) ** 2, "variance": right * (1 - right)}
    for name, value in known.items():
        assert abs(getattr(other, name) - value) < 3 * other.standard_errors[name], name
    assert other.noise == pytest.approx(0.24)
    assert other.expected_loss == pytest.approx(found.expected_loss, abs=1e-12)


def test_log_loss_of_counted_shares():
    """Shares of nine draws: the expected loss is a sum over ten counts."""
    from scipy.stats import binom

    def labels(rng):
        y = rng.uniform(size=20) < 0.6
        y[:2] = [False, True]  # both classes, always
        return np.zeros((20, 1)), y.astype(int)

    counts = np.arange(19)
    chances, shares = binom.pmf(counts, 18, 0.6), (counts + 1) / 20
    mean_log = np.array([chances @ np.log(1 - shares), chances @ np.log(shares)])
    law, normaliser = np.array([0.4, 0.6]), np.exp(mean_log).sum()
    known = {
        "expected_loss": -law @ mean_log,
        "variance": -np.log(normaliser),
        "bias": law @ (np.log(law) - mean_log + np.log(normaliser)),
    }
    found = bias_variance_decomposition(
        Majority(), None, None, X_test=np.zeros((4, 1)), y_test=[0, 1, 1, 0], loss="log_loss",
        resampling=labels, true_values=np.tile(law, (4, 1)), n_rounds=3000, random_state=0,
    )  # fmt: skip
    assert found.noise == pytest.approx(-(law * np.log(law)).sum())
    for name, value in known.items():
        assert abs(getattr(found, name) - value) < 3 * found.standard_errors[name], name
