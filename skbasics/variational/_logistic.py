r"""Logistic and softmax regression: the Gaussian nearest to the posterior, without noise.

Under :math:`q = N(m, \Sigma)` the logits of a row are Gaussian too, so expectations over q are
integrals over one number a class, done on fixed nodes. With the prior :math:`N(m_0, \Lambda^{-1})`
the best q satisfies (Opper and Archambeau)

.. math::
    \sum_i w_i\, E_q[y_i - p_i]\, x_i^T = \Lambda (m - m_0), \qquad
    \Sigma^{-1} = \Lambda + \sum_i w_i\, E_q[\mathrm{diag}(p_i) - p_i p_i^T] \otimes x_i x_i^T

(with independent coordinates the diagonal of the second), which natural-gradient steps solve.

References
----------
Opper and Archambeau, "The variational Gaussian approximation revisited", Neural Computation 21,
2009.
Khan and Rue, "The Bayesian learning rule", JMLR 24, 2023.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from skbasics.variational._elbo import balanced
from skbasics.variational._prior import Prior

N_NODES = 32
"""Gauss-Hermite nodes for the logit of two classes."""

N_SPREAD = 128
"""Nodes, at least, for the logits of more classes."""

NUMBERS = 2**21
"""Numbers of logits that are held at once."""

MODE_STEPS = 100
"""Newton steps to the mode, at most."""

ROUNDING = 1e-12
"""A relative loss that is none."""

SHORTEST = 1e-4
"""The shortest part of a step that is tried."""


@functools.lru_cache(maxsize=16)
def nodes(n_outputs: int) -> tuple[Tensor, Tensor]:
    """Return nodes ``(S, C)`` and weights ``(S,)`` of a standard normal distribution."""
    if n_outputs == 1:
        points, weights = np.polynomial.hermite_e.hermegauss(N_NODES)
        return torch.from_numpy(points)[:, None], torch.from_numpy(weights / weights.sum())
    spread = balanced(max(N_SPREAD, 4 * n_outputs), n_outputs, np.random.RandomState(0))
    return spread, torch.full((len(spread),), 1 / len(spread), dtype=torch.float64)


def probabilities(logits: Tensor) -> Tensor:
    """Return the probabilities of the classes, of the second where there is one logit."""
    return logits.sigmoid() if logits.shape[-1] == 1 else logits.softmax(-1)


def log_likelihood(logits: Tensor, Y: Tensor) -> Tensor:
    """Return the log probability of targets Y, one column a logit, zeros and ones."""
    if logits.shape[-1] == 1:
        return ((Y * logits) - F.softplus(logits))[..., 0]
    return (Y * logits.log_softmax(-1)).sum(-1)


def logit_moments(X: Tensor, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return means ``(n, C)`` of the logits of rows, and roots ``(n, C, C)`` of their covariances.

    `mean` and `scale` are those of the coefficients ``(C, p)`` and then of the heights ``(C,)``,
    with standard deviations or a root of the covariance.
    """
    p = X.shape[1]
    n_outputs = len(mean) // (p + 1)
    W, b = mean[:-n_outputs].view(n_outputs, p), mean[-n_outputs:]
    means = X @ W.mT + b
    if scale.ndim == 1:
        variances = X.square() @ scale[:-n_outputs].view(n_outputs, p).mT.square()
        variances += scale[-n_outputs:].square()
        return means, torch.diag_embed(variances.sqrt())
    n_columns = scale.shape[1]
    root = X @ scale[:-n_outputs].view(n_outputs, p, n_columns).movedim(1, 0).reshape(p, -1)
    root = root.view(len(X), n_outputs, n_columns) + scale[-n_outputs:]
    if n_outputs == 1:
        return means, torch.linalg.vector_norm(root, dim=2, keepdim=True)
    covariances = root @ root.mT
    ridge = 1e-14 * covariances.diagonal(dim1=1, dim2=2).sum(1) + 1e-300
    covariances.diagonal(dim1=1, dim2=2).add_(ridge[:, None])
    return means, torch.linalg.cholesky(covariances)


