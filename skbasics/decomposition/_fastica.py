"""Independent component analysis by fixed-point iterations."""

import functools
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skbasics._arrays import Border, as_tensor, compute_device
from skbasics._atomic import training_method
from skbasics._callbacks import FitTasks, iterations
from skbasics._documented import Documented
from skbasics._sklearn import (
    CallbackSupportMixin,
    Interval,
    Options,
    StrOptions,
    check_array,
    check_same_namespace,
    validate_data,
)
from skbasics.decomposition._fixed_point import Step, deflation, negentropy, parallel, starts
from skbasics.decomposition._negentropy import resolve_contrast
from skbasics.decomposition._whitening import White, in_order

CONTIGUOUS = torch.contiguous_format


class FastICA(
    Documented,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    r"""Independent component analysis: unmix signals into sources that are not Gaussian.

    The data are taken for a mixture of independent sources, :math:`x = A s + \bar x`. After
    whitening, :math:`z = \sqrt{n} K (x - \bar x)`, the sources are the directions whose
    projections are the furthest from Gaussian:

    .. math::
        \max_{W W^T = I} \sum_i \big( E\,G(w_i^T z) - E\,G(\nu) \big)^2, \qquad \nu \sim N(0, 1).

    The fixed-point iteration :math:`w \leftarrow E[z\,g(w^T z)] - E[g'(w^T z)]\,w`, :math:`g = G'`,
    with the rows made orthonormal after each step, finds a local optimum of it. The parameters,
    attributes and numbers are those of scikit-learn's FastICA; `ordered`, `restarts`, `device`
    and `converged_` are added.

    Parameters
    ----------
    n_components : int or None, default=None
        How many sources to look for; None means min(n_samples, n_features).
    algorithm : {"parallel", "deflation"}, default="parallel"
        All sources together, or one after another.
    whiten : {"unit-variance", "arbitrary-variance", False}, default="unit-variance"
        Sources of variance one, or of variance 1 / n_samples (W has orthonormal rows); False
        takes X as white already.
    fun : {"logcosh", "exp", "cube"} or callable, default="logcosh"
        The contrast: G is log cosh(alpha u) / alpha, -exp(-u^2 / 2) or u^4 / 4. A callable maps
        an array x, ``(n_components, n_samples)`` or with deflation ``(n_samples,)``, to g(x) and
        the mean of g'(x) along the last axis. It gets arrays of X's namespace.
    fun_args : dict or None, default=None
        ``{"alpha": a}`` with a in [1, 2] for "logcosh" (None means 1), or keyword arguments of
        a callable.
    max_iter : int, default=200
        Iterations at most; with deflation, for each component.
    tol : float, default=1e-4
        A component has converged when :math:`1 - |\cos \alpha|` is below this, of the angle by
        which an iteration turned it.
    w_init : array-like of shape (n_components, n_components) or None, default=None
        Where the (first) search starts; None draws from a normal distribution.
    whiten_solver : {"svd", "eigh"}, default="svd"
        Whether the principal directions come from X or from its scatter matrix. "eigh" is
        cheaper for many rows, and loses directions whose deviation is 1e-7 of the largest.
    random_state : int, RandomState instance or None, default=None
        Seeds `w_init`.
    ordered : bool, default=False
        Order the components by the variance that they explain, the squared norm of their mixing
        column, and fix their signs: the largest entry of a mixing column is positive. False
        leaves them as the search found them.
    restarts : int, default=1
        How many searches run side by side, of which the one with the largest summed negentropy
        is kept. The first is the one that a single search would be. (For a callable the
        negentropy is that of "logcosh".)
    device : str, torch.device or None, default=None
        Where to compute: None is where X is, "auto" a GPU if there is one.

    Attributes
    ----------
    components_ : array of shape (n_components, n_features)
        The map from data to sources. A row is zero if X varies in fewer directions.
    mixing_ : array of shape (n_features, n_components)
        Its pseudo-inverse, the map from sources to data.
    mean_ : array of shape (n_features,)
        The mean of X; only where X was whitened, as is the next.
    whitening_ : array of shape (n_components, n_features)
        K, the map onto principal directions of unit length.
    n_iter_ : int
        Iterations made; with deflation, by the component that took the most.
    converged_ : bool
        Whether every component converged.
    n_features_in_ : int
        Features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X had names.

    References
    ----------
    Hyvarinen and Oja, "Independent component analysis: algorithms and applications", Neural
    Networks 13, 2000, pages 411-430.

    Examples
    --------
    >>> import numpy as np
    >>> from skbasics import FastICA
    >>> time = np.linspace(0, 8, 2000)
    >>> sources = np.stack([np.sin(2 * time), np.sign(np.sin(3 * time))], axis=1)
    >>> X = sources @ [[1.0, 0.5], [0.3, 2.0]]
    >>> ica = FastICA(random_state=0, ordered=True).fit(X)
    >>> found = ica.transform(X)
    >>> bool(abs(np.corrcoef(found[:, 0], sources[:, 1])[0, 1]) > 0.999)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "algorithm": [StrOptions({"parallel", "deflation"})],
        "whiten": [
            StrOptions({"unit-variance", "arbitrary-variance"}),
            Options(bool, {False}),
        ],
        "fun": [StrOptions({"logcosh", "exp", "cube"}), callable],
        "fun_args": [dict, None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "w_init": ["array-like", None],
        "whiten_solver": [StrOptions({"svd", "eigh"})],
        "random_state": ["random_state"],
        "ordered": ["boolean"],
        "restarts": [Interval(Integral, 1, None, closed="left")],
        "device": [str, torch.device, None],
    }

    def __init__(
        self,
        n_components: int | None = None,
        *,
        algorithm: str = "parallel",
        whiten: str | bool = "unit-variance",
        fun: str | Callable = "logcosh",
        fun_args: dict[str, Any] | None = None,
        max_iter: int = 200,
        tol: float = 1e-4,
        w_init: Any = None,
        whiten_solver: str = "svd",
        random_state: Any = None,
        ordered: bool = False,
        restarts: int = 1,
        device: str | torch.device | None = None,
    ) -> None:
        self.n_components = n_components
        self.algorithm = algorithm
        self.whiten = whiten
        self.fun = fun
        self.fun_args = fun_args
        self.max_iter = max_iter
        self.tol = tol
        self.w_init = w_init
        self.whiten_solver = whiten_solver
        self.random_state = random_state
        self.ordered = ordered
        self.restarts = restarts
        self.device = device

    @training_method
    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the sources of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Two rows or more.
        y : Ignored
            Only here for scikit-learn's sake.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            For data that scikit-learn's validation refuses, that do not vary or are too large to
            be whitened, a parameter or an answer of `fun` that does not fit, and a search that
            stops being finite. The estimator is then as it was.

        Warns
        -----
        ConvergenceWarning
            If a component still turned by `tol` or more in the last iteration.
        UserWarning
            If there are fewer components to be had than asked for.
        """
        for name in ("mean_", "whitening_"):  # of an earlier fit with other parameters
            vars(self).pop(name, None)
        data, border = (X, y, None), Border.of(X)
        dtype = [border.xp.float64, border.xp.float32]
        X = validate_data(self, X, dtype=dtype, ensure_min_samples=2)
        white = self._whiten(as_tensor(X, device=compute_device(border, self.device)))
        steps = self._steps(white, border)
        learned = functools.partial(self._learned, white, border)
        observer = None
        if getattr(self, "_skl_callbacks", None):
            most = self.max_iter * (1 if self.algorithm == "parallel" else len(white.Z))
            observer = FitTasks(self, data, most, learned, "iteration")
        step, halted = deque(iterations(steps, observer), maxlen=1).pop()
        vars(self).update(learned(step))
        if observer is not None:
            observer.end()
        if not halted:
            self._warn_unless_converged()
        return self

    def transform(self, X: Any, copy: bool = True) -> Any:
        """Return the sources of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Mixed data.
        copy : bool, default=True
            Only here for scikit-learn's sake: X is never written to.

        Returns
        -------
        sources : array of shape (n_samples, n_components)
        """
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="components_", method="transform")
        border = Border.of(X)
        X = validate_data(self, X, dtype=[border.xp.float64, border.xp.float32], reset=False)
        X, components, mean = self._together(X, self.components_, border)
        return border.as_caller((X if mean is None else X - mean) @ components.mT)

    def inverse_transform(self, X: Any, copy: bool = True) -> Any:
        """Return the data that sources mix to.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Sources.
        copy : bool, default=True
            Only here for scikit-learn's sake: X is never written to.

        Returns
        -------
        mixed : array of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If X has not one column a component.
        """
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="components_", method="inverse_transform")
        border = Border.of(X)
        X = check_array(X, dtype=[border.xp.float64, border.xp.float32])
        if X.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {X.shape[1]} columns, but FastICA found {self._n_features_out} "
                "components: inverse_transform takes what transform returns."
            )
        X, mixing, mean = self._together(X, self.mixing_, border)
        return border.as_caller(X @ mixing.mT if mean is None else X @ mixing.mT + mean)

    def _together(self, X: Any, matrix: Any, border: Border) -> tuple[Tensor, Tensor, Any]:
        """Return X, a fitted matrix and the mean, if any, on one device and in one dtype."""
        device = compute_device(border, self.device)
        X, matrix = as_tensor(X, device=device), as_tensor(matrix, device=device)
        dtype = torch.promote_types(X.dtype, matrix.dtype)
        mean = as_tensor(self.mean_, device=device, dtype=dtype) if hasattr(self, "mean_") else None
        return X.to(dtype), matrix.to(dtype), mean

    # What `fit` is made of.

    def _n_components(self, X: Tensor) -> int:
        """Return how many components there will be."""
        n_samples, n_features = X.shape
        most = min(n_samples, n_features)
        if not self.whiten:
            if n_samples < n_features:
                raise ValueError(
                    f"whiten=False takes X as white, which {n_samples} rows of {n_features} "
                    "features cannot be. Set whiten='unit-variance'."
                )
            if self.n_components is not None:
                warnings.warn("Ignoring n_components with whiten=False.", stacklevel=2)
            return most
        if self.n_components is not None and self.n_components > most:
            warnings.warn(
                f"n_components is too large: it will be set to {most}, the smaller of n_samples "
                "and n_features.",
                stacklevel=2,
            )
        return most if self.n_components is None else min(self.n_components, most)

    def _whiten(self, X: Tensor) -> White:
        n_components = self._n_components(X)
        return White.of(X, n_components, self.whiten_solver) if self.whiten else White(X.mT)

    def _steps(self, white: White, border: Border) -> Iterator[Step]:
        """Return the searches, to be stepped through."""
        rank = len(white.Z)
        search, n_rows = {"parallel": (parallel, rank), "deflation": (deflation, 0)}[self.algorithm]
        start = starts(rank + white.missing, self.w_init, self.restarts, self.random_state)
        start = torch.from_numpy(start[:, :rank, :rank]).to(white.Z)
        contrast = resolve_contrast(self.fun, self.fun_args, border, n_rows)
        return search(white.Z, start, contrast, tol=self.tol, max_iter=self.max_iter)

    def _learned(self, white: White, border: Border, step: Step) -> dict[str, Any]:
        """Return the fitted attributes after a step."""
        best = 0
        if len(step.W) > 1:
            contrast = resolve_contrast(self.fun, self.fun_args, border, 0)
            best = int(negentropy(white.Z, step.W, contrast).argmax())
        W, change = step.W[best], float(step.change[best])
        components, mixing = white.maps(W, self.whiten == "unit-variance")
        if self.ordered:
            components, mixing = in_order(components, mixing)
        learned = {"components_": components, "mixing_": mixing}
        if white.directions is not None:
            learned |= {"mean_": white.mean, "whitening_": white.whitening}
        learned = {
            name: border.as_caller(array.clone(memory_format=CONTIGUOUS))
            for name, array in learned.items()
        }
        learned["n_iter_"] = int(step.n_iter[best])
        learned["converged_"] = change < self.tol and len(W) == len(white.Z)
        learned["_change"] = change
        return learned

    def _warn_unless_converged(self) -> None:
        if not self.converged_:
            warnings.warn(
                # scikit-learn's sentence, so that filters made for it fit
                "FastICA did not converge. Consider increasing tolerance or the maximum number of "
                f"iterations: after {self.n_iter_} the last change was {self._change:.3g}, which "
                f"is not below tol={self.tol:g}.",
                ConvergenceWarning,
                stacklevel=2,
            )

    @property
    def _n_features_out(self) -> int:
        return self.components_.shape[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
