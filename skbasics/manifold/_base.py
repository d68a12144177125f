"""What `UMAP` is made of: from parameters to a task, and from its layout to what is kept."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_consistent_length, column_or_1d
from torch import Tensor
from tqdm import tqdm

from skbasics._arrays import (
    SEED_BOUND,
    Border,
    as_numpy,
    as_tensor,
    check_size,
    own_random_state,
)
from skbasics._callbacks import FitTasks
from skbasics._data import as_features, floating_dtype
from skbasics._documented import Documented
from skbasics._sklearn import CallbackSupportMixin, check_array, plain, validate_data
from skbasics.manifold._approximate import MANY, descends
from skbasics.manifold._distinct import distinct, known_as, of_all, row_keys, with_target
from skbasics.manifold._engines import Layout, Task, by_torch, by_umap, epochs_of
from skbasics.manifold._extra import has_umap
from skbasics.manifold._forces import Forces
from skbasics.manifold._metrics import Given, Measure, resolve_metric
from skbasics.manifold._neighbors import clipped, nearest
from skbasics.manifold._placement import Frozen, placed
from skbasics.manifold._target import class_numbers

NEW_EPOCHS = 60
"""Epochs in which a new row finds its place."""


class LayoutEstimator(
    Documented,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """The inside of `UMAP`."""

    embedding_: Any
    _n_neighbors: int

    def _validate(self, X: Any, border: Border) -> Any:
        """Return the rows of a fit as scikit-learn's validation leaves them."""
        dtype = [border.xp.float64, border.xp.float32]
        X = validate_data(self, X, accept_sparse="csr", dtype=dtype, ensure_min_samples=2)
        if self.metric == "precomputed" and not sp.issparse(X):
            self._check_distances(X, square=True)
        return X

    @staticmethod
    def _check_distances(X: Any, *, square: bool) -> None:
        if square and X.shape[0] != X.shape[1]:
            raise ValueError(
                f"metric='precomputed' takes the distances of all pairs of rows, a square matrix; "
                f"got one of shape {tuple(X.shape)}."
            )
        if bool((X < 0).any() if hasattr(X, "any") else (as_numpy(X) < 0).any()):
            raise ValueError("metric='precomputed' takes distances, and some of these are < 0.")

    def _target(self, y: Any, n: int) -> np.ndarray | None:
        """Return the target as numbers ``(n, n_targets)``; of classes, with -1 for no class."""
        if y is None:
            return None
        y = as_numpy(plain("y", y))
        if self.target_metric == "precomputed":
            raise ValueError(
                "target_metric='precomputed' has no targets to measure. Pass them as y, with a "
                "distance such as 'euclidean', or 'categorical' for classes."
            )
        if self.target_metric != "categorical":
            y = check_array(y, "y", ensure_2d=False, dtype=np.float64)
            check_consistent_length(np.empty(n), y)
            return y.reshape(n, -1)
        y = column_or_1d(y)
        check_consistent_length(np.empty(n), y)
        return class_numbers(y)[:, None]

    def _task(self, rows: Any, y: np.ndarray | None) -> tuple[Task, np.ndarray, np.ndarray]:
        """Return what is to be laid out, whose rows are distinct, and where they come from."""
        n = rows.shape[0]
        measure = resolve_metric(self.metric, self.metric_kwds or {}, sp.issparse(rows))
        keys = row_keys(rows)
        first, places = distinct(with_target(keys, y))
        rows = _some(rows, first)
        if self.metric == "precomputed":
            rows = rows[:, torch.from_numpy(first).to(rows.device)]
        check_size(n * self.n_components, "coordinates")
        init = self._init(n)
        task = Task(
            rows,
            keys[first],
            None if y is None else y[first],
            measure.fitted(rows),
            clipped(self.n_neighbors, len(first)),
            int(self.n_components),
            Forces.of(self),
            init[first] if isinstance(init, np.ndarray) else init,
            epochs_of(self.n_epochs, len(first), self.densmap),
            own_random_state(self.random_state),
            self,
        )
        return task, first, places

    def _init(self, n: int) -> Any:
        if isinstance(self.init, str):
            if self.init == "pca" and self.metric == "precomputed":
                raise ValueError(
                    "init='pca' needs rows, and metric='precomputed' has none. Use init='spectral'."
                )
            return self.init
        init = check_array(as_numpy(self.init), "init", dtype=np.float64)
        if init.shape != (n, self.n_components):
            raise ValueError(
                f"init has shape {init.shape}; places of {n} rows in {self.n_components} "
                f"components have shape {(n, self.n_components)}."
            )
        return init

    def _engine_for(self, task: Task, device: torch.device) -> str:
        """Return the engine: what was asked for, or the faster one."""
        if self.densmap and self.engine == "torch":
            raise ValueError(
                "densmap=True is umap-learn's. Set engine='umap-learn' or 'auto', with the extra: "
                "pip install 'skbasics[umap]'."
            )
        if self.engine != "auto":
            return self.engine
        slow = task.X.shape[0] > MANY and not descends(task.X.shape[0], task.measure)
        known = isinstance(self.metric, str) and not isinstance(task.measure, Given)
        theirs = self.densmap or (slow and known and device.type == "cpu" and has_umap())
        return "umap-learn" if theirs else "torch"

    def _laid_out(
        self,
        task: Task,
        engine: str,
        device: torch.device,
        data: tuple,
        learned: Callable[[Layout], dict[str, Any]],
    ) -> tuple[Layout, FitTasks | None]:
        """Return the finished layout, and who is to be told when it is kept.

        Callbacks hear of every epoch that is made here; umap-learn makes all of them in one.
        """
        observer = None
        if getattr(self, "_skl_callbacks", None):
            steps = task.n_epochs if engine == "torch" else 1
            observer = FitTasks(self, data, steps, learned)
        if task.X.shape[0] == 1:
            return _one_place(task), observer
        if engine == "umap-learn":
            return self._in_one(task, observer), observer
        return self._by_epochs(task, device, observer), observer

    @staticmethod
    def _in_one(task: Task, observer: FitTasks | None) -> Layout:
        if observer is not None:
            observer.begin_iteration()
        found = by_umap(task)
        if observer is not None:
            observer.end_iteration(found)
        return found

    def _by_epochs(self, task: Task, device: torch.device, observer: FitTasks | None) -> Layout:
        steps = by_torch(task, device, every=observer is not None)
        found = next(steps)
        bar = tqdm(total=task.n_epochs, desc=type(self).__name__, disable=not self.verbose)
        with bar:
            for _ in range(task.n_epochs):
                if observer is not None:
                    observer.begin_iteration()
                found = next(steps, found)
                bar.update()
                if observer is not None and observer.end_iteration(found):
                    break
        return found

    # What is kept.

    def _kept(self, task: Task, first: np.ndarray, border: Border) -> dict[str, Any]:
        """Return what new rows are held against."""
        X = task.X
        if self.metric == "precomputed":
            X = None
        else:
            X = X.copy() if sp.issparse(X) else border.as_caller(X.clone())
        return {
            "_rows": X,
            "_keys": None if X is None else border.follow(task.keys.view(np.int64)),
            "_distance": (self.metric, self.metric_kwds or {}),
            "_local_connectivity": self.local_connectivity,
            "_rate": self.learning_rate,
            "_first": border.follow(first),
            "_n_neighbors": task.n_neighbors,
            "_curve": tuple(task.forces),
            "_seed": task.random_state.randint(SEED_BOUND),
            "n_epochs_": task.n_epochs,
            "a_": task.forces.a,
            "b_": task.forces.b,
        }

    def _learned(
        self, layout: Layout, first: np.ndarray, places: np.ndarray, border: Border, like: Any
    ) -> dict[str, Any]:
        """Return the fitted attributes of a layout."""
        embedding = layout.places[torch.from_numpy(places)].to(like)
        disconnected = np.flatnonzero(np.isin(places, layout.disconnected))
        return {
            "embedding_": border.as_caller(embedding),
            "graph_": of_all(layout.graph, first, places),
            "disconnected_": border.follow(disconnected),
            "_nearest": border.as_caller(layout.nearest.double()),
            "_mean_distance": layout.mean_distance,
        }

    def _frozen(self, device: torch.device) -> Frozen:
        embedding = as_tensor(self.embedding_, device=device)
        first = as_tensor(self._first, device=device)
        return Frozen(
            embedding[first].double(),
            as_tensor(self._nearest, device=device),
            self._mean_distance,
            self._local_connectivity,
            Forces(*self._curve),
            self._rate,
            min(NEW_EPOCHS, self.n_epochs_),
            self._seed,
        )

    # What is asked of it.

    def _found(self, X: Any, frozen: Frozen) -> Tensor:
        """Return the places of rows."""
        device = frozen.places.device
        if self._rows is None:
            Q = as_tensor(X, device=device)[:, as_tensor(self._first, device=device)]
            T = frozen.places
        else:
            Q, T = self._comparable(X, device)
        measure = self._fitted_measure(T)
        k = max(1, min(self._n_neighbors, T.shape[0]) - 1)
        places = placed(nearest(Q, T, k, measure), frozen, measure.limit)
        if self._rows is not None:
            known = known_as(row_keys(Q), as_numpy(self._keys).view(np.uint64))
            old = np.flatnonzero(known >= 0)
            rows, own = (torch.from_numpy(part).to(device) for part in (old, known[old]))
            places[rows] = frozen.places[own]
        return places

    def _comparable(self, X: Any, device: torch.device) -> tuple[Any, Any]:
        """Return rows as the rows of the fit are, and those."""
        dtype = floating_dtype(self._rows)
        if sp.issparse(X) != sp.issparse(self._rows):
            return tuple(_dense(M, device).to(dtype) for M in (X, self._rows))
        return tuple(as_features(M, device, dtype) for M in (X, self._rows))

    def _fitted_measure(self, rows: Any) -> Measure:
        return resolve_metric(*self._distance, sp.issparse(rows)).fitted(rows)

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


def _some(rows: Any, numbers: np.ndarray) -> Any:
    if len(numbers) == rows.shape[0]:
        return rows
    return rows[numbers] if sp.issparse(rows) else rows[torch.from_numpy(numbers).to(rows.device)]


def _one_place(task: Task) -> Layout:
    """Return the layout of rows that are all the same."""
    places = torch.zeros(1, task.n_components, dtype=torch.float64)
    nothing = np.empty(0, np.int64)
    return Layout(places, sp.csr_matrix((1, 1)), torch.zeros(1), 0.0, nothing)


def _dense(X: Any, device: torch.device) -> Tensor:
    return as_tensor(X.toarray() if sp.issparse(X) else X, device=device)
