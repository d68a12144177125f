"""The layers of a convolutional network as values: what a user writes down."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

from skbasics._sklearn import Interval, StrOptions
from skbasics._values import Value
from skbasics.network import (
    AveragePooling,
    Convolution,
    Layer,
    MaxPooling,
    Pair,
    ResponseNorm,
    Shape,
)

AT_LEAST_ONE = [Interval(Integral, 1, None, closed="left"), tuple, list]
AT_LEAST_ZERO = [Interval(Integral, 0, None, closed="left"), tuple, list]


class ImageLayer(Value, ABC):
    """A layer between images: a value, which a network turns into its own layer."""

    label: ClassVar[str]

    @abstractmethod
    def normal(self) -> Self:
        """Return the value with every size as a pair, or raise what is wrong with it."""

    @abstractmethod
    def layer(self, shape: Shape, name: str) -> Layer:
        """Return the engine's layer for images of a shape: height, width, channels.

        Raises
        ------
        ValueError
            If the images are too small for it, or the channels too few.
        """

    def clipped(self, shape: Shape) -> Self:
        """Return the value with a window that fits into images of a shape."""
        return self


@dataclass(frozen=True)
class Conv2d(ImageLayer):
    r"""A convolution: every filter is the same small set of weights at every place.

    .. math::
        z_{o, i, j} = b_o + \sum_{c, p, q} w_{o, c, p, q} \, x_{c, \, S i + p - P, \, S j + q - P}

    Images of height H become images of height :math:`\lfloor (H - F + 2P) / S \rfloor + 1`,
    widths likewise. The estimator's activation follows.

    Parameters
    ----------
    n_filters : int
        Channels of the output.
    kernel_size : int or pair of int
        Height and width F of a filter, in pixels.
    stride : int or pair of int, default=1
        Pixels S from one place to the next.
    padding : int, pair of int or "same", default=0
        Zeros P around the image. "same" keeps its size, at stride 1.
    groups : int, default=1
        Parts into which the channels are divided; a filter sees those of its own part.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86, 1998.

    Examples
    --------
    >>> from skbasics import Conv2d
    >>> Conv2d(32, 3, padding="same")
    Conv2d(n_filters=32, kernel_size=3, stride=1, padding='same', groups=1)
    """

    n_filters: int
    kernel_size: int | Pair
    _: KW_ONLY
    stride: int | Pair = 1
    padding: int | Pair | str = 0
    groups: int = 1

    label = "conv2d"
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_filters": [Interval(Integral, 1, None, closed="left")],
        "kernel_size": AT_LEAST_ONE,
        "stride": AT_LEAST_ONE,
        "padding": [StrOptions({"same"}), *AT_LEAST_ZERO],
        "groups": [Interval(Integral, 1, None, closed="left")],
    }

    def normal(self) -> Self:
        self.validate()
        kernel, stride = pair(self, "kernel_size", 1), pair(self, "stride", 1)
        same = isinstance(self.padding, str)
        if same and stride != (1, 1):
            raise ValueError(
                f"{self}: padding='same' keeps the size of an image, which stride={stride} does "
                "not. Give the padding as a number, or stride=1 and a pooling layer."
            )
        padding = self.padding if same else pair(self, "padding", 0)
        return self.replace(kernel_size=kernel, stride=stride, padding=padding)

    def clipped(self, shape: Shape) -> Self:
        kernel = clipped(self.kernel_size, shape)
        if isinstance(self.padding, str) or kernel == self.kernel_size:
            return self.replace(kernel_size=kernel)
        # Where the kernel was too large for the image, nothing around it is of use.
        sides = zip(self.padding, kernel, self.kernel_size, strict=True)
        padding = tuple(p if now == before else 0 for p, now, before in sides)
        return self.replace(kernel_size=kernel, padding=padding)

    def layer(self, shape: Shape, name: str) -> Layer:
        for what, count in (("input channels", shape[2]), ("filters", self.n_filters)):
            if count % self.groups:
                raise ValueError(
                    f"{name}: groups={self.groups} does not divide its {count} {what}. Choose "
                    f"groups (and n_filters) so that it divides {shape[2]} channels and the "
                    "filters."
                )
        left, right, top, bottom = self._zeros()
        padded = (shape[0] + top + bottom, shape[1] + left + right)
        check_fits(name, "kernel_size", self.kernel_size, shape, padded)
        return Convolution(
            shape,
            self.n_filters,
            self.kernel_size,
            stride=self.stride,
            padding=(left, right, top, bottom),
            groups=self.groups,
        )

    def _zeros(self) -> tuple[int, int, int, int]:
        """Return the zeros at the left, right, top and bottom."""
        (height, width), padding = self.kernel_size, self.padding
        if isinstance(padding, str):
            return (width - 1) // 2, width // 2, (height - 1) // 2, height // 2
        return padding[1], padding[1], padding[0], padding[0]


@dataclass(frozen=True)
class _Pool2d(ImageLayer):
    size: int | Pair
    _: KW_ONLY
    stride: int | Pair | None = None

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "size": AT_LEAST_ONE,
        "stride": [*AT_LEAST_ONE, None],
    }
    _layer: ClassVar[type[MaxPooling] | type[AveragePooling]]

    def normal(self) -> Self:
        self.validate()
        size = pair(self, "size", 1)
        stride = size if self.stride is None else pair(self, "stride", 1)
        return self.replace(size=size, stride=stride)

    def clipped(self, shape: Shape) -> Self:
        size = clipped(self.size, shape)
        return self if size == self.size else self.replace(size=size)

    def layer(self, shape: Shape, name: str) -> Layer:
        check_fits(name, "size", self.size, shape, shape[:2])
        return self._layer(shape, self.size, self.stride)


@dataclass(frozen=True)
class MaxPool2d(_Pool2d):
    r"""The maximum of each window of each channel; no parameters.

    .. math::
        y_{c, i, j} = \max_{p, q < F} x_{c, \, S i + p, \, S j + q}

    Images of height H become images of height :math:`\lfloor (H - F) / S \rfloor + 1`.

    Parameters
    ----------
    size : int or pair of int
        Height and width F of a window, in pixels.
    stride : int, pair of int or None, default=None
        Pixels S from one window to the next; None is `size`.

    Examples
    --------
    >>> from skbasics import MaxPool2d
    >>> MaxPool2d(3, stride=2)
    MaxPool2d(size=3, stride=2)
    """

    label = "max_pool2d"
    _layer = MaxPooling


@dataclass(frozen=True)
class AvgPool2d(_Pool2d):
    r"""The mean of each window of each channel; no parameters.

    .. math::
        y_{c, i, j} = \frac{1}{F^2} \sum_{p, q < F} x_{c, \, S i + p, \, S j + q}

    Images of height H become images of height :math:`\lfloor (H - F) / S \rfloor + 1`.

    Parameters
    ----------
    size : int or pair of int
        Height and width F of a window, in pixels.
    stride : int, pair of int or None, default=None
        Pixels S from one window to the next; None is `size`.

    Examples
    --------
    >>> from skbasics import AvgPool2d
    >>> AvgPool2d(2)
    AvgPool2d(size=2, stride=None)
    """

    label = "avg_pool2d"
    _layer = AveragePooling


@dataclass(frozen=True)
class LocalResponseNorm(ImageLayer):
    r"""Local response normalisation: a channel is divided by the activity of its neighbours.

    .. math::
        y_c = x_c \Big/ \Big( k + \alpha \sum_{j \in N(c)} x_j^2 \Big)^{\beta}

    over the n channels around c. The formula and its defaults are the paper's. (torch's module
    divides alpha by n.)

    Parameters
    ----------
    size : int, default=5
        Channels n that compete.
    alpha : float, default=1e-4
        Strength of the competition.
    beta : float, default=0.75
        Exponent.
    k : float, default=2.0
        Divisor where nothing is active.

    References
    ----------
    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural
    networks", NIPS 2012, section 3.3.

    Examples
    --------
    >>> from skbasics import LocalResponseNorm
    >>> LocalResponseNorm(3)
    LocalResponseNorm(size=3, alpha=0.0001, beta=0.75, k=2.0)
    """

    size: int = 5
    _: KW_ONLY
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0

    label = "local_response_norm"
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "size": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "k": [Interval(Real, 0, None, closed="neither")],
    }

    def normal(self) -> Self:
        self.validate()
        return self

    def layer(self, shape: Shape, name: str) -> Layer:
        return ResponseNorm(self.size, self.alpha, self.beta, self.k)


def pair(value: ImageLayer, name: str, least: int) -> Pair:
    """Return a parameter as height and width."""
    given = getattr(value, name)
    sizes = (given, given) if isinstance(given, Integral) else tuple(given)
    if len(sizes) != 2 or not all(isinstance(s, Integral) and s >= least for s in sizes):
        raise ValueError(
            f"{value}: {name} must be a whole number >= {least}, or two of them for height and "
            f"width, got {given!r}."
        )
    return int(sizes[0]), int(sizes[1])


def clipped(size: Pair, shape: Shape) -> Pair:
    """Return a window no larger than images of a shape."""
    return min(size[0], shape[0]), min(size[1], shape[1])


def check_fits(name: str, what: str, size: Pair, shape: Shape, padded: Sequence[int]) -> None:
    """Raise if a window is larger than the images with their padding."""
    if size[0] > padded[0] or size[1] > padded[1]:
        around = f", {padded[0]} x {padded[1]} with its padding," if padded != shape[:2] else ""
        raise ValueError(
            f"{name}: {what}={size} is larger than its input of {shape[0]} x {shape[1]} x "
            f"{shape[2]}{around} which the layers above leave. Make it smaller, pad, or pool less "
            "above it."
        )


NAMED_LAYERS: dict[str, tuple[ImageLayer, ...]] = {
    "lenet": (
        Conv2d(6, 5, padding="same"),
        AvgPool2d(2),
        Conv2d(16, 5),
        AvgPool2d(2),
    ),
    "alexnet": (
        Conv2d(96, 11, stride=4),
        LocalResponseNorm(),
        MaxPool2d(3, stride=2),
        Conv2d(256, 5, padding=2, groups=2),
        LocalResponseNorm(),
        MaxPool2d(3, stride=2),
        Conv2d(384, 3, padding=1),
        Conv2d(384, 3, padding=1, groups=2),
        Conv2d(256, 3, padding=1, groups=2),
        MaxPool2d(3, stride=2),
    ),
}
"""The convolutional parts of two networks of history."""

DEFAULT_LAYERS = (
    Conv2d(32, 3, padding="same"),
    MaxPool2d(2),
    Conv2d(64, 3, padding="same"),
    MaxPool2d(2),
)


def resolve_layers(layers: Any) -> tuple[ImageLayer, ...]:
    """Return the layers that are meant by None, a name or a sequence, with sizes as pairs.

    Raises
    ------
    ValueError
        If something among them is no layer, or a layer has an impossible size.
    """
    if layers is None:
        layers = DEFAULT_LAYERS
    elif isinstance(layers, str):
        layers = NAMED_LAYERS[layers]
    if not all(isinstance(layer, ImageLayer) for layer in layers):
        raise ValueError(
            "layers must be a sequence of Conv2d, MaxPool2d, AvgPool2d and LocalResponseNorm "
            f"objects, one of the names {sorted(NAMED_LAYERS)}, or None, got {layers!r}. Dense "
            "layers are `hidden_layer_sizes`."
        )
    return tuple(layer.normal() for layer in layers)
