r"""Bayesian linear regression in closed form, for K data sets at once.

.. math::
    y \mid w, b \sim N(X w + b, \sigma^2), \qquad w \sim N(0, \tau^2 I), \qquad p(b) \propto 1

With the scatter :math:`S = V \Lambda V^T` of the features about their means, :math:`d = V^T
S_{xy}` and :math:`r = \tau^2 / \sigma^2`, everything is a sum over eigenvalues:

.. math::
    w \mid y \sim N\Big(V \tfrac{r d}{1 + r \lambda},\;
        \sigma^2\, V \tfrac{r}{1 + r \lambda} V^T\Big), \qquad
    Q(r) = S_{yy} - \sum_j \frac{r d_j^2}{1 + r \lambda_j}

    \log p(y) = -\tfrac{n - 1}{2} \log 2 \pi \sigma^2 - \tfrac12 \log n
        - \tfrac12 \sum_j \log(1 + r \lambda_j) - \frac{Q(r)}{2 \sigma^2}

The height b + w . mean(x) is independent of w, so factors lose nothing by it. Independent
coordinates have variances :math:`\sigma^2 r / (1 + r S_{jj})`, and their bound has
:math:`S_{jj}` in the place of :math:`\lambda_j` in the third term.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from skbasics._moments import Moments

FLOOR = 1e-10
"""The share of the variance of y that is noise at least, if that is to be learned.

What is left of a scatter when nearly all is explained is rounding, a few 1e-16 of it, and where
weights and noise are learned from rounding, equal data would get different models.
"""

GRID = 129
"""Points of the first, coarse look for the scales."""

FINE = 65
"""Points of each closer look."""

ROUNDS = 9
"""Closer looks: each leaves a sixty-fourth of the interval."""


@dataclass
class Statistics:
    """What K linear regressions must know of their data.

    Attributes
    ----------
    n, y_mean, yy : Tensor of shape (K,)
        Sum of weights, mean of y, scatter of y.
    x_mean, xy : Tensor of shape (K, p)
    xx : Tensor of shape (K, p, p)
    """

    n: Tensor
    x_mean: Tensor
    y_mean: Tensor
    xx: Tensor
    xy: Tensor
    yy: Tensor

    @classmethod
    def of_moments(cls, moments: Moments) -> Self:
        """Return the statistics of one data set from the moments of the columns ``[X, y]``."""
        mean = torch.as_tensor(moments.location, dtype=torch.float64)[None]
        scatter = torch.as_tensor(moments.scatter, dtype=torch.float64)[None]
        n = mean.new_full((1,), float(moments.weight))
        return cls(n, mean[:, :-1], mean[:, -1], *_blocks(scatter))

    @classmethod
    def of_rows(cls, X: Tensor, y: Tensor) -> Self:
        """Return the statistics of K data sets, X ``(K, n, p)`` and y ``(K, n)``."""
        Z = torch.cat([X, y[..., None]], 2).double()
        mean = Z.mean(1)
        centred = Z - mean[:, None]
        n = mean.new_full((len(Z),), Z.shape[1])
        return cls(n, mean[:, :-1], mean[:, -1], *_blocks(centred.mT @ centred))


def _blocks(scatter: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return scatter[:, :-1, :-1], scatter[:, :-1, -1], scatter[:, -1, -1]


@dataclass
class LinearPosterior:
    """The posteriors of K linear regressions.

    Attributes
    ----------
    mean : Tensor of shape (K, p + 1)
        Of the weights, and of the height at the mean of X.
    scale : Tensor of shape (K, p + 1) or (K, p + 1, p + 1)
        Standard deviations of independent coordinates, or a root of the covariance.
    noise_scale, prior_scale, elbo : Tensor of shape (K,)
    curve : list of float
        The bound after each look for the scales, of the first data set.
    slack : Tensor of shape (K, p, p) or None
        The true precision of the weights, where the coordinates are made independent.
    """

    mean: Tensor
    scale: Tensor
    noise_scale: Tensor
    prior_scale: Tensor
    elbo: Tensor
    curve: list[float]
    slack: Tensor | None = None


def linear_posterior(
    data: Statistics,
    *,
    noise_scale: float | None = None,
    prior_scale: float | None = None,
    independent: bool = False,
) -> LinearPosterior:
    """Return the posteriors; a scale that is None is where the bound is highest."""
    model = _Spectrum.of(data, independent)
    if noise_scale is None and prior_scale is None:
        coordinate = model.profiled
        low, high = model.range_of_ratio()
    elif noise_scale is None:
        low, high = model.range_of_noise()

        def coordinate(t: Tensor) -> tuple[Tensor, Tensor]:
            return 2 * math.log(prior_scale) - t, t
    else:
        log_noise = 2 * math.log(noise_scale)
        low, high = model.range_of_ratio()

        def coordinate(t: Tensor) -> tuple[Tensor, Tensor]:
            return t, torch.full_like(t, log_noise)

        if prior_scale is not None:
            low = high = torch.full_like(low, 2 * math.log(prior_scale) - log_noise)

    t, curve = _highest(lambda t: model.bound(*coordinate(t)), low, high)
    return model.posterior(*(part[:, 0] for part in coordinate(t[:, None])), curve)


@dataclass
class _Spectrum:
    """The data in the eigenvectors of the features' scatter."""

    data: Statistics
    values: Tensor  # eigenvalues (K, p)
    vectors: Tensor
    d: Tensor
    curvatures: Tensor  # what stands in the determinant: eigenvalues, or the scatter's diagonal
    independent: bool

    @classmethod
    def of(cls, data: Statistics, independent: bool) -> Self:
        values, vectors = torch.linalg.eigh(data.xx)
        # Where features do not vary but by rounding, what d has is rounding too, and r is large.
        rounding = 10 * values.shape[1] * torch.finfo(values.dtype).eps * values[:, -1:]
        varies = values > rounding
        values = values * varies
        d = (vectors.mT @ data.xy[..., None])[..., 0] * varies
        curvatures = data.xx.diagonal(dim1=1, dim2=2) if independent else values
        return cls(data, values, vectors, d, curvatures, independent)

    def bound(self, log_ratio: Tensor, log_noise: Tensor) -> Tensor:
        """Return the bound for logarithms of r and sigma squared, both ``(K, G)``."""
        n = self.data.n[:, None]
        volume = torch.log1p(log_ratio.exp()[..., None] * self.curvatures[:, None]).sum(2)
        fit = self._misfit(log_ratio) / log_noise.exp()
        constant = (n - 1) * (math.log(2 * math.pi) + log_noise) + n.log()
        return -(constant + volume + fit) / 2

    def profiled(self, log_ratio: Tensor) -> tuple[Tensor, Tensor]:
        """Return r itself, and the best noise for it."""
        misfit = self._misfit(log_ratio) + self._least()[:, None]
        return log_ratio, (misfit / (self.data.n[:, None] - 1)).log()

    def _least(self) -> Tensor:
        """Return what counts as a scatter of the noise where there is none."""
        return FLOOR * self.data.yy + 1e-24 * self.data.y_mean.square() + 1e-200

    def _misfit(self, log_ratio: Tensor) -> Tensor:
        """Return Q(r), ``(K, G)``."""
        r = log_ratio.exp()[..., None]
        explained = (r * self.d[:, None].square() / (1 + r * self.values[:, None])).sum(2)
        return (self.data.yy[:, None] - explained).clamp(min=0)

    def range_of_ratio(self) -> tuple[Tensor, Tensor]:
        """Return where log r may lie: from weights of nothing to no shrinkage at all."""
        largest = self.values.amax(1)
        centre = -torch.where(largest > 0, largest, 1.0).log()
        return centre - math.log(1e10), centre + math.log(1e12)

    def range_of_noise(self) -> tuple[Tensor, Tensor]:
        """Return where log sigma squared may lie: up to all of the scatter of y."""
        low, high = ((part / (self.data.n - 1)).log() for part in (self._least(), self.data.yy))
        return low, torch.maximum(low, high) + 1

    def posterior(
        self, log_ratio: Tensor, log_noise: Tensor, curve: list[Tensor]
    ) -> LinearPosterior:
        """Return the posteriors for logarithms of r and sigma squared, both ``(K,)``."""
        r, noise = log_ratio.exp()[:, None], (log_noise / 2).exp()[:, None]
        shrunk = r / (1 + r * self.values)
        weights = (self.vectors @ (shrunk * self.d)[..., None])[..., 0]
        height = noise / self.data.n[:, None].sqrt()
        slack = None
        if self.independent:
            scale = torch.cat([noise * (r / (1 + r * self.curvatures)).sqrt(), height], 1)
            eye = torch.eye(self.d.shape[1], dtype=r.dtype, device=r.device)
            slack = (self.data.xx + eye / r[..., None]) / noise[..., None].square()
        else:
            root = self.vectors * (noise * shrunk.sqrt())[:, None]
            scale = torch.zeros_like(torch.nn.functional.pad(root, (0, 1, 0, 1)))
            scale[:, :-1, :-1], scale[:, -1:, -1] = root, height
        return LinearPosterior(
            torch.cat([weights, self.data.y_mean[:, None]], 1),
            scale,
            noise[:, 0],
            ((log_ratio + log_noise) / 2).exp(),
            self.bound(log_ratio[:, None], log_noise[:, None])[:, 0],
            [float(value[0]) for value in curve],
            slack,
        )


