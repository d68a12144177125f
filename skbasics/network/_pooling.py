"""Pooling: layers without parameters that make images smaller."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skbasics.network._convolution import Pair, Shape, image_buffer
from skbasics.network._layer import Buffers, Layer, TrainingPass

aten = torch.ops.aten


class Pooling(Layer):
    """A summary of every window of every channel.

    Parameters
    ----------
    shape : tuple of int
        Height, width and channels of the input.
    size, stride : pair of int
    """

    def __init__(self, shape: Shape, size: Pair, stride: Pair) -> None:
        self.in_shape, self.size, self.stride = shape, size, stride
        height, width, n_channels = shape
        self.out_shape = (
            (height - size[0]) // stride[0] + 1,
            (width - size[1]) // stride[1] + 1,
            n_channels,
        )
        self.n_units = self.out_shape[0] * self.out_shape[1] * n_channels
        self._buffers, self._deltas = Buffers(), Buffers()

    def _flat(self, buffers: Buffers, size: Pair, shape: Shape, like: Tensor) -> Tensor:
        """Return a buffer for the replicas' images one after another."""
        return image_buffer(buffers, size, shape, like).flatten(0, 1)


class MaxPooling(Pooling):
    r"""The maximum of each window; the gradient goes to the first place that attains it.

    .. math::
        y_{c, i, j} = \max_{p, q} x_{c, \, S i + p, \, S j + q}
    """

    def __init__(self, shape: Shape, size: Pair, stride: Pair) -> None:
        super().__init__(shape, size, stride)
        self._places = Buffers()

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        K_and_batch = tuple(X.shape[:2])
        out = self._flat(self._buffers, K_and_batch, self.out_shape, X)
        numbers = X.new_empty(0, dtype=torch.long)
        self._where = self._flat(self._places, K_and_batch, self.out_shape, numbers)
        self._input = X.flatten(0, 1)
        aten.max_pool2d_with_indices.out(
            self._input, self.size, self.stride, out=out, indices=self._where
        )
        return out.unflatten(0, K_and_batch)

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        back = self._flat(self._deltas, delta.shape[:2], self.in_shape, delta)
        aten.max_pool2d_with_indices_backward.grad_input(
            delta.flatten(0, 1),
            self._input,
            self.size,
            self.stride,
            (0, 0),
            (1, 1),
            False,
            self._where,
            grad_input=back,
        )
        return back.unflatten(0, delta.shape[:2])

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        out = F.max_pool2d(X.flatten(0, 1), self.size, self.stride)
        return out.unflatten(0, X.shape[:2])

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
        return nn.MaxPool2d(self.size, self.stride)


class AveragePooling(Pooling):
    r"""The mean of each window.

    .. math::
        y_{c, i, j} = \frac{1}{F_1 F_2} \sum_{p, q} x_{c, \, S i + p, \, S j + q}
    """

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        out = self._flat(self._buffers, tuple(X.shape[:2]), self.out_shape, X)
        self._input = X.flatten(0, 1)
        aten.avg_pool2d.out(self._input, self.size, self.stride, out=out)
        return out.unflatten(0, X.shape[:2])

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        back = self._flat(self._deltas, delta.shape[:2], self.in_shape, delta)
        aten.avg_pool2d_backward.grad_input(
            delta.flatten(0, 1),
            self._input,
            self.size,
            self.stride,
            (0, 0),
            False,
            True,
            None,
            grad_input=back,
        )
        return back.unflatten(0, delta.shape[:2])

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        out = F.avg_pool2d(X.flatten(0, 1), self.size, self.stride)
        return out.unflatten(0, X.shape[:2])

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
        return nn.AvgPool2d(self.size, self.stride)
