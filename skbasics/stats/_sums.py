"""Estimators that can be added and subtracted."""

import copy
from typing import Any, Self

from sklearn.utils.validation import check_is_fitted

from skbasics._arrays import Border
from skbasics._atomic import atomic
from skbasics.stats._readings import beside, keeping
from skbasics.stats._seen import Seen


class Sums:
    """The arithmetic of `OnlineMeanVar`."""

    _seen: Seen

    @atomic
    def merge(self, other: Self) -> Self:
        """Add what another has seen, as if its rows had been seen here.

        With a half-life the two are streams side by side: neither ages by the other's rows.

        Parameters
        ----------
        other : OnlineMeanVar
            Of the same settings and features. One that has seen nothing changes nothing.

        Returns
        -------
        self : OnlineMeanVar

        Raises
        ------
        ValueError
            If the settings or the features differ.
        """
        theirs = self._theirs(other, "merge")
        if theirs is None:
            return self
        if not hasattr(self, "_seen"):
            for name in ("n_features_in_", "feature_names_in_", "_seen"):
                if hasattr(other, name):
                    setattr(self, name, copy.deepcopy(getattr(other, name)))
            return self
        border = Border.like(self._seen.moments.shift)
        self._seen = self._native().join(theirs).converted(keeping(border))
        return self

    def _theirs(self, other: Self, action: str) -> Seen | None:
        """Return the other's state beside one's own, if the two can be one."""
        if not isinstance(other, Sums):
            raise TypeError(
                f"cannot {action} {type(other).__name__} and {type(self).__name__}: give an "
                "OnlineMeanVar."
            )
        ours, theirs = self.get_params(), other.get_params()
        for name, value in ours.items():
            if value != theirs.get(name):
                raise ValueError(
                    f"cannot {action}: {name}={value!r} here and {name}={theirs.get(name)!r} "
                    "there. Give both the same settings."
                )
        for each in (self, other):
            each._check_covariance()
        if not hasattr(other, "_seen"):
            return None
        if hasattr(self, "_seen"):
            _check_same_features(self, other, action)
            shift = self._native().moments.shift
            return other._native().converted(lambda array: beside(array, shift))
        return other._native()

    def __add__(self, other: Any) -> Self:
        if not isinstance(other, Sums):
            return NotImplemented
        return copy.deepcopy(self).merge(other)

    def __radd__(self, other: Any) -> Self:
        """Return a copy, for the 0 with which `sum` begins."""
        return copy.deepcopy(self) if type(other) is int and other == 0 else NotImplemented

    def __sub__(self, other: Any) -> Self:
        """Return the statistics without the rows of `other`, which were merged before."""
        if not isinstance(other, Sums):
            return NotImplemented
        rest = copy.deepcopy(self)
        theirs = rest._theirs(other, "subtract")
        if theirs is None:
            return rest
        check_is_fitted(self)
        border = Border.like(self._seen.moments.shift)
        left = self._native().without(theirs)
        if not bool((left.n_effective > 0).any()):
            raise ValueError(
                "cannot subtract all that was seen: nothing would be left. Take a new "
                "OnlineMeanVar instead."
            )
        rest._seen = left.converted(keeping(border))
        return rest


def _check_same_features(ours: Any, theirs: Any, action: str) -> None:
    if ours.n_features_in_ != theirs.n_features_in_:
        raise ValueError(
            f"cannot {action}: {ours.n_features_in_} features here and "
            f"{theirs.n_features_in_} there. Both must have seen the same features."
        )
    names = [getattr(each, "feature_names_in_", None) for each in (ours, theirs)]
    if any(name is None for name in names):
        return
    if list(names[0]) != list(names[1]):
        raise ValueError(
            f"cannot {action}: the features are named {list(names[0])} here and "
            f"{list(names[1])} there. Both must have seen the same features."
        )
