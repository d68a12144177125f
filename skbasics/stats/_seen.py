"""What a stream has shown so far: moments, and what they need to be read."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch

from skbasics._moments import (
    Array,
    Moments,
    add_rows,
    decay,
    diagonal,
    first_values,
    merge,
    no_moments,
    rescale,
    subtract,
)
from skbasics.stats._sparse import add_sparse_rows, first_row

SMALL = 2.0**-600  # brings the largest numbers to where their squares can be summed


class TooFewSamplesError(ValueError, AttributeError):
    """A divisor is not positive: a value that is wrong, and an attribute not there yet.

    As with scikit-learn's NotFittedError, `hasattr` and `dir` need the second.
    """


@dataclass(frozen=True)
class Seen:
    """Moments of all rows seen.

    Attributes
    ----------
    moments : Moments
        Those of the rows times `unit`.
    counted : bool
        Whether every row counted once, so that the weight is a number of rows.
    unit : array of shape (n_features,), or None
        Powers of two, below 1 for a feature whose squares would overflow; None is all 1.
    """

    moments: Moments
    counted: bool = True
    unit: Array | None = None

    @classmethod
    def nothing(cls, X: Any, matrix: bool) -> Self:
        """Return the state before X, shifted by the first value of each feature."""
        shift = first_row(X) if sp.issparse(X) else first_values(X)
        return cls(no_moments(shift, matrix=matrix))

    def add(self, X: Any, weights: Array | None, half_life: float | None) -> Self:
        """Return the state after a batch of validated rows."""
        seen = replace(self._unshrunk(), counted=self.counted and weights is None)
        for _ in ("in this unit", "in a smaller one"):
            for missing in (False, True) if seen.moments.scatter.ndim == 1 else (False,):
                moments = add_batch(seen.moments, seen._scaled(X), weights, half_life, missing)
                if is_finite(moments):
                    return replace(seen, moments=moments)
            seen = seen._shrunk(moments)
        raise _beyond_float64()

    def _scaled(self, X: Any) -> Any:
        if self.unit is None:
            return X
        return X.multiply(self.unit).tocsr() if sp.issparse(X) else X * self.unit

    def _shrunk(self, overflown: Moments) -> Self:
        """Return the state with a smaller unit for the features that overflow."""
        one = self.moments.shift * 0.0 + 1.0
        finite = abs(diagonal(overflown.scatter)) < math.inf
        return self._times(one * finite + one * SMALL * ~finite)

    def _unshrunk(self) -> Self:
        """Return the state in units of 1 again, where decay has brought it back in range."""
        if self.unit is None or self.moments.squares is None:
            return self
        with np.errstate(over="ignore", invalid="ignore"):
            whole = rescale(self.moments, 1.0 / self.unit)
        return replace(self, moments=whole, unit=None) if is_finite(whole) else self

    def _times(self, factor: Array) -> Self:
        unit = factor if self.unit is None else self.unit * factor
        return replace(self, moments=rescale(self.moments, factor), unit=unit)

    def join(self, other: Self) -> Self:
        """Return the state after the rows of both."""
        return self._with(other, merge)

    def without(self, other: Self) -> Self:
        """Return the state before the rows of `other` were added."""
        return self._with(other, subtract)

    @np.errstate(over="ignore", invalid="ignore")
    def _with(self, other: Self, operation: Callable[[Moments, Moments], Moments]) -> Self:
        a, b = self, other
        if a.unit is not None or b.unit is not None:
            one = self.moments.mean * 0.0 + 1.0
            units = [one if seen.unit is None else seen.unit for seen in (a, b)]
            smaller = units[0] * (units[0] <= units[1]) + units[1] * (units[0] > units[1])
            a, b = a._times(smaller / units[0]), b._times(smaller / units[1])
        moments = operation(a.moments, b.moments)
        if not is_finite(moments):
            a, b = a._shrunk(moments), b._shrunk(moments)
            moments = operation(a.moments, b.moments)
            if not is_finite(moments):
                raise _beyond_float64()
        return replace(a, moments=moments, counted=a.counted and b.counted)

    def converted(self, change: Callable[[Array], Array]) -> Self:
        """Return the state with `change` applied to every array."""

        def changed(value: Any) -> Any:
            return value if value is None or isinstance(value, (bool, float)) else change(value)

        parts = {
            field.name: changed(getattr(self.moments, field.name)) for field in fields(Moments)
        }
        return replace(self, moments=Moments(**parts), unit=changed(self.unit))

    # What can be read off.

    @property
    def n_samples(self) -> int | Array:
        """The number of rows; the weight of each feature where that says more."""
        moments = self.moments
        if self.counted and isinstance(moments.weight, float) and moments.squares is None:
            return int(moments.weight)
        return moments.weight + 0.0 * moments.mean

    @property
    def n_effective(self) -> Array:
        """The effective number of rows of each feature."""
        return self.moments.effective + 0.0 * self.moments.mean

    @property
    def centre(self) -> tuple[Array, Array]:
        """The mean as a sum of two numbers: rounded, and what the rounding left."""
        a = self.moments
        high = a.location
        back = high - a.shift
        low = (a.shift - (high - back)) + (a.mean - back)
        if not isinstance(a.weight, float):
            high = high + _nan_where(a.weight == 0)
        return (high, low) if self.unit is None else (high / self.unit, low / self.unit)

    @np.errstate(over="ignore")
    def in_units(self, values: Array, power: int) -> Array:
        """Return values measured in a power of `unit` as numbers; products of two if a matrix."""
        if self.unit is None:
            return values
        columns = self.unit[:, None] if values.ndim == 2 else self.unit
        return values / self.unit / columns if power == 2 else values / self.unit

    def scatter_mean(self, ddof: float) -> Array:
        """Return the variances or the covariance, in squares of `unit`.

        The divisor is the sum of the weights less `ddof` of them, a row being one in
        `n_effective`.

        Raises
        ------
        TooFewSamplesError
            If a divisor would not be positive.
        """
        weight, n = self.moments.weight, self.moments.effective
        least = n if isinstance(n, float) else float(_seen_of(n).min())
        if least <= ddof and ddof:
            raise TooFewSamplesError(
                f"ddof={ddof} leaves nothing to divide by with n_samples={least:g} (the sum of "
                "weights, which must be above ddof). Give more samples, or set ddof=0."
            )
        with np.errstate(invalid="ignore", divide="ignore"):  # features without a value
            divisor = weight - ddof * (weight / n) if ddof else weight
            return self.moments.scatter / divisor


@np.errstate(over="ignore", invalid="ignore")
def is_finite(moments: Moments) -> bool:
    """Whether every sum of weights and of squares is a number that float64 has."""
    squares, weight = diagonal(moments.scatter), moments.weight
    if not math.isfinite(weight if isinstance(weight, float) else weight.max()):
        return False
    return math.isfinite(squares.sum()) or bool((squares < math.inf).all())


def _beyond_float64() -> ValueError:
    return ValueError(
        "the sum of the weights, or of weighted squares, is beyond float64. Divide sample_weight "
        "by its largest value."
    )


def add_batch(
    past: Moments, X: Any, weights: Array | None, half_life: float | None, missing: bool = False
) -> Moments:
    """Return the moments after a batch, before which the past has decayed."""
    add = add_sparse_rows if sp.issparse(X) else add_rows
    if half_life is None:
        return add(past, X, weights, missing=missing)
    if X.shape[0] == 1 and weights is None:
        return add(decay(past, 2.0 ** (-1.0 / half_life)), X, missing=missing)
    weights = _ones(past, X.shape[0]) if weights is None else weights
    present, squares, factor = fade(weights, half_life)
    return add(decay(past, factor), X, present, missing=missing, squares=squares)


@np.errstate(over="ignore", invalid="ignore")
def fade(weights: Array, half_life: float) -> tuple[Array, Array, float]:
    r"""Return the present weights of a batch, their squares, and what is left of the past.

    A unit of weight multiplies all weight before it by :math:`q = 2^{-1/h}`. A row of weight w
    counts as w rows of weight one, for fractions too: the geometric sum
    :math:`(1 - q^w) / (1 - q)`, times q to the weight that came after it.
    """
    rate = math.log(2.0) / half_life
    xp = torch if isinstance(weights, torch.Tensor) else np
    until = xp.cumsum(weights, 0)
    total = float(until[-1])
    after = total - until
    present = xp.expm1(-rate * weights) / math.expm1(-rate) * xp.exp(-rate * after)
    squares = xp.expm1(-2 * rate * weights) / math.expm1(-2 * rate) * xp.exp(-2 * rate * after)
    return present, squares, math.exp(-rate * total)


def _ones(past: Moments, n: int) -> Array:
    if isinstance(past.shift, torch.Tensor):
        return past.shift.new_ones(n)
    return np.ones(n)


def _nan_where(condition: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (1.0 * condition * 0.0) / (1.0 - 1.0 * condition)


def _seen_of(n: Array) -> Array:
    seen = n[n > 0]
    return seen if len(seen) else n
