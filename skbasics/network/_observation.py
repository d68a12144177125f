"""Between the rows and a network that models them: missing values, and the scale of the noise."""

import torch
from torch import Tensor, nn

from skbasics.network._layer import Buffers, Layer, ParameterShape, TrainingPass

NOISE_FLOOR = 1e-4
"""The least noise that is learned, in scales of the data."""


class FillMissing(Layer):
    """Missing values (NaN) into the mean of the feature, which is the statistic ``fill``.

    Parameters
    ----------
    n_features : int
    missing : bool
        Whether the rows of training have any.
    """

    def __init__(self, n_features: int, missing: bool) -> None:
        self.missing = missing
        self.statistic_shapes = (ParameterShape("fill", (1, n_features)),)

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        return _filled(X, self.statistics[0]) if self.missing else X

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        raise NotImplementedError("Nothing is trained before the rows are complete.")

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        return _filled(X, statistics[0])

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
        return FillModule(statistics[0].clone())


class FillModule(nn.Module):
    """The same as a torch module."""

    def __init__(self, fill: Tensor) -> None:
        super().__init__()
        self.register_buffer("fill", fill)

    def forward(self, X: Tensor) -> Tensor:
        """Fill in what is missing."""
        return _filled(X, self.fill)


def _filled(X: Tensor, fill: Tensor) -> Tensor:
    return torch.where(X.isnan(), fill, X)


class NoiseScale(Layer):
    r"""A last column beside the means: the logarithm of the noise, one for all rows and features.

    .. math:: \log \sigma = \log s + \tfrac12 \log(e^{2 t} + \varepsilon^2)

    where s is the scale of the data (the statistic ``data_scale``), t is learned, from zero on, and
    :math:`\varepsilon` keeps the density of data without noise finite.
    """

    parameter_shapes = (ParameterShape("log_noise", (1, 1)),)
    statistic_shapes = (ParameterShape("data_scale", (1, 1), start=1.0),)

    def __init__(self) -> None:
        self._buffers = Buffers()

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        n_replicas, n_rows, width = X.shape
        out = self._buffers.get((n_replicas, n_rows, width + 1), X)
        out[..., :width] = X
        out[..., width:] = log_noise(self.parameters[0], self.statistics[0])
        return out

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        squared = torch.exp(2 * self.parameters[0])
        by_log_noise = delta[..., -1:].sum(1, keepdim=True)
        torch.mul(by_log_noise, squared / (squared + NOISE_FLOOR**2), out=self.gradients[0])
        return delta[..., :-1]

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        column = log_noise(parameters[0], statistics[0]).expand(*X.shape[:2], 1)
        return torch.cat([X, column], -1)

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> None:
        return None


def log_noise(t: Tensor, data_scale: Tensor) -> Tensor:
    r"""Return :math:`\log \sigma`."""
    return data_scale.log() + torch.log(torch.exp(2 * t) + NOISE_FLOOR**2) / 2
