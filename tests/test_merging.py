"""What all estimators share that add up."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from skbasics import PCA, CorrespondenceAnalysis, OnlineMeanVar

X = np.random.default_rng(0).integers(0, 9, (30, 4)).astype(float)
KINDS = [OnlineMeanVar, PCA, CorrespondenceAnalysis]
READING = {
    OnlineMeanVar: "var_",
    PCA: "explained_variance_",
    CorrespondenceAnalysis: "eigenvalues_",
}


def reading(estimator):
    return getattr(estimator, READING[type(estimator)])


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_seen_nothing_is_the_zero_of_the_sum(kind):
    parts = [kind(), kind().fit(X[:10]), kind(), kind().fit(X[10:]), kind()]
    total = sum(parts)
    np.testing.assert_allclose(reading(total), reading(kind().fit(X)), rtol=1e-10)
    for empty in parts[::2]:
        with pytest.raises(NotFittedError):
            empty.transform(X)
    nothing = sum([kind(), kind()])
    with pytest.raises(NotFittedError):
        nothing.transform(X)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sum_shares_nothing_with_its_terms(kind):
    first = kind().fit(X[:10])
    before = np.array(reading(first))
    for total in (sum([first]), kind() + first, first + kind(), kind().merge(first)):
        total.partial_fit(X[10:])
        np.testing.assert_allclose(reading(total), reading(kind().fit(X)), rtol=1e-10)
        np.testing.assert_array_equal(reading(first), before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", [StandardScaler(), 3, None, X])
def test_only_one_kind_adds_up(kind, other):
    with pytest.raises(TypeError, match=f"cannot merge .* and {kind.__name__}"):
        kind().fit(X).merge(other)
    with pytest.raises(TypeError):
        _ = kind().fit(X) + other
    with pytest.raises(TypeError):
        _ = False + kind().fit(X)


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_merge_leaves_no_trace(kind, monkeypatch):
    estimator, other = kind().fit(X[:10]), kind().fit(X[10:])
    before = vars(estimator).copy()
    join = kind._join

    def interrupted(self, other):
        join(self, other)
        raise KeyboardInterrupt

    monkeypatch.setattr(kind, "_join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        estimator.merge(other)
    assert vars(estimator) == before
