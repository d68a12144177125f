"""Bias and variance along one parameter."""

from collections.abc import Iterable
from typing import Any

from sklearn.base import clone

from skbasics._arrays import SEED_BOUND, own_random_state
from skbasics._collective import refuse_in_group
from skbasics.model_selection._bias_variance import bias_variance_decomposition
from skbasics.model_selection._result import BiasVarianceCurve


def bias_variance_curve(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    param_name: str,
    param_range: Iterable[Any],
    random_state: Any = None,
    **options: Any,
) -> BiasVarianceCurve:
    """Split an estimator's expected loss at each value of one parameter.

    Every value meets the same test rows and the same training sets, so that the curve shows what
    the parameter does and not what the draws did.

    Parameters
    ----------
    estimator : estimator
        As in `bias_variance_decomposition`.
    X, y : array-like
        As there.
    param_name : str
        The parameter, with ``__`` for nested ones.
    param_range : iterable
        Its values; they need not be numbers.
    random_state : int, RandomState instance or None, default=None
        As there; drawn from once, for all values.
    **options : dict
        All other keywords of `bias_variance_decomposition`.

    Returns
    -------
    curve : BiasVarianceCurve

    Raises
    ------
    ValueError
        If there are no values, or what `bias_variance_decomposition` raises.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> from skbasics import bias_variance_curve
    >>> X, y = make_friedman1(100, random_state=0)
    >>> curve = bias_variance_curve(
    ...     DecisionTreeRegressor(), X, y, param_name="max_depth", param_range=[1, 3, 9],
    ...     n_rounds=30, random_state=0,
    ... )
    >>> bool((curve.variance[1:] > curve.variance[:-1]).all())
    True
    """
    refuse_in_group("bias_variance_curve")
    values = list(param_range)
    if not values:
        raise ValueError(f"param_range is empty: pass the values of {param_name} to try.")
    seed = int(own_random_state(random_state).randint(SEED_BOUND))
    results = []
    for value in values:
        changed = clone(estimator).set_params(**{param_name: clone(value, safe=False)})
        results.append(bias_variance_decomposition(changed, X, y, random_state=seed, **options))
    return BiasVarianceCurve(param_name, values, results)
