"""What a fitted mixture can be asked."""

import math
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skbasics._arrays import Border, as_numpy, as_tensor, compute_device, own_random_state
from skbasics._data import check_weights
from skbasics._sklearn import check_same_namespace, validate_data
from skbasics.variational._mixture._covariances import COVARIANCES, Covariances, Factor
from skbasics.variational._mixture._density import draw, log_joint, log_predictive, students
from skbasics.variational._mixture._mixture_models import (
    Conjugate,
    MaximumLikelihood,
    Mixture,
    Model,
)
from skbasics.variational._mixture._mixture_weights import WEIGHT_PRIORS
from skbasics.variational._mixture._sweep import Rows


def _counts_parameters(estimator: Any) -> bool:
    if getattr(estimator, "_settings", estimator).inference != "em":
        raise AttributeError(
            "aic and bic charge the likelihood for each parameter, and a posterior has none to "
            "charge for. Compare lower_bound_, the bound on the log evidence, or set "
            "inference='em'."
        )
    return True


class Settings(NamedTuple):
    """The parameters by which what was fitted is read."""

    inference: str
    covariance_type: str
    weight_concentration_prior_type: str
    noise: float


class FittedMixture:
    """Predictions, densities and draws of a mixture."""

    def _read_settings(self) -> Settings:
        kinds = self.inference, self.covariance_type, self.weight_concentration_prior_type
        return Settings(*kinds, float(self.reg_covar))

    def predict(self, X: Any) -> Any:
        """Return the component that is the most responsible for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : array of shape (n_samples,)
        """
        joint, border = self._log_joint(X, "predict")
        return border.as_caller(joint.argmax(1))

    def predict_proba(self, X: Any) -> Any:
        """Return the responsibilities of the components for each row.

        They are those of the fit: with inference="variational" the weights, means and precisions
        enter by their expectations under the posterior.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        responsibilities : array of shape (n_samples, n_components)
        """
        joint, border = self._log_joint(X, "predict_proba")
        return border.as_caller(joint.softmax(1))

    def score_samples(self, X: Any) -> Any:
        """Return the log density of each row, in nats.

        With inference="variational" it is the predictive density, the parameters integrated
        out: a mixture of Student distributions. (scikit-learn's is no density: it is the sum that
        makes responsibilities of expected logs.)

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_density : array of shape (n_samples,)
            It is -inf where a squared distance is beyond the dtype.
        """
        if self._settings.inference == "em":
            joint, border = self._log_joint(X, "score_samples")
            return border.as_caller(joint.logsumexp(1))
        rows, border, kind = self._rows_of(X, "score_samples")
        mixture, factor = self._known(rows)
        weights = self._model_alone(kind).mean_weights(mixture)
        return border.as_caller(log_predictive(rows, mixture, weights, factor, kind))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the mean log density of the rows, in nats.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
            Only here for scikit-learn's sake.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        score : float
        """
        return self._summed_log_density(X, sample_weight, mean=True)[0]

    def _summed_log_density(self, X: Any, sample_weight: Any, mean: bool) -> tuple[float, float]:
        """Return the sum or the mean of the log densities, and the sum of the weights."""
        density = as_numpy(self.score_samples(X)).astype(np.float64)
        weights = None
        if sample_weight is not None:
            counted, weights = check_weights(sample_weight, X)
            density = density if counted is None else density[counted]
        total = float(len(density) if weights is None else weights.sum())
        summed = float(density.sum() if weights is None else density @ weights)
        return summed / total if mean else summed, total

    @available_if(_counts_parameters)
    def aic(self, X: Any, sample_weight: Any = None) -> float:
        """Return Akaike's criterion, -2 log L + 2 p for p parameters; lower is better.

        Only with inference="em".

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        aic : float
        """
        summed, _ = self._summed_log_density(X, sample_weight, mean=False)
        return -2 * summed + 2 * self._n_parameters()

    @available_if(_counts_parameters)
    def bic(self, X: Any, sample_weight: Any = None) -> float:
        """Return the Bayesian criterion, -2 log L + p log n for p parameters; lower is better.

        Only with inference="em".

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts; n is their sum.

        Returns
        -------
        bic : float
        """
        summed, total = self._summed_log_density(X, sample_weight, mean=False)
        return -2 * summed + self._n_parameters() * math.log(total)

    def _n_parameters(self) -> int:
        check_is_fitted(self)
        K, D = self.means_.shape
        matrix = D * (D + 1) // 2
        free = {"full": K * matrix, "tied": matrix, "diag": K * D, "spherical": K}
        return free[self._settings.covariance_type] + K * D + K - 1

    def sample(self, n_samples: int = 1, random_state: Any = None) -> tuple[Any, Any]:
        """Draw rows from the density that `score_samples` tells.

        Parameters
        ----------
        n_samples : int, default=1
            How many.
        random_state : int, RandomState instance or None, default=None
            Seeds the draws; None takes the estimator's own.

        Returns
        -------
        X : array of shape (n_samples, n_features)
            Rows, component by component.
        y : array of shape (n_samples,)
            Their components.

        Raises
        ------
        ValueError
            If `n_samples` is not a whole number from 1.
        """
        check_is_fitted(self)
        if not (isinstance(n_samples, Integral) and n_samples >= 1):
            raise ValueError(f"n_samples must be a whole number from 1, got {n_samples!r}.")
        border = Border.like(self.means_)
        rng = own_random_state(self.random_state if random_state is None else random_state)
        weights = as_numpy(self.weights_).astype(np.float64)
        mixture, factor = self._mixture(np.zeros(self.n_features_in_), torch.device("cpu"))
        kind, means = self._kind(), mixture.means[0].numpy()
        shape = (*means.shape, kind.n_features) if kind.matrices else means.shape
        L = torch.linalg.inv(factor.P).mT if kind.matrices else 1 / factor.P
        X, labels = draw(n_samples, weights, means, L[0].expand(shape).numpy(), rng)
        if self._settings.inference != "em":
            X *= _widening(mixture, kind, labels, rng)
        X = torch.from_numpy(X + means[labels]).to(as_tensor(self.means_).dtype)
        return border.as_caller(X), border.as_caller(torch.from_numpy(labels))

    # From the fitted attributes to tensors.

    def _kind(self) -> Covariances:
        return COVARIANCES[self._settings.covariance_type](self.n_features_in_)

    def _rows_of(self, X: Any, method: str) -> tuple[Rows, Border, Covariances]:
        """Return validated X, less the middle of the means."""
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="means_", method=method)
        border = Border.of(X)
        X = validate_data(self, X, dtype=[border.xp.float64, border.xp.float32], reset=False)
        X = as_tensor(X, device=compute_device(border, self.device))
        dtype = torch.promote_types(X.dtype, as_tensor(self.means_).dtype)
        middle = as_tensor(self._middle(), device=X.device)
        columns = torch.sub(X.to(dtype), middle.to(dtype)).mT.contiguous()
        return Rows(columns, None, float(len(X))), border, self._kind()

    def _middle(self) -> np.ndarray:
        means = as_tensor(self.means_)
        return means.mean(0).cpu().numpy()

    def _known(self, rows: Rows) -> tuple[Mixture, Factor]:
        return self._mixture(self._middle(), rows.X.device)

    def _mixture(self, middle: np.ndarray, device: torch.device) -> tuple[Mixture, Factor]:
        """Return what is known, as a stack of one about a point, in float64."""

        def tensor(value: Any) -> Tensor:
            return as_tensor(value, device=device, dtype=torch.float64)[None]

        kind, means = self._kind(), tensor(self.means_) - tensor(middle)
        P, covariance = (
            kind.with_axis(tensor(array))
            for array in (self.precisions_cholesky_, self.covariances_)
        )
        factor = kind.from_precision(P)
        if self._settings.inference == "em":
            nothing = means.new_zeros(1, 0)
            return Mixture(tensor(self.weights_), nothing, means, nothing, covariance), factor
        weights = self.weight_concentration_
        if isinstance(weights, tuple):
            weights = torch.stack([tensor(part) for part in weights], dim=1)
        else:
            weights = tensor(weights)
        nu = tensor(self.degrees_of_freedom_).view(1, -1)
        return Mixture(weights, tensor(self.mean_precision_), means, nu, covariance), factor

    def _log_joint(self, X: Any, method: str) -> tuple[Tensor, Border]:
        rows, border, kind = self._rows_of(X, method)
        mixture, factor = self._known(rows)
        return log_joint(rows, self._model_alone(kind).terms(mixture, factor), kind), border

    def _model_alone(self, kind: Covariances) -> Model:
        """Return the model without its priors, which matter in a fit alone."""
        if self._settings.inference == "em":
            return MaximumLikelihood(kind, 0.0)
        weights = WEIGHT_PRIORS[self._settings.weight_concentration_prior_type](1.0)
        D, noise = kind.n_features, self._settings.noise
        return Conjugate(kind, noise, weights, 1.0, torch.zeros(D), float(D), kind.ridge(1.0))


def _widening(
    mixture: Mixture, kind: Covariances, labels: np.ndarray, rng: np.random.RandomState
) -> np.ndarray:
    """Return the factors that make Student draws of Gaussian ones."""
    df, scale = (part[0].numpy()[labels][:, None] for part in students(mixture, kind))
    width = 1 if kind.joint else kind.n_features
    return np.sqrt(scale * df / rng.chisquare(np.broadcast_to(df, (len(labels), width))))
