"""Divergences: how many nats it costs to take one distribution for another."""

from typing import Any

import torch
from torch import Tensor

from skbasics._gaussian import (
    NEAR,
    excess,
    kl_of_covariances,
    kl_of_deviations,
    whitened,
)
from skbasics.variational._numbers import as_tensors


def gaussian_kl(mean_0: Any, scale_0: Any, mean_1: Any, scale_1: Any) -> Any:
    r"""Return the Kullback-Leibler divergence of one Gaussian from another, in nats.

    .. math::
        \mathrm{KL}(N_0 \,\|\, N_1) = \tfrac12 \Big( \mathrm{tr}(\Sigma_1^{-1} \Sigma_0)
        + (\mu_1 - \mu_0)^T \Sigma_1^{-1} (\mu_1 - \mu_0) - D
        + \log \frac{\det \Sigma_1}{\det \Sigma_0} \Big),

    which in one dimension is :math:`\log(\sigma_1 / \sigma_0)
    + (\sigma_0^2 + (\mu_0 - \mu_1)^2) / (2 \sigma_1^2) - \tfrac12`. Gaussians near each other keep
    their digits.

    Parameters
    ----------
    mean_0, mean_1 : float or array of shape (..., n_features)
        Means. The last axis is that of the features, those before it are batches and broadcast. A
        number is the mean of every feature.
    scale_0, scale_1 : float or array of shape (..., n_features) or (..., n_features, n_features)
        What the Gaussian is as wide as. The number of axes tells which: as many as the mean of the
        same Gaussian, or fewer, are standard deviations; one more is a batch of covariance
        matrices (a number as mean counts as one axis). Sizes play no part in it, so for
        many means ``(B, D)`` with one covariance ``S`` write ``S[None]``, and for one mean with
        many vectors of deviations ``mean[None]``.

    Returns
    -------
    divergence : float or array of shape (...)
        One number for each of the batch: a float where there is none, tensors for tensors
        (with their gradients), else an array of the namespace of the arguments.

    Raises
    ------
    ValueError
        If a deviation is not positive, a covariance is not symmetric and positive definite,
        something is not finite, or shapes do not fit.

    See Also
    --------
    kl_divergence : The same for discrete distributions.

    References
    ----------
    Kingma and Welling, "Auto-encoding variational Bayes", 2014, appendix B.

    Examples
    --------
    >>> from skbasics import gaussian_kl
    >>> round(float(gaussian_kl(1.0, 0.5, -1.0, 2.0)), 4)
    1.4175
    >>> gaussian_kl([[0.0, 0.0], [3.0, 0.0]], 1.0, [0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])
    array([0. , 4.5])
    """
    (m_0, s_0, m_1, s_1), back = as_tensors(mean_0, scale_0, mean_1, scale_1)
    for name, mean in (("mean_0", m_0), ("mean_1", m_1)):
        _check(bool(torch.isfinite(mean).all()), f"{name} must be finite.")
    matrix_0, matrix_1 = (s.ndim > max(m.ndim, 1) for m, s in ((m_0, s_0), (m_1, s_1)))
    L_0 = _factor("0", m_0, s_0, matrix_0)
    L_1 = _factor("1", m_1, s_1, matrix_1)
    L_0, L_1, m_0, m_1 = _of_one_width([matrix_0, matrix_1], L_0, L_1, m_0, m_1)
    distance = whitened((m_0 - m_1)[..., None], L_1).square().sum((-2, -1)) / 2
    if matrix_0 or matrix_1:
        S_0 = s_0 if matrix_0 else _diagonal(L_0)
        S_1 = s_1 if matrix_1 else _diagonal(L_1)
        return back(distance + kl_of_covariances(S_0, L_0, S_1, L_1))
    return back(distance + kl_of_deviations(L_0, L_1).sum((-2, -1)))


