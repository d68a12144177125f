"""Rows that are images."""

import math
from collections.abc import Sequence

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
    if math.prod(image_shape) != n_features or len(image_shape) not in (2, 3):
        raise ValueError(
            f"Rows of {n_features} features are no images of {tuple(image_shape)}. Pass "
            "image_shape=(height, width) or (height, width, channels), which they fill."
        )
    return rows.reshape(-1, *image_shape)


def show(panel: object, image: np.ndarray, *, cmap: object, vmin: float, vmax: float) -> object:
    """Draw an image without ticks; colours are brought into [0, 1]."""
    panel.set(xticks=[], yticks=[])
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim == 3:
        image = np.clip((image - vmin) / ((vmax - vmin) or 1), 0, 1)
    return panel.imshow(image, cmap=cmap, vmin=vmin, vmax=vmax, interpolation="nearest")
