"""Variational inference for any log density: the Gaussian nearest to a posterior."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from torch import Tensor

from skbasics._arrays import as_tensor, own_random_state
from skbasics._gaussian import HALF_LOG_TWO_PI
from skbasics._sklearn import Interval, StrOptions, validate_parameter_constraints
from skbasics.optim import Optimizer
from skbasics.variational._ascent import Ascent, ascend, named
from skbasics.variational._elbo import NegativeElbo, Noise
from skbasics.variational._families import FAMILIES
from skbasics.variational._log_joint import LogJoint
from skbasics.variational._mode import laplace
from skbasics.variational._psis import effective_share, pareto_k, warn_of_tail

N_RATIOS = 4000
"""Draws for the ELBO and for k-hat."""

POSITIVE_INTEGER = [Interval(Integral, 1, None, closed="left")]
CONSTRAINTS: dict[str, list] = {
    "log_joint": [callable],
    "n_parameters": POSITIVE_INTEGER,
    "family": [StrOptions(set(FAMILIES))],
    "optimizer": [str, Optimizer, type],
    "n_samples": POSITIVE_INTEGER,
    "max_iter": POSITIVE_INTEGER,
    "random_state": ["random_state"],
}


@dataclass(frozen=True, eq=False)
class VariationalPosterior:
    r"""A Gaussian q(z) in the place of a posterior, and how far it is to be believed.

    Parameters
    ----------
    mean : ndarray of shape (D,)
        The mean of q.
    scale : ndarray of shape (D,) or (D, D)
        The standard deviations of q ("mean_field"), or a lower triangular matrix L whose
        :math:`L L^T` is the covariance ("full_rank").
    elbo : float
        The evidence lower bound in nats, from 4000 draws.
    elbo_standard_error : float
        The standard error of that mean.
    elbo_curve : ndarray of shape (n_iter,)
        The noisy bound of each step.
    pareto_k : float
        The shape of the tail of p/q. Up to 0.7 q may stand for the posterior, and importance
        weights would mend the rest; minus infinity where p/q does not vary.
    effective_share : float
        The share of draws that importance weights would leave, :math:`(\sum r)^2 / S \sum r^2`
        for ratios r. Near one few draws carry much weight; tails that draws of q seldom reach may
        be missing all the same.
    family : {"mean_field", "full_rank"}
        What was fitted.
    n_iter : int
        Steps made.
    converged : bool
        Whether the bound had settled.

    Examples
    --------
    >>> from skbasics import fit_variational
    >>> posterior = fit_variational(lambda z: -z.square().sum(-1) / 2, 3, random_state=0)
    >>> posterior.sample(5, random_state=0).shape
    (5, 3)
    """

    mean: np.ndarray = field(repr=False)
    scale: np.ndarray = field(repr=False)
    elbo: float
    elbo_standard_error: float = field(repr=False)
    elbo_curve: np.ndarray = field(repr=False)
    pareto_k: float
    effective_share: float
    family: str
    n_iter: int
    converged: bool

    @property
    def covariance(self) -> np.ndarray:
        """The covariance of q, ``(D, D)``."""
        if self.scale.ndim == 1:
            return np.diag(self.scale**2)
        return self.scale @ self.scale.T

    def sample(self, n: int = 1, random_state: Any = None) -> np.ndarray:
        """Draw from q.

        Parameters
        ----------
        n : int, default=1
            How many draws.
        random_state : int, RandomState instance or None, default=None
            Seeds them; None draws from NumPy's global generator.

        Returns
        -------
        draws : ndarray of shape (n, D)
        """
        noise = check_random_state(random_state).standard_normal((n, len(self.mean)))
        return self.mean + (noise * self.scale if self.scale.ndim == 1 else noise @ self.scale.T)

    def log_prob(self, z: Any) -> Any:
        """Return the logarithm of the density of q.

        Parameters
        ----------
        z : array-like or Tensor of shape (D,) or (n, D)
            Where.

        Returns
        -------
        log_densities : float, or ndarray or Tensor of shape (n,)
            A tensor, through which autograd may go, where z is one.
        """
        given = isinstance(z, Tensor)
        z = z.to(torch.float64) if given else torch.from_numpy(np.asarray(z, dtype=np.float64))
        if z.ndim not in (1, 2) or z.shape[-1] != len(self.mean):
            raise ValueError(
                f"z has shape {tuple(z.shape)}; expected ({len(self.mean)},), or "
                f"(n, {len(self.mean)}) for n points."
            )
        mean, scale = (as_tensor(part, device=z.device) for part in (self.mean, self.scale))
        standard = torch.atleast_2d(z - mean)
        if scale.ndim == 1:
            standard, diagonal = standard / scale, scale
        else:
            standard = torch.linalg.solve_triangular(scale, standard.mT, upper=False).mT
            diagonal = scale.diagonal()
        constant = diagonal.log().sum() + len(mean) * HALF_LOG_TWO_PI
        values = -standard.square().sum(1) / 2 - constant
        values = values[0] if z.ndim == 1 else values
        return values if given else values.numpy()[()]


@torch.inference_mode(False)
def fit_variational(
    log_joint: Callable[[Tensor], Tensor],
    n_parameters: int,
    *,
    family: str = "mean_field",
    optimizer: str | Optimizer = "adam",
    n_samples: int = 8,
    max_iter: int = 2000,
    random_state: Any = None,
) -> VariationalPosterior:
    r"""Fit a Gaussian to a posterior known up to a constant, by maximising a bound on the evidence.

    .. math::
        q^* = \arg\max_q E_q[\log p(x, z) - \log q(z)]
        = \arg\min_q \mathrm{KL}(q(z) \,\|\, p(z | x))

    The search begins at the mode of p, found by L-BFGS, with the curvature there for a scale
    (Laplace's approximation, made positive where the density does not bend down), and goes on
    in coordinates in which that is a standard normal distribution: rates and tolerances are
    in posterior standard deviations, whatever the units of z. Gradients are reparameterised,
    from `n_samples` antithetic draws a step, and stick to the landing. Iterates are averaged over
    50 steps; when the average gains less than a thousandth of a nat (or its standard error) the
    rate is lowered, and where that brings nothing more the search ends.

    Parameters
    ----------
    log_joint : callable
        The log density :math:`\log p(x, z)`, up to a constant, in differentiable torch
        operations: maps draws ``(S, D)`` in float64 to ``(S,)``, value s from row s alone. It must
        be finite everywhere: scales go in as logarithms.
    n_parameters : int
        The dimension D of z.
    family : {"mean_field", "full_rank"}, default="mean_field"
        Independent coordinates, or any covariance (with D (D + 1) / 2 numbers).
    optimizer : str or Optimizer, default="adam"
        The rule. By name a first-order rule starts at a rate of 0.05, which adapts; an object's
        rate is its own, and a schedule that spans the fit is followed to its end. Rules that
        search lines ("lbfgs", "newton", `TorchOptimizer`) get one set of evenly spread draws
        for all steps.
    n_samples : int, default=8
        Draws a step (fixed draws are never fewer than 64 or 4 D).
    max_iter : int, default=2000
        Steps at most.
    random_state : int, RandomState instance or None, default=None
        Seeds the draws. No global generator is touched, except that None draws one seed from
        NumPy's.

    Returns
    -------
    posterior : VariationalPosterior
        With ``mean``, ``covariance``, ``elbo``, ``elbo_curve``, ``sample(n)``, ``log_prob(z)``
        and ``pareto_k``.

    Raises
    ------
    ValueError
        If the log density returns another shape, is not finite at a draw, is not
        differentiable, or mixes rows.

    Warns
    -----
    UserWarning
        If ``pareto_k`` is above 0.7 (and ``effective_share`` below 0.9: the tail of ratios that
        hardly vary says nothing): the Gaussian is too narrow, or of another shape.
    ConvergenceWarning
        If the bound was still rising after `max_iter` steps.

    References
    ----------
    Blei, Kucukelbir and McAuliffe, "Variational inference: a review for statisticians", JASA 112,
    2017.
    Roeder, Wu and Duvenaud, "Sticking the landing", NeurIPS 2017.
    Yao, Vehtari, Simpson and Gelman, "Yes, but did it work? Evaluating variational inference",
    ICML 2018.

    Examples
    --------
    A correlated Gaussian: the means are right, and the independent coordinates too narrow.

    >>> import torch
    >>> from skbasics import fit_variational
    >>> precision = torch.tensor([[2.0, 1.2], [1.2, 2.0]], dtype=torch.float64)
    >>> def log_joint(z):
    ...     return -((z - 1) @ precision * (z - 1)).sum(-1) / 2
    >>> full = fit_variational(log_joint, 2, family="full_rank", random_state=0)
    >>> full.mean.round(3), full.covariance.round(3)
    (array([1., 1.]), array([[ 0.781, -0.469],
           [-0.469,  0.781]]))
    >>> fit_variational(log_joint, 2, random_state=0).covariance.diagonal().round(1)
    array([0.5, 0.5])
    """
    given = {
        "log_joint": log_joint,
        "n_parameters": n_parameters,
        "family": family,
        "optimizer": optimizer,
        "n_samples": n_samples,
        "max_iter": max_iter,
        "random_state": random_state,
    }
    validate_parameter_constraints(CONSTRAINTS, given, "fit_variational")
    rule, random_state = named(optimizer), own_random_state(random_state)
    density, members = LogJoint(log_joint, n_parameters), FAMILIES[family](n_parameters)
    starts = torch.from_numpy(0.1 * random_state.standard_normal((2, n_parameters)))
    density.check_rows(starts)
    start = laplace(density, members, starts[0])
    noise = Noise.of(rule, n_samples, n_parameters, random_state)
    objective = NegativeElbo(density, members, start, landing=noise.fresh)
    found = ascend(objective, rule, noise, max_iter, random_state)
    return _posterior(objective, found, random_state)


def _posterior(
    objective: NegativeElbo, found: Ascent, random_state: np.random.RandomState
) -> VariationalPosterior:
    """Return the fitted Gaussian in the user's coordinates, and warn of what is to be doubted."""
    family, start = objective.family, objective.laplace
    noise = torch.from_numpy(random_state.standard_normal((N_RATIOS, family.width)))
    ratios = torch.cat([objective.log_ratios(found.row, part) for part in noise.split(1000)])
    scale, factor = family.scale(found.row), start.factor
    posterior = VariationalPosterior(
        start.outward(found.row[: family.width]).numpy(),
        (scale * factor if factor.ndim == 1 else factor @ scale).numpy(),
        float(ratios.mean()),
        float(ratios.std()) / N_RATIOS**0.5,
        np.asarray(found.curve),
        pareto_k(ratios.numpy()),
        effective_share(ratios.numpy()),
        family.name,
        len(found.curve),
        found.converged,
    )
    if not posterior.converged:
        warnings.warn(
            f"The evidence lower bound was still rising after max_iter={posterior.n_iter} steps, "
            f"by {found.gain:.2g} nats in the last ones. Raise max_iter, or the learning rate.",
            ConvergenceWarning,
            stacklevel=4,  # beyond torch's decorator
        )
    warn_of_tail(posterior.pareto_k, posterior.effective_share, family.name, stacklevel=5)
    return posterior
