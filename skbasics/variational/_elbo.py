r"""The evidence lower bound of a Gaussian as an objective of `skbasics.optim`.

.. math::
    \mathrm{ELBO}(q) = E_q[\log p(x, z) - \log q(z)] = \log p(x) - \mathrm{KL}(q(z) \,\|\, p(z|x))
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import qmc
from torch import Tensor

from skbasics._derivatives import hessians
from skbasics.optim import FirstOrder, Optimizer
from skbasics.optim._function import WholeRow
from skbasics.variational._families import Family
from skbasics.variational._log_joint import LogJoint
from skbasics.variational._mode import Laplace


class NegativeElbo:
    r"""Minus the ELBO of one member of a family, by the reparameterisation z = z(u(epsilon)).

    With `landing` the gradient sticks to it (Roeder et al.): it leaves out the score of q, whose
    mean is zero, and so its noise vanishes where q is the posterior. Otherwise it is the
    gradient of the very number that is returned, which line searches need, and the entropy is
    in closed form.

    Parameters
    ----------
    log_joint : LogJoint
    family : Family
    laplace : Laplace
        The coordinates u in which the family lives.
    landing : bool

    Attributes
    ----------
    theta, theta_gradient : Tensor of shape (1, n_parameters)

    References
    ----------
    Roeder, Wu and Duvenaud, "Sticking the landing: simple, lower-variance gradient estimators
    for variational inference", NeurIPS 2017.
    """

    repeatable = True

    def __init__(
        self, log_joint: LogJoint, family: Family, laplace: Laplace, *, landing: bool
    ) -> None:
        self.log_joint, self.family, self.laplace = log_joint, family, laplace
        self.landing = landing
        self.theta = family.start()[None]
        self.theta_gradient = torch.zeros_like(self.theta)
        self.slots, self.n_decayed = [WholeRow()], 0

    @torch.no_grad()
    def gradient(self, noise: Tensor) -> Tensor:
        """Return minus the ELBO, ``(1,)``, and leave the gradient in `theta_gradient`."""
        row = self.theta[0]
        z = self.laplace.outward(self.family.draws(row, noise))
        with torch.enable_grad():
            values, slopes = self.log_joint.values_and_gradients(z)
        slopes = self.laplace.inward(slopes)
        if self.landing:
            slopes += self.family.unscaled(row, noise)
            elbo = (values - self._log_q(row, noise)).mean()
        else:
            elbo = values.mean() + self._entropy(row)
        gradient = self.family.gradient(row, slopes, noise)
        if not self.landing:  # the entropy is the sum of the log scales
            gradient[self.family.width : 2 * self.family.width] += 1
        torch.neg(gradient, out=self.theta_gradient[0])
        return -elbo[None]

    @torch.no_grad()
    def loss(self, noise: Tensor) -> Tensor:
        """Return minus the ELBO, ``(1,)``, finite or not."""
        return self.smooth(self.theta, noise)

    def hessian(self, noise: Tensor) -> Tensor:
        """Return the Hessian ``(1, P, P)`` of `smooth`."""
        return hessians(functools.partial(self.smooth, noise=noise), self.theta)

    def smooth(self, theta: Tensor, noise: Tensor) -> Tensor:
        """Return minus the ELBO on some draws as a pure function of theta."""
        row = theta[0]
        z = self.laplace.outward(self.family.draws(row, noise))
        return -(self.log_joint(z).mean() + self._entropy(row))[None]

    @torch.no_grad()
    def log_ratios(self, row: Tensor, noise: Tensor) -> Tensor:
        """Return log p(x, z) - log q(z) at the draws of noise, ``(S,)``."""
        z = self.laplace.outward(self.family.draws(row, noise))
        return self.log_joint.values(z) - self._log_q(row, noise)

    def _log_q(self, row: Tensor, noise: Tensor) -> Tensor:
        return self.family.log_density(row, noise) - self.laplace.log_volume

    def _entropy(self, row: Tensor) -> Tensor:
        return self.family.entropy(row) + self.laplace.log_volume


@dataclass(frozen=True)
class Noise:
    """Where an optimizer's standard normal numbers come from.

    Attributes
    ----------
    fresh : bool
        Whether each step has its own. First-order rules average over steps; a rule that
        searches a line or measures curvature needs a function that stands still.
    draw : callable
        Returns noise ``(S, D)`` for a step.
    """

    fresh: bool
    draw: Callable[[], Tensor]

    @classmethod
    def of(
        cls, optimizer: Optimizer, n_samples: int, width: int, random_state: np.random.RandomState
    ) -> "Noise":
        """Return the noise that suits an optimizer."""
        if isinstance(optimizer, FirstOrder) and not optimizer.full_batch:
            return cls(True, functools.partial(antithetic, n_samples, width, random_state))
        fixed = balanced(max(n_samples, 64, 4 * width), width, random_state)
        return cls(False, lambda: fixed)


def antithetic(n_samples: int, width: int, random_state: np.random.RandomState) -> Tensor:
    """Draw noise ``(S, D)``, each draw with its negative: what is odd cancels."""
    half = torch.from_numpy(random_state.standard_normal((-(-n_samples // 2), width)))
    return torch.cat([half, -half])[:n_samples]


def balanced(n_samples: int, width: int, random_state: np.random.RandomState) -> Tensor:
    """Return noise spread evenly, of mean zero and covariance one exactly: quadratics are exact.

    There are at least `n_samples` draws, which must be more than twice the width.
    """
    exponent = (n_samples - 1).bit_length() - 1
    sobol = qmc.Sobol(width, rng=np.random.default_rng(random_state.randint(2**31 - 1)))
    half = torch.from_numpy(ndtri(sobol.random_base2(exponent).clip(1e-10, 1 - 1e-10)))
    factor = torch.linalg.cholesky(half.mT @ half / len(half))
    half = torch.linalg.solve_triangular(factor, half.mT, upper=False).mT
    return torch.cat([half, -half])
