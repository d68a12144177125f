"""Equal things have equal tokens and numbers, and others do not."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skbasics import Adam, Cosine, MLPClassifier
from skbasics._fingerprint import Datasets, UnkeyedError, settings, token

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3))


@pytest.mark.parametrize(
    "estimator",
    [
        StandardScaler(),
        SelectKBest(f_classif, k=2),
        FunctionTransformer(lambda X: X),
        MLPClassifier(optimizer=Adam(Cosine(0.1)), random_state=np.random.RandomState(3)),
        make_pipeline(StandardScaler(), MLPClassifier((4,), dropout=[0.1])),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_clone_has_the_same_token(estimator):
    assert token(clone(estimator)) == token(estimator)
    assert settings(clone(estimator)) == settings(estimator)


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer__learning_rate": 0.2},
        {"alpha": 1e-3},
        {"hidden_layer_sizes": [5, 4]},
        {"dropout": [0.1, 0.2]},
        {"random_state": np.random.RandomState(1)},
        {"random_state": None},
        {"early_stopping": 1},
    ],
    ids=["learning_rate", "alpha", "sizes", "dropout", "generator", "no seed", "early_stopping"],
)
def test_every_parameter_counts(change):
    estimator = MLPClassifier((5, 4), dropout=[0.1, 0.1], random_state=np.random.RandomState(0))
    assert settings(clone(estimator).set_params(**change)) != settings(estimator)


def test_a_token_is_what_was_there_when_it_was_taken():
    generator = np.random.RandomState(0)
    before = token(generator)
    generator.randint(10)
    assert token(generator) != before
    assert token(np.random.RandomState(0)) == before


def test_what_was_learned_counts():
    """Two frozen estimators have the same parameters."""
    one, other = (FrozenEstimator(StandardScaler().fit(rows)) for rows in (X, 2 * X))
    assert token(one) != token(other)


def test_a_hole_hides_what_is_in_it():
    pipelines = [make_pipeline(StandardScaler(), MLPClassifier((width,))) for width in (3, 4)]
    one, other = (token(pipeline, hole=pipeline[-1]) for pipeline in pipelines)
    assert one == other
    pipelines[1].set_params(standardscaler__with_mean=False)
    assert token(pipelines[1], hole=pipelines[1][-1]) != one


def test_what_cannot_be_compared_says_so():
    with pytest.raises(UnkeyedError, match="generator has no fingerprint"):
        token(number for number in range(3))


def arrays():
    text = np.array(["a", "b", "c"] * 10)
    yield X
    yield np.asfortranarray(X)
    yield X.astype(np.float32)
    yield np.where(X > 1, np.nan, X)
    yield X[::2]
    yield X[:, ::2]
    yield text
    yield text.astype(object)
    yield text == "a"
    yield sp.csr_array(np.where(X > 0, X, 0))
    yield sp.csc_array(np.where(X > 0, X, 0))
    yield pd.DataFrame(X, columns=["a", "b", "c"])
    yield pd.DataFrame({"a": X[:, 0], "b": np.arange(len(X)), "c": ["x"] * len(X)})
    yield pd.Series(text)
    yield X.tolist()
    yield np.zeros((0, 3))
    yield None


def changed(array):
    """Return a copy of which one element, that no sample would meet, is another."""
    if isinstance(array, list):
        return [*array[:-1], [0.0, 0.0, 0.0]]
    other = array.copy()
    values = other.data if sp.issparse(other) else other
    if isinstance(other, pd.DataFrame):
        other.iloc[1, 1] += 5
    elif isinstance(other, pd.Series):
        other.iloc[1] = "z"
    elif values.dtype.kind in "UO":
        values[1] = "z"
    elif values.dtype.kind == "b":
        values[1] = ~values[1]
    else:
        values[(1,) * values.ndim] = 0.5
    return other


@pytest.mark.parametrize("array", list(arrays()), ids=lambda array: type(array).__name__)
def test_arrays_are_told_apart_by_content(array):
    datasets = Datasets()
    for other in arrays():
        if other is None or array is None or type(other) is not type(array):
            datasets.number(other, learn=True)
    number = datasets.number(array, learn=True)
    assert datasets.number(array) == number
    if array is None or np.size(array) == 0:
        return
    copied = array.copy()
    assert datasets.number(copied) == number
    assert datasets.number(changed(array)) is None
    assert datasets.number(changed(array), learn=True) != number


def test_frames_are_told_apart_by_names_rows_and_dtypes():
    datasets = Datasets()
    frame = pd.DataFrame(X.astype(int), columns=["a", "b", "c"])
    others = frame.astype(float), frame.rename(columns={"c": "d"}), frame.set_axis(frame.index + 1)
    numbers = [datasets.number(each, learn=True) for each in (frame, *others)]
    assert numbers == [0, 1, 2, 3]
    assert datasets.number(pd.concat([frame[["a"]], frame[["b", "c"]]], axis=1)) == 0


def test_a_large_array_is_compared_to_the_last_bit():
    datasets = Datasets()
    large = rng.normal(size=(1000, 7))
    number = datasets.number(large, learn=True)
    other = large.copy()
    assert datasets.number(other) == number
    other[501, 3] = np.nextafter(other[501, 3], 1)
    assert datasets.number(other) is None


def test_an_array_that_changes_later_is_not_what_was_numbered():
    datasets = Datasets()
    mine = X.copy()
    number = datasets.number(mine, learn=True)
    mine[0] = 0
    assert datasets.number(mine) is None
    assert datasets.number(X) == number
