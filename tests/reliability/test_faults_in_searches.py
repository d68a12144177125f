"""A search, a validation, a decomposition that is interrupted has not happened."""

import copy

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbasics import (
    PCA,
    GridSearchCV,
    MLPClassifier,
    MLPRegressor,
    OnlineMeanVar,
    RandomizedSearchCV,
    StreamPipeline,
    bias_variance_decomposition,
    cross_validate,
)
from tests.reliability.injection import FaultError, Faults, caused_by, frozen, world

RANDOM = np.random.RandomState(0)
X = RANDOM.normal(size=(24, 4))
LABELS = np.arange(24) % 2
NUMBERS = X @ [1.0, -1.0, 0.5, 0.0]
QUICK = {"hidden_layer_sizes": (3,), "max_iter": 3, "random_state": 0}
TIMES = ("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time", "refit_time_")
NETWORK = MLPClassifier(**QUICK)
PIPELINE = make_pipeline(StandardScaler(), NETWORK)
TIMED = (*TIMES, "seconds", "fit_time", "score_time")


def grid(estimator, **parameters):
    prefix = "mlpclassifier__" if estimator is PIPELINE else ""
    grid = {f"{prefix}optimizer__learning_rate": [0.1, 0.01]}
    return GridSearchCV(estimator, grid, cv=2, **parameters)


def drawn(estimator):
    return RandomizedSearchCV(estimator, {"alpha": [0.0, 0.1, 0.2]}, n_iter=2, cv=2, random_state=0)


SEARCHES = {
    "stacked": lambda: grid(NETWORK),
    "a pipeline": lambda: grid(PIPELINE),
    "one by one": lambda: grid(MLPClassifier(**QUICK, verbose=True)),
    "drawn": lambda: drawn(NETWORK),
    "without a refit": lambda: grid(NETWORK, refit=False),
}


def bits(value):
    return frozen(value, TIMED)


CASES = [(make, True) for make in SEARCHES.values()] + [(SEARCHES["stacked"], False)]


@pytest.mark.parametrize(("make", "fitted"), CASES, ids=[*SEARCHES, "for the first time"])
def test_a_search_that_is_interrupted_is_as_before(make, fitted, capsys):
    search, spared = make(), make()
    if fitted:
        search.fit(X[:16], LABELS[:16])
    spared.fit(X, LABELS)
    counted = make()
    with Faults() as clean:
        counted.fit(X, LABELS)
    before, surroundings = bits(vars(search)), world()
    for at in np.linspace(2, clean.count, 7).astype(int):
        with Faults(at, KeyboardInterrupt) as faults, pytest.raises(KeyboardInterrupt):
            search.fit(X, LABELS)
        assert bits(vars(search)) == before, faults.place
        assert world() == surroundings, faults.place
    assert bits(vars(search.fit(X, LABELS))) == bits(vars(spared))


JOBS = {
    "cross_validate": lambda estimator: cross_validate(
        estimator, X, LABELS, cv=3, return_estimator=True
    ),
    "decomposition": lambda estimator: vars(
        bias_variance_decomposition(
            estimator, X, LABELS, n_rounds=4, loss="zero_one", random_state=0
        )
    ),
}


@pytest.mark.parametrize("estimator", [NETWORK, PIPELINE], ids=["network", "pipeline"])
@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_what_is_evaluated_stays_as_it_is(job, estimator):
    expected = bits(job(estimator))
    with Faults() as clean:
        job(estimator)
    before, surroundings = frozen(vars(estimator)), world()
    for at in np.linspace(2, clean.count, 7).astype(int):
        with Faults(at, KeyboardInterrupt) as faults, pytest.raises(KeyboardInterrupt):
            job(estimator)
        assert frozen(vars(estimator)) == before, faults.place
        assert world() == surroundings, faults.place
    assert bits(job(estimator)) == expected


def test_a_pipeline_that_streams_is_as_before_in_every_step():
    def stream():
        network = MLPRegressor(**QUICK)
        return StreamPipeline([("scale", OnlineMeanVar()), ("network", network)])

    pipeline, spared, counted = (stream().partial_fit(X, NUMBERS) for _ in range(3))
    spared.partial_fit(X, NUMBERS)
    with Faults() as clean:
        counted.partial_fit(X, NUMBERS)
    before, surroundings = frozen(pipeline.steps), world()
    for i, at in enumerate(np.linspace(2, clean.count, 21).astype(int)):
        error = KeyboardInterrupt if i % 2 else FaultError
        with Faults(at, error) as faults, pytest.raises((Exception, KeyboardInterrupt)) as raised:
            pipeline.partial_fit(X, NUMBERS)
        assert caused_by(raised.value, error), faults.place
        assert frozen(pipeline.steps) == before, faults.place
        assert world() == surroundings, faults.place
    assert frozen(pipeline.partial_fit(X, NUMBERS).steps) == frozen(spared.steps)


@pytest.mark.parametrize("error", [KeyboardInterrupt, FaultError])
def test_parameters_are_set_all_or_none(error):
    changes = {"alpha": 0.5, "optimizer__learning_rate": 0.5, "early_stopping": True}
    network = MLPClassifier(**QUICK).fit(X, LABELS)
    other = MLPClassifier()
    with Faults() as clean:
        other.set_params(**changes)
    before = frozen(vars(network))
    for at in range(1, clean.count + 1):
        with Faults(at, error) as faults, pytest.raises(error):
            network.set_params(**changes)
        assert frozen(vars(network)) == before, faults.place
    for wrong in ({"optimizer__rate": 1.0}, {"alhpa": 1.0}):
        with pytest.raises((TypeError, ValueError)):
            network.set_params(**changes, **wrong)
        assert frozen(vars(network)) == before


HOLDING = {
    "PCA": (PCA(), {"n_components": 2, "whiten": True}),
    "a pipeline": (
        StreamPipeline([("scale", OnlineMeanVar()), ("network", MLPRegressor(**QUICK))]),
        {"verbose": True, "scale__ddof": 0, "network__alpha": 0.5, "network": NETWORK},
    ),
    "a search": (grid(NETWORK), {"cv": 3, "estimator__alpha": 0.5, "refit": False}),
}


@pytest.mark.parametrize(("estimator", "changes"), HOLDING.values(), ids=HOLDING)
def test_parameters_are_set_all_or_none_in_estimators_inside_too(estimator, changes):
    estimator = copy.deepcopy(estimator)
    before = frozen(vars(estimator))
    inner = next((name for name in changes if "__" in name), "").partition("__")[0]
    for wrong in ("alhpa", f"{inner}__alhpa") if inner else ("alhpa",):
        with pytest.raises(ValueError, match="Invalid parameter 'alhpa'"):
            estimator.set_params(**changes, **{wrong: 1.0})
        assert frozen(vars(estimator)) == before
    estimator.set_params(**changes)
    assert estimator.get_params().items() >= changes.items()
