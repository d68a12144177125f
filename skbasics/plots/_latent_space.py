"""Two latents of an autoencoder: where rows lie, and what lies in between."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from scipy.stats import norm
from sklearn import get_config
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from skbasics._arrays import Border, as_numpy
from skbasics._axes import take_axes
from skbasics._inner import innermost
from skbasics._sklearn import check_matplotlib_support
from skbasics.plots._images import as_colours, as_images, ends

MOST_CLASSES = 20
"""More labels than these are taken for numbers."""


class LatentSpaceDisplay:
    """A map of two latents: images decoded on a grid, and beside it the codes of rows.

    Where the latents have a prior, the grid is at equal steps of its probability, so that each
    image stands for as many rows as the others; else at equal steps through the codes. Latents
    beyond the two are held at the mean of the codes, or of the prior.

    Make one with `from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n_grid, n_grid, height, width) or (..., channels)
        Decoded images, the second latent falling from row to row, the first rising.
    grid : tuple of two ndarrays of shape (n_grid,)
        The values of the two latents, rising.
    codes : ndarray of shape (n_samples, 2) or None, default=None
        The codes of rows.
    y : ndarray of shape (n_samples,) or None, default=None
        What colours them.
    components : tuple of two int, default=(0, 1)
        Which latents they are.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The Axes whose room was taken.
    axes_ : list of Axes
        The panels: that of the codes, where there are any, and that of the images.
    figure_ : matplotlib Figure
        The figure of that.
    image_ : matplotlib AxesImage
        All images as one.
    scatters_ : list of matplotlib PathCollection
        The points of the codes, a collection for each class.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from sklearn.datasets import load_digits
    >>> from skbasics import LatentSpaceDisplay, VAETransformer
    >>> X, y = load_digits(return_X_y=True)
    >>> vae = VAETransformer(2, likelihood="bernoulli", max_iter=10, tol=0, random_state=0)
    >>> display = LatentSpaceDisplay.from_estimator(vae.fit(X / 16), X / 16, y, n_grid=5)
    >>> display.images.shape
    (5, 5, 8, 8)
    """

    def __init__(
        self,
        *,
        images: np.ndarray,
        grid: tuple[np.ndarray, np.ndarray],
        codes: np.ndarray | None = None,
        y: np.ndarray | None = None,
        components: tuple[int, int] = (0, 1),
    ) -> None:
        self.images, self.grid = images, grid
        self.codes, self.y, self.components = codes, y, components

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        components: tuple[int, int] = (0, 1),
        n_grid: int = 12,
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Draw two latents of a fitted autoencoder.

        Parameters
        ----------
        estimator : Autoencoder, SparseAutoencoder or VAETransformer
            A fitted one; of a pipeline the last step counts, of a search the best estimator.
        X : array-like of shape (n_samples, n_features), default=None
            Rows whose codes to show; they go through the other steps of a pipeline. Only a
            `VAETransformer`, which has a prior, can do without.
        y : array-like of shape (n_samples,), default=None
            What colours them: classes, or numbers.
        components : tuple of two int, default=(0, 1)
            Which latents.
        n_grid : int, default=12
            Images along a side.
        image_shape : tuple of int or None, default=None
            Height and width of the images that rows are, and their channels; None takes them for
            squares.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **options : dict
            Keywords of `plot`.

        Returns
        -------
        display : LatentSpaceDisplay

        Raises
        ------
        TypeError
            If the estimator has no codes that can be decoded.
        ValueError
            If there are no such latents, the rows are no such images, or X is missing.
        NotFittedError
            If it is not fitted.
        """
        check_matplotlib_support(cls.__name__)
        autoencoder, X = innermost(estimator, X)
        if not hasattr(autoencoder, "inverse_transform"):
            raise TypeError(
                f"{cls.__name__} decodes codes, which {type(autoencoder).__name__} cannot. Pass an "
                "autoencoder, a pipeline that ends in one, or a fitted search."
            )
        check_is_fitted(autoencoder)
        codes = None if X is None else _dense(autoencoder.transform(X))
        n_latents = _n_latents(autoencoder, codes)
        _check_latents(autoencoder, components, n_latents, codes)
        y = _colours(y, codes)
        grid = _grid(autoencoder, codes, components, n_grid)
        decoded = _decoded(autoencoder, grid, components, codes, n_latents)
        images = as_images(decoded, image_shape)
        display = cls(
            images=images.reshape(n_grid, n_grid, *images.shape[1:]),
            grid=grid,
            codes=None if codes is None else codes[:, list(components)],
            y=y,
            components=tuple(components),
        )
        return display.plot(ax, **options)

    def plot(self, ax: Any = None, *, cmap: Any = "gray", colours: Any = "tab10") -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw: the panels share its room. None makes a figure of their size.
        cmap : str or Colormap, default="gray"
            Colours of images of one channel.
        colours : str or Colormap, default="tab10"
            Colours of the classes, or of numbers.

        Returns
        -------
        self : object
            The display.
        """
        take_axes(self, ax)
        places = [(0, 0, 1, 1)] if self.codes is None else [(0, 0, 0.42, 1), (0.58, 0, 0.42, 1)]
        if ax is None:
            self.figure_.set_size_inches(1 + 5 * len(places), 5)
        self.ax_.set_axis_off()
        self.axes_ = [self.ax_.inset_axes(place) for place in places]
        self.scatters_ = [] if self.codes is None else self._draw_codes(self.axes_[0], colours)
        self.image_ = self._draw_images(self.axes_[-1], cmap)
        first, second = self.components
        for panel in self.axes_:
            panel.set(xlabel=f"latent {first}", ylabel=f"latent {second}")
        return self

    def _draw_codes(self, panel: Any, colours: Any) -> list[Any]:
        look = {"s": 6, "alpha": 0.7, "linewidths": 0}
        if self.y is None:
            return [panel.scatter(*self.codes.T, color="0.4", **look)]
        classes = np.unique(self.y)
        if len(classes) > MOST_CLASSES and classes.dtype.kind in "biuf":
            return [panel.scatter(*self.codes.T, c=self.y, **look)]
        import matplotlib

        palette = matplotlib.colormaps[colours] if isinstance(colours, str) else colours
        scatters = []
        for i, label in enumerate(classes):
            points = self.codes[self.y == label]
            colour = palette(i % palette.N if palette.N <= MOST_CLASSES else i / len(classes))
            scatters.append(panel.scatter(*points.T, color=colour, label=str(label), **look))
        panel.legend(markerscale=2, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        return scatters

    def _draw_images(self, panel: Any, cmap: Any) -> Any:
        n_grid, channels = self.images.shape[0], self.images.shape[4:]
        gap = [(0, 0), (0, 0), (0, 1), (0, 1)]  # a blank line of pixels
        tiles = np.pad(self.images, gap + [(0, 0)] * len(channels), constant_values=np.nan)
        height, width = tiles.shape[2:4]
        mosaic = np.moveaxis(tiles, 1, 2).reshape(n_grid * height, n_grid * width, *channels)
        if channels:
            mosaic = as_colours(mosaic, *ends(self.images))
        image = panel.imshow(
            mosaic, cmap=cmap, extent=(0, n_grid, 0, n_grid), interpolation="nearest"
        )
        places = np.unique(np.linspace(0, n_grid - 1, 5).astype(int))
        for axis, values in zip((panel.xaxis, panel.yaxis), self.grid, strict=True):
            axis.set_ticks(places + 0.5, [f"{values[place]:.1f}" for place in places])
        return image


def _check_latents(
    autoencoder: Any, components: Sequence[int], n_latents: int, codes: np.ndarray | None
) -> None:
    whole = all(isinstance(part, Integral) and 0 <= part < n_latents for part in components)
    if not whole or len(set(components)) != 2 or len(components) != 2:
        raise ValueError(
            f"components={components!r} are no two latents: this {type(autoencoder).__name__} has "
            f"{n_latents}, counted from 0."
        )
    if codes is None and not hasattr(autoencoder, "posterior"):
        raise ValueError(
            f"The codes of {type(autoencoder).__name__} have no prior to take a grid from. Pass X, "
            "rows whose codes show where to look."
        )


def _grid(
    autoencoder: Any, codes: np.ndarray | None, components: Sequence[int], n_grid: int
) -> tuple[np.ndarray, np.ndarray]:
    if hasattr(autoencoder, "posterior"):
        steps = norm.ppf((np.arange(n_grid) + 0.5) / n_grid)
        return steps, steps
    ends = [np.quantile(codes[:, part], [0.01, 0.99]) for part in components]
    return tuple(np.linspace(*pair, n_grid) for pair in ends)


def _decoded(
    autoencoder: Any,
    grid: tuple[np.ndarray, np.ndarray],
    components: Sequence[int],
    codes: np.ndarray | None,
    n_latents: int,
) -> np.ndarray:
    """Return the rows of a grid of codes, the second latent falling, the first rising."""
    has_prior = hasattr(autoencoder, "posterior")
    centre = np.zeros(n_latents) if has_prior else codes.mean(0)
    falling, rising = np.meshgrid(grid[1][::-1], grid[0], indexing="ij")
    points = np.tile(centre, (falling.size, 1))
    points[:, components[0]], points[:, components[1]] = rising.ravel(), falling.ravel()
    if get_config()["array_api_dispatch"] and hasattr(autoencoder, "_theta"):
        points = Border.like(autoencoder._theta).as_caller(torch.from_numpy(points))
    return _dense(autoencoder.inverse_transform(points))


def _n_latents(autoencoder: Any, codes: np.ndarray | None) -> int:
    if codes is not None:
        return codes.shape[1]
    return autoencoder.get_feature_names_out().shape[0]


def _colours(y: Any, codes: np.ndarray | None) -> np.ndarray | None:
    """Return what colours the codes, a value for each."""
    if y is None:
        return None
    if codes is None:
        raise ValueError("y colours the codes of rows. Pass X, the rows, with it.")
    y = column_or_1d(as_numpy(y))
    check_consistent_length(codes, y)
    return y


def _dense(X: Any) -> np.ndarray:
    return np.asarray(as_numpy(X))
