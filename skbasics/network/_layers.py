r"""The layers of a stack of K networks.

Every tensor carries the replica axis first: data are ``(K, batch, width)``, a weight matrix
is ``(K, fan_out, fan_in)``. A layer knows two ways to compute the same function:

- ``forward`` and ``backward``, the fast pair of training. They write into buffers that live
  as long as the layer, and into the gradient that `bind` gave them, outside autograd.
- ``apply``, the pure twin: a function of the parameters it is given. Prediction uses it,
  autograd goes through it, and the tests hold the fast pair against it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skbasics._arrays import column
from skbasics.network._activations import ACTIVATIONS
from skbasics.network._products import affine, back_to_input, back_to_weight


@dataclass(frozen=True)
class ParameterShape:
    """What a layer asks the network to keep for it: a weight, a bias, a running mean."""

    name: str
    shape: tuple[int, ...]
    decays: bool = False
    start: float = 0.0


@dataclass
class TrainingPass:
    """What a layer must know of the batch in hand.

    Attributes
    ----------
    weights : Tensor of shape (K, batch, 1) or None
        The weights of the rows; None means that every row counts once.
    sizes : list of int or None
        How many leading rows of the batch are replica k's; the rest is padding of weight
        zero. None means all of them.
    """

    weights: Tensor | None = None
    sizes: Sequence[int] | None = None


class Buffers:
    """Tensors that are written again in every step, one for each shape."""

    def __init__(self) -> None:
        self._tensors: dict[tuple, Tensor] = {}

    def get(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Return the buffer of this shape, in the dtype and on the device of `like`."""
        if shape not in self._tensors:
            self._tensors[shape] = like.new_empty(shape)
        return self._tensors[shape]


class Layer(ABC):
    """A function with parameters, on ``(K, batch, ...)`` tensors."""

    parameter_shapes: tuple[ParameterShape, ...] = ()
    statistic_shapes: tuple[ParameterShape, ...] = ()

    def bind(
        self, parameters: list[Tensor], gradients: list[Tensor], statistics: list[Tensor]
    ) -> None:
        """Take the views ``(K, *shape)`` into which the layer reads and writes from now on."""
        self.parameters, self.gradients, self.statistics = parameters, gradients, statistics

    @abstractmethod
    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        """Compute the output in training mode and keep what `backward` needs."""

    @abstractmethod
    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        """Turn the gradient of the output into that of the input, and fill `gradients`.

        `delta` may be overwritten. The result is None unless `input_needed`.
        """

    @abstractmethod
    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        """Compute the output as a pure function; ``training=None`` is prediction."""

    @abstractmethod
    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
        """Return the layer of one replica as a plain torch module."""


class Dense(Layer):
    r"""An affine map, :math:`Z = X W^T + b`, with W of shape ``(fan_out, fan_in)``.

    The gradients are :math:`\nabla_W = \delta^T X`, :math:`\nabla_b = \sum_i \delta_i` and
    :math:`\nabla_X = \delta W`.
    """

    def __init__(self, fan_in: int, fan_out: int) -> None:
        self.fan_in, self.fan_out = fan_in, fan_out
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

    def apply(self, parameters, statistics, X, training=None):
        weight, bias = parameters
        return torch.baddbmm(bias, X, weight.mT)

    def to_module(self, parameters, statistics):
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

    def apply(self, parameters, statistics, X, training=None):
        return self.activation.pure(X)

    def to_module(self, parameters, statistics):
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

    def apply(self, parameters, statistics, X, training=None):
        try:
            out = self.function(X)
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"The 'activation' callable failed on a {X.dtype} tensor of shape "
                f"{tuple(X.shape)}: {error}. It must be an elementwise torch function without "
                "parameters of its own."
            ) from error
        if not isinstance(out, Tensor) or out.shape != X.shape or out.dtype != X.dtype:
            given = f"{out.dtype} {tuple(out.shape)}" if isinstance(out, Tensor) else type(out)
            raise ValueError(
                f"The 'activation' callable returned {given} for a {X.dtype} tensor of shape "
                f"{tuple(X.shape)}. An activation works element by element and returns a "
                "tensor of the shape and dtype it was given."
            )
        return out

    def to_module(self, parameters, statistics):
        return FunctionModule(self.function)


