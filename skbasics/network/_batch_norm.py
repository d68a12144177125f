"""Batch normalisation with weighted rows."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skbasics.network._layer import Buffers, Layer, ParameterShape, TrainingPass


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
    running variance is the unbiased one, with the weights as frequencies. A replica whose
    batch holds a single row of weight one or less has no variance: it uses the running
    statistics and does not move them.

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
        self._moments, self._training = moments, training
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
        shift_sum, scale_sum = self._training.sums(shift_gradient, scale_gradient)
        through_moments = shift_sum + self._normalised * scale_sum
        return (delta - shares * through_moments).mul_(scale * self._factor)

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        scale, shift = parameters
        mean, variance = statistics[:2]
        if training is not None:
            moments = _Moments.of(X, statistics, training)
            mean, variance = moments.mean, moments.variance
        return shift + scale * ((X - mean) * torch.rsqrt(variance + self.epsilon))

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
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
    where the batch had a variance, else zero.
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
        total, count = _total_and_count(weights, training)
        several = count > 1
        usable = (several | (total > 1)).to(X.dtype)
        shares = weights / total.clamp(min=torch.finfo(X.dtype).tiny)
        (mean,) = training.sums((shares * X).sum(1, keepdim=True))
        (variance,) = training.sums((shares * (X - mean).square()).sum(1, keepdim=True))
        # Weights are frequencies, hence n / (n - 1) with n their sum. Weights that sum to no
        # more than one have no such factor: their variance is taken as it is.
        unbiasing = (total / (total - 1).clamp(min=1)).clamp(min=1)
        mean = torch.where(usable > 0, mean, statistics[0])
        variance = torch.where(usable > 0, variance, statistics[1])
        return cls(mean, variance, shares * usable, usable, unbiasing)


def _total_and_count(weights: Tensor, training: TrainingPass) -> tuple[Tensor, Tensor]:
    """Return the sum of the weights of a batch, and how many are not zero, ``(K, 1, 1)``."""
    total = weights.sum(1, keepdim=True)
    count = (weights > 0).sum(1, keepdim=True)
    if training.part is None:
        return total, count
    total, count = training.sums(total, count.to(total.dtype))
    return total, count
