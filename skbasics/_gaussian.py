"""Gaussians: how far one is from another, and how densely they lie."""

import math

import torch
from torch import Tensor

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Return the divergence of Gaussians from N(0, 1), in nats, element by element.

    .. math:: \mathrm{KL}(N(\mu, \sigma^2) \,\|\, N(0, 1))
        = \tfrac12 (\mu^2 + \sigma^2 - 1 - \log \sigma^2)
    """
    # expm1, for near the prior the terms cancel to nothing
    return (mean.square() + torch.expm1(log_variance) - log_variance) / 2


def log_density(x: Tensor, mean: Tensor, log_scale: Tensor | float) -> Tensor:
    r"""Return :math:`\log N(x; \mu, \sigma^2)` in nats, element by element."""
    scale = log_scale.exp() if isinstance(log_scale, Tensor) else math.exp(log_scale)
    return -((x - mean) / scale).square() / 2 - log_scale - HALF_LOG_TWO_PI
