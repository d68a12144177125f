r"""Minus the log densities of rows, in nats, where the network's output tells their distribution.

The sums go over the features of a row. With ``missing``, features that are NaN are left out: what
remains is the density of what was observed.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from skbasics._gaussian import HALF_LOG_TWO_PI
from skbasics.network._losses import Loss


@dataclass(frozen=True)
class GaussianLikelihood(Loss):
    r"""Independent Gaussians of one scale,

    .. math:: \ell = \frac{\|x - \mu\|^2}{2 \sigma^2} + D \log \sigma + \frac{D}{2} \log 2\pi

    Parameters
    ----------
    scale : float or None, default=None
        :math:`\sigma`; None reads its logarithm from a last column beside the means.
    missing : bool, default=False
        Whether x may have missing values.
    """

    scale: float | None = None
    missing: bool = False

    def rows(self, Z: Tensor, y: Tensor) -> Tensor:
        mean, log_scale = self._parts(Z)
        residual, n_observed = self._residual(mean, y)
        scaled = residual.square().sum(-1, keepdim=True) * torch.exp(-2 * log_scale)
        return (scaled / 2 + n_observed * (log_scale + HALF_LOG_TWO_PI))[..., 0]

    def rows_and_delta(self, Z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_scale = self._parts(Z)
        residual, n_observed = self._residual(mean, y)
        precision = torch.exp(-2 * log_scale)
        scaled = residual.square().sum(-1, keepdim=True) * precision
        rows = (scaled / 2 + n_observed * (log_scale + HALF_LOG_TWO_PI))[..., 0]
        if self.scale is not None:
            return rows, residual.mul_(precision)
        delta = torch.empty_like(Z)
        torch.mul(residual, precision, out=delta[..., :-1])
        delta[..., -1:] = n_observed - scaled
        return rows, delta

    def _parts(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        if self.scale is None:
            return Z[..., :-1], Z[..., -1:]
        return Z, Z.new_tensor(self.scale).log()

    def _residual(self, mean: Tensor, y: Tensor) -> tuple[Tensor, Tensor | int]:
        residual = mean - y
        if not self.missing:
            return residual, y.shape[-1]
        observed = ~y.isnan()
        return residual.masked_fill(~observed, 0), observed.sum(-1, keepdim=True)


@dataclass(frozen=True)
class BernoulliLikelihood(Loss):
    r"""Independent yes-no features with logits z; for x between 0 and 1 the cross-entropy,

    .. math:: \ell = \sum_j \log(1 + e^{z_j}) - x_j z_j
    """

    missing: bool = False
    out_activation = "logistic"

    def rows(self, Z: Tensor, y: Tensor) -> Tensor:
        if self.missing:
            unknown = y.isnan()
            return (_softplus(Z) - y.masked_fill(unknown, 0) * Z).masked_fill(unknown, 0).sum(-1)
        return _softplus(Z).sum(-1) - (y * Z).sum(-1)

    def rows_and_delta(self, Z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        delta = torch.sigmoid(Z).sub_(y)
        return self.rows(Z, y), delta.masked_fill_(y.isnan(), 0) if self.missing else delta


def _softplus(Z: Tensor) -> Tensor:
    return F.softplus(Z, threshold=40)  # from torch's 20 on it would be off by 2e-9
