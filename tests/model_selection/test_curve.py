"""Decompositions along a parameter."""

import numpy as np
import pytest
from sklearn.datasets import make_friedman1
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.tree import DecisionTreeRegressor

from skbasics import BiasVarianceCurve, bias_variance_curve, bias_variance_decomposition

X, y = make_friedman1(60, random_state=0)
OPTIONS = {"n_rounds": 5, "random_state": 0}


def test_it_has_the_decomposition_of_each_value():
    alphas, model = [0.1, 10.0, 1000.0], Ridge()
    curve = bias_variance_curve(model, X, y, param_name="alpha", param_range=alphas, **OPTIONS)
    assert isinstance(curve, BiasVarianceCurve)
    assert (curve.param_name, curve.param_range, len(curve)) == ("alpha", alphas, 3)
    for name in ("noise", "bias", "variance", "expected_loss"):
        each = [getattr(result, name) for result in curve.results]
        np.testing.assert_array_equal(getattr(curve, name), each)
        errors = [result.standard_errors[name] for result in curve.results]
        np.testing.assert_array_equal(curve.standard_errors[name], errors)
    assert curve.best_index == np.argmin(curve.expected_loss)
    assert curve.variance[0] > curve.variance[2]
    assert curve.bias[0] < curve.bias[2]
    assert model.alpha == 1.0


def test_every_value_meets_the_same_draws():
    same = bias_variance_curve(
        DecisionTreeRegressor(splitter="random"), X, y, param_name="min_samples_split",
        param_range=[2, 2], n_rounds=5,
    )  # fmt: skip
    assert same.expected_loss[0] == same.expected_loss[1]
    other = bias_variance_curve(Ridge(), X, y, param_name="alpha", param_range=[1], **OPTIONS)
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
    alone = bias_variance_decomposition(Ridge(alpha=1), X, y, n_rounds=5, random_state=seed)
    assert other.expected_loss[0] == alone.expected_loss


def test_nested_parameters_and_values_that_are_no_numbers():
    model = make_pipeline(PolynomialFeatures(), Ridge())
    curve = bias_variance_curve(
        model, X, y, param_name="polynomialfeatures__degree", param_range=range(1, 3), **OPTIONS
    )
    assert len(curve) == 2
    steps = [PolynomialFeatures(1), "passthrough"]
    curve = bias_variance_curve(
        model, X, y, param_name="polynomialfeatures", param_range=steps, **OPTIONS
    )
    assert curve.expected_loss[0] == pytest.approx(curve.expected_loss[1], rel=1e-9)
    assert not hasattr(steps[0], "n_features_in_")


def test_it_shows_a_table():
    curve = bias_variance_curve(Ridge(), X, y, param_name="alpha", param_range=[1, 1e5], **OPTIONS)
    lines = repr(curve).split("\n")
    assert lines[0].split() == ["alpha", "noise", "bias", "variance", "expected_loss"]
    assert [float(cell) for cell in lines[2].split()] == pytest.approx(
        [1e5, 0, curve.bias[1], curve.variance[1], curve.expected_loss[1]], rel=1e-3
    )
