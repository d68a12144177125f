"""The inside of `ParametricUMAP`: rows into edges, and edges into a fit of the engine."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from torch import Tensor

from skbasics._arrays import compute_device
from skbasics._base import NetworkEstimator
from skbasics._data import Checked, Sample, as_features, check_rows, floating_dtype
from skbasics._replica import Replica
from skbasics.manifold._approximate import graph_of
from skbasics.manifold._distinct import distinct, of_all, row_keys
from skbasics.manifold._edges import Edges, NoLoss, ScaledSquaredError
from skbasics.manifold._forces import Forces
from skbasics.manifold._metrics import resolve_metric
from skbasics.manifold._neighbors import clipped
from skbasics.manifold._structure import MapNetwork
from skbasics.network import Loss
from skbasics.optim import Optimizer


class EdgeTrainedEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NetworkEstimator):
    """A transformer whose network is trained on the edges of a graph of the rows."""

    _data_parallel = False
    _has_targets = False
    _sparse_input = False
    batch_norm: ClassVar[bool] = False
    dropout: ClassVar[float] = 0.0
    early_stopping: ClassVar[bool] = False

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
        kinds, graph, radius = self._graph(X[torch.from_numpy(rows).to(device)])
        self.graph_ = of_all(graph, *kinds)
        self.disconnected_ = data.border.follow(np.flatnonzero(np.diff(self.graph_.indptr) == 0))
        self._edges = Edges.of(graph, X, rows, kinds, radius)
        replica = super()._replica(data, past, shared=shared, **options)
        self._structure = self._structure.bare()
        del self._numbers, self._edges
        return replica

    def _fit_weights(self, data: Checked, train: np.ndarray | None) -> np.ndarray | None:
        """Return how much the edges of each row weigh."""
        weights = (self._edges.stop - self._edges.start).cpu().numpy()[self._numbers]
        return weights / weights.mean()

    def _new_structure(self, X: Any) -> MapNetwork:
        return MapNetwork(
            X.shape[1],
            self._hidden_layer_sizes(),
            int(self.n_components),
            self.activation,
            bool(self.decoder),
            Forces.of(self),
            self._edges,
        )

    def _graph(
        self, X: Tensor
    ) -> tuple[tuple[np.ndarray, np.ndarray], sp.csr_matrix, Tensor | None]:
        """Return the kinds of rows, their fuzzy graph, and how far noise moves each."""
        first, kind = distinct(row_keys(X))
        X = X[torch.from_numpy(first).to(X.device)]
        measure = resolve_metric(self.metric, self.metric_kwds or {}, sparse=False).fitted(X)
        n_neighbors = clipped(self.n_neighbors, X.shape[0])
        graph = sp.csr_matrix((1, 1))
        if X.shape[0] > 1:
            graph, neighbors = graph_of(X, n_neighbors, measure, self)
        if graph.nnz == 0:
            raise ValueError(
                f"metric={self.metric!r} finds that no two of these {kind.size} rows are "
                "neighbours (they are all the same, or have nothing in common), so there is no "
                "graph to train on. Use other rows or another metric."
            )
        if self.input_noise == 0:
            return (first, kind), graph, None
        apart = torch.linalg.vector_norm(X - X[neighbors.index[:, 1]], dim=1)
        return (first, kind), graph, float(self.input_noise) * apart

    def _batch_size(self, n_rows: int, stream: bool) -> int:
        if self.batch_size == "auto":
            return min(n_rows, *np.clip([n_rows // 30], 50, 200).tolist())
        return super()._batch_size(n_rows, stream)

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