def _highest(
    bound: Callable[[Tensor], Tensor], low: Tensor, high: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Return where K functions are highest in an interval, and how high each look got.

    The highest point of a grid, and then closer and closer looks at where the slope changes its
    sign around it: a maximum is flat, so by values alone half the digits would be lost.
    """
    if bool((low == high).all()):
        return low, [bound(low[:, None])[:, 0]]
    shares = torch.linspace(0, 1, GRID, dtype=low.dtype, device=low.device)
    t = low[:, None] + (high - low)[:, None] * shares
    values = bound(t)
    best, at = values.max(1, keepdim=True)
    low = t.gather(1, (at - 1).clamp(min=0))[:, 0]
    high = t.gather(1, (at + 1).clamp(max=GRID - 1))[:, 0]
    curve, shares = [best[:, 0]], shares[:: (GRID - 1) // (FINE - 1)]
    for _ in range(ROUNDS):
        t = low[:, None] + (high - low)[:, None] * shares
        values, slopes = _with_slopes(bound, t)
        best = torch.maximum(curve[-1], values.amax(1))
        curve.append(best)
        rising = (slopes > 0).cummin(1).values.sum(1, keepdim=True).clamp(1, FINE - 1)
        low, high = t.gather(1, rising - 1)[:, 0], t.gather(1, rising)[:, 0]
    return (low + high) / 2, curve


@torch.enable_grad()
def _with_slopes(bound: Callable[[Tensor], Tensor], t: Tensor) -> tuple[Tensor, Tensor]:
    t = t.detach().requires_grad_()
    values = bound(t)
    (slopes,) = torch.autograd.grad(values.sum(), t)
    return values.detach(), slopes
