"""scikit-learn's checks on searches whose fits are made beforehand."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from skbasics import GridSearchCV, MLPClassifier, MLPRegressor, RandomizedSearchCV
from tests.checks import run_check

ALPHAS = {"alpha": [0.1, 1.0]}
SEARCHES = [
    GridSearchCV(MLPClassifier((30,), random_state=0), ALPHAS, cv=2, error_score="raise"),
    RandomizedSearchCV(
        MLPRegressor((30,), random_state=0), ALPHAS, cv=2, n_iter=2, error_score="raise"
    ),
]


def yielded():
    for search in SEARCHES:
        for i, (instance, check) in enumerate(estimator_checks_generator(search)):
            label = getattr(check, "func", check).__name__
            yield pytest.param(instance, check, id=f"{type(search).__name__}-{i}-{label}")


@pytest.mark.parametrize(("search", "check"), list(yielded()))
@pytest.mark.filterwarnings("default")
def test_check_estimator(counted, search, check):
    run_check(check, search)
