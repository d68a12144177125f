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


def spread(mean: Tensor, scale: Tensor, noise: Tensor) -> Tensor:
    """Return draws of a Gaussian for standard normal noise ``(S, D)``.

    `scale` holds standard deviations ``(D,)``, or a root of the covariance ``(D, D)``.
    """
    return mean + (noise * scale if scale.ndim == 1 else noise @ scale.mT)


NEAR = 0.25
TERMS = 10  # of the series below; the next is 2e-17 of the first


def excess(u: Tensor) -> Tensor:
    r"""Return :math:`u - \log(1 + u)` for ``u > -1``, to full relative precision near 0 too.

    With :math:`y = u / (2 + u)` it is :math:`u y - 2 y^3 (1/3 + y^2/5 + y^4/7 + \dots)`, where
    nothing cancels.
    """
    small = u.clamp(-NEAR, NEAR)
    y = small / (2 + small)
    square = y.square()
    tail = torch.zeros_like(square)
    for i in range(TERMS, -1, -1):
        tail = 1 / (2 * i + 3) + square * tail
    near = small * y - 2 * y * square * tail
    return torch.where(u == small, near, u - torch.log1p(u))


def kl_of_deviations(deviation_0: Tensor, deviation_1: Tensor) -> Tensor:
    r"""Return the divergence of Gaussians with one mean, element by element.

    .. math:: \tfrac12 (r - 1 - \log r), \qquad r = \sigma_0^2 / \sigma_1^2
    """
    ratio = deviation_0 / deviation_1
    u = (deviation_0 - deviation_1) / deviation_1 * (ratio + 1)  # r - 1
    far = (ratio.square() - 1) / 2 - ratio.log()  # log1p(u) would lose a small ratio
    return torch.where(u.abs() < NEAR, excess(u.clamp(-NEAR, NEAR)) / 2, far)


def kl_of_covariances(S: Tensor, L: Tensor, S_1: Tensor, L_1: Tensor) -> Tensor:
    r"""Return the divergence of Gaussians with one mean.

    .. math:: \tfrac12 \big( \mathrm{tr}(\Sigma_1^{-1} \Sigma_0) - D
        - \log\det(\Sigma_1^{-1} \Sigma_0) \big)

    Near each other, the eigenvalues of :math:`L_1^{-1} (\Sigma_0 - \Sigma_1) L_1^{-T}`
    are what is left after all that cancels; elsewhere the determinants of Cholesky
    factors are the more precise.

    Parameters
    ----------
    S, S_1 : Tensor of shape (..., D, D)
        The covariances.
    L, L_1 : Tensor of shape (..., D, D) or (..., 1, D)
        Their lower Cholesky factors, or of a diagonal one the deviations as a row.
    """
    difference = whitened(whitened(S - S_1, L_1).mT, L_1)
    u = torch.linalg.eigvalsh((difference + difference.mT) / 2)
    trace = difference.diagonal(dim1=-2, dim2=-1).sum(-1)
    far = trace / 2 - half_log_determinant(L) + half_log_determinant(L_1)
    near = (u.abs() < NEAR).all(-1)
    return torch.where(near, excess(u.clamp(-NEAR, NEAR)).sum(-1) / 2, far)


def whitened(columns: Tensor, L: Tensor) -> Tensor:
    """Return :math:`L^{-1} B` for columns B ``(..., D, m)``; L as in `kl_of_covariances`."""
    if is_row(L):
        return columns / L.mT
    batch = torch.broadcast_shapes(columns.shape[:-2], L.shape[:-2])
    L, columns = (a.expand(*batch, *a.shape[-2:]) for a in (L, columns))
    return torch.linalg.solve_triangular(L, columns, upper=False)


def half_log_determinant(L: Tensor) -> Tensor:
    """Return half the log determinant of a covariance; L as in `kl_of_covariances`."""
    return (L[..., 0, :] if is_row(L) else L.diagonal(dim1=-2, dim2=-1)).log().sum(-1)


def is_row(L: Tensor) -> bool:
    """Whether a factor is that of a diagonal covariance: its deviations, as a row."""
    return L.shape[-2] != L.shape[-1] or L.shape[-1] == 1
