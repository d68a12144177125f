"""UMAP, whose map is a function of the row."""

import copy
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.manifold import trustworthiness
from sklearn.utils.validation import check_is_fitted

from skbasics._arrays import CPU, Border, as_numpy, as_tensor, compute_device
from skbasics._atomic import training_method
from skbasics._data import as_features, floating_dtype
from skbasics._sklearn import Interval, StrOptions, check_array, check_same_namespace, validate_data
from skbasics.manifold._base import LayoutEstimator
from skbasics.manifold._engines import Layout
from skbasics.manifold._metrics import Products
from skbasics.manifold._neighbors import nearest
from skbasics.manifold._placement import meant


class UMAP(LayoutEstimator):
    r"""Uniform manifold approximation and projection: a map that keeps neighbours together.

    Rows and their nearest neighbours make a fuzzy graph, in which the edge of two rows is

    .. math::
        p_{ij} = p_{j|i} + p_{i|j} - p_{j|i}\,p_{i|j}, \qquad
        p_{j|i} = e^{-\max(0,\, d_{ij} - \rho_i) / \sigma_i}, \qquad \sum_j p_{j|i} = \log_2 k,

    with :math:`\rho_i` the distance to the nearest other row. Places y are sought whose own graph,
    :math:`q_{ij} = 1 / (1 + a \|y_i - y_j\|^{2b})`, is near to it by the cross-entropy

    .. math::
        L = -\sum_{ij} p_{ij} \log q_{ij} + \gamma\,(1 - p_{ij}) \log(1 - q_{ij})

    by steps on edges drawn as they weigh and on pairs drawn at random. Unlike umap-learn's,
    `transform` is a function of the row: see there. Rows that are the same are laid out once.

    Parameters
    ----------
    n_neighbors : int, default=15
        Neighbours that make the graph, the row itself among them.
    n_components : int, default=2
        Coordinates of a place.
    metric : str or callable, default="euclidean"
        The distance between rows. "euclidean", "manhattan", "chebyshev", "minkowski", "cosine"
        and "correlation" are torch's; other names scipy's where it has them, else umap-learn's
        (which must then be installed); a callable takes two rows. "precomputed": X are distances.
    metric_kwds : dict or None, default=None
        Keywords of the metric.
    n_epochs : int or None, default=None
        Epochs of the layout; None is 500, and 200 beyond 10,000 rows.
    learning_rate : float, default=1.0
        The length of its first steps.
    init : str or array of shape (n_samples, n_components), default="spectral"
        Where it starts: "spectral" is at eigenvectors of the graph's Laplacian, part by part where
        it falls into parts; "pca" at the principal components of X; "random" anywhere; an array
        there.
    min_dist, spread : float, default=0.1 and 1.0
        How near places may be, and on what scale they spread; a and b follow from them.
    n_jobs : int or None, default=-1
        Threads of umap-learn, and of pynndescent, whose result does not depend on them: as joblib
        counts them, and at most as many as numba starts. With a `random_state` umap-learn's
        layout has one, or it would have no seed.
    set_op_mix_ratio : float, default=1.0
        One for the union of what two rows see of each other, zero for the intersection.
    local_connectivity : float, default=1.0
        The other row, counted from one, at whose distance membership begins to fall.
    repulsion_strength : float, default=1.0
        :math:`\gamma`.
    negative_sample_rate : int, default=5
        Pairs drawn at random for each edge drawn, a million at most.
    a, b : float or None, default=None
        The curve of q; None fits it to `min_dist` and `spread`.
    random_state : int, RandomState instance or None, default=None
        Seeds start and layout. No global generator is touched, except that None draws one seed
        from NumPy's.
    target_metric : str, default="categorical"
        What y is: classes, or numbers with a distance ("euclidean", ...).
    target_weight : float, default=0.5
        How much y counts beside X, from 0 to 1.
    densmap : bool, default=False
        Whether to keep densities as well; umap-learn does it.
    engine : {"auto", "torch", "umap-learn"}, default="auto"
        Who makes graph and layout. "torch" gives a seed's result whatever the number of threads.
        It finds neighbours exactly, and those of more than 20,000 rows by pynndescent where the
        extra ``umap`` is installed. "auto" is "torch", which was measured faster from 1797 rows
        to sixty thousand (``tests/benchmarks/maps.py``); umap-learn, of the same extra, does
        what torch does not: `densmap`, and many rows with a distance that pynndescent knows by
        another name or not at all.
    device : str, torch.device or None, default=None
        Where to compute: None is where X is, "auto" a GPU if there is one. umap-learn
        computes on the CPU.
    verbose : bool or int, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    embedding_ : array of shape (n_samples, n_components)
        The places of the rows of the fit. They never move.
    graph_ : sparse matrix of shape (n_samples, n_samples)
        The fuzzy graph. Of rows that are the same, the first has the edges, and the others one to
        it.
    disconnected_ : array of int
        Rows without an edge, which are at the mean of the places of those nearest to them.
    engine_ : str
        Who made the layout.
    a_, b_ : float
        The curve of q.
    n_epochs_ : int
        Epochs of the layout.
    n_features_in_ : int
        Features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X had names.

    See Also
    --------
    ParametricUMAP : A network as the map.

    References
    ----------
    McInnes, Healy and Melville, "UMAP: uniform manifold approximation and projection for
    dimension reduction", arXiv:1802.03426, 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skbasics import UMAP
    >>> X = load_digits().data
    >>> umap = UMAP(n_epochs=100, random_state=0).fit(X[:500])
    >>> umap.transform(X[500:]).shape
    (1297, 2)
    >>> umap.trustworthiness(X[:500]) > 0.95
    True
    """

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
        "negative_sample_rate": [Interval(Integral, 0, 10**6, closed="both")],
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

        found, observer = self._laid_out(task, engine, device, data, learned)
        vars(self).update(learned(found))
        if observer is not None:
            observer.end()
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
        return copy.deepcopy(self.fit(X, y).embedding_)

    def transform(self, X: Any) -> Any:
        """Return the place of each row, which the other rows have no part in.

        A new row starts at the mean of its neighbours' places, weighted by its memberships, or at
        the place of one of them if that is nearer to all. It moves from there by itself, attracted
        by its neighbours and repelled by rows of the fit that are drawn alike for all new rows.
        What was laid out does not move. A row of the fit gets its own place (where rows that are
        the same had different targets, that of the first), and one that is all but such a row a
        place beside it.

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
        accepted = False if self._rows is None else "csr"
        X = validate_data(self, X, accept_sparse=accepted, dtype=dtype, reset=False)
        if self._rows is None:
            self._check_distances(X, square=False)
        places = self._found(X, self._frozen(compute_device(border, self.device)))
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
        if self._rows is None or self._distance[0] in ("euclidean", "l2"):
            metric = "precomputed" if self._rows is None else "euclidean"
            return float(trustworthiness(X, places, n_neighbors=n_neighbors, metric=metric))
        X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32])
        X, rows = self._comparable(X, CPU)
        measure = self._fitted_measure(rows)
        X = measure.prepared(X)
        distances = as_numpy(measure.between(X, X))
        return float(
            trustworthiness(distances, places, n_neighbors=n_neighbors, metric="precomputed")
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.input_tags.sparse = self.metric != "precomputed"
        tags.input_tags.pairwise = self.metric == "precomputed"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
