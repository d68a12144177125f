r"""Contrast functions: how far from Gaussian a projection is.

Of all variables of unit variance the Gaussian has the largest entropy; what is missing to it is
the negentropy. For a function G that is not quadratic it is approximated, up to a factor, by

.. math:: J(y) \approx \big( E\,G(y) - E\,G(\nu) \big)^2, \qquad \nu \sim N(0, 1).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from skbasics._arrays import Border, as_tensor

NODES = 128
"""Of the quadrature under the Gaussian: more change nothing in float64."""


@dataclass(frozen=True)
class Contrast:
    """A function G by what the fixed point and the negentropy need of it.

    Attributes
    ----------
    derivatives : callable
        Maps projections u of shape (m, n) to g(u) of that shape, g = G', and to the mean of
        g'(u) in each row, (m,). It may overwrite u.
    mean : callable
        Maps u to the mean of G(u) in each row, (m,).
    elementwise : bool
        Whether the rows may be given in parts, whose means are then averaged.
    """

    derivatives: Callable[[Tensor], tuple[Tensor, Tensor]]
    mean: Callable[[Tensor], Tensor]
    elementwise: bool = True

    def gaussian_mean(self) -> float:
        """Return E G(v) for a standard normal v."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        values = self.mean(torch.from_numpy(nodes)[:, None]).numpy()
        return float(weights @ values) / math.sqrt(2 * math.pi)


def logcosh(alpha: float = 1.0) -> Contrast:
    r"""Return :math:`G(u) = \frac{1}{\alpha} \log \cosh \alpha u`, good in general."""

    def derivatives(u: Tensor) -> tuple[Tensor, Tensor]:
        g = u.mul_(alpha).tanh_()
        return g, alpha * (1 - _mean_square(g))

    def mean(u: Tensor) -> Tensor:
        size = alpha * u.abs()
        return (size + F.softplus(-2 * size) - math.log(2)).mean(dim=-1) / alpha

    return Contrast(derivatives, mean)


def exp() -> Contrast:
    r"""Return :math:`G(u) = -e^{-u^2/2}`, for sources with heavy tails, or robustness."""

    def derivatives(u: Tensor) -> tuple[Tensor, Tensor]:
        square = u.square()
        bell = square.mul(-0.5).exp_()
        slope = square.neg_().add_(1).mul_(bell).mean(dim=-1)
        return u.mul_(bell), slope

    def mean(u: Tensor) -> Tensor:
        return -(u.square() / -2).exp_().mean(dim=-1)

    return Contrast(derivatives, mean)


def cube() -> Contrast:
    r"""Return :math:`G(u) = u^4 / 4`, the kurtosis: cheap, and at the mercy of outliers."""

    def derivatives(u: Tensor) -> tuple[Tensor, Tensor]:
        slope = 3 * _mean_square(u)
        return u.pow_(3), slope

    return Contrast(derivatives, lambda u: u.pow(4).mean(dim=-1) / 4)


def resolve_contrast(
    fun: str | Callable, fun_args: dict[str, Any] | None, border: Border, n_rows: int
) -> Contrast:
    """Return the contrast that a name or a callable stands for.

    Parameters
    ----------
    fun : str or callable
    fun_args : dict or None
    border : Border
        The namespace in which a callable gets its arrays.
    n_rows : int
        The rows that a callable gets at a time; 0 is one without an axis of its own.

    Raises
    ------
    ValueError
        If alpha is out of its range.
    """
    fun_args = fun_args or {}
    if callable(fun):
        return own_contrast(fun, fun_args, border, n_rows)
    if fun != "logcosh":
        return {"exp": exp, "cube": cube}[fun]()
    alpha = fun_args.get("alpha", 1.0)
    if not (isinstance(alpha, Real) and 1 <= alpha <= 2):
        raise ValueError(f"alpha must be in [1,2], got fun_args={fun_args!r}.")
    return logcosh(alpha)


def own_contrast(fun: Callable, fun_args: dict[str, Any], border: Border, n_rows: int) -> Contrast:
    """Return the contrast of a user's function, whose G is unknown: log cosh stands for it.

    The user's function maps an array x of the caller's namespace to g(x) and to the mean of
    g'(x) along the last axis.
    """

    def derivatives(u: Tensor) -> tuple[Tensor, Tensor]:
        parts = u.split(n_rows) if n_rows else u
        answers = [_answer(fun, fun_args, part, border) for part in parts]
        g, slope = (torch.stack(both) for both in zip(*answers, strict=True))
        return g.reshape(u.shape), slope.reshape(len(u))

    return Contrast(derivatives, logcosh().mean, elementwise=False)


def _answer(
    fun: Callable, fun_args: dict[str, Any], u: Tensor, border: Border
) -> tuple[Tensor, Tensor]:
    """Return what a user's function says of projections, checked."""
    answer = fun(border.as_caller(u), **fun_args)
    is_pair = isinstance(answer, (tuple, list)) and len(answer) == 2
    place = {"device": u.device, "dtype": u.dtype}
    g, slope = (as_tensor(part, **place) for part in answer) if is_pair else (u[..., :0], u)
    if u.ndim == 1 and slope.shape == u.shape:
        slope = slope.mean()  # scikit-learn's deflation takes the mean itself
    if g.shape != u.shape or slope.shape != u.shape[:-1]:
        got = f"a pair of shapes {tuple(g.shape)} and {tuple(slope.shape)}"
        raise ValueError(
            "fun must return two arrays for x: g(x), of the shape of x, and the mean of its "
            f"derivative along the last axis. For x of shape {tuple(u.shape)} it returned "
            f"{got if is_pair else type(answer).__name__}. An example: "
            "lambda x: (x**3, (3 * x**2).mean(axis=-1))."
        )
    return g, slope


def _mean_square(u: Tensor) -> Tensor:
    return torch.linalg.vector_norm(u, dim=-1).square() / u.shape[-1]
