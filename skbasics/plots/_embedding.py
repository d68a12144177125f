"""The map of an embedding: rows as points, coloured by what they are or by how true they lie."""

from numbers import Integral
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors

from skbasics._arrays import as_numpy
from skbasics._axes import take_axes
from skbasics._inner import innermost
from skbasics._sklearn import check_matplotlib_support

MOST_CLASSES = 20
"""Values of y that are still told apart by a legend."""


class EmbeddingDisplay:
    r"""Rows at their places on a map.

    Make one with `from_estimator`, of anything that transforms to two components or more.

    Parameters
    ----------
    places : ndarray of shape (n_samples, 2)
        The points.
    y : ndarray of shape (n_samples,) or None, default=None
        What colours them: classes (words, or at most 20 whole numbers; -1 is none, and grey) or
        numbers.
    name : str or None, default=None
        What the colours are, for their bar.
    axes : tuple of two int, default=(0, 1)
        The components shown, counted from 0.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        The figure of that.
    points_ : list of matplotlib PathCollection
        The points, class by class, or all of them.
    colorbar_ : matplotlib Colorbar or None
        For numbers.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from sklearn.datasets import load_iris
    >>> from skbasics import UMAP
    >>> from skbasics.plots import EmbeddingDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> umap = UMAP(n_epochs=100, random_state=0).fit(X)
    >>> display = EmbeddingDisplay.from_estimator(umap, X, y)
    >>> len(display.points_)
    3
    """

    def __init__(
        self,
        *,
        places: np.ndarray,
        y: np.ndarray | None = None,
        name: str | None = None,
        axes: tuple[int, int] = (0, 1),
    ) -> None:
        self.places, self.y, self.name, self.axes = places, y, name, axes

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        color_by: str = "y",
        n_neighbors: int = 12,
        axes: tuple[int, int] = (0, 1),
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Draw where a fitted transformer puts rows.

        Parameters
        ----------
        estimator : estimator
            A fitted one with `transform`; a search or a pipeline of which it is the last step.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Their classes or numbers.
        color_by : {"y", "trustworthiness"}, default="y"
            "trustworthiness" colours each point by how far its neighbours on the map are
            neighbours in truth, by the estimator's `metric` where it has one; y is not looked at.
            The mean over the points is scikit-learn's `trustworthiness`.
        n_neighbors : int, default=12
            For that.
        axes : tuple of two int, default=(0, 1)
            The components to show, counted from 0.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **options : dict
            Keywords of `plot`.

        Returns
        -------
        display : EmbeddingDisplay

        Raises
        ------
        ValueError
            If there are not these components, or y has another length.
        TypeError
            If there is no `transform`.
        """
        check_matplotlib_support(cls.__name__)
        if color_by not in ("y", "trustworthiness"):
            raise ValueError(f"color_by={color_by!r} is neither 'y' nor 'trustworthiness'.")
        estimator, X = innermost(estimator, X)
        if not hasattr(estimator, "transform"):
            raise TypeError(
                f"{cls.__name__} draws what a transformer makes of rows, and "
                f"{type(estimator).__name__} has no transform. Of a Pipeline with a predictor "
                "pass pipeline[:-1]."
            )
        places = np.asarray(as_numpy(estimator.transform(X)))
        if color_by == "trustworthiness":
            metric = getattr(estimator, "metric", "euclidean")
            y, name = row_trustworthiness(X, places, n_neighbors, metric), "trustworthiness"
        else:
            y, name = _target(y, len(places)), None
        display = cls(places=_plane(places, axes), y=y, name=name, axes=tuple(axes))
        return display.plot(ax, **options)

    def plot(self, ax: Any = None, *, size: float = 8.0, legend: bool = True) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        size : float, default=8.0
            The area of a point in square points.
        legend : bool, default=True
            Whether to tell the colours, by a legend or a bar.

        Returns
        -------
        self : object
            The display.
        """
        take_axes(self, ax)
        self.colorbar_ = None
        if self.y is None:
            self.points_ = [self.ax_.scatter(*self.places.T, s=size, linewidths=0)]
        elif _are_classes(self.y):
            self._plot_classes(size, legend)
        else:
            points = self.ax_.scatter(
                *self.places.T, c=self.y, s=size, linewidths=0, cmap="viridis"
            )
            self.points_ = [points]
            if legend:
                self.colorbar_ = self.figure_.colorbar(points, ax=self.ax_, label=self.name or "")
        # Only who is near whom means anything: no ticks, and a length is the same on both axes.
        self.ax_.set_aspect("equal", adjustable="datalim")
        self.ax_.set(xticks=[], yticks=[])
        self.ax_.set(xlabel=f"component {self.axes[0] + 1}", ylabel=f"component {self.axes[1] + 1}")
        return self

    def _plot_classes(self, size: float, legend: bool) -> None:
        classes = np.unique(self.y)
        colours = _colours(classes)
        self.points_ = [
            self.ax_.scatter(
                *self.places[self.y == c].T,
                s=size,
                linewidths=0,
                color=colours[i],
                label=str(c),
            )
            for i, c in enumerate(classes)
        ]
        if legend:
            self.ax_.legend(fontsize="x-small", markerscale=2, loc="best")


