"""Fits side by side are the fits alone."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from skbasics import (
    NAG,
    SGD,
    Adam,
    AdamW,
    Cosine,
    MLPClassifier,
    MLPRegressor,
    Momentum,
    Newton,
    RMSprop,
    _run,
    _stack,
)
from skbasics._stack import Job, fit_side_by_side, stackable

X, y = load_iris(return_X_y=True)
X = scale(X)
WORDS = np.array(["setosa", "versicolor", "virginica"])[y]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def subsets(n, seed=0):
    """Return n sets of row numbers: samples with repeats, and parts of different sizes."""
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, 150, 150) if i % 2 else rng.permutation(150)[: 90 + i] for i in range(n)
    ]


def assert_same(stacked, alone, tolerance=1e-8):
    np.testing.assert_allclose(stacked._theta, alone._theta, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(stacked._statistics, alone._statistics, atol=tolerance)
    for name in ("n_iter_", "t_", "n_features_in_", "n_outputs_", "n_layers_"):
        assert getattr(stacked, name) == getattr(alone, name)
    assert set(stacked.history_) == set(alone.history_)
    for name in set(alone.history_) - {"seconds"}:
        expected = alone.history_[name]
        np.testing.assert_allclose(stacked.history_[name], expected, rtol=1e-6, atol=tolerance)
    if hasattr(alone, "classes_"):
        np.testing.assert_array_equal(stacked.classes_, alone.classes_)
    assert set(vars(stacked)) == set(vars(alone))


def compare(estimators, target=y, rows=None, params=None, data=X, tolerance=1e-8):
    """Assert that fits in stacks are the fits alone; return the stacked estimators."""
    rows = [None] * len(estimators) if rows is None else rows
    params = [{}] * len(estimators) if params is None else params
    jobs = [
        Job(clone(estimator), data, target, part, given)
        for estimator, part, given in zip(estimators, rows, params, strict=True)
    ]
    assert fit_side_by_side(jobs) == [None] * len(jobs)
    for estimator, job in zip(estimators, jobs, strict=True):
        part = slice(None) if job.rows is None else job.rows
        alone = clone(estimator).fit(data[part], target[part], **job.fit_params)
        assert_same(job.estimator, alone, tolerance)
    return [job.estimator for job in jobs]


BASE = MLPClassifier((6,), max_iter=12, batch_size=40, random_state=0)
VARIED = [
    {"optimizer__learning_rate": 0.03},
    {"alpha": 0.3, "random_state": 1},
    {"dropout": 0.4, "random_state": 2},
    {"batch_size": 25, "max_iter": 7},
    {"tol": 0.5, "n_iter_no_change": 2},
    {"early_stopping": True, "n_iter_no_change": 1, "random_state": 3},
    {"early_stopping": True, "validation_fraction": 0.3, "scoring": "neg_log_loss"},
]


@pytest.mark.parametrize("rule", [SGD, Momentum, NAG, RMSprop, Adam, AdamW])
def test_all_that_may_differ_does(rule):
    estimators = [clone(BASE).set_params(optimizer=rule(0.01)).set_params(**p) for p in VARIED]
    compare(estimators, WORDS, subsets(len(VARIED)))


@pytest.mark.parametrize(
    "params",
    [
        {"batch_norm": True},
        {"batch_norm": True, "dropout": 0.2, "batch_size": 29},
        {"class_weight": "balanced"},
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": (5, 4), "dropout": (0.1, 0.3), "activation": "tanh"},
        {"shuffle": False},
        {"optimizer": Adam(Cosine(0.02, warmup=5), max_gradient_norm=0.2)},
        {"optimizer": "gd"},
        {"activation": torch.sin},
    ],
    ids=lambda params: "-".join(params),
)
def test_one_thing_for_all(params):
    estimators = [clone(BASE).set_params(random_state=k).set_params(**params) for k in range(5)]
    compare(estimators, y, subsets(5))


def test_schedules_clips_and_weights_of_their_own():
    optimizers = [Adam(Cosine(0.02)), Adam(0.01, max_gradient_norm=0.1), Adam(0.02, beta_1=0.5)]
    estimators = [clone(BASE).set_params(optimizer=optimizer) for optimizer in optimizers]
    rng = np.random.default_rng(0)
    rows = subsets(3)
    weights = [{"sample_weight": rng.integers(0, 3, len(part)).astype(float)} for part in rows[:2]]
    compare(estimators, y, rows, [*weights, {}])


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
def test_regression_with_several_targets(loss):
    targets = np.column_stack([X[:, 3], X @ [1.0, 2.0, 0.0, 1.0]])
    estimators = [MLPRegressor((7,), loss=loss, max_iter=9, random_state=k) for k in range(4)]
    compare(estimators, targets, subsets(4), data=X[:, :3])


def test_multilabel_and_binary_targets():
    labels = np.column_stack([y == 0, y > 0, X[:, 0] > 0]).astype(int)
    compare([clone(BASE).set_params(random_state=k) for k in range(3)], labels, subsets(3))
    compare([clone(BASE).set_params(random_state=k) for k in range(3)], y == 1, subsets(3))


@pytest.mark.parametrize("kind", ["sparse", "float32", "frame"])
def test_other_containers(kind):
    data = {"sparse": sp.csr_array(X), "float32": X.astype("float32")}.get(kind)
    estimators = [clone(BASE).set_params(random_state=k) for k in range(4)]
    rows = subsets(4)
    if kind != "frame":
        tolerance = 2e-5 if kind == "float32" else 1e-8
        compare(estimators, y, rows, data=data, tolerance=tolerance)
        return
    frame = pd.DataFrame(X, columns=list("abcd"))
    jobs = [Job(e, frame, pd.Series(WORDS), r) for e, r in zip(estimators, rows, strict=True)]
    assert fit_side_by_side(jobs) == [None] * 4
    for job in jobs:
        alone = clone(job.estimator).fit(frame.iloc[job.rows], WORDS[job.rows])
        assert_same(job.estimator, alone)
        assert list(job.estimator.feature_names_in_) == list("abcd")


def test_fits_on_different_data_share_a_stack(monkeypatch):
    sizes = []
    train = _run.Run.train
    monkeypatch.setattr(
        _run.Run, "train", lambda run: (sizes.append(len(run.running)), train(run))[1]
    )
    folds = [np.setdiff1d(np.arange(150), np.arange(k, 150, 5)) for k in range(5)]
    scaled = [(X[fold] * (k + 1), WORDS[fold]) for k, fold in enumerate(folds)]
    jobs = [Job(clone(BASE), *data) for data in scaled]
    assert fit_side_by_side(jobs) == [None] * 5
    for job, data in zip(jobs, scaled, strict=True):
        assert_same(job.estimator, clone(BASE).fit(*data))
    assert sizes == [5, 1, 1, 1, 1, 1]


def test_a_fit_without_some_class_is_in_a_stack_of_its_own():
    rows = [np.arange(150), np.arange(100), np.arange(50, 150), np.arange(0, 150, 2)]
    fitted = compare([clone(BASE) for _ in rows], WORDS, rows)
    assert [len(each.classes_) for each in fitted] == [3, 2, 2, 3]


@pytest.mark.parametrize("stack_size", [1, 2, 3, "auto"])
def test_the_size_of_a_stack_changes_nothing(stack_size):
    rows = subsets(5)
    jobs = [Job(clone(BASE), X, y, part) for part in rows]
    ended = []
    assert fit_side_by_side(jobs, stack_size=stack_size, on_end=ended.append) == [None] * 5
    for job in jobs:
        assert_same(job.estimator, clone(BASE).fit(X[job.rows], y[job.rows]))
    assert sum(ended) == 5


def n_bytes(estimator, data=X, **params):
    """Return what a fit is reckoned to take of a stack."""
    job = Job(clone(estimator), data, y, None, params)
    return _stack._n_bytes(_stack._ready(0, job, {}, _stack._Block(job)).replica)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_rows_count_as_memory(container):
    weights = np.arange(1.0, 151)
    data = container(X)
    assert n_bytes(BASE, data, sample_weight=weights) == n_bytes(BASE, data) + 2 * 8 * 150
    held_out = clone(BASE).set_params(early_stopping=True, validation_fraction=0.2)
    width = 4 * (8 if container is np.asarray else 8 + data.indices.itemsize)
    assert n_bytes(held_out, data) == n_bytes(BASE, data) - 20 * 30 + 2 * 30 * width


def test_stacks_are_as_large_as_memory_allows(monkeypatch):
    sizes = []
    train = _run.Run.train
    monkeypatch.setattr(
        _run.Run, "train", lambda run: (sizes.append(len(run.running)), train(run))[1]
    )
    one = n_bytes(BASE)
    n_parameters, n_rows = 4 * 6 + 6 + 6 * 3 + 3, 150
    assert one == 8 * (4 * n_parameters + 40 * (4 + 3 * 6 + 3 * 3)) + (8 + 20) * n_rows
    monkeypatch.setattr(_stack, "STACK_BYTES", 3 * one)
    assert fit_side_by_side([Job(clone(BASE), X, y) for _ in range(8)]) == [None] * 8
    assert sizes == [3, 3, 2]


def test_a_fit_that_fails_leaves_the_others_alone_and_no_trace():
    bad = clone(BASE).set_params(optimizer=SGD(1e300))
    worse = clone(BASE).set_params(alpha=-1.0)
    estimators = [clone(BASE).set_params(optimizer=SGD(0.1)), bad, worse]
    before = [vars(estimator).copy() for estimator in estimators]
    errors = fit_side_by_side([Job(estimator, X, y) for estimator in estimators])
    assert errors[0] is None
    alone = clone(estimators[0]).fit(X, y)
    assert_same(estimators[0], alone)
    for estimator, error, state in zip(estimators[1:], errors[1:], before[1:], strict=True):
        with pytest.raises(type(error)) as lone:
            clone(estimator).fit(X, y)
        assert str(lone.value) == str(error)
        assert vars(estimator) == state


def test_data_that_validation_refuses_as_a_whole_are_fitted_by_rows():
    holes = X.copy()
    holes[3] = np.nan
    rows = [np.arange(50, 150), np.arange(100), np.arange(20, 140)]
    jobs = [Job(clone(BASE), holes, y, part) for part in rows]
    first, second, third = fit_side_by_side(jobs)
    assert [first, third] == [None, None]
    assert "NaN" in str(second)
    for job in (jobs[0], jobs[2]):
        assert_same(job.estimator, clone(BASE).fit(X[job.rows], y[job.rows]))


@pytest.mark.parametrize("estimator", [BASE, LogisticRegression()])
def test_no_rows_and_no_target_are_refused_in_the_words_of_the_fit(estimator):
    jobs = [
        Job(clone(estimator), X, y, np.arange(0)),
        Job(clone(estimator), X, None, np.arange(9)),
    ]
    empty, targetless = fit_side_by_side(jobs)
    assert "Found array with 0 sample(s)" in str(empty)
    assert "requires y to be passed" in str(targetless)
    assert vars(jobs[0].estimator) == vars(estimator)


def test_every_kind_of_estimator_validates_for_itself():
    objects = y.astype(object)  # numbers to a regressor, and no labels to a classifier
    jobs = [Job(MLPRegressor((6,), max_iter=2), X, objects), Job(clone(BASE), X, objects)]
    accepted, refused = fit_side_by_side(jobs)
    assert accepted is None
    with pytest.raises(ValueError, match="Unknown label type") as lone:
        clone(BASE).fit(X, objects)
    assert str(refused) == str(lone.value)


def test_rows_may_be_a_mask():
    masks = [np.arange(150) % k != 1 for k in (2, 3, 4)]
    weights = [{}, {"sample_weight": np.arange(masks[1].sum()) % 3.0}, {}]
    compare([clone(BASE).set_params(early_stopping=e) for e in (True, False, True)], y, masks)
    compare([clone(BASE)] * 3, y, masks, weights)


def test_padding_is_never_a_row_of_another():
    outlier = X.copy()
    outlier[0] *= 1e4  # exp(z) overflows here, and no fit has this row
    rows = [np.arange(1, 150), np.arange(1, 130), np.arange(2, 140)]
    estimators = [
        MLPRegressor((5,), loss="poisson", max_iter=5, batch_size=50, random_state=k)
        for k in range(3)
    ]
    compare(estimators, np.abs(X[:, 0]), rows, data=outlier)


def test_where_a_stack_fails_only_the_culprit_does():
    def tanh(Z):
        if Z.abs().max() > 100:
            raise RuntimeError("too large")
        return torch.tanh(Z)

    base = clone(BASE).set_params(activation=tanh)
    jobs = [Job(clone(base), X * factor, y) for factor in (1, 1e4, 2)]
    before = vars(jobs[1].estimator).copy()
    first, second, third = fit_side_by_side(jobs)
    assert [first, third] == [None, None]
    assert "too large" in str(second)
    assert vars(jobs[1].estimator) == before
    for job in (jobs[0], jobs[2]):
        assert_same(job.estimator, clone(base).fit(job.X, y))


@pytest.mark.parametrize("stack_size", ["auto", 1])
def test_an_interruption_leaves_every_estimator_as_it_was(stack_size):
    calls = []

    def scoring(estimator, X, y):
        calls.append(estimator)
        if len(calls) > 20:
            raise KeyboardInterrupt
        return 1.0

    base = clone(BASE).set_params(early_stopping=True, scoring=scoring)
    estimators = [clone(base) for _ in range(3)]
    before = [vars(estimator).copy() for estimator in estimators]
    with pytest.raises(KeyboardInterrupt):
        fit_side_by_side([Job(each, X, y) for each in estimators], stack_size=stack_size)
    assert [vars(estimator) for estimator in estimators] == before


def test_what_cannot_be_stacked_is_fitted_alone():
    estimators = [
        LogisticRegression(),
        clone(BASE).set_params(optimizer="lbfgs", batch_size="auto"),
        MLPClassifier((2,), optimizer=Newton(), max_iter=3, random_state=0),
        clone(BASE),
    ]
    assert [stackable(estimator) for estimator in estimators] == [False, False, False, True]
    rows = np.arange(10, 140)
    jobs = [Job(clone(estimator), X, y, rows) for estimator in estimators]
    assert fit_side_by_side(jobs) == [None] * 4
    for estimator, job in zip(estimators, jobs, strict=True):
        alone = clone(estimator).fit(X[rows], y[rows])
        np.testing.assert_allclose(job.estimator.predict_proba(X), alone.predict_proba(X))


def test_an_invalid_optimizer_is_explained_by_the_fit():
    estimator = clone(BASE).set_params(optimizer="sgdd")
    (error,) = fit_side_by_side([Job(estimator, X, y)])
    assert "optimizer" in str(error)


def test_every_fit_warns_for_itself():
    jobs = [Job(clone(BASE).set_params(max_iter=k + 2), X, y) for k in range(3)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        fit_side_by_side(jobs)
    assert [f"max_iter={k + 2} epochs" in str(caught[k].message) for k in range(3)] == [True] * 3


def test_a_stacked_fit_goes_on_as_any_other():
    stacked = [clone(BASE).set_params(warm_start=True, random_state=k) for k in range(3)]
    pairs = zip(stacked, subsets(3), strict=True)
    fit_side_by_side([Job(estimator, X, y, part) for estimator, part in pairs])
    for k, part in enumerate(subsets(3)):
        alone = clone(stacked[k]).fit(X[part], y[part])
        for estimator in (stacked[k], alone):
            estimator.fit(X[part], y[part]).partial_fit(X, y)
        assert_same(stacked[k], alone, 1e-7)
