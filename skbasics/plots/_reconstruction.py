"""Rows, and what an autoencoder makes of them."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skbasics._arrays import as_numpy
from skbasics._axes import take_axes
from skbasics._inner import innermost
from skbasics._sklearn import check_matplotlib_support
from skbasics.plots._images import as_images, ends, show

MOST_ROWS = 40
"""More pairs than these are too many to look at."""


class ReconstructionDisplay:
    """Rows above, their reconstructions below, with the score of each.

    Images are drawn on one scale of greys. Rows that are no images are drawn as lines over their
    features, the reconstruction dashed. What is missing in a row stays blank above.

    Make one with `from_estimator`.

    Parameters
    ----------
    rows, reconstructions : ndarray of shape (n_rows, n_features)
        The rows as the autoencoder sees them, and what it makes of them.
    scores : ndarray of shape (n_rows,)
        What `score_samples` says of them.
    image_shape : tuple of int or None, default=None
        Height, width and channels of the images that rows are; None draws lines.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The Axes whose room was taken.
    axes_ : ndarray of Axes, of shape (2, n_rows) for images, (1, n_rows) for lines
        The panels.
    figure_ : matplotlib Figure
        The figure of that.
    images_ : list of list of matplotlib AxesImage
        The pictures of the rows, and of the reconstructions; empty for lines.
    lines_ : list of list of matplotlib Line2D
        The lines of the rows, and of the reconstructions; empty for images.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from sklearn.datasets import load_digits
    >>> from skbasics import Autoencoder, ReconstructionDisplay
    >>> X = load_digits().data / 16
    >>> autoencoder = Autoencoder(5, random_state=0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(autoencoder, X[:6], image_shape=(8, 8))
    >>> display.reconstructions.shape
    (6, 64)
    """

    def __init__(
        self,
        *,
        rows: np.ndarray,
        reconstructions: np.ndarray,
        scores: np.ndarray,
        image_shape: Sequence[int] | None = None,
    ) -> None:
        self.rows, self.reconstructions = rows, reconstructions
        self.scores, self.image_shape = scores, image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Draw what a fitted autoencoder makes of some rows.

        Parameters
        ----------
        estimator : Autoencoder, SparseAutoencoder or VAETransformer
            A fitted one; of a pipeline the last step counts, of a search the best estimator.
        X : array-like of shape (n_rows, n_features)
            Some few rows; they go through the other steps of a pipeline.
        image_shape : tuple of int or None, default=None
            Height and width of the images that rows are, and their channels; None draws lines.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **options : dict
            Keywords of `plot`.

        Returns
        -------
        display : ReconstructionDisplay

        Raises
        ------
        TypeError
            If the estimator does not reconstruct.
        ValueError
            If there are too many rows to look at, or they are no such images.
        NotFittedError
            If it is not fitted.
        """
        check_matplotlib_support(cls.__name__)
        autoencoder, X = innermost(estimator, X)
        if not hasattr(autoencoder, "reconstruct"):
            raise TypeError(
                f"{cls.__name__} draws an autoencoder, got {type(autoencoder).__name__}. A "
                "pipeline must end in one, a search must be fitted."
            )
        check_is_fitted(autoencoder)
        rows = _dense(X)
        if len(rows) > MOST_ROWS:
            raise ValueError(
                f"X has {len(rows)} rows, too many to look at. Pass a few, X[:10] for example."
            )
        if image_shape is not None:
            as_images(rows, image_shape)
        display = cls(
            rows=rows,
            reconstructions=as_numpy(autoencoder.reconstruct(X)),
            scores=as_numpy(autoencoder.score_samples(X)),
            image_shape=image_shape,
        )
        return display.plot(ax, **options)

    def plot(self, ax: Any = None, *, cmap: Any = "gray", scores: bool = True) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw: the panels share its room. None makes a figure of their size.
        cmap : str or Colormap, default="gray"
            Colours of images of one channel.
        scores : bool, default=True
            Whether the score of each row stands above it.

        Returns
        -------
        self : object
            The display.
        """
        take_axes(self, ax)
        n_rows, n_lines = len(self.rows), 1 if self.image_shape is None else 2
        if ax is None:
            self.figure_.set_size_inches(max(3.0, 1.1 * n_rows), 1.1 * n_lines + 0.6)
        self.ax_.set_axis_off()
        self.axes_ = np.array(
            [[self._panel(i, j, n_lines, n_rows) for j in range(n_rows)] for i in range(n_lines)]
        )
        self.images_, self.lines_ = [], []
        self._draw_lines() if self.image_shape is None else self._draw_images(cmap)
        if scores:
            for panel, score in zip(self.axes_[0], self.scores, strict=True):
                panel.set_title(f"{score:.3g}", fontsize="small", pad=3)
        return self

    def _panel(self, i: int, j: int, n_lines: int, n_columns: int) -> Any:
        width, height = 1 / n_columns, 1 / n_lines
        bounds = (j * width, 1 - (i + 1) * height, 0.92 * width, 0.92 * height)
        return self.ax_.inset_axes(bounds)

    def _draw_images(self, cmap: Any) -> None:
        low, high = ends(self.rows, self.reconstructions)
        for panels, part in zip(self.axes_, (self.rows, self.reconstructions), strict=True):
            images = as_images(part, self.image_shape)
            pairs = zip(panels, images, strict=True)
            self.images_.append([show(p, i, cmap=cmap, vmin=low, vmax=high) for p, i in pairs])

    def _draw_lines(self) -> None:
        for part, look in ((self.rows, "-"), (self.reconstructions, "--")):
            pairs = zip(self.axes_[0], part, strict=True)
            self.lines_.append([panel.plot(row, look, lw=1)[0] for panel, row in pairs])
        low, high = ends(self.rows, self.reconstructions)
        margin = 0.1 * (high - low) or 1.0
        for panel in self.axes_[0]:
            panel.set(xticks=[], yticks=[], ylim=(low - margin, high + margin))


def _dense(X: Any) -> np.ndarray:
    return X.toarray() if hasattr(X, "toarray") else np.asarray(as_numpy(X), dtype=float)
