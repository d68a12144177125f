"""Cross-validation in stacks gives the results of scikit-learn's functions."""

import inspect

import joblib
import numpy as np
import pytest
from sklearn import config_context, model_selection
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, ShuffleSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skbasics import (
    SGD,
    GridSearchCV,
    MLPClassifier,
    MLPRegressor,
    cross_val_score,
    cross_validate,
)
from tests.model_selection.test_search import flat

X, y = (part[::3] for part in load_breast_cancer(return_X_y=True))
NETWORK = MLPClassifier((6,), max_iter=8, random_state=0)
ONE_SAMPLE = 1 / len(X)
PIPELINE = Pipeline([("scale", StandardScaler()), ("net", NETWORK)])


def both(estimator, X=X, y=y, **options):
    return [
        validate(estimator, X, y, **options)
        for validate in (cross_validate, model_selection.cross_validate)
    ]


def assert_same_scores(ours, theirs, one_sample=ONE_SAMPLE):
    assert list(ours) == list(theirs)
    for name, column in theirs.items():
        if name.startswith(("test", "train")):
            np.testing.assert_allclose(ours[name], column, rtol=0, atol=one_sample, err_msg=name)
        elif name.endswith("time"):
            assert ours[name].shape == column.shape


@pytest.mark.parametrize("function", ["cross_validate", "cross_val_score"])
def test_signatures_are_scikit_learn_s(function):
    ours, theirs = (
        inspect.signature(function).parameters.values()
        for function in (globals()[function], getattr(model_selection, function))
    )
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.name, mine.kind) == (other.name, other.kind)
        assert mine.default is other.default or mine.default == other.default


@pytest.mark.parametrize("estimator", [NETWORK, PIPELINE], ids=["network", "pipeline"])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_all_that_is_returned(counted, estimator, n_jobs):
    ours, theirs = both(
        estimator,
        cv=ShuffleSplit(3, random_state=1),
        scoring=["accuracy", "roc_auc"],
        return_train_score=True,
        return_estimator=True,
        return_indices=True,
        n_jobs=n_jobs,
    )
    assert_same_scores(ours, theirs)
    for part in ("train", "test"):
        np.testing.assert_array_equal(ours["indices"][part], theirs["indices"][part])
    for mine, other in zip(ours["estimator"], theirs["estimator"], strict=True):
        np.testing.assert_allclose(flat(mine), flat(other), rtol=0, atol=1e-8)
        assert getattr(mine, "memory", None) is None
    assert (ours["fit_time"] > 1e-4).all()
    assert len(counted.jobs) == counted.adopted == 3


def test_scores_of_a_regression(counted):
    rows, targets = (part[::4] for part in load_diabetes(return_X_y=True))
    network = make_pipeline(StandardScaler(), MLPRegressor((6,), max_iter=8, random_state=0))
    for scoring in (None, "neg_mean_absolute_error"):
        ours, theirs = (
            score(network, rows, targets, cv=4, scoring=scoring)
            for score in (cross_val_score, model_selection.cross_val_score)
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-7)
    assert counted.adopted == 8


def test_groups_and_weights(counted):
    weights = np.random.default_rng(0).uniform(0.1, 2, len(X))
    groups = np.arange(len(X)) % 7
    options = {"params": {"net__sample_weight": weights}, "groups": groups, "cv": GroupKFold(3)}
    assert_same_scores(*both(PIPELINE, **options))
    with config_context(enable_metadata_routing=True):
        network = clone(NETWORK).set_fit_request(sample_weight=True)
        network.set_score_request(sample_weight=True)
        params = {"sample_weight": weights, "groups": groups}
        assert_same_scores(*both(make_pipeline(network), params=params, cv=GroupKFold(3)))
        with pytest.raises(UnsetMetadataPassedError, match=r"not explicitly set") as ours:
            cross_validate(NETWORK, X, y, params={"sample_weight": weights})
        with pytest.raises(type(ours.value)) as theirs:
            model_selection.cross_validate(NETWORK, X, y, params={"sample_weight": weights})
        assert str(ours.value) == str(theirs.value)
    assert counted.adopted == 6


def test_fits_that_fail(counted):
    """All fail here; scikit-learn says so in one error."""
    diverging = clone(NETWORK).set_params(optimizer=SGD(1e30))
    for error_score, message in ((np.nan, "All the 3 fits failed"), ("raise", "diverged")):
        with pytest.raises(ValueError, match=message):
            cross_validate(diverging, X, y, cv=3, error_score=error_score)
    assert len(counted.jobs) == 6
    assert counted.adopted == 0


def test_a_search_inside(counted):
    """The outer folds are scikit-learn's; each inner search has stacks of its own."""
    grid = {"net__alpha": [0.0, 1.0]}
    ours, theirs = (
        validate(kind(PIPELINE, grid, cv=2), X, y, cv=3, return_estimator=True)
        for validate, kind in (
            (cross_validate, GridSearchCV),
            (model_selection.cross_validate, model_selection.GridSearchCV),
        )
    )
    assert_same_scores(ours, theirs)
    for mine, other in zip(ours["estimator"], theirs["estimator"], strict=True):
        assert mine.best_params_ == other.best_params_
        np.testing.assert_array_equal(flat(mine.best_estimator_), flat(other.best_estimator_))
    assert counted.adopted == 12


def test_what_does_not_stack_is_scikit_learn_s(counted):
    with joblib.parallel_config(backend="threading"):
        ours, theirs = both(LogisticRegression(max_iter=5000), cv=3, n_jobs=2)
    assert_same_scores(ours, theirs, one_sample=0)
    scores = cross_val_score(clone(NETWORK).set_params(optimizer="lbfgs", tol=0.01), X, y, cv=3)
    assert scores.shape == (3,)
    assert not counted.jobs


def test_a_bar(counted, capsys):
    cross_val_score(PIPELINE, X, y, cv=3, verbose=1)
    assert "3/3" in capsys.readouterr().err
