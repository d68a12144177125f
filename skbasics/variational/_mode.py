"""Where a density peaks, and how wide it is there: Laplace's approximation, to start from."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skbasics._gaussian import spread
from skbasics.optim import LBFGS
from skbasics.variational._families import Family, FullRank
from skbasics.variational._log_joint import LogJoint

MAX_ITER = 500
"""Iterations of L-BFGS on the way to the mode."""

DENSE = 2000
"""Parameters whose whole Hessian is computed, at most, where its diagonal would do."""

N_PROBES = 64
"""Random directions from which the diagonal is guessed otherwise."""

BEYOND = 1e12
"""Where no parameter of a density lies."""

NEWTON_STEPS = 20
"""Newton steps after it, at most; none if it has come near enough."""

FLAT = 1e-8
"""Curvatures below this share of the largest count as it, lest a flat direction run away."""


@dataclass
class Laplace:
    r"""Coordinates in which the density is about standard normal, :math:`z = \hat z + L u`.

    Attributes
    ----------
    mode : Tensor of shape (D,)
    factor : Tensor of shape (D,) or (D, D)
        The diagonal of L, or L as a lower triangular matrix.
    """

    mode: Tensor
    factor: Tensor

    def outward(self, u: Tensor) -> Tensor:
        """Return z for rows u."""
        return spread(self.mode, self.factor, u)

    def inward(self, slopes: Tensor) -> Tensor:
        """Return slopes by u for slopes by z."""
        return slopes * self.factor if self.factor.ndim == 1 else slopes @ self.factor

    @property
    def log_volume(self) -> Tensor:
        """The logarithm of the determinant of L."""
        diagonal = self.factor if self.factor.ndim == 1 else self.factor.diagonal()
        return diagonal.log().sum()


def laplace(log_joint: LogJoint, family: Family, start: Tensor) -> Laplace:
    r"""Find the mode :math:`\hat z`, and L with :math:`L L^T` after the curvature H there.

    With a diagonal L the variances are :math:`1 / H_{ii}`, the best that independent coordinates
    can do for a Gaussian; otherwise :math:`L L^T = H^{-1}`.
    """
    mode = _search(log_joint, start)
    if len(mode) > DENSE and not isinstance(family, FullRank):
        return Laplace(mode, _probed_diagonal(log_joint, mode).rsqrt())
    for _ in range(NEWTON_STEPS):
        curvature = _curvature(log_joint, mode)
        mode, moved = _newton(log_joint, mode, curvature)
        if not moved:
            break
    if isinstance(family, FullRank):
        flipped = torch.linalg.cholesky(curvature.flip(0, 1))  # H = U U^T, so L = U^-T
        eye = torch.eye(len(mode), dtype=mode.dtype)
        upper = flipped.flip(0, 1)
        return Laplace(mode, torch.linalg.solve_triangular(upper, eye, upper=True).mT)
    return Laplace(mode, curvature.diagonal().rsqrt())


class _Downhill:
    """Minus the log density as an objective, from one start."""

    repeatable = True

    def __init__(self, log_joint: LogJoint, start: Tensor) -> None:
        self.log_joint, self.theta = log_joint, start[None].clone()
        self.theta_gradient = torch.zeros_like(self.theta)

    def gradient(self, batch: Any = None) -> Tensor:
        """Return minus the value, and leave its gradient."""
        values, gradients = self.log_joint.values_and_gradients(self.theta)
        self.theta_gradient.copy_(-gradients)
        return -values


def _search(log_joint: LogJoint, start: Tensor) -> Tensor:
    downhill = _Downhill(log_joint, start)
    LBFGS().run(downhill, None, max_iter=MAX_ITER, tol=1e-5)
    mode = downhill.theta[0]
    if mode.abs().max() > BEYOND:
        raise ValueError(
            f"log_joint still rises at z={mode.tolist()}: it has no mode, so it is no density. "
            "Is a prior missing, or a sign wrong?"
        )
    return mode


def _curvature(log_joint: LogJoint, mode: Tensor) -> Tensor:
    """Return minus the Hessian at the mode, made positive definite where it is not.

    Directions that bend upwards, or not at all, get the absolute value, and no less than a small
    share of the largest.
    """
    try:
        curvature = -log_joint.hessian(mode)
    except RuntimeError:  # there is no second derivative: any scale is as good
        curvature = torch.zeros(len(mode), len(mode), dtype=mode.dtype)
    diagonal = curvature.diagonal().abs()
    if not torch.isfinite(curvature).all() or not diagonal.any():
        return torch.eye(len(mode), dtype=mode.dtype)
    # In units of each coordinate's own curvature; otherwise small units would pass for flatness.
    unit = torch.where(diagonal > 0, diagonal, diagonal.max()).sqrt()
    values, vectors = torch.linalg.eigh(curvature / unit / unit[:, None])
    if values[0] > FLAT * values[-1]:
        return curvature
    values = values.abs()
    bent = (vectors * values.clamp(min=FLAT * float(values.max()))) @ vectors.mT
    return bent * unit * unit[:, None]


@torch.enable_grad()
def _probed_diagonal(log_joint: LogJoint, mode: Tensor) -> Tensor:
    r"""Return about the diagonal of minus the Hessian, by Hutchinson's probes.

    .. math:: H_{ii} = E[v_i (H v)_i], \qquad v_i = \pm 1
    """
    z = mode[None].clone().requires_grad_()
    (slopes,) = torch.autograd.grad(log_joint(z).sum(), z, create_graph=True)
    if not slopes.requires_grad:
        return torch.ones_like(mode)
    generator = torch.Generator().manual_seed(0)
    signs = 2.0 * torch.randint(2, (N_PROBES, 1, len(mode)), generator=generator) - 1
    signs = signs.to(mode)
    (products,) = torch.autograd.grad(slopes, z, signs, is_grads_batched=True)
    diagonal = (signs * products).mean((0, 1)).abs()
    return diagonal.clamp(min=FLAT * float(diagonal.max())) if diagonal.any() else 1 + diagonal


def _newton(log_joint: LogJoint, mode: Tensor, curvature: Tensor) -> tuple[Tensor, bool]:
    """Make a Newton step if the density rises by it, beyond rounding."""
    values, gradients = log_joint.values_and_gradients(mode[None])
    step = torch.linalg.solve(curvature, gradients[0])
    if float(gradients[0] @ step) < 1e-12:
        return mode, False
    for halvings in range(8):
        there = mode + step / 2**halvings
        if log_joint(there[None]).detach() > values:
            return there, True
    return mode, False
