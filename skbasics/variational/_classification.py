"""Bayesian classification: logistic and softmax regression, and networks."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils.multiclass import check_classification_targets
from torch import Tensor

from skbasics._arrays import as_numpy, as_tensor
from skbasics._atomic import training_method
from skbasics._classification import classes_of_stream
from skbasics._data import Checked
from skbasics._sklearn import ClassifierMixin
from skbasics.network import BinaryCrossEntropy, CrossEntropy, Loss
from skbasics.variational._estimator import VariationalEstimator, stream_method
from skbasics.variational._logistic import (
    LogisticPosterior,
    expected_probabilities,
    probabilities,
)
from skbasics.variational._prior import Prior, Target
from skbasics.variational._problem import Found, Problem

HEIGHT_SCALE = 10.0
"""The prior deviation of intercepts, as log odds at the centre of X: hardly any are larger."""


class VariationalClassifier(ClassifierMixin, VariationalEstimator):
    r"""Bayesian classification: probabilities averaged over all that the parameters may be.

    Without hidden layers it is logistic regression (softmax regression with more than two
    classes),

    .. math::
        p(y \mid x, \theta) = \mathrm{softmax}(W (x - \bar x) + b)_y, \qquad
        W_{cj} \sim N(0, \tau^2), \quad b_c \sim N(0, 10^2),

    and q the Gaussian that maximises

    .. math::
        \mathrm{ELBO}(q) = \sum_i w_i E_q[\log p(y_i \mid x_i, \theta)]
            - \mathrm{KL}(q(\theta) \,\|\, p(\theta)),

    found from the mode by natural-gradient steps, with expectations by quadrature. With hidden
    layers the logits are a feed-forward network's, of which each weight gets a Gaussian of
    its own, trained in minibatches.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=()
        Units of each hidden layer; ``()`` for a linear model.
    activation : str or callable, default="relu"
        Activation of the hidden layers, as in `MLPClassifier`.
    inference : {"auto", "mean_field", "full_rank", "nuts"}, default="auto"
        The family of the posterior: independent coordinates, any covariance (linear models), or
        draws by the no-U-turn sampler (with Pyro installed, for small data). "auto" is
        "full_rank", and "mean_field" with hidden layers.
    prior_scale : float or "learned", default=1.0
        The deviation :math:`\tau` of the weights, in log odds per unit of X; for weights fed by m
        hidden units divided by sqrt(m). Learned, it is where the bound is highest; classes
        that can be separated perfectly put no limit to it.
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
        Steps, or a network's epochs, at most.
    tol : float, default=1e-4
        The search ends when the bound gains no more nats than this (a network's: or than the noise
        of its bound).
    device : str, torch.device or None, default=None
        Where to compute: None is where X is, "auto" a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seeds everything that is drawn. No global generator is touched, except that None draws
        one seed from NumPy's.
    verbose : bool or int, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Class labels.
    coef_ : array of shape (1, n_features) or (n_classes, n_features)
        Posterior means of the weights of a linear model; one row for two classes.
    intercept_ : array of shape (1,) or (n_classes,)
        Posterior means of its intercepts.
    covariance_ : array of shape (n_parameters, n_parameters)
        Posterior covariance of its weights, class by class, and then its intercepts.
    coefs_, intercepts_ : list of array
        Posterior means layer by layer, ``(fan_in, fan_out)`` and ``(fan_out,)``.
    prior_scale_ : float
        The prior scale as given or learned.
    elbo_ : float
        The evidence lower bound in nats.
    elbo_curve_ : list of float
        The bound after each step or epoch.
    pareto_k_ : float
        The shape of the tail of p/q: up to 0.7 the Gaussian may stand for the posterior. A
        network's many weights make it large whatever its predictions are worth. With "nuts", of
        the Gaussian that the chains started from.
    r_hat_, effective_sample_size_ : array of shape (n_parameters,)
        With "nuts", for each parameter (for heights at the mean of X in the place of intercepts):
        whether chains agree (1, and not above 1.05), and the independent draws that all would be
        worth.
    n_iter_ : int
        Steps, or epochs.
    n_features_in_ : int
        Features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X had names.

    See Also
    --------
    VariationalRegressor : The same for numbers.
    fit_variational : For a log density of your own.

    References
    ----------
    Opper and Archambeau, "The variational Gaussian approximation revisited", Neural Computation
    21, 2009.
    Blundell, Cornebise, Kavukcuoglu and Wierstra, "Weight uncertainty in neural networks", ICML
    2015.

    Examples
    --------
    Far from the data, where the boundary may be anywhere, probabilities are modest.

    >>> import numpy as np
    >>> from skbasics import VariationalClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(40, 2))
    >>> y = np.where(X[:, 0] + rng.normal(size=40) > 0, "yes", "no")
    >>> model = VariationalClassifier(prior_scale=3.0, random_state=0).fit(X, y)
    >>> bool(model.predict_proba([[0.0, 20.0]]).max() < 0.9)
    True
    """

    _y_numeric = False

    def __init__(
        self,
        hidden_layer_sizes=(),
        activation="relu",
        *,
        inference="auto",
        prior_scale=1.0,
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
            Class labels of any kind, of two classes or more.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            For data that scikit-learn's validation refuses, and for a single class. The estimator
            is then as it was.
        ImportError
            If Pyro is needed and not installed.

        Warns
        -----
        UserWarning
            If a linear model's Gaussian does not cover the posterior: ``pareto_k_`` is above 0.7,
            and importance weights would cost more than a tenth of its draws.
        ConvergenceWarning
            If the bound was still rising, or chains disagree.
        """
        return self._fit(X, y, sample_weight)

    @stream_method
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Find the posterior of some more rows, with the posterior so far for its prior.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New rows.
        y : array-like of shape (n_samples,)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each counts.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If the first call has no classes, or a label is not among them.
        """
        return self._fit(X, y, sample_weight, stream=True, classes=classes_of_stream(self, classes))

    def predict(self, X: Any) -> Any:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        y : array of shape (n_samples,)
        """
        P, border = self._probabilities(X, "predict")
        return self._labels(P.argmax(1), border)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, averaged over the posterior.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        probabilities : array of shape (n_samples, n_classes)
            Rows sum to one, in the order of ``classes_``.
        """
        P, border = self._probabilities(X, "predict_proba")
        return border.as_caller(P)

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of the probabilities, which is never -inf.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        log_probabilities : array of shape (n_samples, n_classes)
        """
        P, border = self._probabilities(X, "predict_log_proba")
        return border.as_caller(P.clamp(min=torch.finfo(P.dtype).tiny).log())

    def _probabilities(self, X: Any, method: str) -> tuple[Tensor, Any]:
        X, border = self._rows(X, method)
        if self._is_closed:
            P = expected_probabilities(X, self._part("_mean", X), self._part("_scale", X))
        else:
            P = X.new_zeros(len(X), self._width)
            for rows, Z in self._outputs(X):
                P[rows] += probabilities(Z).sum(0)
            P /= len(self._thetas(X))
        return (torch.cat([1 - P, P], 1) if self._width == 1 else P), border

    @property
    def coef_(self) -> Any:
        """Posterior means of the weights of a linear model, a row a class (one for two)."""
        both, border = self._linear("coef_")
        return border.as_caller(both[:, :-1].clone())

    @property
    def intercept_(self) -> Any:
        """Posterior means of the intercepts of a linear model."""
        both, border = self._linear("intercept_")
        return border.as_caller(both[:, -1].clone())

    # What the fit asks for.

    def _encode(self, y: Any, first: bool, classes: Any) -> np.ndarray:
        check_classification_targets(y)
        if first:
            self.classes_ = np.unique(y) if classes is None else classes
        known = as_numpy(self.classes_)
        if len(known) < 2:
            raise ValueError(
                f"VariationalClassifier needs rows of two classes or more, got one class: {known}. "
                "(A stream may pass all labels that will come as classes.)"
            )
        unseen = np.setdiff1d(y, known)
        if unseen.size:
            raise ValueError(
                f"y contains {unseen}, not among the classes {known} that the fit began with. "
                "Pass all labels that will ever come as classes in the first call."
            )
        codes = np.searchsorted(known, y)[:, None]
        return codes if len(known) > 2 else codes.astype(float)

    def _model(self) -> tuple[int, Loss]:
        n_classes = len(as_numpy(self.classes_))
        return (n_classes, CrossEntropy()) if n_classes > 2 else (1, BinaryCrossEntropy())

    def _linear_steps(self, problem: Problem, first: bool) -> Iterator[Found]:
        X, place = problem.X, {"device": problem.X.device, "dtype": torch.float64}
        center = problem.mean_of(X) if first else as_tensor(self._center, **place)
        n_weights = self._width * X.shape[1]
        learned = self.prior_scale == "learned"
        if first:
            precision = X.new_full((n_weights + self._width,), HEIGHT_SCALE**-2)
            # Learned, it starts where logits vary by about one.
            spread = float(problem.mean_of((X - center).square()).mean()) or 1.0
            precision[:n_weights] = spread if learned else float(self.prior_scale) ** -2
            prior = Prior(torch.zeros_like(precision), precision)
        else:
            prior = Prior.of(*(as_tensor(part, **place) for part in (self._mean, self._scale)))
        y = problem.y
        Y = y if self._width == 1 else F.one_hot(y[:, 0], self._width).to(X)
        X = X - center
        search = LogisticPosterior(
            X,
            Y,
            problem.weights,
            prior,
            independent=problem.independent,
            n_learned=n_weights if learned and first else 0,
        )
        for n_iter in range(1, self.max_iter + 1):
            gain = search.improve()
            now, settled = search.now, gain <= self.tol
            prior_scale = float(now.prior.precision[0]) ** -0.5 if first else self.prior_scale_
            target = Target(problem.architecture, X, y, problem.weights, problem.loss, now.prior)
            yield Found(
                now.mean,
                now.scale,
                center,
                now.elbo,
                prior_scale,
                target,
                target.values,
                done=settled or n_iter == self.max_iter,
                converged=settled,
                gain=gain,
            )

    def _learned(self, found: Found, data: Checked) -> dict[str, Any]:
        classes = data.border.follow(as_numpy(self.classes_))
        return super()._learned(found, data) | {"classes_": classes}
