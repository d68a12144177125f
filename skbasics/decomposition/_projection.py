"""Rows in terms of components, and back."""

import math
from typing import Any

import scipy.sparse as sp
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skbasics._arrays import Border, as_tensor, compute_device
from skbasics._data import floating_dtype
from skbasics._documented import Documented
from skbasics._sklearn import check_array, check_same_namespace, validate_data

BLOCK_NUMBERS = 2**20


def project(X: Any, mean: Tensor, V: Tensor) -> Tensor:
    """Return ``(X - mean) V^T``: dense rows are centred first, for a large mean costs digits."""
    if sp.issparse(X):
        V, mean = V.numpy(), mean.numpy()
        return torch.from_numpy(X @ V.T - mean @ V.T)
    blocks = X.split(max(1, BLOCK_NUMBERS // X.shape[1]))
    return torch.cat([(block - mean) @ V.mT for block in blocks])


class Projection(Documented, ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """`transform` and `inverse_transform` of an estimator with components and a mean."""

    def transform(self, X: Any) -> Any:
        """Return rows in terms of the components.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        X_new : array of shape (n_samples, `n_components_`)
        """
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="components_", method="transform")
        border = Border.of(X)
        X = validate_data(
            self,
            X,
            dtype=[border.xp.float64, border.xp.float32],
            accept_sparse=("csr", "csc"),
            reset=False,
        )
        device = torch.device("cpu") if sp.issparse(X) else compute_device(border, self.device)
        rows = X if sp.issparse(X) else as_tensor(X, device=device)
        V, mean = self._as(rows, self.components_, device), self._as(rows, self.mean_, device)
        found = project(rows.to(V.dtype) if isinstance(rows, Tensor) else rows, mean, V)
        if self.whiten:
            found /= self._scale(V)
        return border.as_caller(found)

    def inverse_transform(self, X: Any) -> Any:
        """Return the rows whose components these are, in the space of the features.

        Parameters
        ----------
        X : array-like of shape (n_samples, `n_components_`)
            Rows in terms of the components.

        Returns
        -------
        X_original : array of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If X has not one column for each component.
        """
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="components_", method="inverse_transform")
        border = Border.of(X)
        X = check_array(X, input_name="X", dtype=[border.xp.float64, border.xp.float32])
        if X.shape[1] != self.n_components_:
            raise ValueError(
                f"X has {X.shape[1]} columns, and inverse_transform expects one for each of the "
                f"{self.n_components_} components: pass what transform returned."
            )
        device = compute_device(border, self.device)
        rows = as_tensor(X, device=device)
        V, mean = self._as(rows, self.components_, device), self._as(rows, self.mean_, device)
        if self.whiten:
            V = V * self._scale(V)[:, None]
        return border.as_caller(rows.to(V.dtype) @ V + mean)

    def _as(self, rows: Any, fitted: Any, device: torch.device) -> Tensor:
        """Return a fitted array on the device, in the wider dtype of the fit and of `rows`."""
        array = as_tensor(fitted, device=device)
        return array.to(torch.promote_types(array.dtype, floating_dtype(rows)))

    def _scale(self, V: Tensor) -> Tensor:
        """Return the standard deviations; 1 where there is none to divide by.

        Not as roots of the variances, which leave the range of float32 long before them.
        """
        scale = as_tensor(self.singular_values_, device=V.device).to(V.dtype)
        scale = scale / math.sqrt(self.n_samples_ - 1)
        return torch.where(scale > 0, scale, 1.0)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_
