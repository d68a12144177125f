"""Estimators that can be added and subtracted."""

import copy
from typing import Any, Self

from sklearn.utils.validation import check_is_fitted

from skbasics._arrays import Border
from skbasics._merging import Mergeable
from skbasics.stats._readings import beside, keeping
from skbasics.stats._seen import Seen


class Arithmetic(Mergeable):
    """The arithmetic of `OnlineMeanVar`.

    With a half-life the terms of a sum are streams side by side: neither ages by the other's rows.
    """

    _seen: Seen
    half_life: float | None

    def _check_adds_up(self) -> None:
        if self.half_life is not None:
            raise ValueError(
                f"half_life={self.half_life:g} ages rows by those that follow, and blocks that are "
                "merged would age by their own alone. Call partial_fit block by block, or set "
                "half_life=None."
            )

    def _join(self, other: Self) -> None:
        self._seen = self._native().join(self._beside(other)).converted(self._keep)

    def _keep(self, array: Any) -> Any:
        return keeping(Border.like(self._seen.moments.shift))(array)

    def _beside(self, other: Self) -> Seen:
        """Return what another has seen, where one's own is."""
        shift = self._native().moments.shift
        return other._native().converted(lambda array: beside(array, shift))

    def _check_alike(self, other: Any, action: str) -> None:
        super()._check_alike(other, action)
        for each in (self, other):
            each._check_covariance()

    def __sub__(self, other: Any) -> Self:
        """Return the statistics without the rows of `other`, which were merged before."""
        if not isinstance(other, Arithmetic):
            return NotImplemented
        self._check_alike(other, "subtract")
        rest = copy.deepcopy(self)
        if not other.__sklearn_is_fitted__():
            return rest
        check_is_fitted(self)
        left = self._native().without(self._beside(other))
        if not bool((left.n_effective > 0).any()):
            raise ValueError(
                "cannot subtract all that was seen: nothing would be left. Take a new "
                "OnlineMeanVar instead."
            )
        rest._seen = left.converted(self._keep)
        return rest
