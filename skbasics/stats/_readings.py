"""What can be read off a state, in the caller's arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from skbasics._arrays import Border, as_numpy, as_tensor
from skbasics._moments import Array, diagonal
from skbasics.stats._seen import Seen


class Readings:
    """The fitted attributes of `OnlineMeanVar`, computed when they are asked for."""

    _seen: Seen
    ddof: float
    with_covariance: bool

    @property
    def mean_(self) -> Array:
        """Means."""
        return self._read("mean_", lambda seen: seen.centre[0])

    @property
    def var_(self) -> Array:
        """Variances."""
        return self._read("var_", lambda seen: seen.in_units(self._variance(seen), 2))

    @property
    def scale_(self) -> Array:
        """Standard deviations, 1 for constant features."""

        def scale(seen: Seen) -> Array:
            variance = self._variance(seen)
            return seen.in_units(variance**0.5, 1) + (variance == 0)

        return self._read("scale_", scale)

    @property
    def covariance_(self) -> Array:
        """Covariances."""
        if not self.with_covariance:
            raise AttributeError("covariance_ is there only with with_covariance=True.")
        if hasattr(self, "_seen") and self._seen.moments.scatter.ndim == 1:
            raise AttributeError("covariance_ is there only for rows seen with_covariance=True.")

        def covariance(seen: Seen) -> Array:
            half = 0.5 * seen.scatter_mean(self.ddof)
            return seen.in_units(half + half.T, 2)  # symmetric to the last bit

        return self._read("covariance_", covariance)

    @property
    def standard_error_(self) -> Array:
        """Standard errors of the means."""

        def error(seen: Seen) -> Array:
            with np.errstate(invalid="ignore", divide="ignore"):
                return seen.in_units((self._variance(seen) / seen.n_effective) ** 0.5, 1)

        return self._read("standard_error_", error)

    @property
    def n_samples_seen_(self) -> Any:
        """Number of rows, or the weight of each feature."""
        return self._read("n_samples_seen_", lambda seen: seen.n_samples)

    @property
    def n_effective_(self) -> Array:
        """Effective number of rows of each feature."""
        return self._read("n_effective_", lambda seen: seen.n_effective)

    def _variance(self, seen: Seen) -> Array:
        return 1.0 * diagonal(seen.scatter_mean(self.ddof))  # NumPy's view is read-only

    def _read(self, name: str, value: Any) -> Any:
        if not hasattr(self, "_seen"):
            raise AttributeError(f"{type(self).__name__} has no {name} before it is fitted.")
        found = value(self._native())
        border = Border.like(self._seen.moments.shift)
        return found if isinstance(found, int) else keeping(border)(found)

    def _check_covariance(self) -> None:
        """Raise an error where `with_covariance` was changed after the first rows."""
        if hasattr(self, "_seen"):
            matrix = self._seen.moments.scatter.ndim == 2
            if matrix is not bool(self.with_covariance):
                raise ValueError(
                    f"with_covariance={self.with_covariance} was set after the first rows were "
                    f"seen with {matrix}. Set it back, call fit, or take a new OnlineMeanVar."
                )

    def _native(self) -> Seen:
        if isinstance(self._seen.moments.shift, (np.ndarray, torch.Tensor)):
            return self._seen
        return self._seen.converted(native)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_seen")


def native(array: Any) -> Any:
    """Return an array to compute on: NumPy's and torch's as they are, others as NumPy.

    Sparse rows are returned in csr format, each place stored once.
    """
    if sp.issparse(array):
        array = sp.csr_array(array)
        if not array.has_canonical_format:
            array = array.copy()
            array.sum_duplicates()
        return array
    return as_tensor(array) if isinstance(array, torch.Tensor) else as_numpy(array)


def keeping(border: Border) -> Callable[[Array], Any]:
    """Return the function that brings computed arrays back over the border."""

    def keep(array: Array) -> Any:
        if border.is_numpy and isinstance(array, (np.ndarray, np.generic)):
            return array
        return border.as_caller(as_tensor(array))

    return keep


def beside(array: Any, like: Array) -> Array:
    """Return an array in the namespace and on the device of another."""
    if isinstance(like, torch.Tensor):
        return as_tensor(array, device=like.device)
    return as_numpy(array)


def cast(array: Array, like: Array) -> Array:
    """Return an array in the dtype of another."""
    if isinstance(array, torch.Tensor):
        return array.to(like.dtype)
    return array.astype(like.dtype)
