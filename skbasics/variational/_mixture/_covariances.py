r"""The four kinds of covariance of a mixture: what is known of each, for a stack of mixtures.

Everywhere R is the number of mixtures side by side, K that of components and D that of features.
A covariance has the shape ``(R, K, D, D)`` (full), ``(R, 1, D, D)`` (tied), ``(R, K, D)``
(diagonal) or ``(R, K, 1)`` (spherical). A precision :math:`\Lambda` with a Wishart distribution
of :math:`\nu` degrees of freedom is held as :math:`\nu` and :math:`\Sigma = E[\Lambda]^{-1}`, so
that its scale is :math:`W = (\nu \Sigma)^{-1}`. On a diagonal each entry has a Wishart
distribution of one dimension, and a spherical precision one of :math:`D \nu` degrees of freedom.
"""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from skbasics.variational._mixture._kernels import (
    DirectKernel,
    ElementwiseKernel,
    Kernel,
    MatrixKernel,
    elementwise,
)
from skbasics.variational._mixture._sweep import Rows, Terms


class Factor(NamedTuple):
    r"""Square roots of covariances, :math:`\Sigma = L L^T`, :math:`\Sigma^{-1} = P P^T`.

    Attributes
    ----------
    L, P : Tensor
        Of the shape of the covariance.
    log_det : Tensor of shape (R, K) or (R, 1)
        The log determinant of the covariance.
    """

    L: Tensor
    P: Tensor
    log_det: Tensor


class WishartPrior(NamedTuple):
    """What is believed of a precision before any row is seen.

    Attributes
    ----------
    nu : float
        Degrees of freedom.
    C : Tensor
        The inverse of its scale, in the shape of one covariance.
    L : Tensor
        The square root of that.
    constant : Tensor
        What of `wishart_kl` depends on nothing else.
    """

    nu: float
    C: Tensor
    L: Tensor
    constant: Tensor


