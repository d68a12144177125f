"""The areas, the bands, the axis, and what is refused."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_iris, make_friedman1
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeClassifier

from skbasics import BiasVarianceDisplay, MLPRegressor, bias_variance_curve

matplotlib.use("agg")
X, y = make_friedman1(60, random_state=0)
ALPHAS = [0.01, 1.0, 100.0]


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def curve():
    return bias_variance_curve(
        Ridge(), X, y, param_name="alpha", param_range=ALPHAS, true_values=y - 1, n_rounds=6,
        random_state=0,
    )  # fmt: skip


def edges(area, x):
    """Return the lower and the upper edge of an area at x."""
    vertices = area.get_paths()[0].vertices
    heights = [vertices[vertices[:, 0] == value, 1] for value in x]
    return np.array([(h.min(), h.max()) for h in heights]).T


def test_the_terms_lie_on_top_of_each_other(curve):
    shown = BiasVarianceDisplay.from_curve(curve)
    base = np.zeros(3)
    for name in ("noise", "bias", "variance"):
        lower, upper = edges(shown.areas_[name], ALPHAS)
        np.testing.assert_allclose(lower, base, atol=1e-12)
        base = base + getattr(curve, name)
        np.testing.assert_allclose(upper, base)
    np.testing.assert_allclose(shown.line_.get_ydata(), curve.expected_loss)
    np.testing.assert_allclose(base, curve.expected_loss)
    labels = [text.get_text() for text in shown.ax_.get_legend().get_texts()]
    assert labels == ["noise", "squared bias", "variance", "expected loss"]
    assert (shown.ax_.get_xlabel(), shown.ax_.get_ylabel()) == (
        "alpha",
        "expected loss (squared error)",
    )
    assert shown.figure_ is shown.ax_.figure


def test_bands_are_standard_errors_about_the_edges(curve):
    shown = BiasVarianceDisplay.from_curve(curve, n_errors=3)
    tops = {"bias": curve.noise + curve.bias, "expected_loss": curve.expected_loss}
    assert set(shown.bands_) == set(tops)  # noise of one everywhere has no error
    for name, top in tops.items():
        errors = 3 * curve.standard_errors[name]
        np.testing.assert_allclose(
            edges(shown.bands_[name], ALPHAS), [top - errors, top + errors], rtol=1e-9
        )
    assert BiasVarianceDisplay.from_curve(curve, n_errors=0).bands_ == {}


def test_the_axis_follows_the_values(curve):
    shown = BiasVarianceDisplay.from_curve(curve)
    assert shown.ax_.get_xscale() == "log"
    assert BiasVarianceDisplay.from_curve(curve, log_scale=False).ax_.get_xscale() == "linear"
    short = BiasVarianceDisplay.from_estimator(
        Ridge(), X, y, param_name="alpha", param_range=[0, 1, 100], n_rounds=3, random_state=0
    )
    assert short.ax_.get_xscale() == "linear"
    sizes = [(2,), (2, 2)]
    shapes = BiasVarianceDisplay.from_estimator(
        MLPRegressor(max_iter=2), X, y, param_name="hidden_layer_sizes", param_range=sizes,
        n_rounds=2, random_state=0,
    )  # fmt: skip
    assert [text.get_text() for text in shapes.ax_.get_xticklabels()] == ["(2,)", "(2, 2)"]
    assert shapes.bands_ == {}  # two rounds know no errors


def test_it_makes_the_experiment_and_draws_again():
    _, ax = plt.subplots()
    options = {"loss": "zero_one", "n_rounds": 6, "random_state": 0}
    options |= {"param_name": "max_depth", "param_range": [1, 2, 5]}
    model = DecisionTreeClassifier()
    shown = BiasVarianceDisplay.from_estimator(
        model, *load_iris(return_X_y=True), ax=ax, legend=False, n_errors=1, **options
    )
    assert shown.ax_ is ax
    assert ax.get_legend() is None
    assert not hasattr(model, "tree_")
    same = bias_variance_curve(model, *load_iris(return_X_y=True), **options)
    np.testing.assert_array_equal(shown.curve.expected_loss, same.expected_loss)
    again = shown.plot()
    assert again.ax_ is not ax
    labels = [text.get_text() for text in again.ax_.get_legend().get_texts()]
    assert labels == ["bias", "variance", "expected loss"]  # no noise is told from the bias


def test_what_is_no_curve(curve):
    with pytest.raises(ValueError, match="takes what bias_variance_curve returns, got BiasVar"):
        BiasVarianceDisplay.from_curve(curve.results[0])


def test_values_are_drawn_in_their_order():
    curve = bias_variance_curve(
        Ridge(), X, y, param_name="alpha", param_range=[10, 0.1, 1], n_rounds=4, random_state=0
    )
    shown = BiasVarianceDisplay.from_curve(curve)
    np.testing.assert_array_equal(shown.line_.get_xdata(), [0.1, 1, 10])
    np.testing.assert_array_equal(shown.line_.get_ydata(), curve.expected_loss[[1, 2, 0]])
