"""Densities of a fitted mixture, and draws from it."""

import math

import numpy as np
import torch
from torch import Tensor

from skbasics.variational._mixture._covariances import Covariances, Factor
from skbasics.variational._mixture._mixture_models import Mixture
from skbasics.variational._mixture._sweep import Rows, Terms


def log_joint(rows: Rows, terms: Terms, covariances: Covariances) -> Tensor:
    """Return the log joint density of each row and each component, ``(n, K)``."""
    kernel = covariances.kernel(terms, rows)
    c = terms.constants[..., None].to(rows.X.dtype)
    furthest = torch.finfo(rows.X.dtype).max / 4  # so that rows without end are not undefined
    blocks = [
        torch.add(c, kernel.lengths(rows.X[:, block]).clamp_max_(furthest), alpha=-0.5)[0]
        for block in rows.blocks(kernel.width)
    ]
    return torch.cat(blocks, dim=1).mT


def log_predictive(
    rows: Rows, mixture: Mixture, weights: Tensor, factor: Factor, covariances: Covariances
) -> Tensor:
    r"""Return the log density of each row with the parameters integrated out, ``(n,)``.

    It is a mixture of Student distributions (Bishop, 10.81), of :math:`\nu_k + 1 - D` degrees of
    freedom for full and tied covariances, :math:`D \nu_k` for spherical ones, and for diagonal ones
    a product of those of :math:`\nu_k`.
    """
    df, scale = students(mixture, covariances)
    dim = covariances.n_features if covariances.joint else 1
    constants = torch.lgamma((df + dim) / 2) - torch.lgamma(df / 2)
    constants = constants - dim / 2 * (df * math.pi * scale).log()
    constants = constants * (covariances.n_features / dim) - factor.log_det / 2 + weights.log()
    kernel = covariances.direct(Terms(mixture.means, factor.P, constants), rows)
    df, scale, constants = (a[..., None].to(rows.X.dtype) for a in (df, scale, constants))
    parts = []
    for block in rows.blocks(kernel.width):
        squares = kernel.squares(rows.X[:, block])
        if covariances.joint:
            far = (squares.sum(2) / (df * scale)).log1p()
        else:
            far = (squares / (df * scale)[:, :, None]).log1p().sum(2)
        parts.append((constants - (df + dim) / 2 * far).logsumexp(1)[0])
    return torch.cat(parts)


def students(mixture: Mixture, covariances: Covariances) -> tuple[Tensor, Tensor]:
    """Return degrees of freedom of the predictive densities, and their scales over Sigma."""
    df, scale = covariances.student(mixture.nu)
    scale = scale * (1 + 1 / mixture.beta)
    return df.expand_as(scale), scale


def draw(
    n_samples: int,
    weights: np.ndarray,
    means: np.ndarray,
    L: np.ndarray,
    random_state: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Return Gaussian deviations from the means, and the component of each, in their order.

    L ``(K, D, D)`` or ``(K, D)`` are square roots of covariances.
    """
    counts = random_state.multinomial(n_samples, weights / weights.sum())
    z = random_state.normal(size=(n_samples, means.shape[1]))
    ends = np.cumsum(counts)[:-1]
    parts = [
        part @ root.T if root.ndim == 2 else part * root
        for part, root in zip(np.split(z, ends), L, strict=True)
    ]
    return np.concatenate(parts), np.repeat(np.arange(len(counts)), counts)
