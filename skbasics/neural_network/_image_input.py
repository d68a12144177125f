"""Images at the border: whatever way they come, they are rows from there on."""

import math
import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np

from skbasics._arrays import Border
from skbasics._data import are_pixels
from skbasics._fitted import FittedNetwork
from skbasics._sklearn import StrOptions, validate_data
from skbasics.network import AUGMENTATIONS, Architecture, Shape, gaussian
from skbasics.neural_network._image_layers import NAMED_LAYERS, resolve_layers
from skbasics.neural_network._image_network import PRECISIONS, ImageNetwork, clipped, named
from skbasics.neural_network._initial_weights import NormalWeights
from skbasics.neural_network._layer_table import LayerTable, layer_table

COLOURS = (1, 2, 3, 4)
"""How many channels an image usually has: a first axis of so few may be meant as channels."""


class ImageInput(FittedNetwork):
    """What the convolutional estimators add to those of features: it goes before them.

    Images of every layout become rows, in the caller's order of axes, before scikit-learn's
    validation sees them. The network's first layer turns them into images again, a batch at a
    time.
    """

    _sparse_input = False

    _image_constraints: ClassVar[dict[str, list]] = {
        "layers": ["array-like", StrOptions(set(NAMED_LAYERS)), None],
        "image_shape": ["array-like", None],
        "channels": [StrOptions({"first", "last"})],
        "augment": [StrOptions(set(AUGMENTATIONS)), callable, None],
        "initial_weights": [StrOptions({"glorot"}), NormalWeights],
        "precision": [StrOptions(set(PRECISIONS)), None],
    }

    def layer_table(self, image_shape: Sequence[int], n_outputs: int) -> LayerTable:
        """Return what each layer would make of images, and what it would cost; before a fit.

        Parameters
        ----------
        image_shape : tuple of int
            Height, width and, unless it is one, the number of channels.
        n_outputs : int
            Units of the output: targets, or classes (one unit for two classes).

        Returns
        -------
        table : LayerTable
            A tuple of rows with the fields name, output_shape, n_parameters,
            n_weights_unshared and receptive_field; it prints as a table.

        Raises
        ------
        ValueError
            If a layer does not fit on what the layers before it leave.
        """
        layers = resolve_layers(self.layers)
        shape = _complete(image_shape)
        return layer_table(self._network(shape, layers, n_outputs, pixels=False))

    @property
    def layer_table_(self) -> LayerTable:
        """What each layer makes of an image, and what it costs, as a table."""
        self._check_learned("layer_table_")
        return layer_table(self._structure)

    def hidden_features(self, X: Any, layer: int = -1) -> Any:
        """Return what a hidden layer computes: activation maps, or features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or images
            The input.
        layer : int, default=-1
            The hidden layer, counted from 0 through `layers` and then `hidden_layer_sizes`, or
            from the last with negative numbers. A convolution is counted with its activation.

        Returns
        -------
        features : array of shape (n_samples, n_units) for a dense layer, else images
            Images have their channels where the parameter `channels` says.

        Raises
        ------
        ValueError
            If there is no such hidden layer.
        """
        return super().hidden_features(X, layer)

    def _validate(self, X: Any, border: Border, *, reset: bool, **options: Any) -> Any:
        """Return rows, and y where `options` have one, as scikit-learn's validation leaves them."""
        X = _as_array(X)
        shape = self._shape_of(X, reset)
        if len(getattr(X, "shape", ())) in (3, 4):
            rows = (X.shape[0], math.prod(shape))
            X = X.reshape(rows) if hasattr(X, "reshape") else border.xp.reshape(X, rows)
        dtype = [border.xp.float64, border.xp.float32, border.xp.uint8]
        checked = validate_data(self, X, dtype=dtype, reset=reset, **options)
        X = checked[0] if isinstance(checked, tuple) else checked
        if reset:
            self.image_shape_ = shape or (1, X.shape[1], 1)
            _check_fills(X.shape[1], self.image_shape_)
        elif hasattr(self, "_structure"):
            self._check_kind(X)
        return checked

    def _shape_of(self, X: Any, reset: bool) -> Shape | None:
        """Return the shape of the images in X; None where nothing but a fit's rows can tell."""
        known = None if self.image_shape is None else _complete(self.image_shape)
        known = known if reset else self.image_shape_
        n_axes = len(getattr(X, "shape", ()))
        if n_axes not in (3, 4):
            return known
        found = _read(X.shape, self.channels)
        if known is None:
            _check_unambiguous(X.shape, self.channels)
        elif found != known:
            where = "image_shape is" if reset else "the fit saw images of"
            other = _read(X.shape, "first" if self.channels == "last" else "last")
            hint = (
                f" They would be, with channels={'first' if self.channels == 'last' else 'last'!r}."
                if other == known
                else ""
            )
            raise ValueError(
                f"X has shape {tuple(X.shape)}: with channels={self.channels!r}, images of "
                f"{_spoken(found)}, and {where} {_spoken(known)}.{hint}"
            )
        return found

    def _check_kind(self, X: Any) -> None:
        """Raise if whole numbers come where floats were fitted, or the other way round."""
        if are_pixels(X) == self._structure.pixels:
            return
        kinds = ("uint8, which is scaled to [0, 1],", f"{X.dtype}, which is taken as it is,")
        fitted, given = kinds if self._structure.pixels else ("floats", kinds[0])
        raise ValueError(
            f"{type(self).__name__} was fitted on {fitted} and is given {given} now. Pass what it "
            "was fitted on: X.astype('uint8') for whole numbers up to 255, or X / 255.0 for floats."
        )

    def _new_structure(self, X: Any) -> ImageNetwork:
        layers, shape = resolve_layers(self.layers), self.image_shape_
        if self.image_shape is None and shape[0] == 1:
            layers, changed = clipped(layers, shape)
            if changed and not hasattr(self, "_structure"):
                self._warn_clipped(shape, changed, layers)
        return self._network(shape, layers, self.n_outputs_, pixels=are_pixels(X))

    def _network(
        self, shape: Shape, layers: tuple, n_outputs: int, *, pixels: bool
    ) -> ImageNetwork:
        return ImageNetwork(
            shape,
            layers,
            self._hidden_layer_sizes(),
            n_outputs,
            self.activation,
            bool(self.batch_norm),
            self._dropout(),
            self.channels,
            pixels,
            self.augment,
            self.precision,
        )

    def _warn_clipped(self, shape: Shape, changed: list[str], layers: tuple) -> None:
        side = math.isqrt(shape[1])
        example = f"({side}, {side})" if side > 1 and side**2 == shape[1] else "(height, width)"
        sizes = {
            name: getattr(layer, "kernel_size", getattr(layer, "size", None))
            for name, layer in named(layers)
        }
        clips = ", ".join(f"{name} to {sizes[name][0]} x {sizes[name][1]}" for name in changed)
        warnings.warn(
            f"{type(self).__name__} takes rows without image_shape as signals of 1 x {shape[1]}, "
            f"to which windows are clipped: {clips}. If the rows are images, pass "
            f"image_shape={example}; if they are signals, pass layers of height 1.",
            stacklevel=2,
        )

    def _draw(self, architecture: Architecture, random_state: np.random.RandomState) -> np.ndarray:
        if isinstance(self.initial_weights, str):
            return super()._draw(architecture, random_state)
        weights = self.initial_weights
        weights.validate()
        n_layers = sum(slot.name == "coef" for slot in architecture.slots)
        return gaussian(architecture, random_state, weights.scale, weights.biases(n_layers))

    def _reading(self) -> tuple:
        return repr(self.image_shape), self.channels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _as_array(X: Any) -> Any:
    """Return nested lists of images, and the like, as an array; anything else as it is."""
    if hasattr(X, "shape"):
        return X
    try:
        array = np.asarray(X)
    except ValueError:  # of unequal lengths, which scikit-learn's validation will explain
        return X
    return array if array.ndim > 2 else X


