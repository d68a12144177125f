"""The filters of a convolutional network's first layer, and what they find in images."""

import math
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skbasics._arrays import as_numpy
from skbasics._axes import take_axes
from skbasics._inner import innermost
from skbasics._sklearn import check_matplotlib_support

MOST_TILES = 1000
WIDEST = 16
"""Filters side by side, unless the caller says how many."""
TILE = 0.92
"""The side of a tile, in a place of side one."""
TITLE, BAR = 0.35, 0.8
"""Room for the numbers above filters and for the bars at the right, in places."""


class FiltersDisplay:
    """Filters of the first convolution, and its activation maps of some images below them.

    Every column is a filter: on top its weights, then what it makes of one image after another;
    the images stand at the left. Zero is white. All weights share one scale of colours, the
    same to either side of zero, and so do all maps. Filters on images of three channels are
    shown as colours, with grey for zero; the channels of other filters and images, if there
    are more than one, stand below one another.

    Make one with `from_estimator`.

    Parameters
    ----------
    filters : ndarray of shape (n_filters, height, width, channels a group)
        The weights.
    activation_maps : ndarray of shape (n_images, height, width, n_filters) or None, default=None
        What the first convolution and the activation make of images.
    images : ndarray of shape (n_images, height, width, channels) or None, default=None
        The images, as the network sees them.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The Axes whose room was taken.
    axes_ : ndarray of Axes or None, of shape (n_rows, n_columns)
        The tiles; None where a place is empty.
    figure_ : matplotlib Figure
        The figure of that.
    filters_ : list of matplotlib AxesImage
        A picture of each filter.
    activation_maps_ : list of list of matplotlib AxesImage
        Of each image the picture of every map.
    images_ : list of matplotlib AxesImage
        A picture of each image, for each line of filters.
    colorbars_ : dict of str to matplotlib Colorbar
        The bars that were drawn: "filters", "activation_maps".

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from sklearn.datasets import load_digits
    >>> from skbasics import Conv2d, ConvNetClassifier, FiltersDisplay
    >>> digits = load_digits()
    >>> convnet = ConvNetClassifier([Conv2d(6, 3)], max_iter=5, tol=1, random_state=0)
    >>> convnet.fit(digits.images / 16, digits.target)  # doctest: +ELLIPSIS
    ConvNetClassifier(...)
    >>> display = FiltersDisplay.from_estimator(convnet, digits.images[:2] / 16)
    >>> display.filters.shape, display.activation_maps.shape
    ((6, 3, 3, 1), (2, 6, 6, 6))
    """

    def __init__(
        self,
        *,
        filters: np.ndarray,
        activation_maps: np.ndarray | None = None,
        images: np.ndarray | None = None,
    ) -> None:
        self.filters, self.activation_maps, self.images = filters, activation_maps, images

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any = None, *, ax: Any = None, **options: Any
    ) -> Self:
        """Draw the filters of a fitted network, and its maps of images.

        Parameters
        ----------
        estimator : ConvNetClassifier or ConvNetRegressor
            A fitted one; of a pipeline the last step counts, of a search the best estimator.
        X : array-like of shape (n_images, n_features), or images, default=None
            Some few images, in a layout that the estimator takes; they go through the other
            steps of a pipeline. None shows filters alone.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **options : dict
            Keywords of `plot`.

        Returns
        -------
        display : FiltersDisplay

        Raises
        ------
        TypeError
            If the estimator is no convolutional network.
        ValueError
            If it has no convolution, or there are too many images to look at.
        NotFittedError
            If it is not fitted.
        """
        check_matplotlib_support(cls.__name__)
        network, X = innermost(estimator, X)
        if not hasattr(network, "layer_table"):
            raise TypeError(
                f"{cls.__name__} draws a ConvNetClassifier or ConvNetRegressor, got "
                f"{type(network).__name__}. A pipeline must end in one of them, a search must be "
                "fitted."
            )
        check_is_fitted(network)
        layer = _first_convolution(network)
        filters = as_numpy(network.coefs_[0]).transpose(0, 2, 3, 1)
        if X is None:
            return cls(filters=filters).plot(ax, **options)
        _check_few(X, len(filters))
        maps = _channels_last(as_numpy(network.hidden_features(X, layer)), network)
        shown = cls(filters=filters, activation_maps=maps, images=_images(X, network))
        return shown.plot(ax, **options)

    def plot(
        self,
        ax: Any = None,
        *,
        n_columns: int | None = None,
        cmap: Any = "RdBu_r",
        colorbar: bool = True,
    ) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw: the tiles share its room. None makes a figure of their size.
        n_columns : int or None, default=None
            Filters side by side, before a new line begins; None is 16 at most.
        cmap : str or Colormap, default="RdBu_r"
            Colours from negative to positive, with that of zero in the middle.
        colorbar : bool, default=True
            Whether bars tell the numbers.

        Returns
        -------
        self : object
            The display.
        """
        grid = self._grid(n_columns, colorbar)
        take_axes(self, ax)
        if ax is None:
            self.figure_.set_layout_engine("constrained")
            self.figure_.set_size_inches(0.7 * grid.width + 0.2, 0.7 * grid.height + 0.2)
        self.ax_.set_axis_off()
        self.axes_ = np.full((grid.n_rows, grid.n_columns), None)
        self._draw_filters(grid, cmap)
        self._draw_maps(grid, cmap)
        self._draw_images(grid)
        self.colorbars_ = self._bars(grid) if colorbar else {}
        return self

    def _grid(self, n_columns: int | None, colorbar: bool) -> "_Grid":
        n_filters = len(self.filters)
        if n_columns is None:
            n_columns = math.ceil(n_filters / math.ceil(n_filters / WIDEST))
        if n_columns < 1:
            raise ValueError(f"n_columns must be a number of filters >= 1, got {n_columns!r}.")
        n_images = 0 if self.activation_maps is None else len(self.activation_maps)
        n_columns = min(n_columns, n_filters)
        return _Grid(n_filters, n_images, n_columns, int(self.images is not None), colorbar)

    def _draw_filters(self, grid: "_Grid", cmap: Any) -> None:
        most = _largest(self.filters)
        colours = self.filters.shape[3] == 3
        pictures = 0.5 + self.filters / (2 * most) if colours else self.filters
        self.filters_ = []
        for number, picture in enumerate(pictures):
            panel = self._tile(grid, *grid.place(number))
            panel.set_title(str(number), fontsize="small", pad=2)
            look = {} if colours else {"cmap": cmap, "vmin": -most, "vmax": most}
            self.filters_.append(_show(panel, picture, **look))

    def _draw_maps(self, grid: "_Grid", cmap: Any) -> None:
        self.activation_maps_ = []
        if self.activation_maps is None:
            return
        most = _largest(self.activation_maps)
        for i, maps in enumerate(self.activation_maps):
            panels = [
                self._tile(grid, *grid.place(number, i + 1)) for number in range(grid.n_filters)
            ]
            self.activation_maps_.append(
                [
                    _show(panel, maps[..., number, None], cmap=cmap, vmin=-most, vmax=most)
                    for number, panel in enumerate(panels)
                ]
            )

    def _draw_images(self, grid: "_Grid") -> None:
        self.images_ = []
        for line in range(grid.n_lines if grid.margin else 0):
            for i, image in enumerate(self.images):
                panel = self._tile(grid, line * (1 + grid.n_images) + i + 1, 0)
                look = {} if image.shape[2] == 3 else {"cmap": "gray"}
                picture = _between_0_and_1(image) if image.shape[2] == 3 else image
                self.images_.append(_show(panel, picture, **look))

    def _tile(self, grid: "_Grid", row: int, column: int) -> Any:
        panel = self.ax_.inset_axes(grid.bounds(row, column))
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set(color="0.7", linewidth=0.6)
        self.axes_[row, column] = panel
        return panel

    def _bars(self, grid: "_Grid") -> dict[str, Any]:
        """Draw the bars beside the first line: one beside the filters, one beside the maps."""
        bars = {}
        if self.filters.shape[3] != 3:
            place = self.ax_.inset_axes(grid.bar(0, 0))
            bars["filters"] = self.figure_.colorbar(self.filters_[0], cax=place)
        if grid.n_images:
            place = self.ax_.inset_axes(grid.bar(1, min(grid.n_images, 3)))
            bars["activation_maps"] = self.figure_.colorbar(self.activation_maps_[0][0], cax=place)
        for bar in bars.values():
            bar.ax.tick_params(labelsize="small")
            bar.outline.set(edgecolor="0.7", linewidth=0.6)
        return bars


class _Grid(NamedTuple):
    """Where tiles lie: lines of filters, with a row of maps below them for each image."""

    n_filters: int
    n_images: int
    n_across: int
    margin: int
    bar_room: bool

    @property
    def n_lines(self) -> int:
        return math.ceil(self.n_filters / self.n_across)

    @property
    def n_rows(self) -> int:
        return self.n_lines * (1 + self.n_images)

    @property
    def n_columns(self) -> int:
        return self.n_across + self.margin

    @property
    def width(self) -> float:
        return self.n_columns + BAR * self.bar_room

    @property
    def height(self) -> float:
        return self.n_rows + TITLE * self.n_lines

    def place(self, number: int, below: int = 0) -> tuple[int, int]:
        """Return row and column of a filter, or of what is so many rows below it."""
        line, column = divmod(number, self.n_across)
        return line * (1 + self.n_images) + below, column + self.margin

    def top(self, row: int) -> float:
        """Return where a row begins, counted from above."""
        return row + TITLE * (row // (1 + self.n_images) + 1)

    def bounds(self, row: int, column: int, height: float = TILE, width: float = TILE) -> tuple:
        """Return left, bottom, width and height of a tile, in fractions of the whole."""
        bottom = self.height - self.top(row) - height
        sizes = column / self.width, bottom / self.height
        return (*sizes, width / self.width, height / self.height)

    def bar(self, first: int, last: int) -> tuple:
        """Return the bounds of a bar beside some rows."""
        return self.bounds(first, self.n_columns + 0.05, last - first + TILE, 0.12)


def _first_convolution(network: Any) -> int:
    """Return the number of the first layer that has filters."""
    names = [row.name for row in network.layer_table_]
    layers = [number for number, name in enumerate(names) if name.startswith("conv2d_")]
    if not layers:
        raise ValueError(
            f"This {type(network).__name__} has no convolution, so there are no filters to show: "
            f"its layers are {names}. Give it layers with a Conv2d."
        )
    return layers[0]


def _check_few(X: Any, n_filters: int) -> None:
    n_images = len(X) if hasattr(X, "__len__") else X.shape[0]
    if n_filters * (1 + n_images) > MOST_TILES:
        raise ValueError(
            f"X has {n_images} images, of which {n_filters} filters make {n_filters * n_images} "
            "maps: too many to look at. Pass a few, X[:3] for example."
        )


def _channels_last(images: np.ndarray, network: Any) -> np.ndarray:
    return images if network.channels == "last" else images.transpose(0, 2, 3, 1)


def _images(X: Any, network: Any) -> np.ndarray:
    """Return images of any layout as ``(n_images, height, width, channels)``."""
    height, width, n_channels = network.image_shape_
    rows = np.asarray(as_numpy(X))
    if network.channels == "last":
        return rows.reshape(-1, height, width, n_channels)
    return rows.reshape(-1, n_channels, height, width).transpose(0, 2, 3, 1)


def _largest(values: np.ndarray) -> float:
    """Return the largest absolute value: the end of the scale, on either side of zero."""
    return float(np.abs(values).max()) or 1.0


def _between_0_and_1(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image / 255.0
    low, high = image.min(), image.max()
    return (image - low) / ((high - low) or 1.0)


def _show(panel: Any, picture: np.ndarray, **look: Any) -> Any:
    """Draw ``(height, width, channels)``: three as colours, others below one another."""
    height, width, n_channels = picture.shape
    if n_channels != 3:
        picture = picture.transpose(2, 0, 1).reshape(n_channels * height, width)
    aspect = "auto" if 1 in picture.shape[:2] else "equal"  # of a signal equal pixels are a thread
    return panel.imshow(picture, aspect=aspect, interpolation="nearest", **look)
