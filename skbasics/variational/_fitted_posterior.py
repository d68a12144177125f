"""A fitted posterior: its draws, its moments, and what a model says over it."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skbasics._arrays import Border, as_numpy, as_tensor, compute_device
from skbasics._gaussian import spread
from skbasics._sklearn import check_same_namespace, validate_data
from skbasics.network import Architecture, feed_forward
from skbasics.variational._elbo import antithetic
from skbasics.variational._prior import NUMBERS

N_PREDICTION = 200
"""Draws of a network's weights over which it predicts."""

BLOCK = 4096
"""Rows that are predicted at a time, at most."""


class FittedPosterior:
    """What an estimator can do once it has a posterior.

    It reads the private attributes ``_mean``, ``_scale``, ``_center``, ``_draws``, ``_seed``,
    ``_units``, ``_sizes``, ``_width`` and ``_activation``, and the parameter ``device``.
    """

    def _validate(self, X: Any, border: Border, **options: Any) -> Any:
        """Return X, and y where `options` have one, as scikit-learn's validation leaves them."""
        return validate_data(self, X, dtype=[border.xp.float64, border.xp.float32], **options)

    def _rows(self, X: Any, method: str) -> tuple[Tensor, Border]:
        """Return validated and centred rows, in the wider dtype of X and the fit."""
        check_is_fitted(self, "_mean")
        check_same_namespace(X, self, attribute="_mean", method=method)
        border = Border.of(X)
        X = as_tensor(
            self._validate(X, border, reset=False), device=compute_device(border, self.device)
        )
        dtype = torch.promote_types(X.dtype, as_tensor(self._mean).dtype)
        return X.to(dtype) - self._part("_center", X, dtype), border

    def _part(self, name: str, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Return a fitted array beside a tensor."""
        return as_tensor(getattr(self, name), device=like.device, dtype=dtype or like.dtype)

    @property
    def _is_closed(self) -> bool:
        """Whether expectations over the posterior need no draws."""
        return self._draws is None and not self._sizes

    def _architecture(self) -> Architecture:
        n_features = as_tensor(self._center).shape[0]
        return feed_forward(n_features, self._sizes, self._width, activation=self._activation)

    # Outputs over draws.

    def _thetas(self, like: Tensor) -> Tensor:
        """Return the draws over which is averaged, always the same, ``(S, D)``."""
        if self._draws is not None:
            return self._part("_draws", like)
        mean, scale = self._part("_mean", like), self._part("_scale", like)
        noise = antithetic(N_PREDICTION, len(mean), np.random.RandomState(self._seed))
        return spread(mean, scale, noise.to(like))

    @torch.no_grad()
    def _outputs(self, X: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Yield some rows at a time, and their outputs for some of the draws, ``(s, rows, C)``."""
        architecture, thetas = self._architecture(), self._thetas(X)
        width = max(architecture.widest, X.shape[1])
        n_rows = min(BLOCK, max(1, NUMBERS // width), len(X))
        some = max(1, NUMBERS // (n_rows * width))
        for start in range(0, len(X), n_rows):
            rows = slice(start, start + n_rows)
            for theta in thetas.split(some):
                block = X[rows].expand(len(theta), -1, -1)
                yield rows, architecture.apply(theta, theta.new_zeros(len(theta), 0), block)

    # The parameters.

    def sample_posterior(self, n: int = 1, random_state: Any = None) -> Any:
        """Draw parameters from the posterior.

        Parameters
        ----------
        n : int, default=1
            How many draws.
        random_state : int, RandomState instance or None, default=None
            Seeds them; None draws from NumPy's global generator.

        Returns
        -------
        draws : array of shape (n, n_parameters)
            All weights, layer by layer and unit by unit, and then all biases: of a linear model
            the coefficients (class by class) and the intercepts. With ``inference="nuts"`` they
            are taken from the sampler's, at random.

        Raises
        ------
        ValueError
            If `n` is not a whole number above zero.
        """
        check_is_fitted(self, "_mean")
        if not isinstance(n, Integral) or n < 1:
            raise ValueError(f"n must be a whole number of draws >= 1, got {n!r}.")
        random_state = check_random_state(random_state)
        mean, scale = as_tensor(self._mean), as_tensor(self._scale)
        if self._draws is not None:
            draws = as_tensor(self._draws)
            index = random_state.randint(len(draws), size=n)
            draws = draws[torch.from_numpy(index).to(draws.device)]
        else:
            noise = torch.from_numpy(random_state.standard_normal((n, len(mean))))
            draws = spread(mean, scale, noise.to(mean))
        return Border.like(self._mean).as_caller(self._as_known(draws))

    def _as_known(self, theta: Tensor) -> Tensor:
        """Return rows of parameters in the units of X and y: intercepts at zero."""
        theta, (unit, shift) = theta.clone(), self._units
        if not self._sizes:
            coefs = theta[:, : -self._width].view(len(theta), self._width, -1)
            theta[:, -self._width :] -= coefs @ as_tensor(self._center).to(theta)
            return theta
        *_, weight, bias = (slot.view(theta) for slot in _last_first(self._architecture()))
        weight.mul_(unit)
        bias.mul_(unit).add_(shift)
        return theta

    @property
    def _posterior_mean(self) -> Tensor:
        """The mean of the parameters, ``(1, D)``, in the units of X and y."""
        mean = as_tensor(self._mean)
        if self._draws is not None:
            mean = as_tensor(self._draws).mean(0)
        return self._as_known(mean[None])

    def _linear(self, name: str) -> tuple[Tensor, Border]:
        """Return the mean coefficients ``(C, p)`` and intercepts ``(C, 1)`` side by side."""
        if not hasattr(self, "_mean") or self._sizes:
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}: it is not fitted, or has hidden "
                "layers (see coefs_ and intercepts_)."
            )
        mean = self._posterior_mean[0]
        coefs = mean[: -self._width].view(self._width, -1)
        both = torch.cat([coefs, mean[-self._width :, None]], 1)
        return both, Border.like(self._mean)

    @property
    def covariance_(self) -> Any:
        """Covariance of coefficients and then intercepts, ``(n_parameters, n_parameters)``.

        Of linear models alone.
        """
        _, border = self._linear("covariance_")
        if self._draws is not None:
            return border.as_caller(torch.cov(self._as_known(as_tensor(self._draws)).mT))
        scale = as_tensor(self._scale)
        columns = (scale.diag() if scale.ndim == 1 else scale).mT
        root = self._as_known(columns).mT
        return border.as_caller(root @ root.mT)

    @property
    def coefs_(self) -> list[Any]:
        """Mean weight matrices ``(fan_in, fan_out)``, one a layer."""
        return self._layers("coef")

    @property
    def intercepts_(self) -> list[Any]:
        """Mean bias vectors ``(fan_out,)``, one a layer."""
        return self._layers("intercept")

    def _layers(self, name: str) -> list[Any]:
        if not hasattr(self, "_mean"):
            raise AttributeError(f"{type(self).__name__} is not fitted and has no {name}s_.")
        theta, border = self._posterior_mean, Border.like(self._mean)
        views = [slot.view(theta)[0] for slot in self._architecture().slots if slot.name == name]
        return [border.as_caller(view.mT if name == "coef" else view.view(-1)) for view in views]

    def _labels(self, codes: Tensor, border: Border) -> Any:
        """Return classes by their numbers, in the caller's arrays."""
        if border.is_numpy or isinstance(self.classes_, np.ndarray):
            return as_numpy(self.classes_)[codes.cpu().numpy()]
        return self.classes_[border.as_caller(codes)]


def _last_first(architecture: Architecture) -> list[Any]:
    """Return the slots of an architecture, the last layer's weight and bias at the end."""
    return sorted(architecture.slots, key=lambda slot: slot.layer)
