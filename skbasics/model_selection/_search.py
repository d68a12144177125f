"""Searches over hyper-parameters whose networks are trained side by side."""

import copy
import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import joblib
import numpy as np
from sklearn import model_selection
from sklearn.model_selection import ParameterGrid, ParameterSampler

from skbasics._atomic import atomic
from skbasics._collective import refuse_in_group
from skbasics._documented import Documented
from skbasics.model_selection._stacking import TrainingSplitter, stacks_for


class StackedSearch:
    """What a search of scikit-learn's needs in order to have its networks trained as stacks.

    scikit-learn's own pass over candidates and folds is made all the same, after the stacks
    were trained: it finds the networks made, and scores them.
    """

    @atomic
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Run fit with all sets of parameters; if it fails, the search is as it was before.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Their targets.
        **params : dict of str -> object
            Parameters for `fit` of the estimator, the scorer and the splitter, as in
            scikit-learn; those as long as X are cut to the folds.

        Returns
        -------
        self : object
            The fitted search.
        """
        refuse_in_group(f"{type(self).__name__}.fit")
        given, stacks = self.estimator, None
        if not getattr(self, "_skl_callbacks", None):  # these follow each fit by itself
            stacks = stacks_for(given, self._foreseen, (X, y), params, self.verbose)
        if stacks is None:
            return super().fit(X, y, **params)
        self._stacks = stacks
        self._sequential = joblib.parallel_config(backend="sequential")
        self.estimator = stacks.estimator
        try:
            with stacks.at_hand():
                super().fit(X, y, **params)
            if hasattr(self, "best_estimator_"):
                stacks.take_memory_from(self.best_estimator_)
        finally:
            self._sequential.unregister()
            self.estimator = given
            del self._stacks, self._sequential
        return self

    def _foreseen(self) -> Iterable[Mapping[str, Any]]:
        """Return the candidates without changing anything."""
        raise NotImplementedError

    def _run_search(self, evaluate_candidates: Callable, *, callback_ctx: Any = None) -> None:
        if hasattr(self, "_stacks"):
            # By now the jobs of the search are known to be made here, where the stacks are; what
            # goes on inside a fit may be parallel again.
            self._sequential.unregister()
            evaluate_candidates = functools.partial(self._evaluate, evaluate_candidates)
        super()._run_search(evaluate_candidates, callback_ctx=callback_ctx)

    def _evaluate(
        self,
        evaluate_candidates: Callable,
        candidate_params: Iterable[Mapping[str, Any]],
        cv: Any = None,
        **options: Any,
    ) -> dict[str, Any]:
        candidates = list(candidate_params)
        train = functools.partial(self._stacks.train, candidates)
        splitter = TrainingSplitter(cv or self._checked_cv_orig, train)
        return evaluate_candidates(candidates, cv=splitter, **options)

    def _format_results(
        self, candidate_params: Any, n_splits: int, out: list[dict[str, Any]], *args: Any
    ) -> dict[str, Any]:
        if hasattr(self, "_stacks"):
            seconds, self._stacks.seconds = self._stacks.seconds, np.zeros(0)
            for result, share in zip(out[len(out) - len(seconds) :], seconds, strict=True):
                result["fit_time"] += share
        return super()._format_results(candidate_params, n_splits, out, *args)


class GridSearchCV(Documented, StackedSearch, model_selection.GridSearchCV):
    r"""Exhaustive search over parameter values, candidates and folds trained as stacks.

    With folds :math:`(T_k, V_k)`, candidates :math:`\lambda` and a score s, it finds

    .. math:: \hat\lambda = \arg\max_\lambda \frac1K \sum_{k=1}^K
              s\big(f_{\lambda, T_k}, V_k\big), \qquad
              f_{\lambda, T} \text{ the fit of } \lambda \text{ on } T.

    It is scikit-learn's ``GridSearchCV``, a subclass with the same parameters, attributes and
    numbers to rounding. Where the estimator is a network, or a ``Pipeline`` or a
    ``TransformedTargetRegressor`` around one, all pairs of a candidate and a fold whose networks
    have the same shape are trained side by side, and the steps before it are fitted once for
    each fold by all candidates that agree on them. Anything else is fitted as scikit-learn does.

    Parameters
    ----------
    estimator : estimator
        What is searched over; it is cloned.
    param_grid : dict or list of dict
        Values to try by the names of parameters, as in
        ``{"optimizer__learning_rate": [1e-3, 1e-2]}``.
    scoring : str, callable, list, tuple or dict, default=None
        How a prediction is scored; several names are several columns of results.
    n_jobs : int, default=None
        Jobs at a time where nothing can be stacked. A search that stacks runs in this process:
        its networks share the cores.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate on all rows, by which of several scores, or how to find
        it.
    cv : int, cross-validation generator or iterable, default=None
        The folds; None is five.
    verbose : int, default=0
        Above 0 a bar shows how many fits the stacks have made; scikit-learn's messages follow.
    pre_dispatch : int or str, default="2*n_jobs"
        Jobs dispatched ahead.
    error_score : "raise" or number, default=np.nan
        The score of a fit that fails.
    return_train_score : bool, default=False
        Whether to score the training rows, too.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        As scikit-learn's. The fit times of a stack are its wall time, shared out among its fits
        by their epochs; the preparation of a fold's rows counts for the first that needs it.
    best_estimator_ : estimator
        The best candidate fitted on all rows, where `refit`.
    best_score_ : float
        Its mean score.
    best_params_ : dict
        What was best.
    best_index_ : int
        Its row in `cv_results_`.
    scorer_, n_splits_, refit_time_, multimetric_, classes_, n_features_in_, feature_names_in_
        As scikit-learn's.

    Notes
    -----
    The rows of every fold are held in memory until the search ends, prepared once for each
    preprocessing that is tried. Inputs that are tensors, and searches with callbacks, are not
    stacked. With ``random_state=None`` each fit draws a seed of its own from NumPy's global
    state, the stacks first and then whatever trains by itself, and steps of a pipeline that
    candidates share are drawn once a fold; give a number for results that repeat.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skbasics import GridSearchCV, MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier((8,), tol=0, max_iter=30, n_iter_no_change=30, random_state=0)
    >>> grid = {"mlpclassifier__optimizer__learning_rate": [1e-4, 1e-1]}
    >>> search = GridSearchCV(make_pipeline(StandardScaler(), network), grid, cv=3)
    >>> search.fit(X, y).best_params_
    {'mlpclassifier__optimizer__learning_rate': 0.1}
    """

    def _foreseen(self) -> Iterable[Mapping[str, Any]]:
        return ParameterGrid(self.param_grid)


class RandomizedSearchCV(Documented, StackedSearch, model_selection.RandomizedSearchCV):
    r"""Search over randomly drawn parameters, candidates and folds trained as stacks.

    Candidates :math:`\lambda_1, \dots, \lambda_m` are drawn from the distributions given, and
    the one with the highest mean score over the folds is taken:

    .. math:: \hat\lambda = \arg\max_{\lambda \in \{\lambda_1, \dots, \lambda_m\}}
              \frac1K \sum_{k=1}^K s\big(f_{\lambda, T_k}, V_k\big).

    It is scikit-learn's ``RandomizedSearchCV``, with the same candidates for the same
    `random_state`. How networks are stacked is described in `GridSearchCV`.

    Parameters
    ----------
    estimator : estimator
        What is searched over; it is cloned.
    param_distributions : dict or list of dict
        Lists or distributions (with a method ``rvs``) by the names of parameters.
    n_iter : int, default=10
        Candidates.
    scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score
        As in `GridSearchCV`.
    random_state : int, RandomState instance or None, default=None
        Draws the candidates.

    Attributes
    ----------
    cv_results_, best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_
        As in `GridSearchCV`.
    refit_time_, multimetric_, classes_, n_features_in_, feature_names_in_
        As scikit-learn's.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from skbasics import MLPClassifier, RandomizedSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier((8,), tol=0, max_iter=20, n_iter_no_change=20, random_state=0)
    >>> rates = {"optimizer__learning_rate": loguniform(1e-4, 1e-1)}
    >>> search = RandomizedSearchCV(network, rates, n_iter=4, cv=3, random_state=0).fit(X, y)
    >>> search.cv_results_["mean_test_score"].shape
    (4,)
    """

    def _foreseen(self) -> Iterable[Mapping[str, Any]]:
        before = np.random.get_state()  # noqa: NPY002 - what random_state=None draws from
        given = copy.deepcopy((self.param_distributions, self.n_iter, self.random_state))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they come when the candidates are really drawn
                return list(ParameterSampler(*given[:2], random_state=given[2]))
        finally:
            np.random.set_state(before)  # noqa: NPY002
