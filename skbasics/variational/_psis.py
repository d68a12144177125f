"""Pareto-smoothed importance sampling: is a density near enough to another to stand for it?"""

import math
import warnings

import numpy as np

RELIABLE = 0.7
"""The shape k up to which an approximation can be trusted (Vehtari et al.)."""

NEARLY_ALL = 0.9
"""A share of draws so large that no tail matters: k is of the shape of ratios, and not of their
size, and the tail of ratios that hardly vary may have any."""

ROUNDING = 1e-9
"""Log ratios that vary by less vary by rounding alone (or by 1e-13 of what they are)."""


def pareto_k(log_ratios: np.ndarray) -> float:
    r"""Return the shape k of the upper tail of importance ratios :math:`p(z) / q(z)`, z from q.

    The M = min(S / 5, 3 sqrt(S)) largest of S ratios are taken for a generalised Pareto
    distribution, of which moments up to 1/k exist. The fit is drawn towards 1/2 by the weight of
    ten ratios. Ratios that are all the same have no tail: k is minus infinity. Where a handful
    outweighs all others beyond what numbers hold, it is infinity.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao and Gabry, "Pareto smoothed importance sampling", Journal of
    Machine Learning Research 25, 2024.
    """
    log_ratios = np.sort(np.asarray(log_ratios, dtype=np.float64))
    n_tail = math.ceil(min(len(log_ratios) / 5, 3 * math.sqrt(len(log_ratios))))
    spread = log_ratios[-1] - log_ratios[0]
    if spread <= max(ROUNDING, 1e-13 * abs(log_ratios[-1])):
        return -math.inf
    ratios = np.exp(log_ratios[-n_tail - 1 :] - log_ratios[-1])
    excesses = ratios[1:] - ratios[0]
    excesses = excesses[excesses > 0]
    if len(excesses) < 5:  # next to a few ratios all others are nothing
        return math.inf
    k, _ = generalised_pareto_fit(excesses)
    return (len(excesses) * k + 10 * 0.5) / (len(excesses) + 10)


def generalised_pareto_fit(excesses: np.ndarray) -> tuple[float, float]:
    r"""Fit the density :math:`\frac1\sigma (1 + k x / \sigma)^{-1/k - 1}` to sorted numbers > 0.

    With :math:`\theta = -k / \sigma`, the profile log likelihood of n numbers is
    :math:`n (\log(-\theta / k) - k - 1)` at :math:`k(\theta) = \frac1n \sum \log(1 - \theta x_i)`.
    It is averaged over a grid of :math:`\theta` from a prior that the numbers suggest.

    References
    ----------
    Zhang and Stephens, "A new and efficient estimation method for the generalized Pareto
    distribution", Technometrics 51, 2009.
    """
    n = len(excesses)
    n_points = 30 + math.isqrt(n)
    quartile = excesses[int(n / 4 + 0.5) - 1]
    j = np.arange(1, n_points + 1)
    theta = 1 / excesses[-1] + (1 - np.sqrt(n_points / (j - 0.5))) / (3 * quartile)
    k = np.log1p(-theta[:, None] * excesses).mean(1)
    log_likelihood = n * (np.log(-theta / k) - k - 1)
    weights = np.exp(log_likelihood - log_likelihood.max())
    theta_mean = float((theta * weights).sum() / weights.sum())
    k_mean = float(np.log1p(-theta_mean * excesses).mean())
    return k_mean, -k_mean / theta_mean


def effective_share(log_ratios: np.ndarray) -> float:
    r"""Return :math:`(\sum r)^2 / S \sum r^2`: the share of draws that weights r would leave."""
    ratios = np.exp(log_ratios - log_ratios.max())
    return float(ratios.sum() ** 2 / ratios.dot(ratios) / len(ratios))


def warn_of_tail(k: float, share: float, family: str, stacklevel: int) -> None:
    """Warn if importance ratios have too heavy a tail, and vary enough for it to matter."""
    if k > RELIABLE and share < NEARLY_ALL:
        better = "'full_rank', or " if family == "mean_field" else ""
        warnings.warn(
            f"The Gaussian ({family}) does not cover the posterior: pareto_k={k:.2f} is above "
            f"{RELIABLE}, and importance weights would leave {share:.0%} of its draws. Doubt "
            f"its spread. Take {better}MCMC, or parameters in which the posterior is nearer to a "
            "Gaussian.",
            UserWarning,
            stacklevel=stacklevel,
        )
