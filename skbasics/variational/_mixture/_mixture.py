"""Mixtures of Gaussians: by the closed form of variational inference, or by EM."""

import functools
import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning

from skbasics._arrays import Border, compute_device
from skbasics._atomic import training_method
from skbasics._documented import Documented
from skbasics._sklearn import (
    CallbackSupportMixin,
    Interval,
    StrOptions,
    check_same_namespace,
    validate_data,
)
from skbasics.variational._mixture._covariances import COVARIANCES
from skbasics.variational._mixture._described_mixture import described
from skbasics.variational._mixture._fitted_mixture import FittedMixture
from skbasics.variational._mixture._mixture_ascent import Progress, ascend
from skbasics.variational._mixture._mixture_models import MaximumLikelihood, Model
from skbasics.variational._mixture._mixture_weights import WEIGHT_PRIORS
from skbasics.variational._mixture._preparation import Prepared, drawn_starts, prepared
from skbasics.variational._mixture._priors import conjugate
from skbasics.variational._mixture._watched import watched


class VariationalGaussianMixture(
    Documented, CallbackSupportMixin, FittedMixture, DensityMixin, BaseEstimator
):
    r"""A mixture of Gaussians with priors, by coordinate ascent on the evidence lower bound.

    Weights, means and precisions have conjugate priors,

    .. math::
        \pi \sim p(\pi), \quad \Lambda_k \sim W(\nu_0, C_0^{-1}), \quad
        \mu_k \mid \Lambda_k \sim N(m_0, (\beta_0 \Lambda_k)^{-1}), \quad
        x_n + \epsilon_n \sim \sum_k \pi_k N(\mu_k, \Lambda_k^{-1}), \quad
        \epsilon_n \sim N(0, \sigma^2 I),

    and the posterior is sought among :math:`q(z)\, q(\pi)\, \prod_k q(\mu_k, \Lambda_k)`, as the
    one of the largest

    .. math:: \mathcal L(q) = E_q \log \frac{p(X, z, \pi, \mu, \Lambda)}
        {q(z)\, q(\pi)\, q(\mu, \Lambda)} \le \log p(X).

    Each factor has a closed form given the others, so that the bound rises in every iteration. It
    has all its terms: bounds of mixtures with more or fewer components compare as evidences.
    With ``inference="em"`` weights, means and covariances are those of the largest likelihood, and
    not distributions: the limit of the above for priors that say nothing, and many rows.

    Parameters
    ----------
    n_components : int, default=1
        The number of components; of a Dirichlet process, where it is cut off.
    inference : {"variational", "em"}, default="variational"
        A posterior, or the most likely parameters (scikit-learn's GaussianMixture). EM has no
        priors.
    covariance_type : {"full", "tied", "diag", "spherical"}, default="full"
        A covariance matrix for each component, or one for all; a variance for each feature
        of each component, or one for each component.
    tol : float, default=1e-3
        The fit ends when an iteration gains less: of `lower_bound_`, in nats.
    reg_covar : float, default=1e-6
        The variance of the noise with which rows are taken to be known, :math:`\sigma^2`. It is
        added to the variances of the rows of a component, and to the prior that is taken from X.
    max_iter : int, default=100
        Iterations at most. With 0 the mixture is what the start makes of it.
    n_init : int, default=1
        How many starts are climbed from side by side, of which the one with the highest bound is
        kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, default="kmeans"
        The first responsibilities: those of k-means clusters, of single rows (which lie apart, or
        any), or random ones.
    weight_concentration_prior_type : str, default="dirichlet_process"
        The prior of the weights: "dirichlet_process" or "dirichlet_distribution".
    weight_concentration_prior : float or None, default=None
        How evenly the weights are believed to be spread; a small number leaves components
        empty that are not needed. None is 1 / n_components.
    mean_precision_prior : float or None, default=None
        :math:`\beta_0`, how many rows the prior of a mean is worth. None is 1.
    mean_prior : array-like of shape (n_features,) or None, default=None
        :math:`m_0`. None is the mean of X.
    degrees_of_freedom_prior : float or None, default=None
        :math:`\nu_0`, how many rows the prior of a covariance is worth; above n_features - 1
        for "full" and "tied", else above 0. None is n_features.
    covariance_prior : float or array-like or None, default=None
        :math:`C_0`, in the shape of one covariance: a matrix, a vector or a number. None is the
        covariance of X.
    random_state : int, RandomState instance or None, default=None
        Seeds the starts, and `sample`.
    warm_start : bool, default=False
        Go on from the last fit. `n_init` then counts in the first alone.
    verbose : int, default=0
        Whether to show a progress bar.
    verbose_interval : int, default=10
        How many iterations go by before the bar moves.
    device : str, torch.device or None, default=None
        Where to compute: None is where X is, "auto" a GPU if there is one.

    Attributes
    ----------
    weights_ : array of shape (n_components,)
        The weights (their expectations).
    means_ : array of shape (n_components, n_features)
        The means.
    covariances_ : array
        The covariances: ``(n_components, n_features, n_features)`` for "full",
        ``(n_features, n_features)`` for "tied", ``(n_components, n_features)`` for "diag",
        ``(n_components,)`` for "spherical". Of a posterior, the inverse of the expected precision.
    precisions_ : array
        Their inverses.
    precisions_cholesky_ : array
        Upper triangular P (of variances, square roots) with precision :math:`P P^T`.
    converged_ : bool
        Whether the last iteration gained less than `tol`.
    n_iter_ : int
        Iterations of the start that was kept.
    lower_bound_ : float
        The evidence lower bound in nats, of all rows; with EM, the mean log likelihood of a row.
    lower_bounds_ : list of float
        The bound in each iteration, which never falls. (With EM it can, by about the share of
        `reg_covar` in the variances.)
    weight_concentration_ : array of shape (n_components,), or a tuple of two
        The parameters of the Dirichlet distribution, or of the Beta distribution of each stick of
        the Dirichlet process. This one and what follows are there with inference="variational".
    mean_precision_ : array of shape (n_components,)
        :math:`\beta_k`.
    degrees_of_freedom_ : array of shape (n_components,), or float for "tied"
        :math:`\nu_k`.
    weight_concentration_prior_, mean_precision_prior_, degrees_of_freedom_prior_ : float
        The priors that were used, as are the next two.
    mean_prior_ : array of shape (n_features,)
        :math:`m_0`.
    covariance_prior_ : array, or float for "spherical"
        :math:`C_0`.
    n_features_in_ : int
        Features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X had names.

    See Also
    --------
    sklearn.mixture.BayesianGaussianMixture : Its bound lacks terms, and for covariances that are
        not full it bounds the evidence of no model.

    Notes
    -----
    A fit sees the distinct rows of X in an order of their own, each with its total weight. So a
    row twice is the same as a weight of two, and the order of rows does not matter, to the last
    digit and for every start.

    To choose a number of components by `lower_bound_`, take the prior "dirichlet_distribution". A
    Dirichlet process has no such number: its bound rises to a plateau as more components are
    kept, and those that are not needed get no weight. The labels of K components can be exchanged
    in K! ways, of which q holds one; where components are well apart, ``lower_bound_ + log(K!)``
    is nearer to the evidence.

    References
    ----------
    Bishop, "Pattern Recognition and Machine Learning", 2006, section 10.2.

    Blei and Jordan, "Variational inference for Dirichlet process mixtures", Bayesian Analysis 1,
    2006.

    Examples
    --------
    >>> import numpy as np
    >>> from skbasics import VariationalGaussianMixture
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(centre, 1, size=(100, 2)) for centre in (-6, 0, 6)])
    >>> prior = "dirichlet_distribution"
    >>> mixture = VariationalGaussianMixture(weight_concentration_prior_type=prior, random_state=0)
    >>> bounds = [mixture.set_params(n_components=k).fit(X).lower_bound_ for k in (1, 2, 3, 4, 5)]
    >>> 1 + int(np.argmax(bounds))
    3
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "inference": [StrOptions({"variational", "em"})],
        "covariance_type": [StrOptions(set(COVARIANCES))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions({"kmeans", "random", "random_from_data", "k-means++"})],
        "weight_concentration_prior_type": [StrOptions(set(WEIGHT_PRIORS))],
        "weight_concentration_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "mean_precision_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "mean_prior": [None, "array-like"],
        "degrees_of_freedom_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "covariance_prior": [None, "array-like", Interval(Real, 0.0, None, closed="neither")],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
        "device": [str, torch.device, None],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        inference: str = "variational",
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weight_concentration_prior_type: str = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: Any = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        device: str | torch.device | None = None,
    ) -> None:
        self.n_components = n_components
        self.inference = inference
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.device = device

    @training_method
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn the mixture of which X was drawn.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, at least as many as components.
        y : Ignored
            Only here for scikit-learn's sake.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            For data that scikit-learn's validation refuses, fewer rows than components, priors
            that are none, covariances that become singular, numbers out of range. The estimator
            is then as it was.

        Warns
        -----
        ConvergenceWarning
            If the last iteration still gained `tol` or more.
        """
        given, border = (X, y, sample_weight), Border.of(X)
        going_on = bool(self.warm_start and hasattr(self, "means_"))
        if going_on:
            self._check_continues(X)
        dtype = [border.xp.float64, border.xp.float32]
        X = validate_data(self, X, dtype=dtype, reset=not going_on)
        device = compute_device(border, self.device)
        data = prepared(X, sample_weight, self.n_components, device)
        model = self._model(data)
        if going_on:
            start = self._mixture(data.location, device)[0]
        else:
            start = drawn_starts(self, data, model)
        previous = self.lower_bound_ if going_on else -np.inf
        steps = ascend(
            data.rows, model, start, tol=self.tol, max_iter=self.max_iter, previous=previous
        )
        learned = functools.partial(self._learned, model, data, border)
        progress, halted = watched(self, steps, given, learned)
        self._forget()
        vars(self).update(learned(progress))
        if not (halted or self.converged_ or self.max_iter == 0):
            self._warn_unconverged()
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit the mixture, and return the component of each row: ``fit(X).predict(X)``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, at least as many as components.
        y : Ignored
            Only here for scikit-learn's sake.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        labels : array of shape (n_samples,)
        """
        return self.fit(X, y, sample_weight).predict(X)

    # What `fit` is made of.

    def _model(self, data: Prepared) -> Model:
        kind = COVARIANCES[self.covariance_type](data.rows.X.shape[0])
        if self.inference == "em":
            return MaximumLikelihood(kind, float(self.reg_covar))
        return conjugate(self, data.rows, data.location, kind)

    def _learned(
        self, model: Model, data: Prepared, border: Border, progress: Progress
    ) -> dict[str, Any]:
        """Return the fitted attributes after an iteration."""
        learned = described(model, progress, data.location, border, data.rows.X.dtype)
        return learned | {"_settings": self._read_settings()}

    def _forget(self) -> None:
        """Drop what an earlier fit learned, which may have been of another kind."""
        for name in [*vars(self)]:
            if name.endswith("_") and not name.endswith("_in_"):
                delattr(self, name)

    def _check_continues(self, X: Any) -> None:
        check_same_namespace(X, self, attribute="means_", method="fit")
        before = self._settings._asdict() | {"n_components": len(self.weights_)}
        now = self._read_settings()._asdict() | {"n_components": self.n_components}
        for name in set(before) - {"noise"}:
            if before[name] != now[name]:
                raise ValueError(
                    f"{name} was {before[name]!r} in the fit that this one continues, and is now "
                    f"{now[name]!r}. Set it back, or start afresh (warm_start=False)."
                )

    def _warn_unconverged(self) -> None:
        last = np.diff(self.lower_bounds_[-2:])
        gain = f" The last of {self.n_iter_} iterations gained {last[0]:.3g}." if len(last) else ""
        warnings.warn(
            # scikit-learn's sentence, so that filters made for it fit
            "Best performing initialization did not converge. Try different init parameters, or "
            f"increase max_iter, tol, or check for degenerate data.{gain}",
            ConvergenceWarning,
            stacklevel=2,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags
