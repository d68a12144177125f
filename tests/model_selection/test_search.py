"""Searches in stacks give the results of scikit-learn's searches."""

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn import model_selection
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skbasics import SGD, GridSearchCV, MLPClassifier, MLPRegressor, RandomizedSearchCV

X, y = (part[::3] for part in load_breast_cancer(return_X_y=True))
y = np.array(["no", "yes"])[y]
X_numbers, y_numbers = (part[::4] for part in load_diabetes(return_X_y=True))
NETWORK = MLPClassifier((6,), max_iter=8, random_state=0)
ONE_SAMPLE = 1 / len(X)
PIPELINE = Pipeline([("scale", StandardScaler()), ("net", NETWORK)])
RATES = [1e-3, 3e-2]


def flat(network):
    """Return the parameters of a network, or of the one inside."""
    if isinstance(network, Pipeline):
        return flat(network[-1])
    network = getattr(network, "regressor_", network)
    return np.concatenate([part.ravel() for part in [*network.coefs_, *network.intercepts_]])


def assert_same_results(ours, theirs, one_sample):
    """Compare tables: equal but for the times and for the rounding of a score."""
    assert list(ours.cv_results_) == list(theirs.cv_results_)
    for name, column in theirs.cv_results_.items():
        mine = ours.cv_results_[name]
        if name.startswith(("mean_test", "mean_train", "split")):
            np.testing.assert_allclose(mine, column, rtol=0, atol=one_sample, err_msg=name)
        elif name.startswith("param"):
            assert str(mine) == str(column)
        else:
            assert mine.shape == column.shape
            assert mine.dtype == column.dtype


def assert_same_search(ours, theirs, one_sample=ONE_SAMPLE):
    assert_same_results(ours, theirs, one_sample)
    assert ours.best_index_ == theirs.best_index_
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_score_ == pytest.approx(theirs.best_score_, abs=one_sample)
    nets = [search.best_estimator_ for search in (ours, theirs)]
    np.testing.assert_array_equal(*map(flat, nets))


def both(estimator, grid, X=X, y=y, fit_params=None, **options):
    """Return our fitted grid search and scikit-learn's."""
    kinds = (GridSearchCV, model_selection.GridSearchCV)
    return [kind(estimator, grid, **options).fit(X, y, **(fit_params or {})) for kind in kinds]


@pytest.mark.parametrize(
    "grid",
    [
        {"net__optimizer__learning_rate": RATES, "net__alpha": [0.0, 1.0]},
        {"net__hidden_layer_sizes": [(3,), (5, 4), ()], "net__optimizer__learning_rate": RATES},
        {"net__dropout": [0.0, 0.5]},
        {"net__early_stopping": [False, True], "net__optimizer__learning_rate": [3e-2]},
        {"net__batch_size": [20, 50, "auto"]},
        {"net__optimizer": ["adam", "momentum", SGD(0.1)], "net__max_iter": [3, 6]},
        {"scale__with_std": [True, False], "net__optimizer__learning_rate": RATES},
        {"scale": [StandardScaler(), PCA(4), "passthrough"], "net__class_weight": ["balanced"]},
        [{"net__activation": ["tanh"]}, {"net__random_state": [1, 2]}],
    ],
    ids=str,
)
def test_a_pipeline(counted, grid):
    ours, theirs = both(PIPELINE, grid, cv=3, return_train_score=True)
    assert_same_search(ours, theirs)
    n_fits = 3 * len(ours.cv_results_["params"])
    assert (len(counted.jobs), counted.adopted) == (n_fits, n_fits)


def test_a_network_by_itself(counted):
    grid = {"optimizer__learning_rate": RATES, "hidden_layer_sizes": [4, (4, 3)]}
    assert_same_search(*both(NETWORK, grid, cv=3))
    assert (len(counted.jobs), counted.adopted) == (12, 12)


@pytest.mark.parametrize(
    "estimator",
    [
        MLPRegressor((6,), max_iter=8, random_state=0),
        TransformedTargetRegressor(
            MLPRegressor((6,), max_iter=8, random_state=0), transformer=StandardScaler()
        ),
    ],
    ids=["plain", "target scaled"],
)
def test_regression(counted, estimator):
    inner = "regressor__" if isinstance(estimator, TransformedTargetRegressor) else ""
    grid = {f"mlp__{inner}optimizer__learning_rate": RATES}
    pipeline = Pipeline([("scale", StandardScaler()), ("mlp", estimator)])
    ours, theirs = both(pipeline, grid, X_numbers, y_numbers, cv=3)
    assert_same_search(ours, theirs, one_sample=1e-7)
    assert (len(counted.jobs), counted.adopted) == (6, 6)


def test_several_scores(counted):
    options = {"scoring": ["accuracy", "neg_log_loss"], "cv": 3, "return_train_score": True}
    grid = {"net__alpha": [0.0, 1.0, 10.0]}
    assert_same_search(*both(PIPELINE, grid, refit="neg_log_loss", **options))
    last = both(PIPELINE, grid, refit=lambda results: 2, **options)
    assert [search.best_index_ for search in last] == [2, 2]
    assert_same_results(*last, 1 / len(X))
    unfitted = both(PIPELINE, grid, refit=False, **options)
    assert_same_results(*unfitted, 1 / len(X))
    assert not hasattr(unfitted[0], "best_estimator_")
    assert (len(counted.jobs), counted.adopted) == (27, 27)


def test_a_scorer_that_is_a_function(counted):
    def scores(estimator, X, y):
        return {"right": (estimator.predict(X) == y).sum(), "rows": len(X)}

    assert_same_search(
        *both(PIPELINE, {"net__alpha": [0.0, 1.0]}, cv=3, scoring=scores, refit="right"),
        one_sample=1,
    )
    assert counted.adopted == 6


@pytest.mark.parametrize("n_jobs", [None, 2, -1])
def test_candidates_that_stack_beside_others(counted, n_jobs):
    """What does not stack, and what cannot even be fitted, is fitted by scikit-learn."""
    grid = [
        {"net__alpha": [0.0, 1.0]},
        {"net": [SVC()], "net__C": [0.1, 1.0]},
        {"net__optimizer": ["lbfgs"], "net__max_iter": [2]},
    ]
    ours, theirs = both(PIPELINE, grid, cv=3, n_jobs=n_jobs)
    assert_same_results(ours, theirs, 1 / len(X))
    assert ours.best_index_ == theirs.best_index_
    assert (len(counted.jobs), counted.adopted) == (6, 6)
    assert ours.n_jobs == n_jobs


def test_a_fit_that_fails_gets_the_error_score(counted):
    grid = {"net__optimizer": ["adam", SGD(1e30)], "net__alpha": [0.0, 0.1]}
    searches = []
    for kind in (GridSearchCV, model_selection.GridSearchCV):
        with pytest.warns(FitFailedWarning, match="6 fits failed") as caught:
            searches.append(kind(PIPELINE, grid, cv=3, error_score=-1.0).fit(X, y))
        searches[-1].warned = [w for w in caught if w.category is FitFailedWarning]
    assert_same_search(*searches)
    assert (searches[0].cv_results_["mean_test_score"] == -1).tolist() == [False, True] * 2
    ours, theirs = (search.warned for search in searches)
    assert len(ours) == len(theirs) == 1
    assert "6 fits failed out of a total of 12" in str(ours[0].message)
    assert "MLPClassifier diverged" in str(ours[0].message)
    assert counted.adopted == 6


def test_a_fit_that_fails_raises_where_it_is_to(counted):
    grid = {"net__optimizer": ["adam", SGD(1e30)]}
    search = GridSearchCV(PIPELINE, grid, cv=3, error_score="raise")
    with pytest.raises(ValueError, match="MLPClassifier diverged"):
        search.fit(X, y)
    assert search.estimator is PIPELINE
    assert counted.adopted == 3
    assert not hasattr(search, "cv_results_")
    alone = clone(NETWORK).fit(X, y)  # finds nothing made
    assert alone.n_iter_ == 8
    assert counted.adopted == 3


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"net__alphabet": [1]}, "Invalid parameter 'alphabet'"),
        ({"net__alpha": [-1.0]}, "alpha"),
        ({"net__alpha": 3}, "needs to be a list or a numpy array"),
        ({"net__optimizer__momentum": [0.5]}, "Invalid parameter 'momentum' for Adam"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_grid_scikit_learn_says(counted, grid, message):
    said = []
    for kind in (GridSearchCV, model_selection.GridSearchCV):
        with pytest.raises((ValueError, TypeError), match=message) as caught:
            kind(PIPELINE, grid, cv=3, error_score="raise").fit(X, y)
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "make_folds",
    [
        lambda: ShuffleSplit(3, random_state=np.random.RandomState(5)),
        lambda: [(np.arange(100), np.arange(100, 150)), (np.arange(50, 190), np.arange(50))],
        lambda: ((train.tolist(), test) for train, test in KFold(3).split(X)),
        lambda: 2,
    ],
    ids=["random", "list", "generator", "number"],
)
def test_folds_are_split_once(counted, make_folds):
    searches = [
        kind(PIPELINE, {"net__alpha": [0.0, 1.0]}, cv=make_folds()).fit(X, y)
        for kind in (GridSearchCV, model_selection.GridSearchCV)
    ]
    assert_same_search(*searches)
    assert counted.adopted == len(counted.jobs) == 2 * searches[0].n_splits_


def test_groups(counted):
    groups = np.arange(len(X)) % 7
    assert_same_search(
        *both(PIPELINE, {"net__alpha": [0.0, 1.0]}, cv=GroupKFold(3), fit_params={"groups": groups})
    )
    assert counted.adopted == 6


@pytest.mark.parametrize("random_state", [3, np.random.RandomState(3), None], ids=str)
def test_random_candidates_are_those_of_scikit_learn(counted, random_state):
    candidates = {"net__optimizer__learning_rate": loguniform(1e-4, 1e-1), "net__alpha": [0, 1]}
    searches = []
    for kind in (RandomizedSearchCV, model_selection.RandomizedSearchCV):
        np.random.seed(7)  # noqa: NPY002
        state = clone(SVC(random_state=random_state)).random_state  # a copy of its own
        searches.append(kind(PIPELINE, candidates, n_iter=4, cv=3, random_state=state).fit(X, y))
    assert_same_search(*searches)
    assert counted.adopted == 12


def test_fits_without_a_random_state_get_a_result_each(counted):
    """Equal candidates differ by their draws, and draw the same when NumPy's state is the same."""
    network = clone(NETWORK).set_params(random_state=None)
    grid = {"alpha": [0.1, 0.1]}
    scores = []
    for _ in range(2):
        np.random.seed(0)  # noqa: NPY002
        search = GridSearchCV(network, grid, cv=3, scoring="neg_log_loss").fit(X, y)
        scores.append(search.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(scores[0], scores[1])
    assert scores[0][0] != scores[0][1]
    assert counted.adopted == 12


def test_a_network_among_the_candidates(counted):
    """The estimator itself does not stack, and some candidates do."""
    plain = make_pipeline(StandardScaler(), SVC())
    grid = {"svc": [SVC(C=0.01), NETWORK, clone(NETWORK).set_params(alpha=1.0)]}
    assert_same_results(*both(plain, grid, cv=3), 1 / len(X))
    assert counted.adopted == 6
