"""Correspondence analysis of tables of non-negative numbers."""

import warnings
from copy import deepcopy
from numbers import Integral
from typing import Any, ClassVar, Self

import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skbasics._arrays import Border, as_tensor, compute_device
from skbasics._atomic import training_method
from skbasics._data import floating_dtype
from skbasics._documented import Documented
from skbasics._sklearn import Interval, StrOptions, check_array, check_same_namespace
from skbasics.decomposition._described import of_the_axes, of_the_rows
from skbasics.decomposition._profiles import Profiles, Table, find_axes
from skbasics.decomposition._seen import SeenTables, to_device

POWERS = {"standard": 0.0, "symmetric": 0.5, "principal": 1.0}
"""Coordinates are the standard ones times the singular values to this power."""


class CorrespondenceAnalysis(
    Documented, SeenTables, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    r"""Rows and columns of a table as points of one map, by chi-square distances.

    The table N, of total n, has the proportions :math:`P = N / n`, the row masses
    :math:`r = P 1` and the column masses :math:`c = P^T 1`. The singular value decomposition of
    the standardised residuals

    .. math::
        S = D_r^{-1/2} (P - r c^T) D_c^{-1/2} = U \Sigma V^T

    gives principal coordinates :math:`F = D_r^{-1/2} U \Sigma` of the rows and
    :math:`G = D_c^{-1/2} V \Sigma` of the columns. Distances between rows of F are the
    chi-square distances between their profiles (rows divided by their totals), and the inertia
    :math:`\sum_k \sigma_k^2 = \chi^2 / n` measures how far the table is from independence.

    Parameters
    ----------
    n_components : int or None, default=2
        Axes to keep; None is all, ``min(n_rows, n_columns) - 1``. More than that are clipped to
        it, with a warning; one is kept at least.
    scaling : {"principal", "standard", "symmetric"}, default="principal"
        Coordinates of rows and columns alike: :math:`F` and :math:`G`, which show distances;
        the standard :math:`D_r^{-1/2} U` and :math:`D_c^{-1/2} V`, of unit inertia on each axis;
        or :math:`D_r^{-1/2} U \Sigma^{1/2}` and :math:`D_c^{-1/2} V \Sigma^{1/2}`, whose inner
        products are the relative residuals :math:`p_{ij} / (r_i c_j) - 1`.
    device : str, torch.device or None, default=None
        Where to compute: None is where X is, "auto" a GPU if there is one. Sparse tables are
        computed on the CPU.

    Attributes
    ----------
    row_coordinates_ : array of shape (n_rows, `n_components_`)
        The rows on the map. Of the table of `fit`; after `partial_fit` these and the other
        ``row_`` attributes are those of the rows seen last, in the analysis of all, and after
        `merge` there are none: `transform` gives the coordinates of any rows.
    column_coordinates_ : array of shape (n_columns, `n_components_`)
        The columns on the map.
    row_masses_ : array of shape (n_rows,)
        Shares of the rows in the total, sample weights included.
    column_masses_ : array of shape (n_columns,)
        Shares of the columns in the total: the average row profile.
    eigenvalues_ : array of shape (`n_components_`,)
        Inertia along each axis, the squared singular value; zero for an axis without any.
    singular_values_ : array of shape (`n_components_`,)
        Their roots, the correlations of rows and columns scored by each axis.
    total_inertia_ : float
        The inertia of the whole table, from the table and not from the axes kept.
    explained_inertia_ratio_ : array of shape (`n_components_`,)
        Shares of the axes in the total inertia.
    row_contributions_ : array of shape (n_rows, `n_components_`)
        Shares of the rows in the inertia of each axis.
    column_contributions_ : array of shape (n_columns, `n_components_`)
        Shares of the columns in the inertia of each axis.
    row_cosine_similarities_ : array of shape (n_rows, `n_components_`)
        Squared cosines: the share of a row's squared distance from the average that an axis
        shows.
    column_cosine_similarities_ : array of shape (n_columns, `n_components_`)
        Squared cosines of the columns.
    chi2_ : float
        Pearson's statistic of independence, n times the inertia, without Yates's correction.
    p_value_ : float
        Its p-value, with (rows - 1)(columns - 1) degrees of freedom of those that do not sum to
        zero, a row counting as often as it weighs. It means something for counts only; nan where
        the weights sum to less than one row.
    n_components_ : int
        Axes kept.
    n_features_in_ : int
        Features seen in fit. They are the columns of the table.
    feature_names_in_ : ndarray of shape (n_columns,)
        Their names, where X had names.

    Raises
    ------
    ValueError
        If the table has negative entries or sums to zero; if merged estimators differ in their
        settings or columns.

    Warns
    -----
    UserWarning
        If rows or columns sum to zero: their coordinates are zero. If `n_components` is clipped.

    Notes
    -----
    The analysis needs the p x p scatter of the profiles or, where they take less memory, the
    rows: so much is kept, min(p^2, numbers stored in the rows), which makes `partial_fit` and
    `merge` exact. Computations are in float64; results are in the dtype of X. Sparse tables are
    never made dense. Eigenvalues below the rounding error (about p times 2e-16 of the first, or
    for sparse tables of one) count as zero. Of the two directions of an axis the one with the
    largest entry of V positive is taken.

    References
    ----------
    M. Greenacre, "Correspondence Analysis in Practice", 3rd edition, Chapman & Hall/CRC, 2017.

    Examples
    --------
    How much staff of five groups smokes (Greenacre):

    >>> from skbasics import CorrespondenceAnalysis
    >>> smoking = [[4, 2, 3, 2], [4, 3, 7, 4], [25, 10, 12, 4], [18, 24, 33, 13], [10, 6, 7, 2]]
    >>> analysis = CorrespondenceAnalysis().fit(smoking)
    >>> analysis.eigenvalues_.round(4)
    array([0.0748, 0.01  ])
    >>> analysis.transform([[0, 0, 0, 1]]).round(3)  # a group of heavy smokers alone
    array([[-1.074,  1.976]])
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "scaling": [StrOptions(set(POWERS))],
        "device": [str, torch.device, None],
    }

    def __init__(
        self,
        n_components: int | None = 2,
        *,
        scaling: str = "principal",
        device: str | torch.device | None = None,
    ) -> None:
        self.n_components = n_components
        self.scaling = scaling
        self.device = device

    # Learning.

    @training_method
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Analyse a table.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_columns)
            Counts or other non-negative numbers.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_rows,), default=None
            How often each row counts; a row of weight zero is only placed on the map.

        Returns
        -------
        self : object
        """
        self._see(X, sample_weight, first=True)
        self._solve()
        return self

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Analyse a table and return a copy of its row coordinates.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_columns)
            The table.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_rows,), default=None
            How often each row counts.

        Returns
        -------
        coordinates : array of shape (n_rows, `n_components_`)
        """
        return deepcopy(self.fit(X, y, sample_weight).row_coordinates_)

    @training_method
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Add rows to the table: the analysis is that of all rows seen, exactly.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_columns)
            More rows, of the same columns.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_rows,), default=None
            How often each row counts.

        Returns
        -------
        self : object
            The axes are found when they are first asked for.
        """
        self._see(X, sample_weight, first=not self.__sklearn_is_fitted__())
        return self

    def _solve(self) -> None:
        """Set the fitted attributes, all at once."""
        border = Border.like(self._like)
        dtype = as_tensor(self._like).dtype
        device = compute_device(border, self.device)
        table = to_device(self._table, device)
        axes = to_device(find_axes(table, self._n_kept(table)), device)
        power = POWERS[self.scaling]
        found = of_the_axes(axes, table, power)
        empty = {"columns": int((axes.centroid == 0).sum())}
        seen_last = vars(self).get("_rows")  # read once: another thread may be here, too
        if seen_last is not None:
            rows = to_device(seen_last, device)
            found |= of_the_rows(axes, rows, power)
            empty["rows"] = int((rows.totals == 0).sum())
        _warn_of_empty(empty)
        for name, value in found.items():
            is_tensor = isinstance(value, Tensor)
            setattr(self, name, border.as_caller(value.to(dtype)) if is_tensor else value)
        self._axes, self._power = self._stored(axes), power
        vars(self).pop("_rows", None)

    def _n_kept(self, table: Table) -> int:
        """Return the number of axes: what is asked for, if the table has so many."""
        # A weight of two is a row twice, but weights that sum to one are no single row.
        n_rows = max(table.n_rows, round(table.weight))
        limit = max(1, min(n_rows, self.n_features_in_) - 1)
        if self.n_components is None or self.n_components <= limit:
            return limit if self.n_components is None else int(self.n_components)
        warnings.warn(
            f"n_components={self.n_components} is more than a table of {n_rows} rows and "
            f"{self.n_features_in_} columns has; {limit} is used.",
            stacklevel=2,
        )
        return limit

    # The map.

    def transform(self, X: Any) -> Any:
        r"""Return the coordinates of rows, of the table or new ones.

        By the transition formula: a row is the average of the standard column coordinates,
        weighted by its profile, up to the scaling. A row that sums to zero is at zero.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_columns)
            Rows of the columns that were fitted.

        Returns
        -------
        coordinates : array of shape (n_rows, `n_components_`)
        """
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="_like", method="transform")
        X, border, device = self._check(X, reset=False)
        rows, axes = Profiles.of(X, None, device), to_device(self._axes, device)
        _warn_of_empty({"rows": int((rows.totals == 0).sum())})
        coordinates = axes.project(rows)[0] * axes.singular_power(self._power - 1)
        return border.as_caller(coordinates.to(floating_dtype(X)))

    def transform_columns(self, X: Any) -> Any:
        r"""Return the coordinates of columns, of the table or new ones.

        By the transition formula: a column is the average of the row coordinates, weighted by
        its profile, divided by the singular values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_new_columns)
            Columns, whose rows are those of the table that was fitted, in the same order.

        Returns
        -------
        coordinates : array of shape (n_new_columns, `n_components_`)

        Raises
        ------
        ValueError
            If X has not the rows of the fitted table, or that came in several parts.
        """
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="_like", method="transform_columns")
        if self._table.n_parts > 1:
            raise ValueError(
                f"transform_columns needs the rows of one table, and {self._table.n_parts} were "
                "put together here. Fit the whole table at once, or the transposed one."
            )
        border = Border.of(X)
        dtypes = [border.xp.float64, border.xp.float32]
        X = check_array(X, accept_sparse="csr", dtype=dtypes, ensure_non_negative=True)
        n_rows = self.row_coordinates_.shape[0]
        if X.shape[0] != n_rows:
            raise ValueError(
                f"X has {X.shape[0]} rows, but the fitted table has {n_rows}. A new column needs "
                "an entry for each of them, in their order."
            )
        device = as_tensor(self._like).device
        columns = Profiles.of(X.T, None, device, self._row_weights)
        _warn_of_empty({"columns": int((columns.totals == 0).sum())})
        rows = as_tensor(self.row_coordinates_, device=device, dtype=torch.float64)
        average = columns.values @ (rows.cpu().numpy() if sp.issparse(X) else rows)
        axes = to_device(self._axes, device)
        coordinates = as_tensor(average, device=device) * axes.singular_power(-1)
        return border.as_caller(coordinates.to(floating_dtype(X)))

    def inverse_transform(self, X: Any) -> Any:
        r"""Return the row profiles at some coordinates, each of which sums to one.

        :math:`z_j = c_j + c_j \sum_k f_k \gamma_{jk}` for principal coordinates f and standard
        column coordinates :math:`\gamma`. With all components the rows of the table come back
        exactly, as their profiles; with fewer some entries may be negative.

        Parameters
        ----------
        X : array-like of shape (n_rows, `n_components_`)
            Row coordinates.

        Returns
        -------
        profiles : array of shape (n_rows, n_columns)
        """
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="_like", method="inverse_transform")
        border = Border.of(X)
        X = check_array(X, dtype=[border.xp.float64, border.xp.float32])
        if X.shape[1] != self.n_components_:
            raise ValueError(
                f"X has {X.shape[1]} coordinates a row, but the map has {self.n_components_} "
                "axes. Pass what transform returns."
            )
        device = compute_device(border, self.device)
        axes = to_device(self._axes, device)
        F = as_tensor(X, device=device, dtype=torch.float64) * axes.singular_power(1 - self._power)
        profiles = axes.centroid + F @ (axes.directions * axes.centroid.sqrt()[:, None]).T
        return border.as_caller(profiles.to(floating_dtype(X)))

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.array_api_support = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _warn_of_empty(counts: dict[str, int]) -> None:
    found = " and ".join(f"{count} of the {name}" for name, count in counts.items() if count)
    if found:
        warnings.warn(f"{found} sum to zero; their coordinates are zero.", stacklevel=3)
