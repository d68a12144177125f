"""Cross-validation whose networks are trained side by side."""

import functools
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
from sklearn import model_selection
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv

from skbasics._collective import refuse_in_group
from skbasics.model_selection._stacking import Stacks, TrainingSplitter, stacks_for

ITSELF = [{}]
"""The candidates where an estimator is validated as it is."""


def cross_validate(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    scoring: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    params: dict[str, Any] | None = None,
    pre_dispatch: int | str = "2*n_jobs",
    return_train_score: bool = False,
    return_estimator: bool = False,
    return_indices: bool = False,
    error_score: Any = np.nan,
) -> dict[str, Any]:
    r"""Evaluate by cross-validation, the folds trained as one stack.

    With folds :math:`(T_k, V_k)` and a score s it returns

    .. math:: s_k = s\big(f_{T_k}, V_k\big), \qquad k = 1, \dots, K.

    It is scikit-learn's ``cross_validate``. Where the estimator is a network, or a ``Pipeline``
    or ``TransformedTargetRegressor`` around one, the networks of all folds are trained side by
    side; anything else is fitted as scikit-learn does.

    Parameters
    ----------
    estimator : estimator
        What is validated; it is cloned for each fold.
    X : array-like of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Their targets.
    groups : array-like of shape (n_samples,), default=None
        Groups of rows, for the splitter.
    scoring : str, callable, list, tuple or dict, default=None
        How predictions are scored.
    cv : int, cross-validation generator or iterable, default=None
        The folds; None is five.
    n_jobs : int, default=None
        Jobs at a time where nothing can be stacked; a stack is trained in this process.
    verbose : int, default=0
        Above 0 a bar shows how many fits the stack has made.
    params : dict, default=None
        Parameters for `fit` of the estimator, the scorer and the splitter.
    pre_dispatch : int or str, default="2*n_jobs"
        Jobs dispatched ahead.
    return_train_score, return_estimator, return_indices : bool, default=False
        What to return beside.
    error_score : "raise" or number, default=np.nan
        The score of a fit that fails.

    Returns
    -------
    scores : dict
        As scikit-learn's. ``fit_time`` is a share of the stack's wall time, by epochs.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skbasics import MLPClassifier, cross_validate
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier((8,), tol=0, max_iter=20, n_iter_no_change=20, random_state=0)
    >>> sorted(cross_validate(network, X, y, cv=3))
    ['fit_time', 'score_time', 'test_score']
    """
    refuse_in_group("cross_validate")
    options = {
        "groups": groups,
        "scoring": scoring,
        "n_jobs": n_jobs,
        "params": params,
        "pre_dispatch": pre_dispatch,
        "return_train_score": return_train_score,
        "return_estimator": return_estimator,
        "return_indices": return_indices,
        "error_score": error_score,
    }
    validate = functools.partial(
        model_selection.cross_validate, X=X, y=y, verbose=verbose, **options
    )
    stacks = stacks_for(estimator, lambda: ITSELF, (X, y), params, verbose)
    if stacks is None:
        return validate(estimator, cv=cv)
    return _validate_stacked(validate, stacks, check_cv(cv, y, classifier=is_classifier(estimator)))


def _validate_stacked(
    validate: Callable[..., dict[str, Any]], stacks: Stacks, splitter: Any
) -> dict[str, Any]:
    splitter = TrainingSplitter(splitter, functools.partial(stacks.train, ITSELF))
    with stacks.at_hand(), joblib.parallel_config(backend="sequential"):
        scores = validate(stacks.estimator, cv=splitter)
    scores["fit_time"] = scores["fit_time"] + stacks.seconds
    for fitted in scores.get("estimator", ()):
        stacks.take_memory_from(fitted)
    return scores


def cross_val_score(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    scoring: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    params: dict[str, Any] | None = None,
    pre_dispatch: int | str = "2*n_jobs",
    error_score: Any = np.nan,
) -> np.ndarray:
    r"""Return the score of each fold of a cross-validation, the folds trained as one stack.

    The scores :math:`s_k = s(f_{T_k}, V_k)` of scikit-learn's ``cross_val_score``; how networks
    are stacked is described in `cross_validate`.

    Parameters
    ----------
    estimator : estimator
        What is validated; it is cloned for each fold.
    X : array-like of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Their targets.
    groups : array-like of shape (n_samples,), default=None
        Groups of rows, for the splitter.
    scoring : str or callable, default=None
        How predictions are scored: one number a fold.
    cv, n_jobs, verbose, params, pre_dispatch, error_score
        As in `cross_validate`.

    Returns
    -------
    scores : ndarray of shape (n_splits,)

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skbasics import MLPClassifier, cross_val_score
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier((8,), tol=0, max_iter=20, n_iter_no_change=20, random_state=0)
    >>> cross_val_score(network, X, y, cv=3).shape
    (3,)
    """
    refuse_in_group("cross_val_score")
    scores = cross_validate(
        estimator,
        X,
        y,
        groups=groups,
        scoring={"score": check_scoring(estimator, scoring=scoring)},
        cv=cv,
        n_jobs=n_jobs,
        verbose=verbose,
        params=params,
        pre_dispatch=pre_dispatch,
        error_score=error_score,
    )
    return scores["test_score"]
