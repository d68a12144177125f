"""Dense layers, activations and dropout."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from skbasics._arrays import column
from skbasics.network._activations import ACTIVATIONS
from skbasics.network._layer import (
    Buffers,
    Layer,
    ParameterShape,
    RandomLayer,
    TrainingPass,
)
from skbasics.network._products import affine, back_to_input, back_to_weight


class Dense(Layer):
    r"""An affine map, :math:`Z = X W^T + b`, with W of shape ``(fan_out, fan_in)``.

    The gradients are :math:`\nabla_W = \delta^T X`, :math:`\nabla_b = \sum_i \delta_i` and
    :math:`\nabla_X = \delta W`.
    """

    def __init__(self, fan_in: int, fan_out: int) -> None:
        self.fan_in, self.fan_out = fan_in, fan_out
        self.n_units = fan_out
        self.parameter_shapes = (
            ParameterShape("coef", (fan_out, fan_in), decays=True),
            ParameterShape("intercept", (1, fan_out)),
        )
        self._buffers = Buffers()
        self._deltas = Buffers()

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        weight, bias = self.parameters
        self._input = X
        return affine(X, weight, bias, self._buffers.get((*X.shape[:2], self.fan_out), weight))

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        X, weight = self._input, self.parameters[0]
        weight_gradient, bias_gradient = self.gradients
        back_to_weight(delta, X, weight_gradient)
        torch.sum(delta, 1, keepdim=True, out=bias_gradient)
        if not input_needed:
            return None
        return back_to_input(delta, weight, self._deltas.get(tuple(X.shape), weight))

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        weight, bias = parameters
        return torch.baddbmm(bias, X, weight.mT)

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
        weight, bias = parameters
        linear = nn.Linear(self.fan_in, self.fan_out, dtype=weight.dtype, device=weight.device)
        with torch.no_grad():
            linear.weight.copy_(weight)
            linear.bias.copy_(bias[0])
        return linear


class Elementwise(Layer):
    """An activation function of the table in `_activations`."""

    def __init__(self, name: str) -> None:
        self.activation = ACTIVATIONS[name]
        self._buffers = Buffers()

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        if self.activation.forward_ is not None:
            self._kept = self.activation.forward_(X)
            return self._kept
        self._kept = X
        return self._buffers.get(tuple(X.shape), X).copy_(self.activation.pure(X))

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        return self.activation.backward_(delta, self._kept)

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        return self.activation.pure(X)

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
        return self.activation.module()


class CallableActivation(Layer):
    """A user's own activation: a torch function, differentiated by autograd."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        with torch.enable_grad():
            self._input = X.clone().requires_grad_()
            # A copy, for the function may work in place, which autograd forbids on a leaf.
            self._output = self.apply([], [], self._input.clone())
        if not self._output.requires_grad:
            raise ValueError(
                "The 'activation' callable returned a tensor without a gradient. Write it in "
                "differentiable torch operations, without detach() or comparisons alone."
            )
        return self._output.detach()

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        (gradient,) = torch.autograd.grad(self._output, self._input, delta)
        return gradient

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        try:
            out = self.function(X)
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"The 'activation' callable failed on a {X.dtype} tensor of shape "
                f"{tuple(X.shape)}: {str(error).rstrip('.')}. It must be an elementwise torch "
                "function without parameters of its own."
            ) from error
        if not isinstance(out, Tensor) or out.shape != X.shape or out.dtype != X.dtype:
            given = f"{out.dtype} {tuple(out.shape)}" if isinstance(out, Tensor) else type(out)
            raise ValueError(
                f"The 'activation' callable returned {given} for a {X.dtype} tensor of shape "
                f"{tuple(X.shape)}. An activation works element by element and returns a "
                "tensor of the shape and dtype it was given."
            )
        return out

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
        return FunctionModule(self.function)


class FunctionModule(nn.Module):
    """A plain function as a torch module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, X: Tensor) -> Tensor:
        """Apply the function."""
        return self.function(X)


class Dropout(RandomLayer):
    r"""Inverted dropout: a unit is kept with probability 1 - p and then divided by 1 - p.

    .. math:: Y = M \odot X, \quad M_{ij} \in \{0, 1/(1-p)\}

    so that nothing remains to be scaled at prediction, where the layer does nothing.
    """

    def __init__(self, probabilities: Sequence[float]) -> None:
        self.probabilities = list(probabilities)
        self._masks = Buffers()
        self._buffers = Buffers()

    def draws(self, replica: int) -> bool:
        return self.probabilities[replica] > 0

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        shape = training.whole_shape(X)
        mask = self._masks.get(shape, X)
        sizes = training.sizes or [shape[1]] * shape[0]
        for k, size in enumerate(sizes):
            mask[k, :size].uniform_(generator=self.generators[k])
        self.mask = training.own(mask)
        drop = column(self.probabilities, X)
        drop = drop[..., None] if isinstance(drop, Tensor) else drop
        torch.ge(self.mask, drop, out=self.mask).mul_(1 / (1 - drop))
        return torch.mul(X, self.mask, out=self._buffers.get(tuple(X.shape), X))

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        return delta.mul_(self.mask)

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        return X if training is None else X * self.mask

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
        return nn.Dropout(self.probabilities[0])
