"""Estimators whose fits on parts of the data add up to the fit on all of it."""

import copy
from typing import Any, ClassVar, Self

from skbasics._atomic import atomic


class NothingToAddError(ValueError):
    """Rows that are right, but say nothing, given to an estimator that has seen nothing."""


class Mergeable:
    """`merge`, `+` and `sum`.

    A subclass says in `_join` how what it has seen and what another has seen become one. An
    estimator that has seen nothing is the zero of the sum.
    """

    _merge_settings: ClassVar[tuple[str, ...] | None] = None
    """The parameters that must agree; None is all."""

    def _join(self, other: Self) -> None:
        """Add the rows that another fitted estimator has seen; it stays as it is."""
        raise NotImplementedError

    def _check_adds_up(self) -> None:
        """Raise ValueError if the sum of fits on parts is not the fit on all of their rows."""

    def _drop_rows(self) -> None:
        """Drop what describes the rows seen last, and is no part of a sum."""

    @atomic
    def merge(self, other: Self) -> Self:
        """Add the rows that another estimator has seen, exactly, in place.

        Parameters
        ----------
        other : estimator
            One of the same kind, settings and features, which stays as it is. One that has seen
            nothing adds nothing.

        Returns
        -------
        self : object
            The estimator of all rows.

        Raises
        ------
        ValueError
            If the settings or the features differ.
        """
        self._check_alike(other, "merge")
        if self.__sklearn_is_fitted__() and other.__sklearn_is_fitted__():
            self._join(other)
        elif other.__sklearn_is_fitted__():
            for name in vars(other).keys() - self.get_params(deep=False).keys():
                setattr(self, name, copy.deepcopy(vars(other)[name]))
        return self

    def __add__(self, other: Any) -> Self:
        if not isinstance(other, Mergeable):
            return NotImplemented
        return copy.deepcopy(self).merge(other)

    def __radd__(self, other: Any) -> Self:
        if not (type(other) is int and other == 0):  # with which `sum` begins
            return NotImplemented
        return copy.deepcopy(self)

    def _check_alike(self, other: Any, action: str) -> None:
        """Raise if another estimator's rows cannot be added here, or taken off."""
        if not (isinstance(other, type(self)) or isinstance(self, type(other))):
            raise TypeError(
                f"cannot {action} {type(other).__name__} and {type(self).__name__}: give another "
                f"{type(self).__name__}."
            )
        ours, theirs = self.get_params(deep=False), other.get_params(deep=False)
        names = (
            ours.keys() | theirs.keys() if self._merge_settings is None else self._merge_settings
        )
        for name in sorted(names):
            mine, its = (params.get(name) for params in (ours, theirs))
            if mine != its:
                raise ValueError(
                    f"cannot {action}: {name}={mine!r} here and {name}={its!r} there. Give both "
                    "the same settings."
                )
        if self.__sklearn_is_fitted__() and other.__sklearn_is_fitted__():
            self._check_same_features(other, action)

    def _check_same_features(self, other: Self, action: str) -> None:
        counts = self.n_features_in_, other.n_features_in_
        if counts[0] != counts[1]:
            raise ValueError(
                f"cannot {action}: {counts[0]} features here and {counts[1]} there. Both must have "
                "seen the same features."
            )
        names = [getattr(each, "feature_names_in_", None) for each in (self, other)]
        if all(name is not None for name in names) and list(names[0]) != list(names[1]):
            raise ValueError(
                f"cannot {action}: the features are named {list(names[0])} here and "
                f"{list(names[1])} there. Both must have seen the same features, in one order."
            )