def kl_divergence(p: Any, q: Any) -> Any:
    r"""Return the Kullback-Leibler divergence of discrete distributions, in nats.

    .. math:: \mathrm{KL}(p \,\|\, q) = \sum_i p_i \log \frac{p_i}{q_i}

    with :math:`0 \log 0 = 0`. It is the number of nats lost by coding samples of p as if they came
    from q, and infinite where p has samples that q excludes. It is not symmetric.

    Parameters
    ----------
    p, q : array-like of shape (..., n_outcomes)
        Probabilities along the last axis. The axes before it are batches and broadcast.

    Returns
    -------
    divergence : float or array of shape (...)
        A float where there is no batch; tensors for tensors (with their gradients).

    Raises
    ------
    ValueError
        If a probability is negative or not finite, or they do not sum to one within rounding (half
        of the digits of their dtype).

    Examples
    --------
    >>> from skbasics import kl_divergence
    >>> round(float(kl_divergence([0.5, 0.5], [0.9, 0.1])), 4)
    0.5108
    >>> kl_divergence([[1.0, 0.0], [0.5, 0.5]], [1.0, 0.0])
    array([ 0., inf])
    """
    (p, q), back = _distributions(p, q)
    return back(_relative_entropy(p, q))


def jeffreys(p: Any, q: Any) -> Any:
    r"""Return the Jeffreys divergence of discrete distributions, in nats.

    .. math:: J(p, q) = \mathrm{KL}(p \,\|\, q) + \mathrm{KL}(q \,\|\, p)
        = \sum_i (p_i - q_i) \log \frac{p_i}{q_i}

    Symmetric, and infinite where one excludes what the other does not.

    Parameters
    ----------
    p, q : array-like of shape (..., n_outcomes)
        Probabilities along the last axis. The axes before it are batches and broadcast.

    Returns
    -------
    divergence : float or array of shape (...)
        A float where there is no batch; tensors for tensors (with their gradients).

    Raises
    ------
    ValueError
        As for `kl_divergence`.

    Examples
    --------
    >>> from skbasics import jeffreys
    >>> round(float(jeffreys([0.5, 0.5], [0.9, 0.1])), 4)
    0.8789
    """
    (p, q), back = _distributions(p, q)
    return back(_relative_entropy(p, q) + _relative_entropy(q, p))


