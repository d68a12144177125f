"""Where the fit of a mixture starts: distinct rows in an order of their own, and clusters."""

from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus

SCRAMBLE = np.sqrt(2.0)


class Distinct(NamedTuple):
    """The rows that differ, in an order that does not depend on the one they came in.

    Attributes
    ----------
    X : ndarray of shape (m, D)
    weights : ndarray of shape (m,)
        How often each is there.
    """

    X: np.ndarray
    weights: np.ndarray


def distinct(X: np.ndarray, weights: np.ndarray | None) -> Distinct:
    """Return the distinct rows of X, with the sums of their weights.

    So a row of weight two is the same as the row twice, in every step that follows and to the
    last digit, and so are the rows in another order.
    """
    order = _order(X)
    X = X[order]
    weights = np.ones(len(X)) if weights is None else weights[order]
    first = np.concatenate([[True], (X[1:] != X[:-1]).any(axis=1)])
    if first.all():
        return Distinct(X, weights)
    return Distinct(X[first], np.add.reduceat(weights, np.flatnonzero(first)))


def _order(X: np.ndarray) -> np.ndarray:
    """Return an order of the rows that only their values tell, equal rows side by side."""
    key = np.zeros(len(X))
    for j, feature in enumerate(X.T):  # feature by feature, so that equal rows round alike
        key += np.sin(1 + j * SCRAMBLE) * feature
    order = np.argsort(key, kind="stable")
    tied = np.flatnonzero(np.diff(key[order]) == 0)
    if (X[order[tied]] != X[order[tied + 1]]).any():
        return np.lexsort([*X.T, key])
    return order


def responsibilities(
    rows: Distinct, n_components: int, init_params: str, random_state: np.random.RandomState
) -> np.ndarray:
    """Return first responsibilities, ``(K, m)``, by one of scikit-learn's names.

    With fewer rows than components, each row gets a component and the others none.
    """
    X, weights = rows
    m = len(X)
    if init_params == "random":
        drawn = random_state.uniform(size=(m, n_components)).T
        return drawn / drawn.sum(0)
    found = np.zeros((n_components, m))
    if m <= n_components:
        found[np.arange(m), np.arange(m)] = 1
    elif init_params == "kmeans":
        clusters = KMeans(n_components, n_init=1, random_state=random_state)
        found[clusters.fit(X, sample_weight=weights).labels_, np.arange(m)] = 1
    else:
        found[np.arange(n_components), _seeds(rows, n_components, init_params, random_state)] = 1
    return found


def _seeds(
    rows: Distinct, n_components: int, init_params: str, random_state: np.random.RandomState
) -> np.ndarray:
    """Return the rows from which components start, one each."""
    X, weights = rows
    if init_params == "k-means++":
        return kmeans_plusplus(X, n_components, sample_weight=weights, random_state=random_state)[1]
    share = weights / weights.sum()
    return random_state.choice(len(X), size=n_components, replace=False, p=share)
