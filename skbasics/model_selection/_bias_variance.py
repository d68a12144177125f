"""How far an estimator is off on average, how much it wavers, and what no estimator removes."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length

from skbasics._arrays import SEED_BOUND, as_numpy, own_random_state
from skbasics._collective import refuse_in_group
from skbasics._sklearn import Interval, RealNotInt, StrOptions, validate_parameter_constraints
from skbasics.model_selection import _targets
from skbasics.model_selection._result import BiasVariance
from skbasics.model_selection._rounds import Rounds, round_seeds
from skbasics.model_selection._terms import standard_errors

_CONSTRAINTS = {
    "loss": [StrOptions({"squared_error", "zero_one", "log_loss"})],
    "zero_one_definition": [StrOptions({"domingos", "kohavi_wolpert"})],
    "n_rounds": [Interval(Integral, 2, None, closed="left")],
    "resampling": [StrOptions({"bootstrap", "subsample"}), callable],
    "train_size": [
        Interval(RealNotInt, 0, 1, closed="right"),
        Interval(Integral, 1, None, closed="left"),
    ],
    "n_jobs": [Integral, None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def bias_variance_decomposition(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    X_test: Any = None,
    y_test: Any = None,
    loss: Literal["squared_error", "zero_one", "log_loss"] = "squared_error",
    n_rounds: int = 200,
    resampling: str | Callable[[np.random.RandomState], tuple[Any, Any]] = "bootstrap",
    true_values: Any = None,
    n_jobs: int | None = None,
    random_state: Any = None,
    verbose: bool = False,
    zero_one_definition: Literal["domingos", "kohavi_wolpert"] = "domingos",
    train_size: float | int = 0.5,
) -> BiasVariance:
    r"""Train an estimator on many training sets, and split its expected loss.

    .. math:: \text{expected loss} = \text{noise} + \text{bias} + \text{variance}

    The terms add up to rounding, row by row and as means over rows. With f the true value, m the
    mean and s^2 the variance (divisor T - 1) of the predictions of T rounds at a row,

    - squared error: ``(m - f)^2 - s^2 / T``, which is the squared bias freed of what T rounds leave
      of the variance in m; ``s^2``; and ``(y - f)^2``. Several outputs are averaged.
    - 0-1 loss (Domingos): whether the most frequent prediction is wrong; on rows where it is right
      the share of rounds that deviate from it, less on the others the share that are right.
      Kohavi-Wolpert: half the squared distance of the laws of y and of the predictions, and
      half of one minus the sum of squared shares, corrected for T as above.
    - log loss: ``KL(y, m)`` and the mean of ``KL(m, q_t)``, where m is the normalised geometric
      mean of the probabilities q_t.

    Parameters
    ----------
    estimator : estimator
        Any regressor or classifier of scikit-learn's kind, a Pipeline too. Clones of it are
        fitted; it stays as it is. Networks of this package, also as the last step of a Pipeline,
        are trained side by side.
    X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)
        The rows that the training sets are made of. Data frames stay data frames.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their targets: numbers, or for 0-1 and log loss labels of any kind.
    X_test, y_test : array-like, default=None
        Where the loss is taken. By default a third of X and y, drawn by `random_state` and kept
        out of every training set; with a sampler, which trains on nothing of them, all of X and
        y.
    loss : {"squared_error", "zero_one", "log_loss"}, default="squared_error"
        What is expected. Log loss needs `predict_proba`, and clips as scikit-learn's `log_loss`.
    n_rounds : int, default=200
        Training sets, at least two.
    resampling : {"bootstrap", "subsample"} or callable, default="bootstrap"
        n rows with replacement, `train_size` of them without, or a sampler of fresh data: called
        with a `numpy.random.RandomState` for each round it returns (X, y). X and y may then be
        None if `X_test` is given.
    true_values : array-like, default=None
        What is known of the law of y at the rows of X_test (of X, in their order, where X_test is
        None). Squared error: f(x), shaped like y. 0-1 loss (Domingos): the right labels, or as for
        the others probabilities of shape (n_test, n_classes), classes sorted. Without it, equal
        rows of X_test tell the noise; without either `noise` is 0.0 and `bias` contains it.
    n_jobs : int or None, default=None
        Rounds at a time, by joblib; without effect on networks trained side by side.
    random_state : int, RandomState instance or None, default=None
        Draws the test rows and a seed for each round, whatever `n_jobs`; fewer rounds are the
        first of more. The estimator's `random_state`, also of nested parameters, is seeded for
        each round where it is None, and kept where it is set.
    verbose : bool, default=False
        Whether to show a bar.
    zero_one_definition : {"domingos", "kohavi_wolpert"}, default="domingos"
        The decomposition of 0-1 loss.
    train_size : float or int, default=0.5
        The share or number of rows of a subsample.

    Returns
    -------
    result : BiasVariance
        The terms, their standard errors, and what they are row by row.

    Raises
    ------
    ValueError
        If the loss does not fit the target or the estimator, `true_values` are not one for each
        row, a sampler returns no training set, or a round has one class alone and the estimator
        refuses it.

    Notes
    -----
    Repeats: for squared error the noise is the pooled variance of y within equal rows (the pure
    error of a lack-of-fit test), taken to be the same in all rows, if at least half of the rows
    have an equal. For the other losses each row's law of y are the shares among its equals; a row
    without any counts as noiseless.

    A class that a round has not seen has the probability zero there, before clipping.

    The standard errors tell what other rounds would change, with the data as they are. Bootstrap
    training sets share their rows, so they know nothing of what other data would change: a sampler
    does.

    References
    ----------
    T. Hastie, R. Tibshirani, J. Friedman, The Elements of Statistical Learning, 7.3, 2009.
    P. Domingos, A Unified Bias-Variance Decomposition, 2000.
    R. Kohavi, D. Wolpert, Bias Plus Variance Decomposition for Zero-One Loss Functions, 1996.
    T. Heskes, Bias/Variance Decompositions for Likelihood-Based Estimators, 1998.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from skbasics import bias_variance_decomposition
    >>> x = np.linspace(-1, 1, 100)[:, None]
    >>> def sampler(rng):
    ...     return x, x[:, 0] ** 2 + rng.normal(0, 0.5, 100)
    >>> y = sampler(np.random.RandomState(1))[1]
    >>> bias_variance_decomposition(
    ...     LinearRegression(), x, y, resampling=sampler, true_values=x[:, 0] ** 2, random_state=0
    ... )
    BiasVariance(loss='squared_error', n_rounds=200)
      noise             0.1968 ± 0.028
      squared bias     0.09247 ± 5.4e-06
      variance        0.004774 ± 0.00036
      expected loss      0.294 ± 0.028
    """
    refuse_in_group("bias_variance_decomposition")
    given = {name: value for name, value in locals().items() if name in _CONSTRAINTS}
    validate_parameter_constraints(_CONSTRAINTS, given, "bias_variance_decomposition")
    _check_loss(estimator, loss)
    generator = own_random_state(random_state)
    split_seed = generator.randint(SEED_BOUND)
    data = _arranged(X, y, X_test, y_test, true_values, split_seed, callable(resampling))
    y_known = _targets.check_targets(data.y_test, loss, "y_test")
    if loss == "squared_error" and is_classifier(estimator):
        warnings.warn(
            'loss="squared_error" takes labels for numbers, which would change if the classes were '
            'numbered otherwise. Pass loss="zero_one" or "log_loss" for a classifier.',
            stacklevel=2,
        )
    truth = None
    if true_values is not None:
        truth = _targets.check_true_values(
            data.true_values, y_known, loss, zero_one_definition, data.name
        )
    known = _known_classes(data.y, y_known, loss)
    method = "predict_proba" if loss == "log_loss" else "predict"
    n_drawn = _n_drawn(data.y, resampling, train_size)
    rounds = Rounds(estimator, data.X, data.y, data.X_test, resampling, n_drawn, method)
    predictions = rounds.predictions(round_seeds(generator, n_rounds), n_jobs, verbose)
    places = None if truth is not None else _targets.places_of(data.X_test)
    if loss == "squared_error":
        found = _targets.squared_error(predictions, y_known, truth, places)
    elif loss == "zero_one":
        found = _targets.zero_one(predictions, y_known, truth, places, zero_one_definition, known)
    else:
        found = _targets.log_loss(predictions, y_known, truth, places, known)
    return _result(*found, loss, zero_one_definition if loss == "zero_one" else None)


@dataclass(frozen=True)
class _Data:
    X: Any
    y: Any
    X_test: Any
    y_test: Any
    true_values: Any
    name: str


def _arranged(
    X: Any, y: Any, X_test: Any, y_test: Any, true_values: Any, seed: int, fresh: bool
) -> _Data:
    """Return what to train on and where to test."""
    if (X_test is None) != (y_test is None):
        given, missing = ("X_test", "y_test") if y_test is None else ("y_test", "X_test")
        raise ValueError(f"{given} was given without {missing}: pass both, or neither.")
    X, y, X_test, y_test = _indexable(X), _as_target(y), _indexable(X_test), _as_target(y_test)
    if X is None or y is None:
        if not fresh or X_test is None or X is not y:
            raise ValueError(
                "X and y may be None only together, with a sampler (a callable) as resampling and "
                "with X_test and y_test: there is nothing else to train or to test on."
            )
        return _Data(None, None, X_test, y_test, true_values, "X_test")
    check_consistent_length(X, y)
    if X_test is not None:
        check_consistent_length(X_test, y_test)
        return _Data(X, y, X_test, y_test, true_values, "X_test")
    if fresh:
        return _Data(None, None, X, y, true_values, "X")
    if true_values is None:
        X, X_test, y, y_test = train_test_split(X, y, test_size=1 / 3, random_state=seed)
        return _Data(X, y, X_test, y_test, None, "X")
    true_values, n = np.asarray(as_numpy(true_values)), len(as_numpy(y))
    if true_values.ndim == 0 or len(true_values) != n:
        raise ValueError(
            f"true_values has {len(np.atleast_1d(true_values))} rows and X has {n}. Without X_test "
            "its rows are drawn from X, so pass f(x) for each row of X, in their order."
        )
    X, X_test, y, y_test, _, truth = train_test_split(
        X, y, true_values, test_size=1 / 3, random_state=seed
    )
    return _Data(X, y, X_test, y_test, truth, "X")


def _indexable(X: Any) -> Any:
    return X.tocsr() if sp.issparse(X) else X


def _as_target(y: Any) -> Any:
    return y if y is None or hasattr(as_numpy(y), "dtype") else np.asarray(y)


def _check_loss(estimator: Any, loss: str) -> None:
    clone(estimator)  # refuses a class in the place of an instance
    name = type(estimator).__name__
    if loss == "log_loss" and not hasattr(estimator, "predict_proba"):
        raise ValueError(
            f'loss="log_loss" needs probabilities, and {name} has no predict_proba. Pass '
            'loss="zero_one" for a classifier, loss="squared_error" for a regressor.'
        )
    if loss == "zero_one" and is_regressor(estimator):
        raise ValueError(
            f'loss="zero_one" compares labels, and {name} is a regressor. Pass '
            'loss="squared_error", or a classifier.'
        )


def _known_classes(y: Any, y_test: np.ndarray, loss: str) -> np.ndarray | None:
    if loss == "squared_error":
        if y is not None:
            _targets.check_targets(y, loss, "y")
        return None
    return (
        _targets.classes_of(y_test)
        if y is None
        else _targets.classes_of(_targets.check_targets(y, loss, "y"), y_test)
    )


def _n_drawn(y: Any, resampling: Any, train_size: Real) -> int:
    """Return the rows of a training set, or 0 where a sampler decides."""
    if callable(resampling):
        return 0
    n = y.shape[0]
    if resampling == "bootstrap":
        return n
    n_drawn = int(train_size) if isinstance(train_size, Integral) else round(train_size * n)
    if not 1 <= n_drawn <= n:
        raise ValueError(
            f"train_size={train_size!r} is {n_drawn} rows, and there are {n} to draw from without "
            "replacement. Take a share between 0 and 1, or a number of rows up to that."
        )
    return n_drawn


def _result(
    decomposition: Any, observed: float, told: Any, loss: str, definition: str | None
) -> BiasVariance:
    per_sample = decomposition.terms()
    means = {name: float(values.mean()) for name, values in per_sample.items()}
    return BiasVariance(
        **means,
        standard_errors=standard_errors(decomposition),
        per_sample=per_sample | {"main_prediction": told(decomposition.main_prediction())},
        n_rounds=decomposition.n_rounds,
        loss=loss,
        observed_loss=observed,
        zero_one_definition=definition,
    )
