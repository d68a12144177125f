"""Rounds that are fitted side by side give the numbers of rounds fitted one by one."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, make_friedman1
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skbasics import MLPClassifier, MLPRegressor, bias_variance_decomposition
from skbasics.model_selection import _rounds

X, y = make_friedman1(60, random_state=0)
NAMES = np.array(["aa", "b", "cc"])[load_iris().target]
NET = MLPRegressor((4,), max_iter=5)
OPTIONS = {"n_rounds": 7, "random_state": 0}
PIPED = make_pipeline(StandardScaler(), PCA(3), NET)


def fresh(rng):
    return make_friedman1(30, random_state=rng)


@pytest.fixture
def stacks(monkeypatch):
    """Return a function that turns stacking on and returns the jobs of each call."""
    calls, side_by_side = [], _rounds.fit_side_by_side

    def watched(jobs, **options):
        calls.append(list(jobs))
        return side_by_side(jobs, **options)

    monkeypatch.setattr(_rounds, "fit_side_by_side", watched)

    def switch(on):
        monkeypatch.setattr(_rounds._stack, "stackable", lambda estimator: on)
        calls.clear()
        return calls

    return switch


def check_same(one, other):
    for name, values in one.per_sample.items():
        if values.dtype.kind == "U":
            np.testing.assert_array_equal(other.per_sample[name], values)
        else:
            np.testing.assert_allclose(other.per_sample[name], values, rtol=1e-8, atol=1e-10)
    assert other.standard_errors == pytest.approx(one.standard_errors, rel=1e-6)


@pytest.mark.parametrize("resampling", ["bootstrap", "subsample", fresh])
@pytest.mark.parametrize("model", [NET, PIPED, Pipeline([("only", NET)])], ids=["net", "pipe", "1"])
def test_side_by_side_is_one_by_one(stacks, model, resampling):
    stacks(False)
    alone = bias_variance_decomposition(model, X, y, resampling=resampling, **OPTIONS)
    calls = stacks(True)
    found = bias_variance_decomposition(model, X, y, resampling=resampling, **OPTIONS)
    check_same(alone, found)
    assert [len(jobs) for jobs in calls] == [7]
    assert not hasattr(model, "n_features_in_")


def test_bootstrap_rounds_share_their_rows(stacks):
    calls = stacks(True)
    bias_variance_decomposition(NET, X, y, **OPTIONS)
    jobs = calls[0]
    assert all(job.X is jobs[0].X and job.y is jobs[0].y for job in jobs)
    assert all(job.rows.shape == (40,) for job in jobs)
    assert len({tuple(job.rows) for job in jobs}) == 7
    assert len({job.estimator.random_state for job in jobs}) == 7


@pytest.mark.parametrize("form", [pd.DataFrame, sp.csr_array, np.ndarray.tolist])
@pytest.mark.parametrize("model", [NET, make_pipeline(StandardScaler(with_mean=False), NET)])
def test_other_containers(stacks, model, form):
    frame = form(X)
    stacks(False)
    alone = bias_variance_decomposition(model, frame, y, **OPTIONS)
    stacks(True)
    check_same(alone, bias_variance_decomposition(model, frame, y, **OPTIONS))


def test_columns_by_name(stacks):
    calls = stacks(True)
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(10)])
    select = ColumnTransformer([("three", StandardScaler(), ["x3", "x1"])])
    for head in (select, clone(select).set_output(transform="pandas")):
        bias_variance_decomposition(make_pipeline(head, NET), frame, y, **OPTIONS)
        assert calls[-1][0].estimator.n_features_in_ == 2
    options = {"X_test": frame[frame.columns[::-1]], "y_test": y, **OPTIONS}
    with pytest.raises(ValueError, match=r"X has the columns \['x0', .* and X_test has \['x9',"):
        bias_variance_decomposition(NET, frame, y, **options)


def test_samplers_of_frames(stacks):
    def frames(rng):
        X, y = fresh(rng)
        return pd.DataFrame(X), pd.Series(y)

    options = {"X_test": pd.DataFrame(X), "y_test": y, **OPTIONS}
    stacks(True)
    found = bias_variance_decomposition(NET, None, None, resampling=frames, **options)
    options |= {"X_test": X, "resampling": fresh}
    check_same(found, bias_variance_decomposition(NET, None, None, **options))


@pytest.mark.parametrize("loss", ["zero_one", "log_loss"])
def test_classifiers(stacks, loss):
    model = MLPClassifier((4,), max_iter=5)
    data = load_iris().data, NAMES
    stacks(False)
    alone = bias_variance_decomposition(model, *data, loss=loss, **OPTIONS)
    stacks(True)
    check_same(alone, bias_variance_decomposition(model, *data, loss=loss, **OPTIONS))


def test_rounds_wait_in_chunks_of_bounded_size(stacks, monkeypatch):
    stacks(False)
    alone = bias_variance_decomposition(PIPED, X, y, **OPTIONS)
    calls = stacks(True)
    monkeypatch.setattr(_rounds, "CHUNK_BYTES", 3 * 40 * 3 * 8)
    check_same(alone, bias_variance_decomposition(PIPED, X, y, **OPTIONS))
    assert [len(jobs) for jobs in calls] == [3, 3, 1]
    calls = stacks(True)
    bias_variance_decomposition(NET, X, y, **OPTIONS)  # these share their rows
    assert [len(jobs) for jobs in calls] == [7]


def test_a_fit_that_fails_names_its_round(stacks):
    stacks(True)
    broken = clone(NET).set_params(max_iter=-1)
    with pytest.raises(ValueError, match="max_iter") as caught:
        bias_variance_decomposition(broken, X, y, **OPTIONS)
    assert caught.value.__notes__ == ["This was raised by the fit of round 0."]
    strict = make_pipeline(PCA(30), NET)
    with pytest.raises(ValueError, match="n_components") as caught:
        bias_variance_decomposition(strict, X, y, **OPTIONS)
    assert caught.value.__notes__ == ["This was raised by the fit of round 0."]


def test_a_bar(stacks, capsys):
    stacks(True)
    bias_variance_decomposition(NET, X, y, verbose=True, **OPTIONS)
    assert "7/7" in capsys.readouterr().err
