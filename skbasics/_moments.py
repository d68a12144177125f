r"""Weighted mean and scatter that can be merged, subtracted and forgotten, to full precision.

For rows :math:`x_i` with weights :math:`w_i` the moments are

.. math::
    W = \sum_i w_i, \qquad \mu = \frac1W \sum_i w_i x_i, \qquad
    S = \sum_i w_i (x_i - \mu)(x_i - \mu)^T,

of which `scatter` holds the diagonal or all. Three things keep the digits. A *shift* near the
data is taken off first (the first row seen), so that the offset of the data never enters a
square: the mean is held as ``shift + mean``, a sum not carried out. Inside a batch the squares
are taken about a first estimate of the mean, less what that is off; where it is off by more than
a standard deviation they are taken again about the mean itself (the corrected two-pass
algorithm). Batches are joined by Chan, Golub and LeVeque's formula (`merge`). No sum of
the raw rows is formed, so nothing grows with their number: up to 1e304 the mean does not overflow.

The arrays are NumPy's or torch's, in float64; the functions use what the two have in common and
never write to their arguments.

References
----------
T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance: analysis
and recommendations", The American Statistician 37(3), 1983. E. Schubert, M. Gertz, "Numerically
stable parallel computation of (co-)variance", SSDBM 2018.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

Array = Any  # np.ndarray or torch.Tensor
BLOCK = 2**17  # numbers a block: one megabyte in float64, which stays in the cache
MATRIX_BLOCK = 2**20  # a matrix product wants longer blocks
DEVICE_BLOCK = 2**24  # and a GPU the longest
ROUNDING = 16 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Moments:
    """Weight, mean and scatter of rows.

    Attributes
    ----------
    weight : float or array of shape (n_features,)
        Sum of the weights; an array where values are missing.
    shift : array of shape (n_features,)
        What was taken off the rows: a value near them.
    mean : array of shape (n_features,)
        Mean of the rows less the shift.
    scatter : array of shape (n_features,) or (n_features, n_features)
        Weighted squares (or products) about the mean.
    squares : float, array of shape (n_features,), or None
        Where weights decay, the sum of frequency times squared decay; None where none has.
    """

    weight: float | Array
    shift: Array
    mean: Array
    scatter: Array
    squares: float | Array | None = None

    @property
    def location(self) -> Array:
        """The mean of the rows, ``shift + mean`` rounded once."""
        return self.shift + self.mean

    @property
    def effective(self) -> float | Array:
        r"""The number of equally weighted rows whose mean would be as certain.

        :math:`(\sum f d)^2 / \sum f d^2` for frequencies f and decays d; the weight where
        nothing has decayed.
        """
        if self.squares is None:
            return self.weight
        return self.weight**2 / positive(self.squares)


def first_values(X: Array) -> Array:
    """Return the first value of each feature that is not NaN, as float64; 0 if there is none."""
    row = _float64(X[0])
    if bool((row == row).all()):
        return row
    first = (1 * (X == X)).argmax(0)
    row = _float64(X[first, (0 * first + 1).cumsum(0) - 1])
    row[row != row] = 0.0
    return row


def batch_moments(
    X: Array,
    weights: Array | None = None,
    *,
    shift: Array | None = None,
    matrix: bool = False,
    missing: bool = False,
    squares: Array | None = None,
) -> Moments:
    """Return the moments of a batch, in float64 whatever the dtype of X, block by block.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Rows, in float32 or float64.
    weights : array of shape (n_samples,), default=None
        Weights in float64, not all zero; None counts every row once.
    shift : array of shape (n_features,), default=None
        A value near the rows, in float64; the batch's first values by default.
    matrix : bool, default=False
        Whether the scatter is the matrix of products.
    missing : bool, default=False
        Whether NaN is a value that is missing. The weights become those of each feature.
        Not together with `matrix`.
    squares : array of shape (n_samples,), default=None
        Frequency times squared decay of each row, where weights have decayed.

    Returns
    -------
    moments : Moments
    """
    nothing = no_moments(first_values(X) if shift is None else shift, matrix=matrix)
    return add_rows(nothing, X, weights, missing=missing, squares=squares)


def no_moments(shift: Array, *, matrix: bool = False) -> Moments:
    """Return the moments of no rows at all, of weight 0, about a shift in float64."""
    zeros = shift * 0.0
    return Moments(0.0, shift, zeros, zeros[:, None] * zeros if matrix else zeros)


@np.errstate(over="ignore", invalid="ignore")  # what has no number is inf or nan in the result
def add_rows(
    total: Moments,
    X: Array,
    weights: Array | None = None,
    *,
    missing: bool = False,
    squares: Array | None = None,
) -> Moments:
    """Return `total` merged with the moments of a batch; the parameters of `batch_moments`."""
    matrix = total.scatter.ndim == 2
    if len(X) == 1 and weights is None and squares is None and not missing:
        scatter = (X - total.shift)[0] * 0.0
        products = scatter[:, None] * scatter if matrix else scatter
        return merge(total, Moments(1.0, X[0], total.mean * 0.0, products))
    for part in _blocks(X, weights, squares, MATRIX_BLOCK if matrix else BLOCK):
        about = partial(_about, rows=part, matrix=matrix, missing=missing)
        total = merge(total, well_centred(about, total))
    return total


def _blocks(
    X: Array, weights: Array | None, squares: Array | None, numbers: int
) -> Iterator[tuple[Array, Array, Array | None]]:
    """Yield rows with their weights, few enough at a time to stay in the cache."""
    if isinstance(X, torch.Tensor) and X.device.type != "cpu":
        numbers = DEVICE_BLOCK
    n_rows = max(1, numbers // max(1, X.shape[1]))
    for start in range(0, len(X), n_rows):
        rows = slice(start, start + n_rows)
        yield (
            X[rows],
            None if weights is None else weights[rows],
            None if squares is None else squares[rows],
        )


def well_centred(about: Callable[[Array | None], Moments], so_far: Moments) -> Moments:
    """Return the moments of rows about a centre less than a deviation from their mean.

    About a centre c, ``sum (x - c)^2 - W (mean - c)^2`` loses as many digits as the second term
    has more than what is left. Zero is the cheapest centre, then the mean so far, and the mean of
    the rows themselves the safest. `about` takes a centre (None is zero).
    """
    centre, scatter = so_far.location, diagonal(so_far.scatter)
    if bool((centre * centre * positive(so_far.weight) <= scatter).all()):
        centre = None
    rows = about(centre)
    lost = rows.mean * rows.mean * rows.weight
    if bool((lost > diagonal(rows.scatter) + scatter).any()):
        return about(rows.location)
    return rows


def _about(
    centre: Array | None,
    rows: tuple[Array, Array | None, Array | None],
    matrix: bool,
    missing: bool,
) -> Moments:
    """Return moments by the squares about a centre (None is zero), less what that is off."""
    X, weights, squares = rows
    if centre is not None and X.itemsize == 8:
        D = X - centre
    else:
        D = _float64(X)
        if centre is not None:
            D -= centre
    counts = _ones(D) if weights is None else weights
    total = float(counts.sum())
    spread = None if squares is None else float(squares.sum())
    if missing:
        absent = D != D
        D[absent] = 0.0
        present = _float64(~absent)
        total = counts @ present
        spread = None if squares is None else squares @ present
    sums = counts @ D
    mean = sums / positive(total)
    shift = mean * 0.0 if centre is None else centre
    if matrix:
        weighted = D if weights is None else D * weights[:, None]
        scatter = weighted.T @ D - mean[:, None] * sums
    else:
        D *= D
        scatter = counts @ D - mean * sums
    return Moments(total, shift, mean, without_negative(scatter), spread)


def without_negative(scatter: Array) -> Array:
    """Return a scatter with zeros for the features whose squares rounding has made negative."""
    negative = diagonal(scatter) < 0
    if not bool(negative.any()):
        return scatter
    kept = 1.0 - 1.0 * negative
    return scatter * (kept[:, None] * kept if scatter.ndim == 2 else kept)


def merge(a: Moments, b: Moments) -> Moments:
    r"""Return the moments of the rows of both.

    With :math:`\delta = \mu_b - \mu_a` and :math:`W = W_a + W_b`,

    .. math::
        \mu = \mu_a + \delta \frac{W_b}{W}, \qquad
        S = S_a + S_b + \delta \delta^T \frac{W_a W_b}{W}.

    Different shifts are no loss: their difference, which is exact where they are near each
    other, enters :math:`\delta`.
    """
    weight = a.weight + b.weight
    share = b.weight / positive(weight)
    delta = _difference(a, b)
    scatter = a.scatter + b.scatter
    scatter += _products(delta, a.weight * share, scatter)
    shift, mean = a.shift, a.mean + delta * share
    if not isinstance(weight, float):  # a feature only b has seen: its shift, its digits
        where, new = _namespace(shift).where, a.weight + 0 * mean == 0
        shift, mean = where(new, b.shift, shift), where(new, b.mean, mean)
        scatter = where(new, b.scatter, scatter)
    return Moments(weight, shift, mean, scatter, _joined(a, b, 1.0))


def subtract(a: Moments, b: Moments) -> Moments:
    r"""Return the moments of the rows of a that are not b's: the inverse of `merge`.

    With :math:`\delta = \mu_b - \mu_a` and :math:`W = W_a - W_b`,

    .. math::
        \mu = \mu_a - \delta \frac{W_b}{W}, \qquad
        S = S_a - S_b - \delta \delta^T \frac{W_a W_b}{W}.

    Raises
    ------
    ValueError
        If the rows of b cannot be among those of a: more of them, or a scatter that would be
        negative beyond rounding.
    """
    left, taken = np.broadcast_arrays(*(np.atleast_1d(_host(m.weight)) for m in (a, b)))
    rest = left - taken + ROUNDING * left
    worst = rest.argmin()
    if rest[worst] < 0:
        raise ValueError(
            f"cannot subtract a weight of {taken[worst]:g} from one of {left[worst]:g}: these rows "
            "were never added. Subtract only what was merged before."
        )
    weight = _rounded(a.weight - b.weight, a.weight)
    share = b.weight / positive(weight)
    delta = _difference(a, b) * (weight > 0)
    scatter = a.scatter - b.scatter - _products(delta, a.weight * share, a.scatter)
    if _least(scatter, a.scatter) < -1e-9:
        raise ValueError(
            "cannot subtract: the sum of squares would be negative, so these rows were never "
            "added, or what is left of them is the rounding of larger ones subtracted before. "
            "Subtract only what was merged before, or merge again what shall be left."
        )
    kept = (diagonal(scatter) > ROUNDING * diagonal(a.scatter)) * (weight > 0)
    scatter = scatter * (kept[:, None] * kept if scatter.ndim == 2 else kept)
    return Moments(weight, a.shift, a.mean - delta * share, scatter, _joined(a, b, -1.0))


def _least(scatter: Array, whole: Array) -> float:
    """Return the smallest sum of squares, of any combination of features, as a share of before."""
    scale = positive(diagonal(whole)) ** 0.5
    if scatter.ndim == 1:
        return float((scatter / scale / scale).min())
    correlations = scatter / scale / scale[:, None]
    return float(_namespace(scatter).linalg.eigvalsh(correlations)[0])


def decay(a: Moments, factor: float) -> Moments:
    """Return moments that weigh `factor` times as much, as data of the past do.

    The shift moves to the present mean, so that a stream which drifts away from its first row
    keeps its digits.
    """
    shift = a.shift + a.mean
    back = shift - a.shift
    mean = (a.shift - (shift - back)) + (a.mean - back)  # what the sum above rounded away
    squares = a.weight if a.squares is None else a.squares
    return Moments(a.weight * factor, shift, mean, a.scatter * factor, squares * factor**2)


def rescale(a: Moments, factor: Array) -> Moments:
    """Return the moments of rows multiplied by `factor`, feature by feature."""
    scatter = a.scatter * factor * (factor[:, None] if a.scatter.ndim == 2 else factor)
    return replace(a, shift=a.shift * factor, mean=a.mean * factor, scatter=scatter)


def _difference(a: Moments, b: Moments) -> Array:
    if a.shift is b.shift:
        return b.mean - a.mean
    return (b.shift - a.shift) + (b.mean - a.mean)


def _products(delta: Array, weight: float | Array, scatter: Array) -> Array:
    scaled = delta * weight
    return scaled[:, None] * delta if scatter.ndim == 2 else scaled * delta


def _joined(a: Moments, b: Moments, sign: float) -> float | Array | None:
    if a.squares is None and b.squares is None:
        return None
    first, second = (m.weight if m.squares is None else m.squares for m in (a, b))
    return first + sign * second


def positive(weight: float | Array) -> float | Array:
    """Return a weight to divide by: 1 where there is none, and nothing to divide."""
    if isinstance(weight, float):
        return weight or 1.0
    return weight + (weight == 0)


def _rounded(rest: float | Array, whole: float | Array) -> float | Array:
    """Return a difference, 0 where it is no more than the rounding of what it was taken from."""
    return rest * (rest > ROUNDING * whole)


def diagonal(scatter: Array) -> Array:
    """Return the sums of squares of a scatter, whichever it is."""
    return scatter if scatter.ndim == 1 else scatter.diagonal()


def _namespace(array: Array) -> Any:
    return torch if isinstance(array, torch.Tensor) else np


def _float64(array: Array) -> Array:
    """Return a copy in float64."""
    if isinstance(array, torch.Tensor):
        return array.to(torch.float64, copy=True)
    return array.astype(np.float64)


def _ones(D: Array) -> Array:
    if isinstance(D, torch.Tensor):
        return D.new_ones(len(D))
    return np.ones(len(D))


def _host(value: float | Array) -> Any:
    return value.cpu().numpy() if isinstance(value, torch.Tensor) else value
