"""Mean, variance and covariance of a stream, as an estimator that standardises."""

import math
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skbasics._arrays import Border
from skbasics._atomic import training_method
from skbasics._data import check_weights, select
from skbasics._documented import Documented
from skbasics._merging import NothingToAddError
from skbasics._moments import Array
from skbasics._sklearn import (
    Interval,
    check_same_namespace,
    validate_data,
)
from skbasics.stats._arithmetic import Arithmetic
from skbasics.stats._readings import Readings, beside, cast, keeping, native
from skbasics.stats._seen import Seen, add_batch, is_finite

FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
HALF_UNIT = {4: 2.0**-24, 8: 2.0**-53}  # what rounds away beside 1, by the bytes of a number


class OnlineMeanVar(
    Documented, Arithmetic, Readings, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    r"""Mean and variance of a stream, to full precision, that can be added and forgotten.

    For rows :math:`x_i` with weights :math:`w_i` it holds :math:`W = \sum_i w_i` and

    .. math::
        \mu = \frac1W \sum_i w_i x_i, \qquad
        \sigma^2 = \frac{1}{W - \text{ddof}} \sum_i w_i (x_i - \mu)^2,

    the same numbers to rounding whatever the batches and the order in which parts are merged
    (with a half-life, what is merged are streams side by side, which age by their own rows). A
    value near the data is taken off first, so that an offset costs no digits; sums are in float64
    for float32 data too. `transform` standardises: :math:`(x - \mu) / \sigma`.

    Parameters
    ----------
    ddof : float, default=0
        What is taken off the divisor: 0 for the variance of these rows, 1 for an unbiased
        estimate of that of their source.
    with_covariance : bool, default=False
        Whether `covariance_` is kept as well, for ``n_features ** 2`` numbers. NaN is then
        refused, since a covariance of differing rows need not be one.
    half_life : float, default=None
        The number of samples (in general, the weight) after which a sample weighs half: each new
        unit of weight multiplies all weight before it by ``2 ** (-1 / half_life)``. The present
        then outweighs the past, and the weights sum to about ``1.44 * half_life`` in the long
        run. None forgets nothing.

    Attributes
    ----------
    mean_ : array of shape (n_features,)
        Means; NaN for a feature of which no value was seen.
    var_ : array of shape (n_features,)
        Variances; inf where no float64 is large enough (deviations above 1e154).
    scale_ : array of shape (n_features,)
        Standard deviations, with 1 for features that are constant.
    covariance_ : array of shape (n_features, n_features)
        Covariances, if `with_covariance`.
    standard_error_ : array of shape (n_features,)
        Standard error of the mean, ``sqrt(var_ / n_effective_)``.
    n_samples_seen_ : int, or array of shape (n_features,)
        Number of rows; once weights, NaN or a half-life come in, the sum of the weights of each
        feature's values.
    n_effective_ : array of shape (n_features,)
        The number of rows, all of one weight, whose mean would be as certain. Sample weights are
        frequencies, so it is their sum; with a half-life it is :math:`(\sum_i f_i d_i)^2 /
        \sum_i f_i d_i^2` for frequencies f and decays d, in the long run ``2.89 * half_life``.
    n_features_in_ : int
        Features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X had names.

    Raises
    ------
    ValueError
        If X is not what it was before (its width, its names), holds infinity, or at first no
        number at all; if a divisor ``W - ddof`` would not be positive: at once by `fit`, and in a
        stream when a variance is asked for.

    See Also
    --------
    sklearn.preprocessing.StandardScaler : No merging, no forgetting, fewer digits.

    Notes
    -----
    NaN is a missing value: it is left out, feature by feature, and stays NaN in `transform`. The
    zeros of sparse X count. `transform` refuses sparse X, which centring would fill.

    The attributes are computed when they are asked for, in float64, so a stream pays only for its
    moments. A method that fails leaves everything as it was.

    References
    ----------
    T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance:
    analysis and recommendations", The American Statistician 37(3), 1983.

    Examples
    --------
    >>> import numpy as np
    >>> from skbasics import OnlineMeanVar
    >>> X = 1e9 + np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 9.0]])
    >>> stream = OnlineMeanVar(ddof=1)
    >>> for row in X:
    ...     stream = stream.partial_fit(row[None])
    >>> stream.var_
    array([ 1., 13.])
    >>> parts = [OnlineMeanVar(ddof=1).fit(X[:2]), OnlineMeanVar(ddof=1).partial_fit(X[2:])]
    >>> sum(parts).var_
    array([ 1., 13.])
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "ddof": [Interval(Real, 0, None, closed="left")],
        "with_covariance": ["boolean"],
        "half_life": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self,
        *,
        ddof: float = 0,
        with_covariance: bool = False,
        half_life: float | None = None,
    ) -> None:
        self.ddof = ddof
        self.with_covariance = with_covariance
        self.half_life = half_life

    @training_method
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Compute the statistics of X, forgetting what was seen before.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        self : OnlineMeanVar
        """
        self._seen = self._add(None, X, sample_weight)
        self._native().scatter_mean(self.ddof)  # raises if ddof is too large
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Add a batch of rows to what was seen before.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, one or more.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        self : OnlineMeanVar
        """
        if sample_weight is None and self._knows(X):
            moments = add_batch(self._seen.moments, X, None, self.half_life)
            if is_finite(moments):  # and with it every number of X
                self._seen = Seen(moments, self._seen.counted)
                return self
        return self._partial_fit(X, sample_weight)

    def _knows(self, X: Any) -> bool:
        """Whether X is just such an array as before, so that validation has nothing to say."""
        seen = getattr(self, "_seen", None)
        return (
            seen is not None
            and type(X) is np.ndarray
            and X.dtype in FLOATS
            and X.ndim == 2
            and X.shape[0] > 0
            and X.shape[1] == self.n_features_in_
            and seen.unit is None
            and (self.half_life is None or _is_positive(self.half_life))
            and type(seen.moments.shift) is np.ndarray
            and (seen.moments.scatter.ndim == 2) is self.with_covariance
            and not hasattr(self, "feature_names_in_")
        )

    @training_method
    def _partial_fit(self, X: Any, sample_weight: Any) -> Self:
        seen = getattr(self, "_seen", None)
        if seen is not None:
            check_same_namespace(X, self, attribute="mean_", method="partial_fit")
            self._check_covariance()
        self._seen = self._add(seen, X, sample_weight)
        return self

    def _add(self, seen: Seen | None, X: Any, sample_weight: Any) -> Seen:
        """Return the state after X, which goes through the whole of validation."""
        border = Border.of(X)
        X = self._validated(X, border, accept_sparse=("csr", "csc"), reset=seen is None)
        weights = None
        if sample_weight is not None:
            counted, weights = check_weights(sample_weight, X)
            if counted is not None:
                X = select(X.tocsr() if sp.issparse(X) else X, counted)
        X = native(X)
        if seen is None:
            if _holds_no_number(X):
                raise NothingToAddError(
                    f"X holds no number: all values of its {X.shape[0]} samples are NaN. The "
                    "first batch needs at least one number."
                )
            seen = Seen.nothing(X, bool(self.with_covariance))
        seen = seen.converted(lambda array: beside(array, X))
        if weights is not None:
            weights = beside(weights, seen.moments.shift)
        return seen.add(X, weights, self.half_life).converted(keeping(border))

    def _validated(self, X: Any, border: Border, **options: Any) -> Any:
        X = validate_data(
            self,
            X,
            dtype=[border.xp.float64, border.xp.float32],
            ensure_all_finite="allow-nan",
            **options,
        )
        if self.with_covariance and bool((native(X) != native(X)).sum()):
            raise ValueError(
                "Input X contains NaN, and a covariance of differing rows need not be one. Drop or "
                "impute those rows, or set with_covariance=False."
            )
        return X

    def transform(self, X: Any) -> Any:
        """Standardise X: take off the mean, divide by the standard deviation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        X_new : array of shape (n_samples, n_features)
            In the dtype of X.
        """
        X, border, (high, low, scale) = self._prepare(X, "transform")
        Z = X - high  # in the dtype of X, and exact near the mean
        if low is not None:
            Z -= low
        Z /= scale
        return keeping(border)(Z)

    def inverse_transform(self, X: Any) -> Any:
        """Undo `transform`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Standardised rows.

        Returns
        -------
        X_original : array of shape (n_samples, n_features)
            In the dtype of X.
        """
        X, border, (high, low, scale) = self._prepare(X, "inverse_transform")
        Z = X * scale
        if low is not None:
            Z += low
        Z += high
        return keeping(border)(Z)

    def _prepare(self, X: Any, method: str) -> tuple[Array, Border, list[Array | None]]:
        """Return validated X, its border, and the mean, what its rounding lacks, and the scale."""
        check_is_fitted(self)
        if sp.issparse(X):
            raise ValueError(
                f"{method} got sparse X, and centring would fill it: every zero becomes "
                "-mean_ / scale_. Pass X.toarray(), or scale without centring: "
                "X.multiply(1 / scale_)."
            )
        border = Border.like(self._seen.moments.shift)
        if not (self._knows(X) and _sums_up(X)):
            check_same_namespace(X, self, attribute="mean_", method=method)
            border = Border.of(X)
            X = native(self._validated(X, border, reset=False))
        high, low, scale = (beside(a, X) for a in (*self._native().centre, self.scale_))
        rounded = cast(high, X)
        low = low + (high - rounded)
        near = bool((abs(low) <= HALF_UNIT[X.itemsize] * scale).all())
        return X, border, [rounded, None if near else cast(low, X), cast(scale, X)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = not self.with_covariance
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.array_api_support = True
        return tags


def _holds_no_number(X: Any) -> bool:
    if sp.issparse(X):
        return X.nnz == math.prod(X.shape) and bool(np.isnan(X.data).all())
    return bool((X != X).all())


def _is_positive(number: Any) -> bool:
    return isinstance(number, (int, float)) and 0 < number < math.inf


@np.errstate(over="ignore", invalid="ignore")
def _sums_up(X: np.ndarray) -> bool:
    """Whether the numbers have a finite sum, and therefore are finite."""
    return math.isfinite(X.sum())
