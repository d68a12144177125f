"""Images in a stack of networks: in, through convolutions, and out as features.

Between the two an image tensor has the axes ``(K, batch, channels, height, width)``, and lies
in memory with the channels last, as the faster kernels of torch want it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skbasics.network._layer import Buffers, Layer, ParameterShape, TrainingPass

Pair = tuple[int, int]
Shape = tuple[int, int, int]
"""Height, width and channels of an image."""


def image_buffer(buffers: Buffers, size: tuple[int, int], shape: Shape, like: Tensor) -> Tensor:
    """Return a buffer for `size` = (K, batch) images, channels last in memory."""
    return buffers.get((*size, *shape), like).permute(0, 1, 4, 2, 3)


class Images(Layer):
    """Rows into images: the axes set, the channels laid last in memory, the dtype narrowed.

    Parameters
    ----------
    shape : tuple of int
        Height, width and channels.
    channels_first : bool
        Whether a row holds the channels one after the other, or else the pixels.
    dtype : torch.dtype or None
        In which the images of training are computed with; None is that of the rows.
    """

    def __init__(
        self, shape: Shape, *, channels_first: bool = False, dtype: torch.dtype | None = None
    ) -> None:
        self.shape, self.channels_first, self.dtype = shape, channels_first, dtype
        self._buffers = Buffers()

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        images = self.apply([], [], X)
        self.row_dtype = X.dtype
        dtype = self.dtype or X.dtype
        if not self.channels_first and X.dtype == dtype:
            return images
        like = X.new_empty(0, dtype=dtype)
        return image_buffer(self._buffers, X.shape[:2], self.shape, like).copy_(images)

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        raise NotImplementedError("Nothing is trained before the images.")

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        height, width, n_channels = self.shape
        if self.channels_first:
            return X.reshape(*X.shape[:2], n_channels, height, width)
        return X.reshape(*X.shape[:2], height, width, n_channels).permute(0, 1, 4, 2, 3)

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> None:
        return None


class Convolution(Layer):
    r"""A convolution (a cross-correlation, as everywhere in the field) with shared weights.

    .. math::
        z_{o, i, j} = b_o + \sum_{c, p, q} w_{o, c, p, q} \, x_{c, \, S i + p - P, \, S j + q - P}

    for filter o and the channels c of its group. The gradients are torch's kernels.

    Parameters
    ----------
    shape : tuple of int
        Height, width and channels of the input.
    n_filters, groups : int
    kernel, stride : pair of int
    padding : tuple of four int
        Zeros at the left, right, top and bottom.
    """

    def __init__(
        self,
        shape: Shape,
        n_filters: int,
        kernel: Pair,
        *,
        stride: Pair,
        padding: tuple[int, int, int, int],
        groups: int,
    ) -> None:
        height, width, n_channels = shape
        left, right, top, bottom = padding
        self.n_filters, self.stride, self.groups = n_filters, stride, groups
        self.in_shape, self.kernel = shape, kernel
        # An even kernel that keeps the size needs one zero more after the image than before it.
        self.padding, self.extra = (top, left), (right - left, bottom - top)
        self.out_shape = (
            (height + top + bottom - kernel[0]) // stride[0] + 1,
            (width + left + right - kernel[1]) // stride[1] + 1,
            n_filters,
        )
        area = kernel[0] * kernel[1]
        self.fan_in, self.fan_out = n_channels // groups * area, n_filters // groups * area
        self.n_units = self.out_shape[0] * self.out_shape[1] * n_filters
        self.parameter_shapes = (
            ParameterShape("coef", (n_filters, n_channels // groups, *kernel), decays=True),
            ParameterShape("intercept", (1, n_filters)),
        )
        self._buffers, self._deltas = Buffers(), Buffers()

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        self._input = self._padded(X)
        self._weight = self.parameters[0].to(X.dtype)
        bias = self.parameters[1].to(X.dtype)
        outputs = [
            self._convolved(x, w, b[0])
            for x, w, b in zip(self._input, self._weight, bias, strict=True)
        ]
        return self._together(outputs, self._buffers, self.out_shape)

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        weight_gradient, bias_gradient = self.gradients
        deltas = []
        for k in range(len(delta)):
            back, weight, bias = torch.ops.aten.convolution_backward(
                delta[k],
                self._input[k],
                self._weight[k],
                [self.n_filters],
                self.stride,
                self.padding,
                (1, 1),
                False,
                (0, 0),
                self.groups,
                (input_needed, True, True),
            )
            weight_gradient[k].copy_(weight)
            bias_gradient[k, 0].copy_(bias)
            deltas.append(back)
        if not input_needed:
            return None
        height, width, n_channels = self.in_shape
        deltas = [back[..., :height, :width] for back in deltas]
        return self._together(deltas, self._deltas, (height, width, n_channels))

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        weight, bias = parameters
        triples = zip(self._padded(X), weight, bias, strict=True)
        images = [self._convolved(x, w, b[0]) for x, w, b in triples]
        return images[0][None] if len(images) == 1 else torch.stack(images)

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
        weight, bias = parameters
        module = nn.Conv2d(
            self.in_shape[2],
            self.n_filters,
            self.kernel,
            self.stride,
            "same" if any(self.extra) else self.padding,
            groups=self.groups,
            dtype=weight.dtype,
            device=weight.device,
        )
        with torch.no_grad():
            module.weight.copy_(weight)
            module.bias.copy_(bias[0])
        return module

    def _padded(self, X: Tensor) -> Tensor:
        return F.pad(X, (0, self.extra[0], 0, self.extra[1])) if any(self.extra) else X

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.conv2d(x, weight, bias, self.stride, self.padding, 1, self.groups)

    @staticmethod
    def _together(images: list[Tensor], buffers: Buffers, shape: Shape) -> Tensor:
        """Return the images of K replicas as one tensor, without a copy where K is one."""
        if len(images) == 1:
            return images[0][None]
        size = (len(images), len(images[0]))
        out = image_buffer(buffers, size, shape, images[0])
        for target, image in zip(out, images, strict=True):
            target.copy_(image)
        return out


class Flatten(Layer):
    """Images into features, channel after channel, in the dtype that the rows had.

    Parameters
    ----------
    shape : tuple of int
        Height, width and channels of the input.
    images : Images
        The layer by which the rows became images.
    """

    def __init__(self, shape: Shape, images: Images) -> None:
        self.shape, self.images = shape, images
        self._buffers, self._deltas = Buffers(), Buffers()

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        self._dtype = X.dtype
        like = X.new_empty(0, dtype=self.images.row_dtype)
        return self._buffers.get(tuple(X.shape), like).copy_(X).flatten(2)

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        height, width, n_channels = self.shape
        like = delta.new_empty(0, dtype=self._dtype)
        images = delta.view(*delta.shape[:2], n_channels, height, width)
        return image_buffer(self._deltas, delta.shape[:2], self.shape, like).copy_(images)

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        return X.flatten(2)

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
        return nn.Flatten()
