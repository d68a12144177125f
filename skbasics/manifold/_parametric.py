"""UMAP whose map is a network."""

import math
from collections import OrderedDict
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skbasics._arrays import Border, as_tensor, compute_device
from skbasics._atomic import training_method
from skbasics._base import NetworkEstimator, stream_method
from skbasics._data import Checked, Sample, as_features, check_rows, floating_dtype
from skbasics._fitted import prediction_architecture
from skbasics._replica import Replica
from skbasics._sklearn import Interval
from skbasics._training import predict_rows
from skbasics.manifold._edges import Edges, NoLoss, ScaledSquaredError
from skbasics.manifold._forces import Forces, fitted_curve
from skbasics.manifold._fuzzy import membership_graph, union
from skbasics.manifold._metrics import UNLINKED, resolve_metric
from skbasics.manifold._neighbors import clipped, nearest
from skbasics.manifold._structure import MapNetwork
from skbasics.network import Loss
from skbasics.optim import Optimizer


class ParametricUMAP(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NetworkEstimator):
    r"""ParametricUMAP."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **{
            name: NetworkEstimator._parameter_constraints[name]
            for name in (
                *("hidden_layer_sizes", "activation", "optimizer", "alpha", "batch_size"),
                *("max_iter", "shuffle", "tol", "n_iter_no_change", "warm_start", "device"),
                *("random_state", "verbose"),
            )
        },
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_neighbors": [Interval(Integral, 2, None, closed="left")],
        "metric": [str, callable],
        "metric_kwds": [dict, None],
        "min_dist": [Interval(Real, 0, None, closed="left")],
        "spread": [Interval(Real, 0, None, closed="neither")],
        "set_op_mix_ratio": [Interval(Real, 0, 1, closed="both")],
        "local_connectivity": [Interval(Real, 0, None, closed="left")],
        "repulsion_strength": [Interval(Real, 0, None, closed="left")],
        "negative_sample_rate": [Interval(Integral, 0, None, closed="left")],
        "decoder": ["boolean"],
        "reconstruction_weight": [Interval(Real, 0, None, closed="left")],
    }

    _has_targets = False
    _sparse_input = False
    batch_norm: ClassVar[bool] = False
    dropout: ClassVar[float] = 0.0
    early_stopping: ClassVar[bool] = False

    def __init__(
        self,
        hidden_layer_sizes=(256, 256),
        n_components=2,
        activation="relu",
        *,
        n_neighbors=15,
        metric="euclidean",
        metric_kwds=None,
        min_dist=0.1,
        spread=1.0,
        set_op_mix_ratio=1.0,
        local_connectivity=1.0,
        repulsion_strength=1.0,
        negative_sample_rate=5,
        decoder=False,
        reconstruction_weight=1.0,
        optimizer="adam",
        alpha=0.0,
        batch_size="auto",
        max_iter=200,
        shuffle=True,
        tol=1e-4,
        n_iter_no_change=20,
        warm_start=False,
        device=None,
        random_state=None,
        verbose=False,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_components = n_components
        self.activation = activation
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.metric_kwds = metric_kwds
        self.min_dist = min_dist
        self.spread = spread
        self.set_op_mix_ratio = set_op_mix_ratio
        self.local_connectivity = local_connectivity
        self.repulsion_strength = repulsion_strength
        self.negative_sample_rate = negative_sample_rate
        self.decoder = decoder
        self.reconstruction_weight = reconstruction_weight
        self.optimizer = optimizer
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @training_method
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train the map on the graph of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Two rows or more.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            For data that scikit-learn's validation refuses, a metric that nobody has, an
            optimizer that wants all rows at once, and a loss that stops being finite. The
            estimator is then as it was.
        """
        return self._fit(X, None)

    @stream_method
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train for one pass over the graph of some more rows.

        The graph is that of these rows alone, so there should be many of them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New rows, two or more.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._fit(X, None, stream=True)

    def transform(self, X: Any) -> Any:
        """Return the place of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        places : array of shape (n_samples, n_components)
        """
        X, border, learned = self._before_prediction(X, "transform")
        network, n_layers = prediction_architecture(self._structure), self._structure.n_encoder
        places = predict_rows(
            lambda X: network.apply(*learned, X, n_layers=n_layers), X, learned[0], network.widest
        )
        return border.as_caller(places)

    def inverse_transform(self, X: Any) -> Any:
        """Return the rows that the decoder makes of places.

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
            If there is no decoder, or the places have another width.
        """
        self._check_caller(X, "inverse_transform")
        structure = self._structure
        if not structure.decoder:
            raise ValueError(
                "inverse_transform needs a decoder, and this ParametricUMAP was fitted without. "
                "Set decoder=True and fit again."
            )
        border = Border.of(X)
        X = check_array(X, dtype=[border.xp.float64, border.xp.float32])
        if X.shape[1] != structure.n_components:
            raise ValueError(
                f"X has {X.shape[1]} columns, and places have {structure.n_components}: "
                "inverse_transform takes what transform returns."
            )
        learned = self._learned_on(compute_device(border, self.device))
        network, first = prediction_architecture(structure), structure.n_encoder
        Z = as_tensor(X, device=learned[0].device, dtype=learned[0].dtype)
        rows = predict_rows(
            lambda Z: network.apply(*learned, Z, first=first), Z, learned[0], network.widest
        )
        return border.as_caller(rows)

    def to_torch(self) -> nn.Module:
        """Return the network as a plain ``nn.Module`` in eval mode, with a copy of the parameters.

        Returns
        -------
        module : torch.nn.Sequential
            Of the module ``encoder`` and, where there is one, ``decoder``.
        """
        check_is_fitted(self)
        architecture, n_encoder = self._structure.plain(), self._structure.n_encoder
        parts = {"encoder": slice(n_encoder), "decoder": slice(n_encoder, None)}
        if not self._structure.decoder:
            del parts["decoder"]
        learned = self._learned_on(None)
        modules = {name: architecture.to_module(*learned, part) for name, part in parts.items()}
        return nn.Sequential(OrderedDict(modules)).eval()

    # Training.

    def _check(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Checked:
        if self.metric == "precomputed":
            raise ValueError(
                "metric='precomputed' has no rows for a network to map. Use UMAP, or a metric of "
                "rows."
            )
        data = check_rows(self, X, sample_weight, reset=reset)
        if data.X.shape[0] < 2:
            raise ValueError(
                "Found array with 1 sample, and ParametricUMAP needs 2 at least: a row alone has "
                "no neighbours."
            )
        return data

    def _encode(
        self, y: Any, *, learn: bool, classes: Any = None, complete: bool = False
    ) -> np.ndarray:
        return self._numbers[:, None]

    def _loss(self) -> Loss:
        return ScaledSquaredError(float(self.reconstruction_weight)) if self.decoder else NoLoss()

    def _replica(
        self, data: Checked, past: dict[str, Any], *, shared: Sample | None = None, **options: Any
    ) -> Replica:
        """Return this fit before its first epoch; its structure has the edges, and ours has not."""
        device = compute_device(data.border, self.device)
        X = as_features(data.X, device, floating_dtype(data.X)) if shared is None else shared.X
        given = None if shared is None else shared.index
        self._numbers = np.arange(X.shape[0]) if given is None else np.asarray(given)
        rows = np.unique(self._numbers)
        self.graph_ = self._graph(X[torch.from_numpy(rows).to(device)])
        self._edges = Edges.of(self.graph_, X, rows)
        replica = super()._replica(data, past, shared=shared, **options)
        self._structure = self._structure.bare()
        del self._numbers, self._edges
        return replica

    def _fit_weights(self, data: Checked, train: np.ndarray | None) -> np.ndarray | None:
        """Return how much the edges of each row weigh."""
        reach = self._edges.reach.cpu().numpy()
        weights = reach[self._numbers + 1] - reach[self._numbers]
        return weights / weights.mean()

    def _new_structure(self, X: Any) -> MapNetwork:
        return MapNetwork(
            X.shape[1],
            self._hidden_layer_sizes(),
            int(self.n_components),
            self.activation,
            bool(self.decoder),
            self._forces(),
            self._edges,
        )

    def _forces(self) -> Forces:
        a, b = fitted_curve(self.spread, self.min_dist)
        return Forces(a, b, float(self.repulsion_strength), int(self.negative_sample_rate))

    def _graph(self, X: Tensor) -> sp.csr_matrix:
        """Return the fuzzy graph of the rows."""
        measure = resolve_metric(self.metric, self.metric_kwds or {}, sparse=False)
        k = clipped(self.n_neighbors, X.shape[0])
        neighbors = nearest(X, X, k, measure, same=True)
        limit = UNLINKED.get(self.metric, math.inf) if isinstance(self.metric, str) else math.inf
        directed = membership_graph(neighbors, self.local_connectivity, limit)
        graph = union(directed, self.set_op_mix_ratio)
        if graph.nnz == 0:
            raise ValueError(
                f"metric={self.metric!r} finds that no two of these {X.shape[0]} rows have "
                "anything in common, so there is no graph to train on. Use another metric."
            )
        return graph

    def _optimizer(self) -> Optimizer:
        optimizer = super()._optimizer()
        if optimizer.full_batch:
            raise ValueError(
                f"ParametricUMAP draws edges anew in each step, and optimizer={self.optimizer!r} "
                "needs a loss that stands still. Use 'adam', or another that works on batches."
            )
        return optimizer

    @property
    def _n_features_out(self) -> int:
        return self._structure.n_components

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