class Covariances(ABC):
    """A kind of covariance.

    Parameters
    ----------
    n_features : int
    """

    direct: type[DirectKernel]
    matrices: bool
    tied = spherical = False

    def __init__(self, n_features: int) -> None:
        self.n_features = n_features

    # What the matrices and the diagonals do in ways of their own.

    @abstractmethod
    def factor(self, covariance: Tensor) -> Factor:
        """Return the square roots; raise ValueError where there is none."""

    @abstractmethod
    def from_precision(self, P: Tensor) -> Factor:
        """Return the square roots from that of the precision alone."""

    @abstractmethod
    def outer(self, vectors: Tensor, weights: Tensor) -> Tensor:
        """Return weighted products of vectors ``(R, K, D)`` with themselves, as a scatter."""

    @abstractmethod
    def scatter(self, G: Tensor, g: Tensor, N: Tensor, L: Tensor) -> Tensor:
        """Return the scatter about the mean, from whitened products and sums about the old one."""

    @abstractmethod
    def unwhitened(self, vectors: Tensor, L: Tensor) -> Tensor:
        """Return the vectors ``(R, K, D)`` of which these are whitened."""

    @abstractmethod
    def squares(self, vectors: Tensor, P: Tensor) -> Tensor:
        """Return squared lengths ``(R, K)`` of vectors ``(R, K, D)`` once whitened."""

    @abstractmethod
    def trace(self, L: Tensor, P: Tensor) -> Tensor:
        r"""Return the trace of :math:`L L^T P P^T`, ``(R, K)``."""

    @abstractmethod
    def precision_trace(self, P: Tensor) -> Tensor:
        r"""Return the trace of :math:`P P^T`, ``(R, K)``."""

    @abstractmethod
    def psi(self, nu: Tensor) -> Tensor:
        """Return the derivative of `log_gamma` after half of its argument."""

    @abstractmethod
    def log_gamma(self, nu: Tensor) -> Tensor:
        r"""Return the log of the (multivariate) gamma function in a Wishart density."""

    @abstractmethod
    def student(self, nu: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return the degrees of freedom of the predictive density, and its scale over Sigma."""

    # What follows from that.

    def kernel(self, terms: Terms, rows: Rows) -> Kernel:
        """Return what sweeps over the rows."""
        return self.direct(terms, rows)

    def count(self, N: Tensor) -> Tensor:
        """Return the number of rows from which each covariance is estimated."""
        return N

    def ridge(self, amount: float) -> Tensor:
        """Return a multiple of the identity."""
        return torch.full((1,), amount, dtype=torch.float64)

    def with_axis(self, array: Tensor) -> Tensor:
        """Return what the user sees of covariances, ``(R, ...)``, as the stack has them."""
        if self.tied:
            return array[:, None]
        return array[..., None] if self.spherical else array

    def without_axis(self, array: Tensor) -> Tensor:
        """Return covariances of one mixture as the user sees them."""
        if self.tied:
            return array[0]
        return array[..., 0] if self.spherical else array

    def mean_of(self, scatter: Tensor, counts: Tensor) -> Tensor:
        """Divide a scatter by one number for each covariance."""
        return scatter / counts.view(*counts.shape, *[1] * (scatter.ndim - 2))

    features_each = 1
    """The number of features that share a variance."""

    joint = True
    """Whether the features share what is uncertain of the precision."""

    def expected_log(self, nu: Tensor) -> Tensor:
        r"""Return :math:`E \log |\Lambda| + \log |\Sigma|`, which depends on :math:`\nu` alone."""
        return self.psi(nu) - self.n_features * (nu * self.features_each / 2).log()

    def prior(self, nu: float, C: Tensor) -> WishartPrior:
        """Return the prior of a precision: degrees of freedom, and the inverse of the scale."""
        factor, degrees = self.factor(C), torch.as_tensor(nu, dtype=C.dtype, device=C.device)
        constant = self.log_gamma(degrees) - degrees / 2 * factor.log_det
        return WishartPrior(nu, C, factor.L, constant)

    def wishart_kl(self, nu: Tensor, factor: Factor, prior: WishartPrior) -> Tensor:
        r"""Return the divergence of each precision's distribution from the prior's, in nats.

        .. math:: \frac{\nu_0}{2} \log \frac{|\nu \Sigma|}{|C_0|} - \log \Gamma(\nu)
            + \log \Gamma(\nu_0) + \frac{\nu - \nu_0}{2} \psi(\nu)
            + \frac12 \mathrm{tr}(C_0 \Sigma^{-1}) - \frac{\nu D}{2}

        where :math:`\Gamma` and :math:`\psi` stand for what a Wishart distribution has in their
        place, and the prior has the scale :math:`C_0^{-1}`.
        """
        D = self.n_features
        return (
            prior.constant
            + prior.nu / 2 * (factor.log_det + D * nu.log())
            - self.log_gamma(nu)
            + (nu - prior.nu) / 2 * self.psi(nu)
            + (self.trace(prior.L, factor.P) - nu * D) / 2
        )

    def normal_kl(self, delta: Tensor, P: Tensor, beta: Tensor, beta_0: float) -> Tensor:
        r"""Return the expected divergence of :math:`N(m, (\beta \Lambda)^{-1})` from the prior's.

        .. math:: \tfrac12 \big( D\, (r - 1 - \log r)
            + \beta_0 (m - m_0)^T \Sigma^{-1} (m - m_0) \big), \qquad r = \beta_0 / \beta
        """
        ratio = beta_0 / beta
        spread = self.n_features * (ratio - 1 - ratio.log())
        return (spread + beta_0 * self.squares(delta, P)) / 2


class Full(Covariances):
    """A covariance for each component."""

    direct = MatrixKernel
    matrices = True

    def factor(self, covariance: Tensor) -> Factor:
        L, failed = torch.linalg.cholesky_ex(covariance)
        _check_definite(bool(failed.any()))
        eye = torch.eye(self.n_features, dtype=L.dtype, device=L.device).expand_as(L)
        P = torch.linalg.solve_triangular(L, eye, upper=False).mT
        return Factor(L, P, 2 * L.diagonal(dim1=-2, dim2=-1).log().sum(-1))

    def from_precision(self, P: Tensor) -> Factor:
        return Factor(P, P, -2 * P.diagonal(dim1=-2, dim2=-1).log().sum(-1))

    def ridge(self, amount: float) -> Tensor:
        return amount * torch.eye(self.n_features, dtype=torch.float64)

    def outer(self, vectors: Tensor, weights: Tensor) -> Tensor:
        return (weights[..., None] * vectors)[..., :, None] * vectors[..., None, :]

    def scatter(self, G: Tensor, g: Tensor, N: Tensor, L: Tensor) -> Tensor:
        products = L @ (G - self.outer(g, 1 / N)) @ L.mT
        return (products + products.mT) / 2

    def unwhitened(self, vectors: Tensor, L: Tensor) -> Tensor:
        return (L @ vectors[..., None])[..., 0]

    def squares(self, vectors: Tensor, P: Tensor) -> Tensor:
        return (vectors[..., None, :] @ P).square().sum((-2, -1))

    def trace(self, L: Tensor, P: Tensor) -> Tensor:
        return (L.mT @ P).square().sum((-2, -1))

    def precision_trace(self, P: Tensor) -> Tensor:
        return P.square().sum((-2, -1))

    def psi(self, nu: Tensor) -> Tensor:
        return self._halves(nu).digamma().sum(-1)

    def log_gamma(self, nu: Tensor) -> Tensor:
        constant = self.n_features * (self.n_features - 1) / 4 * math.log(math.pi)
        return constant + self._halves(nu).lgamma().sum(-1)

    def _halves(self, nu: Tensor) -> Tensor:
        return (nu[..., None] - torch.arange(self.n_features, device=nu.device)) / 2

    def student(self, nu: Tensor) -> tuple[Tensor, Tensor]:
        degrees = nu + 1 - self.n_features
        return degrees, nu / degrees


class Tied(Full):
    """One covariance for all components."""

    tied = True

    def outer(self, vectors: Tensor, weights: Tensor) -> Tensor:
        return ((weights[..., None] * vectors).mT @ vectors)[:, None]

    def scatter(self, G: Tensor, g: Tensor, N: Tensor, L: Tensor) -> Tensor:
        return super().scatter(G.sum(1, keepdim=True), g, N, L)

    def count(self, N: Tensor) -> Tensor:
        return N.sum(-1, keepdim=True)


class Diagonal(Covariances):
    """A variance for each feature of each component."""

    direct = ElementwiseKernel
    matrices = False
    joint = False

    def factor(self, covariance: Tensor) -> Factor:
        _check_definite(not bool((covariance > 0).all()))
        L = covariance.sqrt()
        return Factor(L, 1 / L, self._over_features(covariance.log()))

    def kernel(self, terms: Terms, rows: Rows) -> Kernel:
        return elementwise(terms, rows)

    def from_precision(self, P: Tensor) -> Factor:
        return Factor(1 / P, P, -2 * self._over_features(P.log()))

    def outer(self, vectors: Tensor, weights: Tensor) -> Tensor:
        return weights[..., None] * vectors.square()

    def scatter(self, G: Tensor, g: Tensor, N: Tensor, L: Tensor) -> Tensor:
        return (L.square() * (G - self.outer(g, 1 / N))).clamp_min(0)

    def unwhitened(self, vectors: Tensor, L: Tensor) -> Tensor:
        return L * vectors

    def squares(self, vectors: Tensor, P: Tensor) -> Tensor:
        return (vectors * P).square().sum(-1)

    def trace(self, L: Tensor, P: Tensor) -> Tensor:
        return self._over_features((L * P).square())

    def _over_features(self, diagonal: Tensor) -> Tensor:
        """Sum over all features, also where one number stands for all of them."""
        return diagonal.sum(-1) * (self.n_features / diagonal.shape[-1])

    def precision_trace(self, P: Tensor) -> Tensor:
        return self._over_features(P.square())

    def psi(self, nu: Tensor) -> Tensor:
        return self.n_features * (nu * self.features_each / 2).digamma()

    def log_gamma(self, nu: Tensor) -> Tensor:
        return self.n_features / self.features_each * (nu * self.features_each / 2).lgamma()

    def student(self, nu: Tensor) -> tuple[Tensor, Tensor]:
        return nu * self.features_each, torch.ones_like(nu)


class Spherical(Diagonal):
    """A variance for each component."""

    joint = spherical = True

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.features_each = n_features

    def outer(self, vectors: Tensor, weights: Tensor) -> Tensor:
        return weights[..., None] * vectors.square().mean(-1, keepdim=True)

    def scatter(self, G: Tensor, g: Tensor, N: Tensor, L: Tensor) -> Tensor:
        return super().scatter(G.mean(-1, keepdim=True), g, N, L)


COVARIANCES = {"full": Full, "tied": Tied, "diag": Diagonal, "spherical": Spherical}


def _check_definite(failed: bool) -> None:
    if failed:
        raise ValueError(
            "A covariance of the mixture is not positive definite: a component has shrunk to a "
            "point or a plane, or features are constant or combinations of each other. Raise "
            "reg_covar, ask for fewer components, or scale X."
        )