def _complete(image_shape: Any) -> Shape:
    """Return a parameter as height, width and channels."""
    shape = tuple(np.ravel(np.asarray(image_shape, dtype=object)).tolist())
    whole = all(isinstance(side, Integral) and not isinstance(side, bool) for side in shape)
    if len(shape) not in (2, 3) or not whole or min(shape) < 1:
        raise ValueError(
            "image_shape must be the height and width of an image, and its channels unless it "
            f"has one, as whole numbers > 0, got {image_shape!r}."
        )
    return (*map(int, shape), 1)[:3]


def _read(shape: Sequence[int], channels: str) -> Shape:
    """Return height, width and channels of images in an array of 3 or 4 axes."""
    if len(shape) == 3:
        return (*shape[1:], 1)
    return (*shape[2:], shape[1]) if channels == "first" else tuple(shape[1:])


def _check_unambiguous(shape: Sequence[int], channels: str) -> None:
    """Raise if the axis of the channels is more likely another one."""
    if len(shape) == 3:
        return
    first, last = _read(shape, "first"), _read(shape, "last")
    read, other = (first, last) if channels == "first" else (last, first)
    if read[2] in COLOURS or other[2] not in COLOURS:
        return
    change = "last" if channels == "first" else "first"
    raise ValueError(
        f"X has shape {tuple(shape)}, which can be read in two ways: with channels={channels!r} "
        f"as images of {_spoken(read)}, with channels={change!r} as images of {_spoken(other)}. "
        f"Pass channels={change!r}, or image_shape={read} if the first is meant."
    )


def _spoken(shape: Shape) -> str:
    return f"{shape[0]} x {shape[1]} with {shape[2]} channel{'s' * (shape[2] > 1)}"


def _check_fills(n_features: int, shape: Shape) -> None:
    if math.prod(shape) != n_features:
        raise ValueError(
            f"X has rows of {n_features} features, and images of {_spoken(shape)} have "
            f"{math.prod(shape)}. Pass the image_shape=(height, width, channels) that the rows "
            "fill."
        )
