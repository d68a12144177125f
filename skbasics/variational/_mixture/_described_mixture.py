"""What a fit of a mixture reports: the fitted attributes."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skbasics._arrays import Border, as_tensor
from skbasics.variational._mixture._mixture_ascent import Progress
from skbasics.variational._mixture._mixture_models import Conjugate, Mixture, Model


def described(
    model: Model, progress: Progress, location: np.ndarray, border: Border, dtype: torch.dtype
) -> dict[str, Any]:
    """Return the attributes of the best mixture of a stack, in the caller's arrays."""
    best = progress.best
    one = progress.mixture.at([best])
    bounds = progress.bounds[best]
    arrays = _of_the_components(model, one, location)
    if isinstance(model, Conjugate):
        arrays |= _of_the_posterior(model, one, location)
    return {
        **{name: _as_caller(value, border, dtype) for name, value in arrays.items()},
        "converged_": progress.converged[best],
        "n_iter_": len(bounds),
        "lower_bound_": bounds[-1] if bounds else -np.inf,
        "lower_bounds_": list(bounds),
    }


def _of_the_components(model: Model, one: Mixture, location: np.ndarray) -> dict[str, Tensor]:
    kind, covariance = model.covariances, one.covariance[0]
    P = kind.factor(covariance).P
    precision = P @ P.mT if kind.matrices else P.square()
    return {
        "weights_": model.mean_weights(one)[0],
        "means_": one.means[0] + as_tensor(location).to(one.means),
        "covariances_": kind.without_axis(covariance),
        "precisions_": kind.without_axis(precision),
        "precisions_cholesky_": kind.without_axis(P),
    }


def _of_the_posterior(model: Conjugate, one: Mixture, location: np.ndarray) -> dict[str, Any]:
    weights, nu, C_0 = one.weights[0], one.nu[0], model.precision.C
    return {
        "weight_concentration_": tuple(weights) if weights.ndim == 2 else weights,
        "mean_precision_": one.beta[0],
        "degrees_of_freedom_": float(nu) if model.covariances.tied else nu,
        "weight_concentration_prior_": model.weights.concentration,
        "mean_precision_prior_": model.beta_0,
        "mean_prior_": model.m_0 + as_tensor(location).to(model.m_0),
        "degrees_of_freedom_prior_": model.precision.nu,
        "covariance_prior_": float(C_0) if model.covariances.spherical else C_0,
    }


def _as_caller(value: Any, border: Border, dtype: torch.dtype) -> Any:
    if isinstance(value, tuple):
        return tuple(_as_caller(part, border, dtype) for part in value)
    return border.as_caller(value.to(dtype)) if isinstance(value, Tensor) else value
