"""The arithmetic of a network: what each layer makes of an image, and what it costs."""

from typing import NamedTuple

import numpy as np

from skbasics._tables import aligned
from skbasics.network import (
    AveragePooling,
    BatchNorm,
    Convolution,
    Dense,
    Layer,
    MaxPooling,
    Pair,
    ResponseNorm,
)
from skbasics.neural_network._image_network import ImageNetwork

LABELS: dict[type[Layer], str] = {
    Convolution: "conv2d",
    MaxPooling: "max_pool2d",
    AveragePooling: "avg_pool2d",
    ResponseNorm: "local_response_norm",
    Dense: "dense",
    BatchNorm: "batch_norm",
}


class LayerRow(NamedTuple):
    """A layer's row in the table.

    Attributes
    ----------
    name : str
    output_shape : tuple of int
        Of an image, in the caller's order of axes, or the units of a dense layer.
    n_parameters : int
        Weights and biases.
    n_weights_unshared : int
        What they would be if every unit had weights and a bias of its own.
    receptive_field : tuple of int
        Height and width of the part of the input that a unit sees, in pixels.
    """

    name: str
    output_shape: tuple[int, ...]
    n_parameters: int
    n_weights_unshared: int
    receptive_field: Pair


class LayerTable(tuple[LayerRow, ...]):
    """The layers of a network, a row each; prints as a table, and is a tuple of its rows.

    A row has the fields ``name``; ``output_shape``, of an image in the caller's order of axes or
    the units of a dense layer; ``n_parameters``, weights and biases; ``n_weights_unshared``, what
    they would be if every unit had its own; and ``receptive_field``, height and width of the part
    of the input that a unit sees, in pixels.

    Examples
    --------
    >>> from skbasics import Conv2d, ConvNetClassifier
    >>> table = ConvNetClassifier([Conv2d(96, 11, stride=4)]).layer_table((227, 227, 3), 10)
    >>> table[0].output_shape, table[0].n_parameters
    ((55, 55, 96), 34944)
    """

    __slots__ = ()

    @property
    def n_parameters(self) -> int:
        """Weights and biases of the whole network."""
        return sum(row.n_parameters for row in self)

    @property
    def n_weights_unshared(self) -> int:
        """What they would be if no unit shared its weights."""
        return sum(row.n_weights_unshared for row in self)

    def __repr__(self) -> str:
        total = ("total", "", self.n_parameters, self.n_weights_unshared, "")
        cells = [_cells(row) for row in (*self, total)]
        return aligned(LayerRow._fields, cells, right=(2, 3))


def _cells(row: tuple) -> list[str]:
    return [
        " x ".join(map(str, cell))
        if isinstance(cell, tuple)
        else f"{cell:,}"
        if isinstance(cell, int)
        else cell
        for cell in row
    ]


def layer_table(structure: ImageNetwork) -> LayerTable:
    """Return the table of a structure."""
    layers = [layer for layer in structure.plain().layers if type(layer) in LABELS]
    rows, counts = [], dict.fromkeys(LABELS.values(), 0)
    shape, field, step = structure.image_shape, (1, 1), (1, 1)
    for layer in layers:
        label = LABELS[type(layer)]
        counts[label] += 1
        shape = _shape(layer, shape)
        field, step = _seen(layer, structure.image_shape, field, step)
        n_parameters = sum(int(np.prod(p.shape)) for p in layer.parameter_shapes)
        unshared = n_parameters
        if isinstance(layer, Convolution):
            unshared = layer.n_units * (layer.fan_in + 1)
        name = "output" if layer is layers[-1] else f"{label}_{counts[label]}"
        given = shape if structure.channels == "last" or len(shape) == 1 else (shape[2], *shape[:2])
        rows.append(LayerRow(name, given, n_parameters, unshared, field))
    return LayerTable(rows)


def _shape(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a layer's output."""
    if isinstance(layer, Dense):
        return (layer.fan_out,)
    return getattr(layer, "out_shape", shape)


def _seen(layer: Layer, image: tuple[int, ...], field: Pair, step: Pair) -> tuple[Pair, Pair]:
    """Return the receptive field after a layer, and the pixels between its neighbours."""
    if isinstance(layer, Dense):
        return image[:2], step
    window = getattr(layer, "kernel", getattr(layer, "size", None))
    if not hasattr(layer, "stride"):
        return field, step
    wider = tuple(f + (w - 1) * s for f, w, s in zip(field, window, step, strict=True))
    return wider, tuple(s * t for s, t in zip(step, layer.stride, strict=True))
