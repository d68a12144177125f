"""Draws of the latents by which rows are scored: the same for every row and every call."""

import numpy as np
import torch
from torch import Tensor


def even_draws(n_draws: int, width: int, like: Tensor) -> Tensor:
    """Return draws ``(n_draws, width)`` that are symmetric about zero, with unit variances.

    Where there are enough, they have no correlations either. So functions of first and second
    degree have their expectations exactly, a linear decoder's likelihood among them.
    """
    half = np.random.RandomState(0).standard_normal((n_draws // 2, width))
    if len(half) >= width:
        covariance = half.T @ half / len(half)
        half = np.linalg.solve(np.linalg.cholesky(covariance), half.T).T
    else:
        half /= np.sqrt(np.mean(half**2, 0))
    return torch.as_tensor(np.concatenate([half, -half])).to(like)


def plain_draws(n_draws: int, width: int, like: Tensor) -> Tensor:
    """Return independent standard normal draws ``(n_draws, width)``."""
    draws = np.random.RandomState(0).standard_normal((n_draws, width))
    return torch.as_tensor(draws).to(like)
