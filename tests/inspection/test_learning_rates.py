"""The steps are those of a fit, and the loss rises where theory says."""

import pickle

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skbasics import (
    LBFGS,
    NAG,
    Adam,
    Autoencoder,
    ConvNetClassifier,
    GradientDescent,
    MLPClassifier,
    MLPRegressor,
    Momentum,
    Newton,
    ParametricUMAP,
    RMSprop,
    TorchOptimizer,
    VAETransformer,
    learning_rate_range_test,
)
from skbasics.inspection._learning_rates import GeometricGrowth

matplotlib.use("agg")
X, y = load_digits(return_X_y=True)
X, y = X[:300] / 16, y[:300]


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def line_problem(n_features=4, isotropic=False):
    """Return rows, targets and the Hessian of half the mean squared error, intercept included."""
    draws = np.random.RandomState(0)
    A = draws.standard_normal((50, n_features))
    if isotropic:  # centred, orthogonal, of mean square one
        A = np.linalg.qr(A - A.mean(0))[0] * np.sqrt(len(A))
    b = A @ draws.standard_normal(n_features) + 3
    ones = np.column_stack([A, np.ones(len(A))])
    return A, b, ones.T @ ones / len(A)


LINE = MLPRegressor((), optimizer=GradientDescent(), alpha=0, random_state=0)


def test_the_loss_of_an_isotropic_quadratic_rises_from_two_by_the_eigenvalue_on():
    A, b, hessian = line_problem(isotropic=True)
    np.testing.assert_allclose(hessian, np.eye(5), atol=1e-12)
    options = {"smallest": 0.2, "largest": 21.0, "n_steps": 41}
    found = learning_rate_range_test(LINE, A, b, smoothing=1, **options)
    falls = np.diff(found.losses) < 0
    np.testing.assert_array_equal(falls, found.learning_rates[:-1] < 2)
    assert found.least == found.learning_rates[found.learning_rates >= 2][0]
    assert found.suggested == found.least / 10
    step = found.learning_rates[1] / found.learning_rates[0]
    smoothed = learning_rate_range_test(LINE, A, b, smoothing=9, **options)
    assert 2 / step**4 < smoothed.least < 2 * step**5  # within half a window


def test_the_loss_of_no_quadratic_rises_below_two_by_the_largest_eigenvalue():
    A, b, hessian = line_problem()
    limit = 2 / np.linalg.eigvalsh(hessian)[-1]
    found = learning_rate_range_test(LINE, A, b, smallest=1e-3, n_steps=200, smoothing=1)
    stable = found.learning_rates[:-1] < limit
    assert (np.diff(found.losses)[stable] < 0).all()
    assert limit < found.least < 3 * limit
    assert len(found.losses) < 200  # it exploded
    assert found.losses[-1] > found.losses[0]


@pytest.mark.filterwarnings("ignore:The loss was least at the last rate")
def test_each_step_is_that_of_the_recurrence():
    A, b, _ = line_problem()
    found = learning_rate_range_test(LINE, A, b, smallest=1e-2, largest=0.5, n_steps=20)
    assert np.ptp(np.diff(np.log(found.learning_rates))) < 1e-12
    start = clone(LINE).set_params(optimizer__learning_rate=1e-12, max_iter=1, tol=0).fit(A, b)
    theta = np.append(start.coefs_[0][:, 0], start.intercepts_[0])
    ones = np.column_stack([A, np.ones(len(A))])
    for rate, loss in zip(found.learning_rates, found.losses, strict=True):
        residual = ones @ theta - b
        assert loss == pytest.approx(residual @ residual / 100, rel=1e-8)
        theta -= rate * ones.T @ residual / 50


@pytest.mark.filterwarnings("ignore:The loss was least at the last rate")
@pytest.mark.parametrize(
    "optimizer", [Adam(), Momentum(), NAG(), RMSprop()], ids=lambda value: type(value).__name__
)
def test_the_steps_are_those_of_a_fit_at_that_schedule(optimizer):
    growth = GeometricGrowth(1e-4, 1e-2, 12)
    network = MLPClassifier((9,), optimizer=optimizer, batch_size=75, dropout=0.2, random_state=0)
    found = learning_rate_range_test(network, X, y, smallest=1e-4, largest=1e-2, n_steps=12)
    fitted = clone(network).set_params(optimizer__learning_rate=growth, max_iter=3, tol=0).fit(X, y)
    np.testing.assert_allclose(found.losses.reshape(3, 4).mean(1), fitted.loss_curve_, rtol=1e-12)
    assert found.optimizer == type(optimizer).__name__