class FunctionModule(nn.Module):
    """A plain function as a torch module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, X: Tensor) -> Tensor:
        """Apply the function."""
        return self.function(X)


class Dropout(Layer):
    r"""Inverted dropout: a unit is kept with probability 1 - p and then divided by 1 - p.

    .. math:: Y = M \odot X, \quad M_{ij} \in \{0, 1/(1-p)\}

    so that nothing remains to be scaled at prediction, where the layer does nothing. Each
    replica draws from a generator of its own, and only for its own rows: replica k drops what
    it would drop alone.
    """

    def __init__(self, probabilities: Sequence[float]) -> None:
        self.probabilities = list(probabilities)
        self.generators: list[torch.Generator] = []
        self._masks = Buffers()
        self._buffers = Buffers()

    def seed(self, seeds: Sequence[int], device: torch.device) -> None:
        """Give replica k a generator started at ``seeds[k]``."""
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        self.mask = self._masks.get(tuple(X.shape), X)
        sizes = training.sizes or [X.shape[1]] * X.shape[0]
        for k, size in enumerate(sizes):
            self.mask[k, :size].uniform_(generator=self.generators[k])
        drop = column(self.probabilities, X)
        drop = drop[..., None] if isinstance(drop, Tensor) else drop
        torch.ge(self.mask, drop, out=self.mask).mul_(1 / (1 - drop))
        return torch.mul(X, self.mask, out=self._buffers.get(tuple(X.shape), X))

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        return delta.mul_(self.mask)

    def apply(self, parameters, statistics, X, training=None):
        return X if training is None else X * self.mask

    def to_module(self, parameters, statistics):
        return nn.Dropout(self.probabilities[0])


class BatchNorm(Layer):
    r"""Batch normalisation over the rows of the batch, with weights :math:`v_i`, sum one.

    .. math::
        \mu = \sum_i v_i x_i, \quad \sigma^2 = \sum_i v_i (x_i - \mu)^2, \quad
        \hat x_i = \frac{x_i - \mu}{\sqrt{\sigma^2 + \epsilon}}, \quad
        y_i = \gamma \hat x_i + \beta

    and backwards, with :math:`d_i = \gamma \delta_i`,

    .. math::
        \nabla_{x_i} = \frac{1}{\sqrt{\sigma^2 + \epsilon}} \Big( d_i - v_i \sum_j d_j
        - v_i \hat x_i \sum_j d_j \hat x_j \Big).

    Prediction uses running averages: the plain average of the batches' statistics while it
    weighs a new batch by more than `momentum`, then an exponential one. (torch starts the
    exponential average at mean 0 and variance 1, which a short fit never forgets.) The
    running variance is the unbiased one. A replica whose batch holds a single row has no
    variance: it uses the running statistics and does not move them.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", ICML 2015.
    """

    def __init__(self, width: int, *, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        self.width, self.momentum, self.epsilon = width, momentum, epsilon
        self._buffers = Buffers()
        row = (1, width)
        self.parameter_shapes = (
            ParameterShape("scale", row, start=1.0),
            ParameterShape("shift", row),
        )
        self.statistic_shapes = (
            ParameterShape("mean", row),
            ParameterShape("variance", row, start=1.0),
            ParameterShape("n_batches", (1, 1)),
        )

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        scale, shift = self.parameters
        moments = _Moments.of(X, self.statistics, training)
        self._moments = moments
        self._factor = torch.rsqrt(moments.variance + self.epsilon)
        self._normalised = torch.sub(X, moments.mean, out=self._buffers.get(tuple(X.shape), X))
        self._normalised.mul_(self._factor)
        self._update_statistics(moments)
        return torch.addcmul(shift, self._normalised, scale)

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        scale_gradient, shift_gradient = self.gradients
        torch.sum(delta * self._normalised, 1, keepdim=True, out=scale_gradient)
        torch.sum(delta, 1, keepdim=True, out=shift_gradient)
        scale, shares = self.parameters[0], self._moments.shares
        through_moments = shift_gradient + self._normalised * scale_gradient
        return (delta - shares * through_moments).mul_(scale * self._factor)

    def apply(self, parameters, statistics, X, training=None):
        scale, shift = parameters
        mean, variance = statistics[:2]
        if training is not None:
            moments = _Moments.of(X, statistics, training)
            mean, variance = moments.mean, moments.variance
        return shift + scale * ((X - mean) * torch.rsqrt(variance + self.epsilon))

    def to_module(self, parameters, statistics):
        (scale, shift), (mean, variance, _) = parameters, statistics
        module = nn.BatchNorm1d(
            self.width, self.epsilon, self.momentum, dtype=scale.dtype, device=scale.device
        )
        with torch.no_grad():
            targets = (module.weight, module.bias, module.running_mean, module.running_var)
            for target, source in zip(targets, (scale, shift, mean, variance), strict=True):
                target.copy_(source[0])
        return module

    def _update_statistics(self, moments: "_Moments") -> None:
        mean, variance, n_batches = self.statistics
        n_batches.add_(moments.usable)
        rate = torch.clamp(1 / n_batches.clamp(min=1), min=self.momentum) * moments.usable
        mean.lerp_(moments.mean, rate)
        variance.lerp_(moments.variance * moments.unbiasing, rate)


@dataclass
class _Moments:
    """The mean and variance that normalise a batch, ``(K, 1, width)``.

    ``shares`` are the rows' weights, summing to one, by which the moments depend on the
    rows; zero for a replica that fell back on its running statistics. ``usable`` is one
    where the batch had two rows or more, else zero.
    """

    mean: Tensor
    variance: Tensor
    shares: Tensor
    usable: Tensor
    unbiasing: Tensor

    @classmethod
    def of(cls, X: Tensor, statistics: list[Tensor], training: TrainingPass) -> "_Moments":
        weights = training.weights
        if weights is None:
            weights = X.new_ones(()).expand(*X.shape[:2], 1)
        total = weights.sum(1, keepdim=True)
        usable = ((weights > 0).sum(1, keepdim=True) > 1).to(X.dtype)
        shares = weights / total.clamp(min=torch.finfo(X.dtype).tiny)
        mean = (shares * X).sum(1, keepdim=True)
        variance = (shares * (X - mean).square()).sum(1, keepdim=True)
        # Weights are frequencies, hence n / (n - 1) with n their sum. Weights that sum to
        # less than two rows have no such factor; it is held there, and never below one.
        unbiasing = (total / (total - 1).clamp(min=1)).clamp(min=1)
        mean = torch.where(usable > 0, mean, statistics[0])
        variance = torch.where(usable > 0, variance, statistics[1])
        return cls(mean, variance, shares * usable, usable, unbiasing)