def expected_probabilities(X: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Return the probabilities of rows averaged over a Gaussian of the parameters, ``(n, C)``."""
    n_outputs = len(mean) // (X.shape[1] + 1)
    width = scale.shape[-1] if scale.ndim == 2 else 1
    # Far out only the proportions of a row matter, and the squares of its logits must be numbers.
    X = X / (X.abs().amax(1, keepdim=True) / torch.finfo(X.dtype).max ** 0.4).clamp(min=1)
    parts = []
    for rows in _blocks(X, n_outputs, width):
        logits, weights = _logits(X[rows], mean, scale)
        parts.append(torch.einsum("nsc,s->nc", probabilities(logits), weights))
    return torch.cat(parts)


def _logits(X: Tensor, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits of rows on the nodes, ``(n, S, C)``, and the nodes' weights."""
    means, roots = logit_moments(X, mean, scale)
    if not scale.any():  # a point needs one node
        return means[:, None], means.new_ones(1)
    points, weights = (part.to(X) for part in nodes(means.shape[1]))
    return means[:, None] + points @ roots.mT, weights


def _blocks(X: Tensor, n_outputs: int, width: int) -> Iterator[slice]:
    each = n_outputs * max(len(nodes(n_outputs)[0]), width, n_outputs)
    n_rows = max(1, NUMBERS // each)
    return (slice(i, i + n_rows) for i in range(0, len(X), n_rows))


@dataclass(frozen=True)
class Gaussian:
    """One q on the way, and what was found there.

    Attributes
    ----------
    mean : Tensor of shape (D,)
    precision : Tensor of shape (D, D) or None
        The inverse covariance of q, of which independent coordinates take the diagonal.
    scale : Tensor of shape (D,) or (D, D)
    prior : Prior
    elbo : float
    slope : Tensor of shape (D,)
        The gradient of the bound by the mean.
    bends : Tensor of shape (n, C, C)
        The expected curvature of each row by its logits.
    """

    mean: Tensor
    precision: Tensor | None
    scale: Tensor
    prior: Prior
    elbo: float = -np.inf
    slope: Tensor | None = None
    bends: Tensor | None = None


class LogisticPosterior:
    """The search for q, an iteration at a time.

    Parameters
    ----------
    X : Tensor of shape (n, p)
        Centred rows, in float64.
    Y : Tensor of shape (n, C)
        Zeros and ones; one column for two classes.
    weights : Tensor of shape (n,) or None
    prior : Prior
        Of the coefficients ``(C, p)`` and then the heights ``(C,)``.
    independent : bool
        Whether the coordinates of q are independent.
    n_learned : int
        How many leading parameters share a prior scale to be learned.
    """

    def __init__(
        self,
        X: Tensor,
        Y: Tensor,
        weights: Tensor | None,
        prior: Prior,
        *,
        independent: bool,
        n_learned: int = 0,
    ) -> None:
        self.X, self.Y, self.independent, self.n_learned = X, Y, independent, n_learned
        self.weights = X.new_ones(len(X)) if weights is None else weights
        point = torch.zeros_like(prior.mean)
        self.now = self._start(self._bounded(Gaussian(prior.mean, None, point, prior)))

    def _start(self, at: Gaussian) -> Gaussian:
        """Return the mode with the curvature there: Laplace's approximation."""
        for _ in range(MODE_STEPS):
            curvature = self._curvature(at)
            direction, length = _solve(curvature, at.slope), 1.0
            while True:
                there = self._bounded(replace(at, mean=at.mean + length * direction))
                if there.elbo >= at.elbo - ROUNDING * abs(at.elbo) or length < SHORTEST:
                    break
                length /= 2
            gain, at = there.elbo - at.elbo, there
            if gain < 1e-6:
                break
        return self._bounded(self._with_precision(at, self._curvature(at)))

    def improve(self) -> float:
        """Make one step, of all its length or as much as raises the bound; return the gain."""
        at = self._with_learned_prior(self.now)
        curvature = self._curvature(at)
        direction, length = _solve(curvature, at.slope), 1.0
        while True:
            there = self._with_precision(at, torch.lerp(at.precision, curvature, length))
            there = self._bounded(replace(there, mean=at.mean + length * direction))
            if there.elbo >= at.elbo - ROUNDING * abs(at.elbo) or length < SHORTEST:
                break
            length /= 2
        there = max(there, at, key=lambda gaussian: gaussian.elbo)
        gain = there.elbo - self.now.elbo
        self.now = there
        return gain

    def _with_learned_prior(self, at: Gaussian) -> Gaussian:
        """Return q with the prior scale for which its bound is highest."""
        k = self.n_learned
        if not k:
            return at
        variances = at.scale.square() if at.scale.ndim == 1 else at.scale.square().sum(1)
        squares = (at.mean.square() + variances)[:k].mean()
        precision = at.prior.precision.clone()
        precision[:k] = 1 / squares
        return self._bounded(replace(at, prior=Prior(at.prior.mean, precision)))

    def _with_precision(self, at: Gaussian, precision: Tensor) -> Gaussian:
        if self.independent:
            scale = precision.diagonal().rsqrt()
        else:
            unit, root = _scaled_root(precision)
            scale = torch.linalg.inv(root).mT / unit[:, None]
        return replace(at, precision=precision, scale=scale)

    def _bounded(self, at: Gaussian) -> Gaussian:
        """Return q with its bound and slope.

        A scale of zero is a point: its bound is the log of the joint density.
        """
        fit, slope, bends = 0.0, 0.0, []
        for X, Y, w in self._parts():
            logits, node_weights = _logits(X, at.mean, at.scale)
            log_p = log_likelihood(logits, Y[:, None])
            fit += float(w @ (log_p @ node_weights))
            P = probabilities(logits)
            weighted = P * node_weights[:, None]
            mean_p = weighted.sum(1)
            bends.append(torch.diag_embed(mean_p) - weighted.mT @ P)
            residual = w[:, None] * (Y - mean_p)
            slope = slope + torch.cat([(residual.mT @ X).reshape(-1), residual.sum(0)])
        point = not at.scale.any()
        cost = at.prior.energy(at.mean) if point else at.prior.divergence(at.mean, at.scale)
        slope = slope - at.prior.pull(at.mean)
        return replace(at, elbo=fit - float(cost), slope=slope, bends=torch.cat(bends))

    def _curvature(self, at: Gaussian) -> Tensor:
        """Return the precision that would be best at q, ``(D, D)``."""
        n_outputs, width = self.Y.shape[1], self.X.shape[1] + 1
        curvature = at.mean.new_zeros(n_outputs, width, n_outputs * width)
        for rows in _blocks(self.X, n_outputs, n_outputs * width):
            ones = F.pad(self.X[rows], (0, 1), value=1.0)
            bends = self.weights[rows, None, None] * at.bends[rows]
            for c in range(n_outputs):
                products = bends[:, c, :, None] * ones[:, None]
                curvature[c] += ones.mT @ products.view(len(ones), -1)
        order = self._order()
        curvature = curvature.view(len(order), -1)[order][:, order]
        precision = at.prior.precision
        return curvature + (precision.diag() if precision.ndim == 1 else precision)

    def _parts(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield blocks of rows, targets and weights."""
        width = self.Y.shape[1] * (self.X.shape[1] + 1)
        for rows in _blocks(self.X, self.Y.shape[1], width):
            yield self.X[rows], self.Y[rows], self.weights[rows]

    def _order(self) -> Tensor:
        """Return where coefficients and then heights stand among ``(C, p + 1)``."""
        shape = self.Y.shape[1], self.X.shape[1] + 1
        places = torch.arange(shape[0] * shape[1], device=self.X.device).view(shape)
        return torch.cat([places[:, :-1].reshape(-1), places[:, -1]])


def _solve(matrix: Tensor, vector: Tensor) -> Tensor:
    unit, root = _scaled_root(matrix)
    return torch.cholesky_solve((vector / unit)[:, None], root)[:, 0] / unit


def _scaled_root(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the roots of the diagonal, and the Cholesky factor of what they leave of the matrix.

    So the units of features do not matter.

    Raises
    ------
    ValueError
        If the matrix is singular to rounding.
    """
    unit = matrix.diagonal().sqrt()
    root, failed = torch.linalg.cholesky_ex(matrix / unit / unit[:, None])
    if failed:
        raise ValueError(
            "the curvature of the posterior is singular to rounding: some features are (nearly) "
            "sums of others, and the prior is too wide to tell them apart. Take a smaller "
            "prior_scale, or leave out features."
        )
    return unit, root
