"""The map of a correspondence analysis: rows and columns as points of one plane."""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skbasics._arrays import as_numpy
from skbasics._axes import take_axes
from skbasics._sklearn import check_matplotlib_support


class CorrespondenceDisplay:
    """Rows and columns of a table on two axes of its correspondence analysis.

    Make one with `from_estimator`.

    Parameters
    ----------
    rows, columns : ndarray of shape (n_rows, 2) and (n_columns, 2)
        The points.
    row_labels, column_labels : list of str, or None
        Their names; None leaves them without.
    axes : tuple of two int, default=(0, 1)
        The axes shown, counted from 0.
    explained : ndarray of shape (2,) or None, default=None
        Their shares in the total inertia, for the labels of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        The figure of that.
    rows_, columns_ : matplotlib PathCollection
        The points.
    texts_ : list of matplotlib Annotation
        The names, rows first.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skbasics import CorrespondenceAnalysis
    >>> from skbasics.plots import CorrespondenceDisplay
    >>> table = [[4, 2, 3, 2], [4, 3, 7, 4], [25, 10, 12, 4], [18, 24, 33, 13]]
    >>> analysis = CorrespondenceAnalysis().fit(table)
    >>> display = CorrespondenceDisplay.from_estimator(analysis)
    >>> display.ax_.get_xlabel()
    'axis 1 (88.4 % of inertia)'
    """

    def __init__(
        self,
        *,
        rows: np.ndarray,
        columns: np.ndarray,
        row_labels: list[str] | None = None,
        column_labels: list[str] | None = None,
        axes: tuple[int, int] = (0, 1),
        explained: np.ndarray | None = None,
    ) -> None:
        self.rows, self.columns = rows, columns
        self.row_labels, self.column_labels = row_labels, column_labels
        self.axes, self.explained = axes, explained

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        row_labels: Iterable[str] | None = None,
        column_labels: Iterable[str] | None = None,
        axes: tuple[int, int] = (0, 1),
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Draw the map of a fitted analysis.

        Parameters
        ----------
        estimator : CorrespondenceAnalysis
            A fitted one.
        X : {array-like, sparse matrix} of shape (n_rows, n_columns), default=None
            Rows to show; None are those of the fit.
        row_labels, column_labels : iterable of str, default=None
            Names. None takes the index and the columns of a data frame: the index of X, and the
            columns of the fit.
        axes : tuple of two int, default=(0, 1)
            The axes to show, counted from 0.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **options : dict
            Keywords of `plot`.

        Returns
        -------
        display : CorrespondenceDisplay

        Raises
        ------
        ValueError
            If the analysis has not these axes, or a label is missing.
        NotFittedError
            If it is not fitted.
        """
        check_matplotlib_support(cls.__name__)
        if not hasattr(estimator, "transform_columns"):
            raise TypeError(
                f"{cls.__name__} draws a CorrespondenceAnalysis, got {type(estimator).__name__}. "
                "Of a Pipeline pass the last step: pipeline[-1]."
            )
        check_is_fitted(estimator)
        columns = _plane(estimator.column_coordinates_, axes)
        rows = estimator.row_coordinates_ if X is None else estimator.transform(X)
        rows = _plane(rows, axes)
        if row_labels is None and hasattr(X, "iloc"):
            row_labels = X.index
        if column_labels is None:
            column_labels = getattr(estimator, "feature_names_in_", None)
        display = cls(
            rows=rows,
            columns=columns,
            row_labels=_labels(row_labels, len(rows), "row_labels"),
            column_labels=_labels(column_labels, len(columns), "column_labels"),
            axes=tuple(axes),
            explained=as_numpy(estimator.explained_inertia_ratio_)[list(axes)],
        )
        return display.plot(ax, **options)

    def plot(self, ax: Any = None, *, legend: bool = True) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        legend : bool, default=True
            Whether to tell rows from columns.

        Returns
        -------
        self : object
            The display.
        """
        take_axes(self, ax)
        for line in (self.ax_.axhline, self.ax_.axvline):
            line(0, color="0.8", linewidth=0.8, zorder=0)
        self.rows_ = self.ax_.scatter(*self.rows.T, marker="o", color="tab:blue", label="rows")
        self.columns_ = self.ax_.scatter(
            *self.columns.T, marker="^", color="tab:red", label="columns"
        )
        self.texts_ = [
            self._annotate(label, point, colour)
            for points, labels, colour in (
                (self.rows, self.row_labels, "tab:blue"),
                (self.columns, self.column_labels, "tab:red"),
            )
            for label, point in zip(labels or [], points, strict=False)
        ]
        # Distances on the map are what it is for: one unit on either axis is the same length.
        self.ax_.set_aspect("equal", adjustable="datalim")
        self.ax_.set(xlabel=self._axis_label(0), ylabel=self._axis_label(1))
        if legend:
            self.ax_.legend(loc="best", fontsize="small")
        return self

    def _annotate(self, label: str, point: np.ndarray, colour: str) -> Any:
        """Write a label beside its point, towards the middle of the map."""
        everywhere = np.concatenate([self.rows, self.columns])[:, 0]
        right = point[0] > (everywhere.min() + everywhere.max()) / 2
        return self.ax_.annotate(
            label,
            point,
            (-4 if right else 4, 4),
            textcoords="offset points",
            horizontalalignment="right" if right else "left",
            color=colour,
        )

    def _axis_label(self, i: int) -> str:
        label = f"axis {self.axes[i] + 1}"
        return (
            label
            if self.explained is None
            else f"{label} ({100 * self.explained[i]:.1f} % of inertia)"
        )


def _plane(coordinates: Any, axes: tuple[int, int]) -> np.ndarray:
    coordinates = np.asarray(as_numpy(coordinates))
    n_axes = coordinates.shape[1]
    if len(axes) != 2 or not all(0 <= axis < n_axes for axis in axes):
        raise ValueError(
            f"axes={tuple(axes)!r} cannot be shown: the analysis has {n_axes} axes, counted from "
            "0, and a map needs two. Fit with a larger n_components; a table of two columns has "
            "one axis only."
        )
    return coordinates[:, list(axes)]


def _labels(labels: Iterable[str] | None, n_points: int, name: str) -> list[str] | None:
    if labels is None:
        return None
    labels = [str(label) for label in labels]
    if len(labels) != n_points:
        raise ValueError(f"{name} has {len(labels)} names for {n_points} points.")
    return labels
