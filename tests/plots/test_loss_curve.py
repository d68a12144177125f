"""The lines are the recorded losses."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbasics import GridSearchCV, LossCurveDisplay, MLPClassifier, MLPRegressor, cross_validate

matplotlib.use("agg")
X, y = load_iris(return_X_y=True)
NETWORK = MLPClassifier((5,), max_iter=12, random_state=0)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def texts(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_the_line_of_one_fit_is_its_loss_curve():
    fitted = clone(NETWORK).fit(X, y)
    shown = LossCurveDisplay.from_estimator(fitted)
    (line,) = shown.lines_["training"]
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 13))
    np.testing.assert_array_equal(line.get_ydata(), fitted.loss_curve_)
    assert set(shown.lines_) == {"training"}
    assert shown.mean_lines_ == {}
    assert texts(shown) == ["MLPClassifier, training"]
    assert shown.ax_.get_xlabel() == "epoch"
    assert shown.figure_ is shown.ax_.figure


def test_the_validation_loss_is_dashed():
    fitted = clone(NETWORK).fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    shown = LossCurveDisplay.from_estimator(fitted, name="net", logarithmic=True)
    (line,) = shown.lines_["validation"]
    np.testing.assert_array_equal(line.get_ydata(), fitted.history_["validation_loss"])
    assert line.get_linestyle() == "--"
    assert line.get_color() == shown.lines_["training"][0].get_color()
    assert texts(shown) == ["net, training", "net, validation"]
    assert shown.ax_.get_yscale() == "log"


def test_folds_that_ended_at_different_epochs():
    stopping = clone(NETWORK).set_params(
        max_iter=300, tol=1e-3, optimizer__learning_rate=0.05, n_iter_no_change=3
    )
    pipeline = make_pipeline(StandardScaler(), stopping)
    folds = cross_validate(pipeline, X, y, cv=4, return_estimator=True)["estimator"]
    curves = [fold[-1].loss_curve_ for fold in folds]
    made = min(map(len, curves))
    assert made < max(map(len, curves))
    shown = LossCurveDisplay.from_estimators(folds)
    for line, curve in zip(shown.lines_["training"], curves, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), curve)
    expected = [sum(curve[epoch] for curve in curves) / 4 for epoch in range(made)]
    np.testing.assert_allclose(shown.mean_lines_["training"].get_ydata(), expected, rtol=1e-12)
    assert texts(shown) == ["MLPClassifier, training, mean of 4"]


def test_what_was_trained_is_found_inside():
    search = GridSearchCV(make_pipeline(NETWORK), {"mlpclassifier__alpha": [0, 1]}, cv=2).fit(X, y)
    shown = LossCurveDisplay.from_estimator(search, legend=False)
    np.testing.assert_array_equal(shown.training[0], search.best_estimator_[-1].loss_curve_)
    assert shown.ax_.get_legend() is None
    scaled = TransformedTargetRegressor(
        MLPRegressor((3,), max_iter=5), transformer=StandardScaler()
    )
    scaled.fit(X, y)
    shown = LossCurveDisplay.from_estimator(scaled)
    np.testing.assert_array_equal(shown.training[0], scaled.regressor_.loss_curve_)


def test_two_in_the_same_axes_have_different_colours():
    fitted = clone(NETWORK).fit(X, y)
    one = LossCurveDisplay.from_estimator(fitted)
    other = LossCurveDisplay.from_estimator(fitted, ax=one.ax_)
    assert other.ax_ is one.ax_
    colours = {shown.lines_["training"][0].get_color() for shown in (one, other)}
    assert len(colours) == 2


def test_what_has_no_losses_is_refused():
    with pytest.raises(TypeError, match=r"LogisticRegression has no loss_curve_: .*epochs"):
        LossCurveDisplay.from_estimator(LogisticRegression().fit(X, y))
    with pytest.raises(NotFittedError, match=r"MLPClassifier is not fitted.* Call fit"):
        LossCurveDisplay.from_estimator(NETWORK)
    with pytest.raises(ValueError, match="no fit to show: pass one fitted estimator"):
        LossCurveDisplay.from_estimators([])
    with pytest.raises(TypeError, match="list of fitted estimators, got one MLPClassifier"):
        LossCurveDisplay.from_estimators(NETWORK)