@pytest.mark.parametrize(
    "network",
    [
        MLPClassifier((20,)),
        MLPClassifier((20,), optimizer="sgd", batch_norm=True),
        ConvNetClassifier(image_shape=(8, 8), hidden_layer_sizes=(10,)),
        Autoencoder(3, (20,)),
        VAETransformer(3, (20,), kl_warmup=5),
        ParametricUMAP((20,)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_suggestion_trains(network):
    given = (X, y) if network._has_targets else (X,)
    network = clone(network).set_params(random_state=0, max_iter=12, tol=0)
    found = learning_rate_range_test(network, *given)
    assert found.least == found.learning_rates[np.argmin(found.smoothed_losses)]
    assert found.learning_rates[0] < found.steepest <= found.least
    losses = [
        clone(network).set_params(optimizer__learning_rate=rate).fit(*given).loss_
        for rate in (found.suggested, found.suggested / 100)
    ]
    assert losses[0] < losses[1]


@pytest.mark.parametrize("fitted", [False, True])
def test_nothing_is_changed_and_a_fit_is_begun_anew(fitted):
    network = MLPClassifier((9,), warm_start=True, early_stopping=True, random_state=0)
    network.set_params(max_iter=3)
    expected = learning_rate_range_test(network, X, y)
    if fitted:
        network.fit(X, y)
    before, state = pickle.dumps(network), torch.get_rng_state()
    found = learning_rate_range_test(network, X, y)
    assert pickle.dumps(network) == before
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(found.losses, expected.losses)


def test_the_random_state_is_the_estimators_if_it_has_one():
    without = MLPClassifier((9,))
    one, same, other = (learning_rate_range_test(without, X, y, random_state=i) for i in (0, 0, 1))
    np.testing.assert_array_equal(one.losses, same.losses)
    assert one.losses[0] != other.losses[0]
    seeded = MLPClassifier((9,), random_state=5)
    one, other = (learning_rate_range_test(seeded, X, y, random_state=i) for i in (0, 1))
    np.testing.assert_array_equal(one.losses, other.losses)


def test_weights_of_zero_are_rows_that_are_not_there():
    network, weights = MLPClassifier((9,), random_state=0), np.ones(len(X))
    weights[200:] = 0
    found = learning_rate_range_test(network, X, y, weights)
    expected = learning_rate_range_test(network, X[:200], y[:200])
    np.testing.assert_array_equal(found.losses, expected.losses)


def test_the_last_step_of_a_pipeline_is_tested_on_what_it_sees():
    network = MLPClassifier((9,), random_state=0)
    pipeline = make_pipeline(MinMaxScaler(), network)
    found = learning_rate_range_test(pipeline, 16 * X, y)
    expected = learning_rate_range_test(network, MinMaxScaler().fit_transform(16 * X), y)
    np.testing.assert_array_equal(found.losses, expected.losses)
    assert not hasattr(pipeline[0], "scale_")


def test_an_explosion_beyond_all_numbers_ends_the_test():
    A, b, _ = line_problem()
    with pytest.warns(UserWarning, match="Lower smallest|rose"):
        found = learning_rate_range_test(LINE, A, b, largest=1e300, n_steps=4)
    assert np.isfinite(found.losses).all()
    assert len(found.losses) == 3


def test_a_range_that_does_not_tell_enough_warns():
    A, b, _ = line_problem()
    with pytest.warns(UserWarning, match=r"least at the last rate, largest=0.01, .*Raise largest"):
        learning_rate_range_test(LINE, A, b, largest=0.01)
    with pytest.warns(UserWarning, match=r"first rate on, smallest=5, .*Lower smallest"):
        learning_rate_range_test(LINE, A, b, smallest=5.0)


def test_the_picture_shows_the_losses():
    found = learning_rate_range_test(MLPClassifier((9,), random_state=0), X, y)
    axes = plt.subplots()[1]
    assert found.plot(axes) is found
    assert found.ax_ is axes
    assert found.figure_ is axes.figure
    for name in ("losses", "smoothed_losses"):
        np.testing.assert_array_equal(found.lines_[name].get_xdata(), found.learning_rates)
        np.testing.assert_array_equal(found.lines_[name].get_ydata(), getattr(found, name))
    assert set(found.lines_["suggested"].get_xdata()) == {found.suggested}
    assert axes.get_xscale() == "log"
    assert axes.get_ylabel() == "loss of MLPClassifier"
    low, high = axes.get_ylim()
    assert low < found.smoothed_losses.min() < found.smoothed_losses[0] < high < found.losses[-1]
    assert found.plot().ax_ is not axes


def test_the_text_names_the_rates():
    text = repr(learning_rate_range_test(MLPClassifier((9,), random_state=0), X, y))
    assert text.startswith("MLPClassifier by Adam, learning rates 1e-07 to ")
    assert [line.split()[0] for line in text.split("\n")[1:]] == ["steepest", "least", "suggested"]


@pytest.mark.parametrize(
    "optimizer",
    [LBFGS(), Newton(), TorchOptimizer(torch.optim.NAdam)],
    ids=lambda value: type(value).__name__,
)
def test_an_optimizer_without_a_rate_to_follow_is_refused(optimizer):
    name = type(optimizer).__name__
    with pytest.raises(ValueError, match=rf"needs an optimizer .* and {name} does not.* 'adam'"):
        learning_rate_range_test(MLPClassifier(optimizer=optimizer), X, y)


def test_what_cannot_be_tested_is_refused():
    network = MLPClassifier((3,))
    with pytest.raises(
        TypeError, match=r"learning_rate_range_test looks .* got LogisticRegression"
    ):
        learning_rate_range_test(LogisticRegression(), X, y)
    with pytest.raises(ValueError, match=r"smallest=1 must be below largest=0\.1: the rate grows"):
        learning_rate_range_test(network, X, y, smallest=1, largest=0.1)
    with pytest.raises(ValueError, match="'n_steps' parameter of learning_rate_range_test must"):
        learning_rate_range_test(network, X, y, n_steps=1)
    with pytest.raises(ValueError, match=r"MLPRegressor is not finite from the start\. Scale"):
        learning_rate_range_test(MLPRegressor((3,)), X, 1e200 * y)
