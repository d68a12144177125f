"""Gaussian priors, and the densities that data make of them."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from skbasics.network import Architecture, Loss


@dataclass(frozen=True)
class Prior:
    """A Gaussian prior of parameters.

    Attributes
    ----------
    mean : Tensor of shape (D,)
    precision : Tensor of shape (D,) or (D, D)
        Of independent coordinates, or the matrix. Zero is a flat prior.
    """

    mean: Tensor
    precision: Tensor

    @classmethod
    def of(cls, mean: Tensor, scale: Tensor) -> Self:
        """Return a posterior as the prior of what comes next."""
        if scale.ndim == 1:
            return cls(mean, scale.square().reciprocal())
        inverse = torch.linalg.inv(scale)
        return cls(mean, inverse.mT @ inverse)

    def pull(self, theta: Tensor) -> Tensor:
        """Return the precision times what theta ``(..., D)`` is off the mean."""
        off = theta - self.mean
        return off * self.precision if self.precision.ndim == 1 else off @ self.precision

    def energy(self, theta: Tensor) -> Tensor:
        """Return minus the log density of theta ``(..., D)``, up to a constant."""
        return ((theta - self.mean) * self.pull(theta)).sum(-1) / 2

    def divergence(self, mean: Tensor, scale: Tensor) -> Tensor:
        """Return the KL divergence of a Gaussian from the prior, in nats."""
        diagonal = self.precision.ndim == 1
        precision = self.precision.diag() if diagonal and scale.ndim == 2 else self.precision
        if scale.ndim == 1:
            trace = (scale.square() * (precision if diagonal else precision.diagonal())).sum()
            log_volume = scale.log().sum()
        else:
            trace = (scale * (precision @ scale)).sum()
            log_volume = torch.linalg.slogdet(scale)[1]
        log_precision = self.precision.log().sum() if diagonal else precision.logdet()
        return self.energy(mean) + (trace - len(mean) - log_precision) / 2 - log_volume


NUMBERS = 2**22
"""Activations that are held at once where a density is only evaluated."""


class Target:
    r"""The log posterior density of a model's parameters, up to a constant.

    .. math::
        \log p(\theta \mid y) = -\sum_i \frac{w_i}{\sigma^2} \ell(z_\theta(x_i), y_i)
            + \log p(\theta)

    Parameters
    ----------
    architecture : Architecture
        The model; a linear one has no hidden layer.
    X : Tensor of shape (n, p)
    y : Tensor of shape (n, 1)
    weights : Tensor of shape (n,) or None
    loss : Loss
        Minus the log likelihood of a row, or half the squared error.
    prior : Prior
    noise_scale : float
        The deviation sigma of the noise, by which squared errors are divided; else one.
    """

    def __init__(
        self,
        architecture: Architecture,
        X: Tensor,
        y: Tensor,
        weights: Tensor | None,
        loss: Loss,
        prior: Prior,
        noise_scale: float = 1.0,
    ) -> None:
        self.architecture, self.X, self.y, self.weights = architecture, X, y, weights
        self.loss, self.prior, self.noise_scale = loss, prior, noise_scale

    def __call__(self, theta: Tensor) -> Tensor:
        """Return the log densities of rows theta ``(S, D)``, through which autograd may go."""
        n_draws = len(theta)
        Z = self.architecture.apply(
            theta, theta.new_zeros(n_draws, 0), self.X.expand(n_draws, -1, -1)
        )
        rows = self.loss.rows(Z, self.y.expand(n_draws, -1, -1))
        fit = rows.sum(1) if self.weights is None else rows @ self.weights
        return -fit / self.noise_scale**2 - self.prior.energy(theta)

    @torch.no_grad()
    def values(self, theta: Tensor) -> Tensor:
        """Return the log densities of rows theta, a few rows at a time."""
        width = max(self.architecture.widest, self.X.shape[1])
        some = max(1, NUMBERS // (len(self.X) * width))
        return torch.cat([self(part) for part in theta.split(some)])