def _colours(classes: np.ndarray) -> list[Any]:
    """Return colours, no two of them alike; grey for -1, which is no class."""
    from matplotlib import colormaps

    n = len(classes)
    if n <= MOST_CLASSES:
        colours = list(map(colormaps["tab10" if n <= 10 else "tab20"], range(n)))
    else:
        colours = list(colormaps["turbo"](np.linspace(0, 1, n)))
    return ["lightgrey" if str(c) == "-1" else own for c, own in zip(classes, colours, strict=True)]


def row_trustworthiness(
    X: Any, places: np.ndarray, n_neighbors: int = 12, metric: Any = "euclidean"
) -> np.ndarray:
    r"""Return of each row how far its neighbours on the map are neighbours in truth.

    .. math::
        1 - \frac{2}{k (2n - 3k - 1)} \sum_{j \in N_k(i)} \max(0, r(i, j) - k)

    with :math:`N_k(i)` the k nearest on the map and :math:`r(i, j)` the rank of j among the
    neighbours of i in truth. The mean over the rows is scikit-learn's
    `trustworthiness`.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
    places : ndarray of shape (n_samples, n_components)
    n_neighbors : int, default=12
        k, less than half of the rows.
    metric : str or callable, default="euclidean"
        The distance in truth; "precomputed" where X has those of all pairs.

    Returns
    -------
    trustworthiness : ndarray of shape (n_samples,)
    """
    n, k = len(places), n_neighbors
    if not 1 <= k < n / 2:
        raise ValueError(
            f"n_neighbors={k} must be at least 1 and less than half of the {n} rows, as for "
            "scikit-learn's trustworthiness."
        )
    X = X if sp.issparse(X) else as_numpy(X)
    truth = NearestNeighbors(n_neighbors=n - 1, algorithm="brute", metric=metric).fit(X)
    order = truth.kneighbors(return_distance=False)
    near = NearestNeighbors(n_neighbors=k).fit(places).kneighbors(return_distance=False)
    rank = np.zeros((n, n), np.int64)
    np.put_along_axis(rank, order, np.arange(1, n)[None], 1)
    excess = np.maximum(np.take_along_axis(rank, near, 1) - k, 0).sum(1)
    return 1 - 2 * excess / (k * (2 * n - 3 * k - 1))


def _plane(places: np.ndarray, axes: tuple[int, int]) -> np.ndarray:
    n_axes = places.shape[1]
    if not (
        np.shape(axes) == (2,)
        and all(isinstance(axis, Integral) and 0 <= axis < n_axes for axis in axes)
    ):
        raise ValueError(
            f"axes={axes!r} cannot be shown: the places have {n_axes} components, counted "
            "from 0, and a map needs two. Fit with n_components=2 or more."
        )
    return places[:, list(axes)]


def _target(y: Any, n: int) -> np.ndarray | None:
    if y is None:
        return None
    y = np.asarray(as_numpy(y))
    if y.shape != (n,):
        raise ValueError(f"y has shape {y.shape} for {n} rows; it takes one value a row.")
    return y.astype(str) if y.dtype == object else y


def _are_classes(y: np.ndarray) -> bool:
    return y.dtype.kind not in "iuf" or (y.dtype.kind != "f" and len(np.unique(y)) <= MOST_CLASSES)
