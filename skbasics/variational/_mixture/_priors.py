"""The priors of a mixture, as they were given or as the rows suggest them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skbasics._arrays import as_floats
from skbasics.variational._mixture._covariances import Covariances
from skbasics.variational._mixture._mixture_models import Conjugate, summarise
from skbasics.variational._mixture._mixture_weights import WEIGHT_PRIORS
from skbasics.variational._mixture._sweep import Rows


def conjugate(estimator: Any, rows: Rows, location: np.ndarray, covariances: Covariances) -> Any:
    """Return the model of an estimator's priors.

    Parameters
    ----------
    estimator : VariationalGaussianMixture
    rows : Rows
    location : ndarray of shape (D,)
        What was taken off the rows.
    covariances : Covariances
    """
    concentration = estimator.weight_concentration_prior
    if concentration is None:
        concentration = 1.0 / estimator.n_components
    beta_0 = estimator.mean_precision_prior
    whole = summarise(rows, covariances, torch.ones_like(rows.X[:1])[None])
    m_0, C_0 = whole.means[0, 0], whole.scatter[0, 0]
    if estimator.mean_prior is not None:
        m_0 = _mean_prior(estimator.mean_prior, location).to(m_0)
    if estimator.covariance_prior is None:
        C_0 = _covariance_of(C_0, rows, covariances.ridge(float(estimator.reg_covar)))
    else:
        C_0 = _covariance_prior(estimator.covariance_prior, C_0, estimator.covariance_type)
    return Conjugate(
        covariances,
        float(estimator.reg_covar),
        WEIGHT_PRIORS[estimator.weight_concentration_prior_type](float(concentration)),
        1.0 if beta_0 is None else float(beta_0),
        m_0,
        _degrees_of_freedom(estimator.degrees_of_freedom_prior, covariances),
        C_0,
    )


def _mean_prior(given: Any, location: np.ndarray) -> Tensor:
    mean = as_floats("mean_prior", given)
    if mean.shape != location.shape or not np.isfinite(mean).all():
        raise ValueError(
            f"mean_prior must be {len(location)} finite numbers, one for each feature, got an "
            f"array of shape {mean.shape}."
        )
    return torch.from_numpy(mean - location)


def _covariance_of(scatter: Tensor, rows: Rows, ridge: Tensor) -> Tensor:
    divisor = rows.total - 1
    if divisor <= 0:
        raise ValueError(
            "covariance_prior=None takes the covariance of X, with the divisor sum(sample_weight) "
            f"- 1, which is {divisor:g} for {rows.X.shape[1]} sample. Give more rows, or a "
            "covariance_prior."
        )
    return scatter / divisor + ridge.to(scatter)


def _covariance_prior(given: Any, like: Tensor, covariance_type: str) -> Tensor:
    prior = np.atleast_1d(as_floats("covariance_prior", given))
    if prior.shape != tuple(like.shape):
        raise ValueError(
            f"covariance_prior must have the shape {tuple(like.shape)} for "
            f"covariance_type={covariance_type!r}, got {prior.shape}."
        )
    matrix = prior if prior.ndim == 2 else np.diag(prior)
    good = np.isfinite(matrix).all() and np.allclose(matrix, matrix.T, rtol=1e-7, atol=0)
    if not (good and np.linalg.eigvalsh(matrix)[0] > 0):
        raise ValueError(
            "covariance_prior must be a covariance: symmetric, with positive eigenvalues (on a "
            "diagonal, positive entries)."
        )
    return torch.from_numpy(prior).to(like)


def _degrees_of_freedom(given: float | None, covariances: Covariances) -> float:
    least = covariances.n_features - 1 if covariances.matrices else 0
    if given is not None and given <= least:
        raise ValueError(
            f"degrees_of_freedom_prior must be greater than {least} for covariances of "
            f"{covariances.n_features} features, got {given:g}."
        )
    return float(covariances.n_features if given is None else given)
