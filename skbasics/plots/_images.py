"""Rows that are images."""

import math
from collections.abc import Sequence
from numbers import Integral

import numpy as np


def as_images(rows: np.ndarray, image_shape: Sequence[int] | None) -> np.ndarray:
    """Return rows as images ``(n, height, width)`` or ``(n, height, width, channels)``.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
    image_shape : tuple of int or None
        None takes the rows for squares.

    Raises
    ------
    ValueError
        If the rows are no squares, or do not fill the shape.
    """
    n_features = rows.shape[1]
    if image_shape is None:
        image_shape = (math.isqrt(n_features),) * 2
    shape = tuple(np.ravel(np.asarray(image_shape, dtype=object)).tolist())
    fits = len(shape) in (2, 3) and all(isinstance(side, Integral) for side in shape)
    if not fits or math.prod(shape) != n_features or shape[2:] not in ((), (1,), (3,), (4,)):
        raise ValueError(
            f"Rows of {n_features} features are no images of {image_shape!r}. Pass image_shape="
            "(height, width), or (height, width, 3) for colours, which they fill."
        )
    return rows.reshape(-1, *(shape[:2] if shape[2:] == (1,) else shape))


def ends(*parts: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest of numbers of which some may be missing."""
    known = np.concatenate([part[np.isfinite(part)] for part in parts])
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)


def as_colours(image: np.ndarray, vmin: float, vmax: float) -> np.ndarray:
    """Return an image of several channels in [0, 1], white where it is missing."""
    return np.nan_to_num(np.clip((image - vmin) / ((vmax - vmin) or 1), 0, 1), nan=1.0)


def show(panel: object, image: np.ndarray, *, cmap: object, vmin: float, vmax: float) -> object:
    """Draw an image without ticks; colours are brought into [0, 1]."""
    panel.set(xticks=[], yticks=[])
    if image.ndim == 3:
        image = as_colours(image, vmin, vmax)
    return panel.imshow(image, cmap=cmap, vmin=vmin, vmax=vmax, interpolation="nearest")
