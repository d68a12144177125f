"""UMAP, whose map is a function of the row."""

import copy
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.manifold import trustworthiness
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skbasics._arrays import CPU, Border, as_numpy, as_tensor, compute_device
from skbasics._atomic import training_method
from skbasics._data import as_features, floating_dtype
from skbasics._sklearn import Interval, StrOptions, check_same_namespace, validate_data
from skbasics.manifold._base import LayoutEstimator
from skbasics.manifold._engines import Layout
from skbasics.manifold._metrics import Products
from skbasics.manifold._neighbors import Neighbors, nearest
from skbasics.manifold._placement import Frozen, meant, placed


class UMAP(LayoutEstimator):
    r"""UMAP."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_neighbors": [Interval(Integral, 2, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "metric": [str, callable],
        "metric_kwds": [dict, None],
        "n_epochs": [Interval(Integral, 0, None, closed="left"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "init": [StrOptions({"spectral", "pca", "random"}), "array-like"],
        "min_dist": [Interval(Real, 0, None, closed="left")],
        "spread": [Interval(Real, 0, None, closed="neither")],
        "n_jobs": [Integral, None],
        "set_op_mix_ratio": [Interval(Real, 0, 1, closed="both")],
        "local_connectivity": [Interval(Real, 0, None, closed="left")],
        "repulsion_strength": [Interval(Real, 0, None, closed="left")],
        "negative_sample_rate": [Interval(Integral, 0, None, closed="left")],
        "a": [Interval(Real, 0, None, closed="neither"), None],
        "b": [Interval(Real, 0, None, closed="neither"), None],
        "random_state": ["random_state"],
        "target_metric": [str],
        "target_weight": [Interval(Real, 0, 1, closed="both")],
        "densmap": ["boolean"],
        "engine": [StrOptions({"auto", "torch", "umap-learn"})],
        "device": [str, torch.device, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_neighbors: int = 15,
        n_components: int = 2,
        metric: str | Callable = "euclidean",
        *,
        metric_kwds: dict[str, Any] | None = None,
        n_epochs: int | None = None,
        learning_rate: float = 1.0,
        init: Any = "spectral",
        min_dist: float = 0.1,
        spread: float = 1.0,
        n_jobs: int | None = -1,
        set_op_mix_ratio: float = 1.0,
        local_connectivity: float = 1.0,
        repulsion_strength: float = 1.0,
        negative_sample_rate: int = 5,
        a: float | None = None,
        b: float | None = None,
        random_state: Any = None,
        target_metric: str = "categorical",
        target_weight: float = 0.5,
        densmap: bool = False,
        engine: str = "auto",
        device: str | torch.device | None = None,
        verbose: bool | int = False,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.metric = metric
        self.metric_kwds = metric_kwds
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.init = init
        self.min_dist = min_dist
        self.spread = spread
        self.n_jobs = n_jobs
        self.set_op_mix_ratio = set_op_mix_ratio
        self.local_connectivity = local_connectivity
        self.repulsion_strength = repulsion_strength
        self.negative_sample_rate = negative_sample_rate
        self.a = a
        self.b = b
        self.random_state = random_state
        self.target_metric = target_metric
        self.target_weight = target_weight
        self.densmap = densmap
        self.engine = engine
        self.device = device
        self.verbose = verbose

    @training_method
    def fit(self, X: Any, y: Any = None) -> Self:
        """Lay the rows out.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Two rows or more; with ``metric="precomputed"`` their distances, square.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Classes, -1 for rows that have none; or numbers, with another `target_metric`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            For data that scikit-learn's validation refuses, a metric that nobody has, and
            parameters that do not go together. The estimator is then as it was.
        ImportError
            If what was asked for needs umap-learn and it is not installed.

        Warns
        -----
        UserWarning
            If there are fewer rows than `n_neighbors` asks for.
        """
        data, border = (X, y, None), Border.of(X)
        X = self._validate(X, border)
        device = compute_device(border, self.device)
        rows = as_features(X, device, floating_dtype(X))
        task, first, places = self._task(rows, self._target(y, rows.shape[0]))
        engine = self._engine_for(task, device)
        kept = self._kept(task, first, border) | {"engine_": engine}

        def learned(layout: Layout) -> dict[str, Any]:
            return kept | self._learned(layout, first, places, border, floating_dtype(X))

        vars(self).update(learned(self._laid_out(task, engine, device, data, learned)))
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Lay the rows out and return their places.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            As for `fit`.
        y : array-like, default=None
            As for `fit`.

        Returns
        -------
        places : array of shape (n_samples, n_components)
            A copy of ``embedding_``.
        """
        return copy.copy(self.fit(X, y).embedding_)

    def transform(self, X: Any) -> Any:
        """Return the place of each row, which the other rows have no part in.

        A new row starts at the mean of its neighbours' places, weighted by its memberships, and
        moves from there by itself, attracted by its neighbours and repelled by rows of the fit
        that are drawn alike for all new rows. What was laid out does not move. A row of the fit
        gets its own place, and one that is all but such a row a place beside it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows; with ``metric="precomputed"`` their distances from the rows of the fit.

        Returns
        -------
        places : array of shape (n_samples, n_components)
        """
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="embedding_", method="transform")
        border = Border.of(X)
        dtype = [border.xp.float64, border.xp.float32]
        X = validate_data(self, X, accept_sparse="csr", dtype=dtype, reset=False)
        frozen = self._frozen(compute_device(border, self.device))
        neighbors = self._neighbors(X, frozen)
        places = placed(neighbors, frozen, self.local_connectivity)
        return border.as_caller(places.to(as_tensor(self.embedding_).dtype))

    def inverse_transform(self, X: Any) -> Any:
        r"""Return rows that places stand for.

        They are means of the rows that lie nearest, :math:`\sum_j q_j x_j / \sum_j q_j`, with
        :math:`q_j = 1 / (1 + a \|y - y_j\|^{2b})`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Places.

        Returns
        -------
        rows : array of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If the places have another width, or the fit had no dense rows.
        """
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="embedding_", method="inverse_transform")
        border = Border.of(X)
        X = check_array(X, dtype=[border.xp.float64, border.xp.float32])
        self._check_invertible(X)
        device = compute_device(border, self.device)
        frozen, rows = self._frozen(device), as_tensor(self._rows, device=device)
        Z = as_tensor(X, device=device, dtype=torch.float64)
        near = nearest(Z, frozen.places, self._n_neighbors, Products("euclidean"))
        return border.as_caller(meant(near, rows, frozen.forces).to(rows.dtype))

    def trustworthiness(self, X: Any, n_neighbors: int = 12) -> float:
        r"""Return how far neighbours on the map are neighbours in truth, from 0 to 1.

        scikit-learn's function of the rows and of their places.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, those of the fit or others.
        n_neighbors : int, default=12
            How many neighbours on the map are looked at; less than half of the rows.

        Returns
        -------
        trustworthiness : float
        """
        places = as_numpy(self.transform(X))
        X = X if sp.issparse(X) else as_numpy(X)
        if self.metric in ("euclidean", "l2"):
            return float(trustworthiness(X, places, n_neighbors=n_neighbors))
        X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32])
        measure = self._measure(sp.issparse(X))
        rows = measure.prepared(as_features(X, CPU, floating_dtype(X)))
        distances = as_numpy(measure.between(rows, rows))
        return float(
            trustworthiness(distances, places, n_neighbors=n_neighbors, metric="precomputed")
        )

    def _neighbors(self, X: Any, frozen: Frozen) -> Neighbors:
        """Return the neighbours of new rows among those of the fit."""
        device = frozen.places.device
        if self._rows is None:
            Q, T = as_tensor(X, device=device), frozen.places
        elif sp.issparse(X) != sp.issparse(self._rows):
            Q, T = _dense(X, device), _dense(self._rows, device)
        else:
            Q, T = (as_features(M, device, floating_dtype(self._rows)) for M in (X, self._rows))
        k = max(1, min(self._n_neighbors, T.shape[0]) - 1)
        return nearest(Q, T, k, self._measure(sp.issparse(Q)))

    def _check_invertible(self, X: Any) -> None:
        if X.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {X.shape[1]} columns, and places have {self._n_features_out}: "
                "inverse_transform takes what transform returns."
            )
        if self._rows is None or sp.issparse(self._rows):
            had = "distances" if self._rows is None else "sparse rows"
            raise ValueError(
                f"inverse_transform makes means of rows, and this {type(self).__name__} was fitted "
                f"to {had}. Fit it to dense rows."
            )

    @property
    def _n_features_out(self) -> int:
        return self.embedding_.shape[1]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.input_tags.sparse = self.metric != "precomputed"
        tags.input_tags.pairwise = self.metric == "precomputed"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _dense(X: Any, device: torch.device) -> Tensor:
    return as_tensor(X.toarray() if sp.issparse(X) else X, device=device)
