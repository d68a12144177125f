"""Optimizers on their way down, over the contours of a function of two variables."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np
import torch
from scipy.optimize import OptimizeResult
from torch import Tensor

from skbasics._arrays import as_numpy, as_tensor
from skbasics._axes import take_axes
from skbasics._sklearn import check_matplotlib_support
from skbasics.optim import Optimizer, minimize

Bounds = tuple[tuple[float, float], tuple[float, float]]


class TrajectoryDisplay:
    """Paths of optimizers over the contours of a function of two variables.

    Make one with `from_function`, which runs the optimizers, or with `from_results` from
    what `minimize` returned.

    Parameters
    ----------
    x, y : ndarray of shape (n_columns,) and (n_rows,)
        The grid.
    values : ndarray of shape (n_rows, n_columns)
        The function on it.
    paths : dict of ndarray of shape (n_iterates, n_starts, 2)
        The iterates of each optimizer, by its label.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        The figure of that.
    contours_ : matplotlib QuadContourSet
        The contours, of the logarithm of the height above the lowest point of the grid.
    lines_ : dict of list of matplotlib Line2D
        The lines of each optimizer, one a start, by its label.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skbasics import Adam
    >>> from skbasics.plots import TrajectoryDisplay
    >>> def bowl(x):
    ...     return x[..., 0] ** 2 + 5 * x[..., 1] ** 2
    >>> display = TrajectoryDisplay.from_function(
    ...     bowl, [[2.0, 1.0], [-2.0, 0.5]], ["newton", Adam(0.1)], max_iter=50
    ... )
    >>> list(display.lines_)
    ['newton', 'Adam']
    """

    def __init__(
        self, *, x: np.ndarray, y: np.ndarray, values: np.ndarray, paths: dict[str, np.ndarray]
    ) -> None:
        self.x, self.y, self.values, self.paths = x, y, values, paths

    @classmethod
    def from_function(
        cls,
        fun: Callable[[Tensor], Tensor],
        x0: Any,
        optimizers: Iterable[str | Optimizer] | Mapping[str, str | Optimizer],
        *,
        max_iter: int = 1000,
        tol: float = 1e-6,
        bounds: Bounds | None = None,
        grid_resolution: int = 100,
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Run optimizers from the same starts and draw where they went.

        Parameters
        ----------
        fun : callable
            A function of two variables, as in `minimize`.
        x0 : array-like of shape (2,) or (n_starts, 2)
            The start, or several.
        optimizers : list or dict of str or Optimizer
            The optimizers; the keys of a dict are their labels, otherwise their names, or
            where two have the same name all that they are.
        max_iter : int, default=1000
            Steps of each, at most.
        tol : float, default=1e-6
            The gradient at which one has arrived.
        bounds : ((x_min, x_max), (y_min, y_max)) or None, default=None
            The part of the plane to show; None is where the paths are.
        grid_resolution : int, default=100
            Points of the grid along each axis.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **options : dict
            Keywords of `plot`.

        Returns
        -------
        display : TrajectoryDisplay
        """
        if not isinstance(optimizers, Mapping):
            optimizers = _labelled(optimizers)
        results = {
            label: minimize(
                fun, x0, optimizer=optimizer, max_iter=max_iter, tol=tol, return_path=True
            )
            for label, optimizer in optimizers.items()
        }
        place = {"bounds": bounds, "grid_resolution": grid_resolution, "ax": ax}
        return cls.from_results(fun, results, **place, **options)

    @classmethod
    def from_results(
        cls,
        fun: Callable[[Tensor], Tensor],
        results: Mapping[str, OptimizeResult],
        *,
        bounds: Bounds | None = None,
        grid_resolution: int = 100,
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Draw the paths that `minimize` returned.

        Parameters
        ----------
        fun : callable
            The function that was minimised.
        results : dict of OptimizeResult
            Results with a path (``return_path=True``), by label.
        bounds, grid_resolution, ax, **options
            As in `from_function`.

        Returns
        -------
        display : TrajectoryDisplay

        Raises
        ------
        ValueError
            If a result has no path, or one that is not in the plane.
        """
        check_matplotlib_support(cls.__name__)
        if isinstance(results, OptimizeResult) or not isinstance(results, Mapping):
            raise ValueError(
                "from_results takes a dict of results by label, such as {'Adam': result}, got "
                f"{type(results).__name__}."
            )
        if not results:
            raise ValueError("There is no result to show: pass one optimizer or more.")
        paths = {label: _path(label, result) for label, result in results.items()}
        (x_min, x_max), (y_min, y_max) = _extent(paths.values()) if bounds is None else bounds
        x = np.linspace(x_min, x_max, grid_resolution)
        y = np.linspace(y_min, y_max, grid_resolution)
        start = as_tensor(next(iter(results.values())).x)
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        values = _values(fun, torch.from_numpy(points).to(start), single=start.ndim == 1)
        values = values.reshape(len(y), len(x))
        return cls(x=x, y=y, values=values, paths=paths).plot(ax, **options)

    def plot(self, ax: Any = None, *, levels: int = 20, legend: bool = True) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        levels : int, default=20
            Contours.
        legend : bool, default=True
            Whether to name the optimizers.

        Returns
        -------
        self : object
            The display.
        """
        take_axes(self, ax)
        import matplotlib.pyplot as plt

        self._plot_contours(levels)
        colours = plt.colormaps["tab10"].colors
        self.lines_ = {
            label: self._plot_path(label, path, colours[i % len(colours)])
            for i, (label, path) in enumerate(self.paths.items())
        }
        self.ax_.set(xlim=self.x[[0, -1]], ylim=self.y[[0, -1]], xlabel="$x_1$", ylabel="$x_2$")
        if legend:
            self.ax_.legend(loc="best", fontsize="small")
        return self

    def _plot_contours(self, levels: int) -> None:
        finite = np.ma.masked_invalid(self.values)
        height = finite - finite.min()
        # Valleys are decades deep: equal steps of the value itself would show their walls alone.
        depth = np.ma.log10(height + 1e-6 * height.max() + np.finfo(float).tiny)
        self.contours_ = self.ax_.contourf(
            self.x, self.y, depth, levels=levels, cmap="Blues_r", alpha=0.55
        )
        self.ax_.contour(self.x, self.y, depth, levels=levels, colors="white", linewidths=0.4)

    def _plot_path(self, label: str, path: np.ndarray, colour: Any) -> list[Any]:
        lines = []
        for k in range(path.shape[1]):
            name = label if k == 0 else None
            lines += self.ax_.plot(*path[:, k].T, color=colour, linewidth=1.3, label=name)
        self.ax_.plot(*path[0].T, "o", color="black", markersize=3)
        self.ax_.plot(*path[-1].T, "*", color=colour, markersize=9, markeredgecolor="white")
        return lines


def _labelled(optimizers: Iterable[str | Optimizer]) -> dict[str, str | Optimizer]:
    """Return optimizers by their names, or where those are not different by all that they are."""
    if isinstance(optimizers, (str, Optimizer)):
        optimizers = [optimizers]
    optimizers = list(optimizers)
    names = [o if isinstance(o, str) else type(o).__name__ for o in optimizers]
    if len(set(names)) < len(names):
        names = [o if isinstance(o, str) else repr(o) for o in optimizers]
    return dict(zip(names, optimizers, strict=True))


def _values(fun: Callable[[Tensor], Tensor], points: Tensor, single: bool) -> np.ndarray:
    """Return the function at points ``(n, 2)``, one after another where it takes one."""
    values = torch.stack([fun(point) for point in points]) if single else fun(points)
    return as_numpy(values.double())


def _path(label: str, result: OptimizeResult) -> np.ndarray:
    """Return a result's path as ``(n_iterates, n_starts, 2)``."""
    if "path" not in result:
        raise ValueError(f"The result {label!r} has no path: call minimize with return_path=True.")
    path = np.asarray(as_numpy(result.path), dtype=float)
    if path.shape[-1] != 2:
        raise ValueError(
            f"The path of {label!r} has {path.shape[-1]} variables; a TrajectoryDisplay shows the "
            "plane, functions of two."
        )
    return path if path.ndim == 3 else path[:, None]


def _extent(paths: Iterable[np.ndarray]) -> Bounds:
    """Return the box of all iterates, with a margin of a tenth."""
    points = np.concatenate([path.reshape(-1, 2) for path in paths])
    low, high = points.min(0), points.max(0)
    margin = 0.1 * np.where(high > low, high - low, 1.0)
    return tuple(zip(low - margin, high + margin, strict=True))
