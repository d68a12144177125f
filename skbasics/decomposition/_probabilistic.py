r"""Probabilistic principal components: a Gaussian with few directions of its own.

With components :math:`v_j` and variances :math:`\lambda_j`, the model of Tipping and Bishop is

.. math::
    x \sim \mathcal N(\mu, C), \qquad
    C = \sum_j (\lambda_j - \sigma^2) v_j v_j^T + \sigma^2 I,

so that its inverse and its determinant are read off: :math:`C` has the eigenvalues
:math:`\lambda_j` and, in every other direction, :math:`\sigma^2`.
"""

import math
from typing import Any, NamedTuple

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skbasics._arrays import Border, as_tensor, compute_device
from skbasics._sklearn import check_same_namespace, validate_data

BLOCK_NUMBERS = 2**22


class Gaussian(NamedTuple):
    """Mean, directions with a variance of their own, those variances, and that of the rest."""

    mean: Tensor
    V: Tensor
    variances: Tensor
    rest: float
    rounding: float

    def matrix(self, power: int) -> Tensor:
        """Return the covariance, or for a power of -1 its (pseudo-)inverse."""
        others = self.rest**power if self.rest > 0 else 0.0
        own = _power(self.variances, power) - others
        eye = torch.eye(len(self.mean), dtype=self.V.dtype, device=self.V.device)
        return (self.V.mT * own) @ self.V + others * eye

    def log_density(self, X: Tensor) -> Tensor:
        """Return the log-density of rows; of a singular Gaussian, within its support.

        A row that is off the support by more than rounding has none: minus infinity.
        """
        positive = self.variances > 0
        n_others = X.shape[1] - len(self.variances) if self.rest > 0 else 0
        log_determinant = float(self.variances[positive].log().sum())
        log_determinant += n_others * math.log(self.rest) if n_others else 0.0
        constant = (int(positive.sum()) + n_others) * math.log(2 * math.pi) + log_determinant
        inverse = _power(self.variances, -1)
        n_rows = max(1, BLOCK_NUMBERS // X.shape[1])
        return torch.cat([self._block(block, inverse) for block in X.split(n_rows)]) - constant / 2

    def _block(self, X: Tensor, inverse: Tensor) -> Tensor:
        X = X.to(self.V.dtype)
        D = X - self.mean
        Z = D @ self.V.mT
        distances = Z.square() @ inverse
        Z = Z if self.rest > 0 else Z * (self.variances > 0)
        off = (D - Z @ self.V).square().sum(1)
        if self.rest > 0:
            return -(distances + off / self.rest) / 2
        sizes = D.square().sum(1) + X.shape[1] * self.rounding * X.square().sum(1)
        return torch.where(off > self.rounding * sizes, -torch.inf, -distances / 2)


def _power(variances: Tensor, power: int) -> Tensor:
    return torch.where(variances > 0, variances**power, torch.zeros_like(variances))


class ProbabilisticComponents:
    """What an estimator with components, their variances and that of the noise can say."""

    def _gaussian(self, device: Any = None) -> Gaussian:
        place = {"device": device, "dtype": torch.float64}
        mean, V, values = (
            as_tensor(array, **place)
            for array in (self.mean_, self.components_, self.singular_values_)
        )
        variances = values.square() / (self.n_samples_ - 1)  # in float32 they may be out of range
        noise = float(self.noise_variance_)
        scale = variances if self.whiten else 1.0  # scikit-learn's convention
        own = noise + scale * (variances - noise).clamp(min=0)
        return Gaussian(mean, V, own, noise, torch.finfo(as_tensor(self.components_).dtype).eps)

    def get_covariance(self) -> Any:
        """Return the covariance of the probabilistic model.

        With ``whiten=True`` the components enter it multiplied by the root of their variance,
        as they do in scikit-learn: it is then not the covariance of the data.

        Returns
        -------
        covariance : array of shape (n_features, n_features)
        """
        check_is_fitted(self)
        return self._as_fitted(self._gaussian().matrix(1))

    def get_precision(self) -> Any:
        """Return the inverse of the model's covariance; where that is singular, the pseudo-inverse.

        Returns
        -------
        precision : array of shape (n_features, n_features)
        """
        check_is_fitted(self)
        return self._as_fitted(self._gaussian().matrix(-1))

    def _as_fitted(self, tensor: Tensor) -> Any:
        dtype = as_tensor(self.components_).dtype
        return Border.like(self.components_).as_caller(tensor.to(dtype))

    def score_samples(self, X: Any) -> Any:
        """Return the log-likelihood of each row under the probabilistic model.

        Where its covariance is singular (`noise_variance_` is 0 and the components do not span
        all features: constant ones, or as many components as rows), the density is that within
        the space which the rows of the fit span, and minus infinity outside. It is in the units
        of fewer dimensions, and not to be compared with that of fewer components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data.

        Returns
        -------
        log_likelihood : array of shape (n_samples,)
        """
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="components_", method="score_samples")
        border = Border.of(X)
        dtypes = [border.xp.float64, border.xp.float32]
        X = validate_data(self, X, dtype=dtypes, reset=False)
        rows = as_tensor(X, device=compute_device(border, self.device))
        return border.as_caller(self._gaussian(rows.device).log_density(rows).to(rows.dtype))

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log-likelihood of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data.
        y : Ignored

        Returns
        -------
        log_likelihood : float
        """
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="components_", method="score")
        return float(as_tensor(self.score_samples(X)).to(torch.float64).mean())
