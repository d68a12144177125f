"""Parameters of the engine's estimators: nested values, and keywords from scikit-learn."""

import functools
import inspect
from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator

from skbasics._atomic import atomic
from skbasics._documented import Documented
from skbasics._values import Value
from skbasics.optim import resolve_optimizer

REPLACED = {
    "solver": "optimizer='adam' (or 'sgd', 'momentum', 'nag', 'lbfgs', 'newton', ...)",
    "learning_rate": "a schedule, as in optimizer=SGD(learning_rate=InverseScaling(0.1))",
    "learning_rate_init": "optimizer=Adam(learning_rate=...), or optimizer__learning_rate",
    "power_t": "optimizer=SGD(learning_rate=InverseScaling(0.1, power=...))",
    "momentum": "optimizer=Momentum(momentum=...)",
    "nesterovs_momentum": "optimizer=NAG()",
    "beta_1": "optimizer=Adam(beta_1=...)",
    "beta_2": "optimizer=Adam(beta_2=...)",
    "epsilon": "optimizer=Adam(epsilon=...)",
    "max_fun": "optimizer=LBFGS(max_fun=...)",
}
"""The solver parameters of scikit-learn's MLP, and what says the same here."""


class EngineParameters(Documented, BaseEstimator):
    """Parameter handling: `set_params` reaches into values, old keywords name their successor.

    Attributes
    ----------
    _values : dict
        The parameters that are values, with the function that resolves what was given.
    """

    _values: ClassVar[dict[str, Callable[[Any], Value]]] = {"optimizer": resolve_optimizer}

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Name the replacement of a scikit-learn keyword that this class does not have."""
        for name in kwargs:
            cls._refuse_replaced(name)
        return super().__new__(cls)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # help() and inspect would otherwise show the signature of __new__.
        signature = inspect.signature(cls.__init__)
        cls.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])

    @classmethod
    @functools.cache
    def _get_param_names(cls) -> list[str]:
        """Return the names of the parameters; reading the constructor takes most of a clone."""
        return super()._get_param_names()

    @classmethod
    def _refuse_replaced(cls, name: str) -> None:
        if name in REPLACED and name not in inspect.signature(cls).parameters:
            raise TypeError(
                f"{cls.__name__} has no parameter {name!r}: the solver's parameters are those "
                f"of an optimizer object. Use {REPLACED[name]}."
            )

    def _hidden_layer_sizes(self) -> tuple[int, ...]:
        """Return the parameter as a tuple."""
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object))
        if not all(isinstance(size, Integral) and size > 0 for size in sizes):
            raise ValueError(
                "hidden_layer_sizes must be whole numbers > 0, one for each hidden layer, got "
                f"{self.hidden_layer_sizes!r}. Use () for a model without hidden layers."
            )
        return tuple(int(size) for size in sizes)

    @atomic
    def set_params(self, **params: Any) -> Self:
        """Set parameters, nested ones too; a value is replaced by a changed copy.

        ``set_params(optimizer__learning_rate=0.1)`` works while ``optimizer`` is still a name,
        and never touches an optimizer object that another estimator may share. If one cannot be
        set, none is.

        Parameters
        ----------
        **params : dict
            Parameters by name; ``a__b`` sets the parameter b of the value a.

        Returns
        -------
        self : object
            The estimator.
        """
        nested: dict[str, dict[str, Any]] = {}
        for key in list(params):
            self._refuse_replaced(key)
            name, _, rest = key.partition("__")
            if rest and name in self._values:
                nested.setdefault(name, {})[rest] = params.pop(key)
        super().set_params(**params)
        for name, changes in nested.items():
            value = self._values[name](getattr(self, name))
            if not isinstance(value, Value):
                raise ValueError(
                    f"{name}={value!r} has no parameters, so {name}__{next(iter(changes))} cannot "
                    f"be set. Set {name} first."
                )
            setattr(self, name, value.replace(**changes))
        return self
