"""Prior distributions of a mixture's weights, and what is learned of them."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class WeightPrior(ABC):
    """What is believed of the weights before any row is seen.

    Parameters
    ----------
    concentration : float
    """

    def __init__(self, concentration: float) -> None:
        self.concentration = concentration

    @abstractmethod
    def posterior(self, N: Tensor) -> Tensor:
        """Return the parameters ``(R, ..., K)`` once N ``(R, K)`` rows belong to each component."""

    @abstractmethod
    def expected_log(self, posterior: Tensor) -> Tensor:
        """Return the expected log weights ``(R, K)``."""

    @abstractmethod
    def mean(self, posterior: Tensor) -> Tensor:
        """Return the expected weights ``(R, K)``, made to sum to one."""

    @abstractmethod
    def kl(self, posterior: Tensor) -> Tensor:
        """Return the divergence from the prior, ``(R,)`` in nats."""


class Dirichlet(WeightPrior):
    r""":math:`\pi \sim \mathrm{Dir}(\alpha_0, \dots, \alpha_0)`."""

    def posterior(self, N: Tensor) -> Tensor:
        return self.concentration + N

    def expected_log(self, posterior: Tensor) -> Tensor:
        return posterior.digamma() - posterior.sum(-1, keepdim=True).digamma()

    def mean(self, posterior: Tensor) -> Tensor:
        return posterior / posterior.sum(-1, keepdim=True)

    def kl(self, posterior: Tensor) -> Tensor:
        prior = torch.full_like(posterior, self.concentration)
        gain = ((posterior - prior) * self.expected_log(posterior)).sum(-1)
        return gain + _log_beta(prior) - _log_beta(posterior)


class DirichletProcess(WeightPrior):
    r""":math:`\pi_k = v_k \prod_{j < k} (1 - v_j)` with :math:`v_k \sim \mathrm{Beta}(1, \gamma)`.

    The components are without end; beyond the last of K, no row belongs to any, and the sticks
    stay what they were before. The two parameters of each stick are along an axis before the last.
    """

    def posterior(self, N: Tensor) -> Tensor:
        after = N.flip(-1).cumsum(-1).flip(-1) - N
        return torch.stack([1 + N, self.concentration + after.clamp_min(0)], dim=-2)

    def expected_log(self, posterior: Tensor) -> Tensor:
        broken, rest = self._expected_logs(posterior).unbind(-2)
        return broken + rest.cumsum(-1) - rest

    def mean(self, posterior: Tensor) -> Tensor:
        broken, rest = (posterior / posterior.sum(-2, keepdim=True)).unbind(-2)
        weights = broken * rest.cumprod(-1) / rest
        return weights / weights.sum(-1, keepdim=True)

    def kl(self, posterior: Tensor) -> Tensor:
        prior = torch.ones_like(posterior)
        prior[..., 1, :] = self.concentration
        gain = ((posterior - prior) * self._expected_logs(posterior)).sum((-2, -1))
        parts = _log_beta(prior.mT) - _log_beta(posterior.mT)
        return gain + parts.sum(-1)

    def _expected_logs(self, posterior: Tensor) -> Tensor:
        return posterior.digamma() - posterior.sum(-2, keepdim=True).digamma()


def _log_beta(a: Tensor) -> Tensor:
    """Return the log of the (multivariate) beta function along the last axis."""
    return a.lgamma().sum(-1) - a.sum(-1).lgamma()


WEIGHT_PRIORS = {"dirichlet_process": DirichletProcess, "dirichlet_distribution": Dirichlet}
