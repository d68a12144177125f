"""The structure of a convolutional network: what its parameters come to, layer by layer."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skbasics._fitted import dropped, without
from skbasics.network import (
    AUGMENTATIONS,
    Architecture,
    Augmentation,
    Flatten,
    Images,
    Layer,
    NetworkObjective,
    Shape,
    activation_layer,
    feed_forward,
)
from skbasics.neural_network._image_layers import Conv2d, ImageLayer, MaxPool2d

MONOTONE = {"identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "softplus"}
"""Activations that commute with a maximum."""

PRECISIONS = {"bfloat16": torch.bfloat16}


class ImageNetwork(NamedTuple):
    """The structure of a network whose input are images.

    Attributes
    ----------
    image_shape : tuple of int
        Height, width and channels.
    layers : tuple of ImageLayer
        Their sizes are pairs.
    channels : str
        Where the channels of the caller's images are: "first" or "last".
    pixels : bool
        Whether the images are whole numbers from 0 to 255.
    augment : str, callable or None
    precision : str or None
        In which the convolutions of training are computed.
    """

    image_shape: Shape
    layers: tuple[ImageLayer, ...]
    hidden_layer_sizes: tuple[int, ...]
    n_outputs: int
    activation: str | Callable
    batch_norm: bool
    dropout: tuple[float, ...]
    channels: str
    pixels: bool
    augment: str | Callable | None = None
    precision: str | None = None
    objective = NetworkObjective
    warmup = 0

    @property
    def n_hidden(self) -> int:
        """Hidden layers: those of images, whatever they do, and the dense ones."""
        return len(self.layers) + len(self.hidden_layer_sizes)

    @property
    def n_layers(self) -> int:
        """Layers that have weights, and the input."""
        n_convolutions = sum(isinstance(layer, Conv2d) for layer in self.layers)
        return n_convolutions + len(self.hidden_layer_sizes) + 2

    def bare(self) -> "ImageNetwork":
        """Return what prediction needs of it."""
        return self._replace(dropout=(), augment=None, precision=None)

    def common(self) -> "ImageNetwork":
        """Return what the structures of a stack have in common."""
        return self._replace(dropout=())

    def fixed(self) -> dict[str, Any]:
        """Return what must stay while a fit is continued, by parameter."""
        return without(self._asdict(), "dropout", "augment", "precision")

    def strengths(self) -> str:
        """Return nothing: its loss is that of its output."""
        return ""

    def architecture(self, stack: Sequence["ImageNetwork"] = ()) -> Architecture:
        """Return the layers that train a stack of such structures; for prediction, of none.

        A pooling of maxima goes before the activation where that makes no difference but time.
        """
        groups, shape = self._groups()
        if isinstance(self.activation, str) and self.activation in MONOTONE:
            _pool_first(self.layers, groups)
        return Architecture(self._joined(groups, shape, dropped(stack)))

    def plain(self) -> Architecture:
        """Return the layers of one network in the textbook's order."""
        return Architecture(self._joined(*self._groups(), dropped([self])))

    def up_to(self, layer: int) -> tuple[Architecture, int]:
        """Return layers whose first so and so many compute a hidden layer."""
        bare = self.bare()
        groups, _ = bare._groups()
        n_layers = 1 + sum(len(group) for group in groups[: layer + 1])  # and the images
        if layer >= len(groups):
            n_layers += 1 + (3 if self.batch_norm else 2) * (layer + 1 - len(groups))
        return bare.plain(), n_layers

    def arranged(self, features: Tensor) -> Tensor:
        """Return images with their channels where the caller's are; features as they are."""
        if features.ndim == 4 and self.channels == "last":
            return features.permute(0, 2, 3, 1)
        return features

    def _groups(self) -> tuple[list[list[Layer]], Shape]:
        """Return what each layer of images becomes, and the shape at their end."""
        groups, shape = [], self.image_shape
        for name, value in named(self.layers):
            layer = value.layer(shape, name)
            shape = getattr(layer, "out_shape", shape)
            convolves = isinstance(value, Conv2d)
            groups.append([layer, activation_layer(self.activation)] if convolves else [layer])
        return groups, shape

    def _joined(
        self, groups: list[list[Layer]], shape: Shape, dropout: Sequence[Sequence[float]]
    ) -> list[Layer]:
        images = Images(
            self.image_shape,
            channels_first=self.channels == "first",
            dtype=None if self.precision is None else PRECISIONS[self.precision],
        )
        head = feed_forward(
            shape[0] * shape[1] * shape[2],
            self.hidden_layer_sizes,
            self.n_outputs,
            activation=self.activation,
            batch_norm=self.batch_norm,
            dropout=dropout,
        )
        layers = [layer for group in groups for layer in group]
        if self.augment is not None:
            named_or_own = (
                AUGMENTATIONS.get(self.augment) if isinstance(self.augment, str) else None
            )
            layers.insert(0, Augmentation(named_or_own or self.augment))
        return [images, *layers, Flatten(shape, images), *head.layers]


def named(layers: Sequence[ImageLayer]) -> list[tuple[str, ImageLayer]]:
    """Return layers with their names, counted by kind: conv2d_1, max_pool2d_1, conv2d_2."""
    counts: dict[str, int] = {}
    pairs = []
    for layer in layers:
        counts[layer.label] = counts.get(layer.label, 0) + 1
        pairs.append((f"{layer.label}_{counts[layer.label]}", layer))
    return pairs


def clipped(layers: Sequence[ImageLayer], shape: Shape) -> tuple[tuple[ImageLayer, ...], list[str]]:
    """Return layers whose windows fit into images of a shape, and the names of those changed."""
    fitting, changed = [], []
    for name, value in named(layers):
        small = value.clipped(shape)
        if small != value:
            changed.append(name)
        shape = getattr(small.layer(shape, name), "out_shape", shape)
        fitting.append(small)
    return tuple(fitting), changed


def _pool_first(values: Sequence[ImageLayer], groups: list[list[Layer]]) -> None:
    """Move the activation of a convolution after the pooling of maxima that follows it."""
    for i in range(len(values) - 1):
        if isinstance(values[i], Conv2d) and isinstance(values[i + 1], MaxPool2d):
            groups[i + 1].append(groups[i].pop())