def jensen_shannon(p: Any, q: Any) -> Any:
    r"""Return the Jensen-Shannon divergence of discrete distributions, in nats.

    .. math:: \mathrm{JS}(p, q)
        = \tfrac12 \mathrm{KL}(p \,\|\, m) + \tfrac12 \mathrm{KL}(q \,\|\, m),
        \qquad m = \tfrac12 (p + q)

    Symmetric, and never more than log 2. Its square root is a metric.

    Parameters
    ----------
    p, q : array-like of shape (..., n_outcomes)
        Probabilities along the last axis. The axes before it are batches and broadcast.

    Returns
    -------
    divergence : float or array of shape (...)
        A float where there is no batch; tensors for tensors (with their gradients).

    Raises
    ------
    ValueError
        As for `kl_divergence`.

    Examples
    --------
    >>> from skbasics import jensen_shannon
    >>> round(float(jensen_shannon([1.0, 0.0], [0.0, 1.0])), 4)
    0.6931
    """
    (p, q), back = _distributions(p, q)
    least = torch.nextafter(p.new_zeros(()), p.new_ones(()))
    middle = torch.maximum((p + q) / 2, torch.minimum(p + q, least))  # half of the least is zero
    return back((_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2)


def _distributions(p: Any, q: Any) -> tuple[list[Tensor], Any]:
    """Return validated probabilities as tensors whose sums are one, and the way back."""
    tensors, back = as_tensors(p, q)
    for name, values in zip("pq", tensors, strict=True):
        if values.ndim == 0 or values.shape[-1] == 0:
            raise ValueError(
                f"{name} must have an axis of outcomes, got shape {tuple(values.shape)}."
            )
        least = values.detach().min() if values.numel() else 0.0
        _check(
            bool(least >= 0), f"{name} has a negative or undefined probability: {float(least):g}."
        )
        off = (values.detach().sum(-1) - 1).abs().amax() if values.numel() else 0.0
        _check(
            bool(off <= torch.finfo(values.dtype).eps ** 0.5),
            f"{name} must sum to one along its last axis, and is off by {float(off):g}. "
            f"Divide it by {name}.sum(-1, keepdims=True) if its entries are counts or weights.",
        )
    if tensors[0].shape[-1] != tensors[1].shape[-1]:
        widths = [t.shape[-1] for t in tensors]
        raise ValueError(
            f"p has {widths[0]} outcomes and q has {widths[1]}: they must be the same."
        )
    return [values / values.sum(-1, keepdim=True) for values in tensors], back


def _relative_entropy(p: Tensor, q: Tensor) -> Tensor:
    """Return the sum of p log(p / q) - p + q, of which no term is negative.

    As both sum to one it is the divergence. Near each other, the terms are p times the excess of
    the relative difference.
    """
    alike = (q - p).abs() < NEAR * p
    u = torch.where(alike, q - p, 0.0) / torch.where(alike, p, 1.0)
    there = p > 0  # elsewhere nothing is lost, and no gradient but a finite one helps anybody
    ratio = torch.where(there, p, 1.0).log() - torch.where(there, q, 1.0).log()
    far = torch.where(there, p * ratio, 0.0) - p + q
    return torch.where(alike, p * excess(u), far).sum(-1)


def _factor(which: str, mean: Tensor, scale: Tensor, matrix: bool) -> Tensor:
    """Return what `kl_of_covariances` takes for the factor of a scale."""
    name, values = f"scale_{which}", scale.detach()
    _check(bool(torch.isfinite(values).all()), f"{name} must be finite.")
    if not matrix:
        _check_deviations(which, values)
        return torch.atleast_1d(scale)[..., None, :]
    if scale.shape[-2] != scale.shape[-1]:
        raise ValueError(
            f"{name} of shape {tuple(scale.shape)} has one axis more than mean_{which}, so it is "
            "a covariance, and its last two axes are not square. For a batch of standard "
            f"deviations give mean_{which} the axes of the batch: mean_{which}[None]."
        )
    slack = torch.finfo(values.dtype).eps ** 0.5 * values.abs().amax() if values.numel() else 0.0
    _check(bool(((values - values.mT).abs() <= slack).all()), f"{name} must be symmetric.")
    L, failed = torch.linalg.cholesky_ex(scale)
    _check(
        not bool(failed.any()),
        f"{name} is a covariance that is not positive definite: it is singular or has a negative "
        "eigenvalue. Add a small number to its diagonal, or leave out what is constant.",
    )
    return L


def _check_deviations(which: str, values: Tensor) -> None:
    least = float(values.min()) if values.numel() else 1.0
    square = values.ndim > 1 and values.shape[-1] == values.shape[-2]
    hint = f" A covariance has one axis more than mean_{which}: scale_{which}[None]."
    _check(
        least > 0,
        f"scale_{which} holds standard deviations, which must be positive, got {least:g}."
        + hint * square,
    )


def _of_one_width(matrices: list[bool], L_0: Tensor, L_1: Tensor, *means: Tensor) -> list[Tensor]:
    """Return factors and means as wide as the widest; what is one number serves every feature."""
    means = [torch.atleast_1d(mean) for mean in means]
    parts = {"scale_0": L_0, "scale_1": L_1, "mean_0": means[0], "mean_1": means[1]}
    width = max(part.shape[-1] for part in parts.values())
    for (name, part), whole in zip(parts.items(), [*matrices, False, False], strict=True):
        _check(
            part.shape[-1] == width or (part.shape[-1] == 1 and not whole),
            f"{name} has {part.shape[-1]} features, where another argument has {width}.",
        )
    batches = [L_0.shape[:-2], L_1.shape[:-2], *(mean.shape[:-1] for mean in means)]
    try:
        torch.broadcast_shapes(*batches)
    except RuntimeError as error:
        raise ValueError(
            f"The batches of {', '.join(parts)} are {', '.join(str(tuple(b)) for b in batches)}, "
            "which do not broadcast. For one covariance S for many means write S[None]."
        ) from error
    return [part.expand(*part.shape[:-1], width) for part in parts.values()]


def _diagonal(L: Tensor) -> Tensor:
    """Return the covariance of a row of deviations."""
    return torch.diag_embed(L[..., 0, :].square())


def _check(good: bool, sentence: str) -> None:
    if not good:
        raise ValueError(sentence)
