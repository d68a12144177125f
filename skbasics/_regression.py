"""Networks that predict numbers."""

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.metrics import r2_score
from torch import Tensor

from skbasics._arrays import weighted_mean
from skbasics._atomic import training_method
from skbasics._base import NetworkEstimator, stream_method
from skbasics._data import numeric_targets
from skbasics._held_out import SCORING
from skbasics._sklearn import RegressorMixin, StrOptions
from skbasics._training import Rows
from skbasics.network import (
    LINKS,
    REGRESSION_LOSSES,
    Loss,
    Poisson,
    SquaredError,
    resolve_loss,
)


class NetworkRegressor(RegressorMixin, NetworkEstimator):
    """A regressor whose model is a network: one output a target."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **NetworkEstimator._parameter_constraints,
        **SCORING,
        "loss": [StrOptions(set(REGRESSION_LOSSES)), *REGRESSION_LOSSES.values(), callable],
    }

    _values = NetworkEstimator._values | {"loss": resolve_loss}

    @training_method
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. Sparse rows become dense a batch at a time.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows: how often each counts.
        X_val, y_val : array-like, default=None
            Rows to validate on after each epoch; with ``early_stopping`` they decide.
        sample_weight_val : array-like, default=None
            Their weights.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            For data that scikit-learn's validation refuses, weights that are negative or all
            zero, targets outside the loss's domain, and a loss that stops being finite. The
            estimator is then as it was.
        """
        return self._fit(X, y, sample_weight, held_out=(X_val, y_val, sample_weight_val))

    @stream_method
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one pass over some more rows.

        The optimizer, the random numbers and the batch statistics go on from call to call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            New rows, one or more.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._fit(X, y, sample_weight, stream=True)

    def predict(self, X: Any) -> Any:
        """Return the prediction for each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        y : array of shape (n_samples,) or (n_samples, n_outputs)
        """
        Z, border = self._outputs(X, "predict")
        return border.as_caller(self._prediction(Z))

    def _prediction(self, Z: Tensor) -> Tensor:
        mean = LINKS[self.out_activation_](Z)
        return mean[:, 0] if self.n_outputs_ == 1 else mean

    def _loss(self) -> Loss:
        loss = resolve_loss(self.loss)
        loss.validate()
        return loss

    def _encode(
        self, y: Any, *, learn: bool, classes: Any = None, complete: bool = False
    ) -> np.ndarray:
        target = numeric_targets(y, type(self).__name__).reshape(len(y), -1)
        if learn:
            self.n_outputs_ = target.shape[1]
        elif target.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {target.shape[1]} columns, and the fit began with {self.n_outputs_}."
            )
        return target

    def _default_score(self, Z: Tensor, rows: Rows, weights: Tensor | None) -> float:
        """Return R squared, or minus the mean loss where the loss is not after the mean."""
        loss = resolve_loss(self.loss)
        if not isinstance(loss, (SquaredError, Poisson)):
            return -weighted_mean(loss.rows(Z[None], rows.y[None])[0], weights)
        weights = None if weights is None else weights.cpu().numpy()
        prediction = self._prediction(Z).cpu().numpy()
        if not np.isfinite(prediction).all():
            return -np.inf
        return r2_score(rows.y.cpu().numpy(), prediction, sample_weight=weights)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
