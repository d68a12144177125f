"""Bayesian regression: linear models in closed form, and networks."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from skbasics._arrays import as_tensor
from skbasics._atomic import training_method
from skbasics._data import Checked, numeric_targets
from skbasics._moments import Moments, add_rows, first_values, no_moments
from skbasics._sklearn import RegressorMixin, StrOptions
from skbasics.network import Loss, SquaredError
from skbasics.variational._conjugate import LinearPosterior, Statistics, linear_posterior
from skbasics.variational._estimator import POSITIVE, VariationalEstimator, stream_method
from skbasics.variational._logistic import logit_moments
from skbasics.variational._prior import Prior, Target
from skbasics.variational._problem import Found, Problem


class VariationalRegressor(RegressorMixin, VariationalEstimator):
    r"""Bayesian regression: predictions with their uncertainty.

    Without hidden layers it is the linear model

    .. math::
        y \mid w, b \sim N(x^T w + b, \sigma^2), \qquad w \sim N(0, \tau^2 I), \qquad
        p(b) \propto 1,

    whose posterior is Gaussian and in closed form. Scales that are "learned" are where the
    evidence lower bound is highest; with ``inference="full_rank"`` the bound is the evidence
    itself. With hidden layers, f in :math:`y \sim N(f_\theta(x), \sigma^2)` is a feed-forward
    network, of which each weight gets a Gaussian of its own, to maximise

    .. math::
        \mathrm{ELBO}(q) = \sum_i w_i E_q[\log p(y_i \mid x_i, \theta)]
            - \mathrm{KL}(q(\theta) \,\|\, p(\theta))

    in minibatches.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=()
        Units of each hidden layer; ``()`` for a linear model.
    activation : str or callable, default="relu"
        Activation of the hidden layers, as in `MLPRegressor`.
    inference : {"auto", "mean_field", "full_rank", "nuts"}, default="auto"
        The family of the posterior: independent coordinates, any covariance (linear models), or
        draws by the no-U-turn sampler (with Pyro installed, for small data). "auto" is
        "full_rank", and "mean_field" with hidden layers.
    prior_scale : float or "learned", default="learned"
        The deviation :math:`\tau` of the weights, in units of y per unit of X; of a network with
        y divided by its deviation, and for weights fed by m hidden units divided by sqrt(m).
    noise_scale : float or "learned", default="learned"
        The deviation :math:`\sigma` of the noise, in units of y. Learned for a linear model, it
        is no less than 1e-5 of the deviation of y.
    optimizer : str or Optimizer, default="adam"
        The rule that trains a network. By name it starts at a rate of 0.02, which adapts,
        and scales longer gradients back to a norm of one.
    n_samples : int, default=4
        Networks that are drawn for each batch.
    n_draws : int, default=1000
        Draws that "nuts" keeps, of four chains together.
    batch_size : int or "auto", default="auto"
        Rows of a step of a network; "auto" is min(200, n).
    max_iter : int, default=2000
        Epochs at most, for a network.
    tol : float, default=1e-4
        A network's training settles when its bound gains no more nats than this, or than the
        noise of the bound.
    device : str, torch.device or None, default=None
        Where to compute: None is where X is, "auto" a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seeds everything that is drawn. No global generator is touched, except that None draws
        one seed from NumPy's.
    verbose : bool or int, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    coef_ : array of shape (n_features,)
        Posterior mean of the weights of a linear model.
    intercept_ : float
        Posterior mean of its intercept.
    covariance_ : array of shape (n_features + 1, n_features + 1)
        Posterior covariance of its weights and then its intercept.
    coefs_, intercepts_ : list of array
        Posterior means layer by layer, ``(fan_in, fan_out)`` and ``(fan_out,)``.
    noise_scale_, prior_scale_ : float
        The scales as given or learned.
    elbo_ : float
        The evidence lower bound in nats; the log evidence for a linear model with "full_rank".
    elbo_curve_ : list of float
        The bound after each epoch, or each look for the scales.
    pareto_k_ : float
        The shape of the tail of p/q: up to 0.7 the Gaussian may stand for the posterior, and
        minus infinity where it is the posterior. A network's many weights make it large whatever
        its predictions are worth. With "nuts", of the Gaussian that the chains started from.
    r_hat_, effective_sample_size_ : array of shape (n_parameters,)
        With "nuts", for each parameter (for the height at the mean of X in the place of the
        intercept): whether chains agree (1, and not above 1.05), and the independent draws that
        all would be worth.
    n_iter_ : int
        Epochs, or looks.
    n_features_in_ : int
        Features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X had names.

    See Also
    --------
    VariationalClassifier : The same for classes.
    fit_variational : For a log density of your own.

    References
    ----------
    Bishop, "Pattern Recognition and Machine Learning", Springer 2006, chapter 3.
    Blundell, Cornebise, Kavukcuoglu and Wierstra, "Weight uncertainty in neural networks", ICML
    2015.

    Examples
    --------
    >>> import numpy as np
    >>> from skbasics import VariationalRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2))
    >>> y = X @ [1.0, -2.0] + 3 + 0.5 * rng.normal(size=200)
    >>> model = VariationalRegressor().fit(X, y)
    >>> model.coef_.round(1), round(float(model.noise_scale_), 1)
    (array([ 1. , -1.9]), 0.5)
    >>> mean, std = model.predict([[0.0, 0.0], [50.0, 0.0]], return_std=True)
    >>> std.round(1)
    array([0.5, 1.9])
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **VariationalEstimator._parameter_constraints,
        "noise_scale": [POSITIVE, StrOptions({"learned"})],
    }

    def __init__(
        self,
        hidden_layer_sizes=(),
        activation="relu",
        *,
        inference="auto",
        prior_scale="learned",
        noise_scale="learned",
        optimizer="adam",
        n_samples=4,
        n_draws=1000,
        batch_size="auto",
        max_iter=2000,
        tol=1e-4,
        device=None,
        random_state=None,
        verbose=False,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.inference = inference
        self.prior_scale = prior_scale
        self.noise_scale = noise_scale
        self.optimizer = optimizer
        self.n_samples = n_samples
        self.n_draws = n_draws
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @training_method
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find the posterior.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            For data that scikit-learn's validation refuses, and for a linear model of a single row
            whose noise is to be learned. The estimator is then as it was.
        ImportError
            If Pyro is needed and not installed.

        Warns
        -----
        UserWarning
            If independent coordinates are too narrow for the posterior (``pareto_k_`` above 0.7).
        ConvergenceWarning
            If a network's bound was still rising, or chains disagree.
        """
        return self._fit(X, y, sample_weight)

    @stream_method
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find the posterior of these rows and all earlier ones.

        The linear model's is exactly that of a fit on all rows, with scales learned anew; its first
        rows must be two or more if the noise is to be learned. A network takes its posterior for
        its prior, and keeps the noise scale of its first rows, which so should be many.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New rows.
        y : array-like of shape (n_samples,)
            Their targets.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each counts.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._fit(X, y, sample_weight, stream=True)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the posterior mean of each row's target, and its deviation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to predict.
        return_std : bool, default=False
            Whether to return the standard deviation of a new target too: of the noise and of what
            is not known of the parameters.

        Returns
        -------
        mean : array of shape (n_samples,)
        std : array of shape (n_samples,)
            Only with `return_std`.
        """
        X, border = self._rows(X, "predict")
        if self._is_closed:
            mean, deviation = self._closed(X, return_std)
        else:
            mean, deviation = self._over_draws(X)
        unit, shift = self._units
        mean = border.as_caller(mean * unit + shift)
        if not return_std:
            return mean
        noise = deviation.new_tensor(self.noise_scale_)
        return mean, border.as_caller(torch.hypot(unit * deviation, noise))

    def _closed(self, X: Tensor, with_deviation: bool) -> tuple[Tensor, Tensor]:
        """Return means and deviations of a linear model's heights."""
        dtype, X = X.dtype, X.double()  # whose squares may leave float32
        mean, scale = self._part("_mean", X), self._part("_scale", X)
        means = (X @ mean[:-1] + mean[-1]).to(dtype)
        if not with_deviation:
            return means, means
        return means, logit_moments(X, mean, scale)[1][:, 0, 0].to(dtype)

    def _over_draws(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and deviations of a network's outputs over draws."""
        sums, squares, reference = X.new_zeros(len(X)), X.new_zeros(len(X)), X.new_zeros(len(X))
        done = -1
        for rows, Z in self._outputs(X):
            if rows.start > done:  # outputs are taken about those of the first draw
                reference[rows], done = Z[0, :, 0], rows.start
            off = Z[..., 0] - reference[rows]
            sums[rows] += off.sum(0)
            squares[rows] += off.square().sum(0)
        n_draws = len(self._thetas(X))
        off = sums / n_draws
        return reference + off, (squares / n_draws - off.square()).clamp(min=0).sqrt()

    @property
    def coef_(self) -> Any:
        """Posterior mean of the weights of a linear model, ``(n_features,)``."""
        both, border = self._linear("coef_")
        return border.as_caller(both[0, :-1])

    @property
    def intercept_(self) -> float:
        """Posterior mean of the intercept of a linear model."""
        return float(self._linear("intercept_")[0][0, -1])

    # What the fit asks for.

    def _encode(self, y: Any, first: bool, classes: Any) -> np.ndarray:
        return numeric_targets(y, type(self).__name__)[:, None]

    def _model(self) -> tuple[int, Loss]:
        return 1, SquaredError()

    def _linear_steps(self, problem: Problem, first: bool) -> Iterator[Found]:
        self._moments = self._with_rows(problem, first)
        given = {
            name: None if scale == "learned" else float(scale)
            for name, scale in (
                ("noise_scale", self.noise_scale),
                ("prior_scale", self.prior_scale),
            )
        }
        moments = _converted(self._moments, lambda array: as_tensor(array, device=problem.X.device))
        data = Statistics.of_moments(moments)
        posterior = linear_posterior(data, **given, independent=problem.independent)
        center = data.x_mean[0]
        precision = posterior.mean.new_full(posterior.mean[0].shape, 0.0)
        precision[:-1] = posterior.prior_scale[0] ** -2
        target = Target(
            problem.architecture,
            problem.X - center,
            problem.y,
            problem.weights,
            problem.loss,
            Prior(torch.zeros_like(precision), precision),
            float(posterior.noise_scale),
        )
        for i, elbo in enumerate(posterior.curve, start=1):
            yield Found(
                posterior.mean[0],
                posterior.scale[0],
                center,
                elbo,
                float(posterior.prior_scale),
                target,
                _joint(posterior) if problem.independent else None,
                float(posterior.noise_scale),
                done=i == len(posterior.curve),
            )

    def _with_rows(self, problem: Problem, first: bool) -> Moments:
        """Return the moments of all rows so far, features and target side by side."""
        Z = torch.cat([problem.X, problem.y], 1)
        moments = no_moments(first_values(Z), matrix=True)
        if not first:
            moments = _converted(self._moments, lambda array: as_tensor(array, device=Z.device))
        moments = add_rows(moments, Z, problem.weights)
        moments = replace(moments, weight=float(moments.weight))
        if self.noise_scale == "learned" and moments.weight <= 1:
            raise ValueError(
                f"noise_scale='learned' needs rows whose weights sum to more than one, got "
                f"n_samples = {len(Z)} of total weight {moments.weight:g}. Pass more rows, or "
                "noise_scale as a number."
            )
        if not torch.isfinite(moments.scatter).all():
            raise ValueError(
                "the squares of X or y are too large for float64. Scale them, as by StandardScaler."
            )
        return _converted(moments, problem.border.as_caller)

    def _learned(self, found: Found, data: Checked) -> dict[str, Any]:
        return super()._learned(found, data) | {"noise_scale_": found.noise_scale}


def _converted(moments: Moments, change: Any) -> Moments:
    """Return moments with every array changed."""
    names = ("shift", "mean", "scatter")
    return replace(moments, **{name: change(getattr(moments, name)) for name in names})


def _joint(posterior: LinearPosterior) -> Any:
    """Return the log density of the true posterior, up to a constant."""

    def log_density(theta: Tensor) -> Tensor:
        off = theta - posterior.mean[0]
        weights, height = off[:, :-1], off[:, -1] / posterior.scale[0, -1]
        return -((weights @ posterior.slack[0] * weights).sum(1) + height.square()) / 2

    return log_density
