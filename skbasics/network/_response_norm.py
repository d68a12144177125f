"""Local response normalisation, by which the channels of an image compete."""

from torch import Tensor, nn

from skbasics.network._layer import Layer, TrainingPass


class ResponseNorm(Layer):
    r"""Local response normalisation across channels.

    .. math::
        y_c = \frac{x_c}{d_c^\beta}, \quad
        d_c = k + \alpha \sum_{j \in N(c)} x_j^2, \quad
        N(c) = \{c - \lfloor n/2 \rfloor, \dots, c - \lfloor n/2 \rfloor + n - 1\}

    and backwards, with the sum over all windows that a channel is in,

    .. math::
        \nabla_{x_c} = \delta_c d_c^{-\beta}
        - 2 \alpha \beta \, x_c \sum_{j : c \in N(j)} \delta_j x_j d_j^{-\beta - 1}.

    torch's module divides alpha by n, which this formula, the paper's, does not.

    References
    ----------
    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural
    networks", NIPS 2012, section 3.3.
    """

    def __init__(self, size: int, alpha: float, beta: float, k: float) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k
        self.before = size // 2
        self.after = size - 1 - self.before

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        self._input = X
        self._divisor = self._divisors(X)
        self._factor = self._divisor.pow(-self.beta)
        return X * self._factor

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        shares = (delta * self._input).mul_(self._factor).div_(self._divisor)
        through = _channel_sums(shares, self.after, self.before).mul_(self._input)
        return delta.mul_(self._factor).sub_(through, alpha=2 * self.alpha * self.beta)

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        return X * self._divisors(X).pow(-self.beta)

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
        return nn.LocalResponseNorm(self.size, self.alpha * self.size, self.beta, self.k)

    def _divisors(self, X: Tensor) -> Tensor:
        return self.k + self.alpha * _channel_sums(X.square(), self.before, self.after)


def _channel_sums(X: Tensor, before: int, after: int) -> Tensor:
    """Return the sum over each channel and its neighbours, some before and some after it."""
    sums = X.clone()
    for step in range(1, before + 1):
        sums[:, :, step:] += X[:, :, :-step]
    for step in range(1, after + 1):
        sums[:, :, :-step] += X[:, :, step:]
    return sums
