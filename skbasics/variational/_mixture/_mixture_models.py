r"""Two ways to learn a mixture: its posterior in closed form, and the point that EM climbs to.

Both alternate between the responsibilities of the components for the rows (`terms`, of which a
sweep makes them) and what is known of the components (`update`).
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from skbasics._gaussian import HALF_LOG_TWO_PI
from skbasics.variational._mixture._covariances import Covariances, Factor
from skbasics.variational._mixture._mixture_weights import WeightPrior
from skbasics.variational._mixture._sweep import Rows, Sums, Terms, sweep

LOG_TWO_PI = 2 * HALF_LOG_TWO_PI
TINY = torch.finfo(torch.float64).tiny


class Summary(NamedTuple):
    """What the rows say of each component.

    Attributes
    ----------
    N : Tensor of shape (R, K)
        How many rows it has.
    means : Tensor of shape (R, K, D)
        Their means.
    scatter : Tensor
        The squares about the means, summed, in the shape of the covariances.
    """

    N: Tensor
    means: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, sums: Sums, means: Tensor, L: Tensor, covariances: Covariances) -> "Summary":
        """Undo the whitening of sums: `means` and `L` are those by which it was done."""
        N = sums.N.clamp_min(TINY)
        shift = covariances.unwhitened(sums.g / N[..., None], L)
        return cls(sums.N, means + shift, covariances.scatter(sums.G, sums.g, N, L))


def summarise(rows: Rows, covariances: Covariances, responsibilities: Tensor) -> Summary:
    """Return what the rows say of components to which they belong by ``(1, K, n)``.

    In float64 always: before the rows are whitened, products in float32 lose directions in which
    they hardly vary.
    """
    rows, responsibilities = rows.double(), responsibilities.double()
    r = responsibilities if rows.weights is None else responsibilities * rows.weights
    N = r.sum(-1)
    means = r @ rows.X.mT / N.clamp_min(TINY)[..., None]
    unit = covariances.ridge(1.0).to(means)[None, None]
    about = Terms(means, unit, torch.zeros_like(N))
    sums = sweep(rows, about, covariances.kernel, responsibilities)
    return Summary.of(sums, means, unit, covariances)


class Mixture(NamedTuple):
    """What is known of a stack of mixtures; of EM, `beta` and `nu` are empty.

    Attributes
    ----------
    weights : Tensor of shape (R, K) or (R, 2, K)
        The parameters of the weights' distribution, or the weights themselves.
    beta : Tensor of shape (R, K)
        How many rows the knowledge of each mean is worth.
    means : Tensor of shape (R, K, D)
    nu : Tensor of shape (R, K) or (R, 1)
        The degrees of freedom of each precision.
    covariance : Tensor
    """

    weights: Tensor
    beta: Tensor
    means: Tensor
    nu: Tensor
    covariance: Tensor

    def at(self, replicas: list[int]) -> "Mixture":
        """Return some of the stack."""
        if len(replicas) == len(self.means):
            return self
        return Mixture(*(part[replicas] for part in self))

    def put(self, replicas: list[int], others: "Mixture") -> "Mixture":
        """Return the stack with some replaced."""
        if len(replicas) == len(self.means):
            return others
        where = torch.tensor(replicas, device=self.means.device)
        return Mixture(*(a.index_copy(0, where, b) for a, b in zip(self, others, strict=True)))


class Model(ABC):
    """How a mixture is learned.

    Parameters
    ----------
    covariances : Covariances
    noise : float
        The variance of the noise with which rows are known.
    """

    def __init__(self, covariances: Covariances, noise: float) -> None:
        self.covariances, self.noise = covariances, noise

    def blurred(self, summary: Summary) -> Tensor:
        """Return the scatter of the rows with their noise, in expectation."""
        counts = self.covariances.count(summary.N)
        blur = self.covariances.ridge(self.noise).to(summary.scatter)
        return summary.scatter + counts.view(*counts.shape, *[1] * blur.ndim) * blur

    @abstractmethod
    def update(self, summary: Summary) -> Mixture:
        """Return what is best known of the components, given the rows that belong to each."""

    @abstractmethod
    def terms(self, mixture: Mixture, factor: Factor) -> Terms:
        """Return the log joint density of a row and its component, in expectation."""

    @abstractmethod
    def bound(self, evidence: Tensor, mixture: Mixture, factor: Factor, total: float) -> Tensor:
        """Return what is maximised, ``(R,)``, given the summed log densities of all rows."""

    @abstractmethod
    def mean_weights(self, mixture: Mixture) -> Tensor:
        """Return the weights ``(R, K)``."""


class Conjugate(Model):
    r"""Coordinate ascent on the evidence lower bound of a mixture with conjugate priors.

    .. math::
        \pi \sim p(\pi), \quad \Lambda_k \sim W(\nu_0, C_0^{-1}), \quad
        \mu_k \mid \Lambda_k \sim N(m_0, (\beta_0 \Lambda_k)^{-1}), \quad
        x_n + \epsilon_n \mid z_n = k \sim N(\mu_k, \Lambda_k^{-1}), \quad
        \epsilon_n \sim N(0, \sigma^2 I)

    (Bishop, section 10.2, but for the noise, whose distribution is taken for known.)

    Parameters
    ----------
    covariances : Covariances
    noise : float
        :math:`\sigma^2`.
    weights : WeightPrior
    beta_0 : float
    m_0 : Tensor of shape (D,)
    nu_0 : float
    C_0 : Tensor
        In the shape of one covariance.
    """

    def __init__(
        self,
        covariances: Covariances,
        noise: float,
        weights: WeightPrior,
        beta_0: float,
        m_0: Tensor,
        nu_0: float,
        C_0: Tensor,
    ) -> None:
        super().__init__(covariances, noise)
        self.weights = weights
        self.beta_0, self.m_0 = beta_0, m_0
        self.precision = covariances.prior(nu_0, C_0)

    def update(self, summary: Summary) -> Mixture:
        r"""Return the posterior (10.58, 10.60 to 10.63).

        .. math::
            \beta_k = \beta_0 + N_k, \quad m_k = (\beta_0 m_0 + N_k \bar x_k) / \beta_k, \quad
            \nu_k = \nu_0 + N_k, \quad
            \nu_k \Sigma_k = C_0 + N_k (S_k + \sigma^2 I)
            + \tfrac{\beta_0 N_k}{\beta_k} (\bar x_k - m_0)(\bar x_k - m_0)^T
        """
        N, means, _ = summary
        beta, nu = self.beta_0 + N, self.precision.nu + self.covariances.count(N)
        delta = means - self.m_0
        pull = self.covariances.outer(delta, self.beta_0 * N / beta)
        covariance = self.covariances.mean_of(self.precision.C + self.blurred(summary) + pull, nu)
        m = self.m_0 + (N / beta)[..., None] * delta
        return Mixture(self.weights.posterior(N), beta, m, nu, covariance)

    def terms(self, mixture: Mixture, factor: Factor) -> Terms:
        r"""Return the terms (10.46).

        .. math:: E \log \pi_k + \tfrac12 E \log |\Lambda_k| - \tfrac D2 \log 2 \pi
            - \tfrac12 \big( D / \beta_k + (x - m_k)^T \Sigma_k^{-1} (x - m_k)
            + \sigma^2\, \mathrm{tr}\, \Sigma_k^{-1} \big)
        """
        D = self.covariances.n_features
        log_det = self.covariances.expected_log(mixture.nu) - factor.log_det
        blur = self.noise * self.covariances.precision_trace(factor.P)
        density = (log_det - D * LOG_TWO_PI - D / mixture.beta - blur) / 2
        constants = self.weights.expected_log(mixture.weights) + density
        return Terms(mixture.means, factor.P, constants)

    def bound(self, evidence: Tensor, mixture: Mixture, factor: Factor, total: float) -> Tensor:
        r"""Return the evidence lower bound, with every term.

        At the best responsibilities it is :math:`\sum_n \log \sum_k \rho_{nk}
        - \mathrm{KL}(q(\pi, \mu, \Lambda) \,\|\, p(\pi, \mu, \Lambda))`.
        """
        kind = self.covariances
        means = kind.normal_kl(mixture.means - self.m_0, factor.P, mixture.beta, self.beta_0)
        precisions = kind.wishart_kl(mixture.nu, factor, self.precision)
        return evidence - self.weights.kl(mixture.weights) - means.sum(-1) - precisions.sum(-1)

    def mean_weights(self, mixture: Mixture) -> Tensor:
        return self.weights.mean(mixture.weights)


class MaximumLikelihood(Model):
    """EM: the parameters under which the rows are the most likely.

    As everywhere, the noise enters the updates alone, and not the likelihood.
    """

    def update(self, summary: Summary) -> Mixture:
        N, means, _ = summary
        counts = self.covariances.count(N).clamp_min(TINY)
        blurred = self.blurred(summary._replace(N=N.clamp_min(TINY)))
        covariance = self.covariances.mean_of(blurred, counts)
        nothing = N.new_zeros(len(N), 0)
        return Mixture(N / N.sum(-1, keepdim=True), nothing, means, nothing, covariance)

    def terms(self, mixture: Mixture, factor: Factor) -> Terms:
        density = -(factor.log_det + self.covariances.n_features * LOG_TWO_PI) / 2
        return Terms(mixture.means, factor.P, mixture.weights.log() + density)

    def bound(self, evidence: Tensor, mixture: Mixture, factor: Factor, total: float) -> Tensor:
        """Return the mean log likelihood of a row."""
        return evidence / total

    def mean_weights(self, mixture: Mixture) -> Tensor:
        return mixture.weights
