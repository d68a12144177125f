"""Principal component analysis that keeps its digits, streams exactly and merges."""

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if

from skbasics._arrays import Border
from skbasics._atomic import training_method
from skbasics._merging import Mergeable
from skbasics._sklearn import (
    Interval,
    RealNotInt,
    StrOptions,
    check_same_namespace,
)
from skbasics.decomposition._probabilistic import ProbabilisticComponents
from skbasics.decomposition._projection import Projection
from skbasics.decomposition._scatter import Collected
from skbasics.decomposition._solvers import TRUNCATED, check_n_components, choose_solver
from skbasics.decomposition._spectral import (
    SpectralAttributes,
    check_rows,
    returning,
    whole,
)


def _follows_streams(estimator: Any) -> bool:
    if estimator.svd_solver in TRUNCATED:
        raise AttributeError(
            f"partial_fit needs all of the spectrum, of which svd_solver={estimator.svd_solver!r} "
            "finds the leading part. Take 'auto', 'covariance_eigh' or 'full' for a stream."
        )
    return True


class PCA(
    Mergeable,
    SpectralAttributes,
    Projection,
    ProbabilisticComponents,
    BaseEstimator,
):
    r"""Principal components: the orthogonal directions in which data vary most.

    With weights :math:`w_i` (one by default), :math:`n = \sum_i w_i` and the weighted mean
    :math:`\mu`, the components are the leading eigenvectors of the covariance,

    .. math::
        \frac{1}{n-1} \sum_i w_i (x_i - \mu)(x_i - \mu)^T v_j = \lambda_j v_j,
        \qquad \lambda_1 \ge \lambda_2 \ge \dots

    The rows are centred before they are multiplied, and the eigenproblem is solved in float64,
    so that a large mean costs no digits. Each component's largest entry is positive, whatever
    the solver; where the data do not vary, components are the axes of feature space as far as
    they are orthogonal to the others.

    Parameters
    ----------
    n_components : int, float, "mle" or None, default=None
        How many components: a number, the share of the variance to explain at least (between 0
        and 1), Minka's maximum-likelihood guess, or all of them, min(n_samples, n_features)
        (one less with "arpack").
    copy : bool, default=True
        Accepted as in scikit-learn. X is never written to.
    whiten : bool, default=False
        Whether `transform` divides by the standard deviation of each component.
    svd_solver : {"auto", "full", "covariance_eigh", "arpack", "randomized"}, default="auto"
        "full" decomposes the centred rows; "covariance_eigh" their scatter matrix, faster where
        rows are many; "arpack" and "randomized" find the leading components alone. "auto" takes
        "arpack" for sparse X, "covariance_eigh" for up to 1000 features and ten times as many
        rows, "full" up to 500 rows and features, else "randomized" for fewer than 80 % of the
        components, and "full" for more. A stream needs one of the first three, whichever.
    tol : float, default=0.0
        Tolerance of "arpack".
    iterated_power : int or "auto", default="auto"
        Power iterations of "randomized".
    n_oversamples : int, default=10
        Further random directions of "randomized".
    power_iteration_normalizer : {"auto", "QR", "LU", "none"}, default="auto"
        What keeps the iterations of "randomized" stable. Tensors need "QR" or "none".
    random_state : int, RandomState instance or None, default=None
        Starts "arpack" and "randomized".
    device : str, torch.device or None, default=None
        Where to compute: None is where X is, "auto" a GPU if there is one.

    Attributes
    ----------
    components_ : array of shape (`n_components_`, n_features)
        The directions, of unit length, in the order of their variance.
    explained_variance_ : array of shape (`n_components_`,)
        Their variances, with divisor n - 1.
    explained_variance_ratio_ : array of shape (`n_components_`,)
        The same as shares of the whole variance.
    singular_values_ : array of shape (`n_components_`,)
        The singular values of the centred (and weighted) rows.
    mean_ : array of shape (n_features,)
        The mean of each feature.
    n_components_ : int
        How many components there are.
    n_samples_ : int or float
        The sum of the weights; without weights the number of rows.
    noise_variance_ : float
        The mean variance of the min(n_samples, n_features) - `n_components_` directions left out.
    n_features_in_ : int
        Features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X had names.

    Raises
    ------
    ValueError
        If there cannot be so many components, if the weights sum to one or less, if estimators
        to merge differ, or if a stream outgrows what follows.

    Notes
    -----
    Memory beside X: "full" and "covariance_eigh" keep what `partial_fit` and `merge` go on
    from, as a stream does: the rows themselves while there are fewer than features (or than
    256), from then on their scatter, that is min(n_features^2, n_samples n_features) numbers.
    Up to 10000 features (a scatter of 800 MB); with more, rows can be added while they are
    fewer than features, and beyond that an error names the alternatives. "arpack" and
    "randomized" keep the components alone.

    Long float32 batches (of 2^27 / n_features^2 rows or more) are multiplied in float32, block
    by block, and added up in float64; variances below 3e-8 of the largest then count as zero,
    unless they are those of features on a smaller scale.

    References
    ----------
    M. E. Tipping, C. M. Bishop, "Probabilistic principal component analysis", Journal of the
    Royal Statistical Society B 61(3), 1999. T. P. Minka, "Automatic choice of dimensionality for
    PCA", NIPS 2000. N. Halko, P. G. Martinsson, J. A. Tropp, "Finding structure with
    randomness", SIAM Review 53(2), 2011. T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for
    computing the sample variance", The American Statistician 37(3), 1983.

    Examples
    --------
    >>> import numpy as np
    >>> from skbasics import PCA
    >>> X = np.array([[-1, -1], [-2, -1], [-3, -2], [1, 1], [2, 1], [3, 2]]) + 1e6
    >>> pca = PCA(n_components=1).fit(X)
    >>> print(pca.explained_variance_ratio_.round(4))
    [0.9924]

    A stream, and two streams joined, come to the same:

    >>> first, second = PCA(n_components=1), PCA(n_components=1)
    >>> for row in X[:3]:
    ...     first = first.partial_fit([row])
    >>> both = first + second.partial_fit(X[3:])
    >>> bool(np.allclose(both.components_, pca.components_))
    True
    """

    _merge_settings = ("n_components", "whiten")

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_components": [
            Interval(Integral, 0, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
            StrOptions({"mle"}),
            None,
        ],
        "copy": ["boolean"],
        "whiten": ["boolean"],
        "svd_solver": [StrOptions({"auto", "full", "covariance_eigh", "arpack", "randomized"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "iterated_power": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "n_oversamples": [Interval(Integral, 1, None, closed="left")],
        "power_iteration_normalizer": [StrOptions({"auto", "QR", "LU", "none"})],
        "random_state": ["random_state"],
        "device": [str, torch.device, None],
    }

    def __init__(
        self,
        n_components: int | float | str | None = None,
        *,
        copy: bool = True,
        whiten: bool = False,
        svd_solver: str = "auto",
        tol: float = 0.0,
        iterated_power: int | str = "auto",
        n_oversamples: int = 10,
        power_iteration_normalizer: str = "auto",
        random_state: Any = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.n_components = n_components
        self.copy = copy
        self.whiten = whiten
        self.svd_solver = svd_solver
        self.tol = tol
        self.iterated_power = iterated_power
        self.n_oversamples = n_oversamples
        self.power_iteration_normalizer = power_iteration_normalizer
        self.random_state = random_state
        self.device = device

    # Learning.

    @training_method
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the components of X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows. Sparse X needs the solver "auto", "arpack" or "covariance_eigh".
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        self : PCA
        """
        self._forget()
        self._check_solver(X)
        data = check_rows(self, X, sample_weight, reset=True)
        n_samples, n_features = data.weight, data.X.shape[1]
        if n_samples <= 1:
            raise ValueError(
                "PCA needs rows that count as more than one, for variances are divided by "
                f"n_samples - 1; got n_samples = {n_samples:g} (the sum of the weights)."
            )
        solver = choose_solver(
            self.svd_solver, self.n_components, n_samples, n_features, sp.issparse(data.X)
        )
        n_components = check_n_components(self.n_components, solver, whole(n_samples), n_features)
        self._fit_svd_solver = solver
        found, collected = self._solve(data, n_components)
        if collected is not None:
            self._collected = collected.mapped(returning(data.border))
        self._set_seen(n_samples, data.dtype)
        self._set_spectral(found, n_components, data.border)
        return self

    @available_if(_follows_streams)
    @training_method
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Add rows, as few as one. The components are those of all rows so far, exactly.

        They are computed when they are first asked for.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        self : PCA
        """
        first = not hasattr(self, "n_samples_")
        if not first:
            self._check_goes_on("partial_fit")
            check_same_namespace(X, self, attribute="_anchor", method="partial_fit")
        data = check_rows(self, X, sample_weight, reset=first)
        most = data.X.shape[1]
        check_n_components(self.n_components, "full", most, most)
        before, dtype = Collected(), data.dtype
        if not first:
            before, dtype = self._collected, str(np.result_type(dtype, self._dtype))
        batch = Collected(blocks=(data.X,), weights=(data.weights,))
        before, batch = self._working(data.border, before, batch)
        self._go_on(before.plus(*batch.rows()), dtype, data.border)
        return self

    def _check_adds_up(self) -> None:
        try:
            _follows_streams(self)
        except AttributeError as error:
            raise ValueError(str(error)) from None

    def _join(self, other: "PCA") -> None:
        for estimator in (self, other):
            estimator._check_goes_on("merge")
        border = Border.like(self._anchor)
        mine, theirs = self._working(border, self._collected, other._collected)
        dtype = str(np.result_type(self._dtype, other._dtype))
        self._go_on(mine.joined(theirs), dtype, border)

    def __sklearn_is_fitted__(self) -> bool:
        return "n_samples_" in vars(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.array_api_support = self.svd_solver != "arpack" and (
            self.svd_solver != "randomized" or self.power_iteration_normalizer in ("QR", "none")
        )
        tags.input_tags.sparse = self.svd_solver in ("auto", "arpack", "covariance_eigh")
        return tags
