"""The loop: rows into batches, batches into epochs, and when to stop.

Nothing here knows an update rule or an estimator. `epochs` is a generator: each ``next`` is
one pass over the data, and between two passes the caller records, validates, stops.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils import gen_batches
from torch import Tensor

from skbasics._arrays import as_tensor
from skbasics._averages import Averages
from skbasics._shards import Part, Shard

FETCH_BYTES = 2**20
"""How much of X is gathered in one call: many small batches at a time, large ones singly."""


class Rows:
    """The rows of X and y, by number.

    What X is held as becomes floating numbers a batch at a time: a sparse matrix, and the whole
    numbers of pixels (uint8).
    """

    def __init__(self, X: Any, y: Tensor) -> None:
        self.X, self.y = X, y

    def __len__(self) -> int:
        return self.y.shape[0]

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows of an index ``(K, batch)`` as ``(K, batch, width)`` tensors."""
        flat = index.reshape(-1)
        X, y = self._features(flat), self.y.index_select(0, flat)
        return tuple(part.view(*index.shape, part.shape[1]) for part in (X, y))

    @property
    def n_bytes(self) -> int:
        """The size of a dense row of X."""
        itemsize = 4 if self.X.dtype == torch.uint8 else self.X.dtype.itemsize
        return self.X.shape[1] * itemsize

    def all(self, n_replicas: int) -> tuple[Tensor, Tensor]:
        """Return all rows, the same for every replica, without a copy where X is dense."""
        X = dense_rows(self.X, slice(None), self.y)
        return X.expand(n_replicas, *X.shape), self.y.expand(n_replicas, *self.y.shape)

    def _features(self, index: Tensor) -> Tensor:
        if sp.issparse(self.X):
            return dense_rows(self.X, index.cpu().numpy(), self.y)
        return _as_numbers(self.X.index_select(0, index))


def dense_rows(X: Any, rows: Any, like: Tensor) -> Tensor:
    """Return some rows of a tensor, or of a sparse matrix on the device of `like`."""
    if sp.issparse(X):
        return torch.from_numpy(X[rows].toarray()).to(like.device)
    return _as_numbers(X[rows])


def _as_numbers(X: Tensor) -> Tensor:
    """Return pixels 0, ..., 255 as float32 from 0 to 1, and other numbers as they are."""
    return X.float().div_(255) if X.dtype == torch.uint8 else X


PREDICTION_ROWS = 4096
"""Rows that prediction puts through the network at a time, at most: enough to fill the cores,
few enough that wide sparse data stay in memory."""

PREDICTION_NUMBERS = 2**22
"""What the widest layer may compute at a time: that the activations stay in the cache."""


@torch.no_grad()
def predict_rows(apply: Callable[[Tensor], Tensor], X: Any, like: Tensor, widest: int) -> Tensor:
    """Return ``apply`` of all rows of X, computed on blocks ``(1, rows, n_features)``.

    `widest` is how many numbers the widest layer computes of a row. Of a shard it is the result of
    all ranks' rows.
    """
    if isinstance(X, Shard):
        n_here = len(X.rows)
        rows = X.rows if n_here else X.rows.new_zeros(1, X.shape[1])  # which tells the width
        return X.whole(predict_rows(apply, rows, like, widest)[:n_here])
    n_rows = min(PREDICTION_ROWS, max(1, PREDICTION_NUMBERS // max(widest, X.shape[1])))
    parts = [slice(i, i + n_rows) for i in range(0, X.shape[0], n_rows)]
    first = apply(dense_rows(X, parts[0], like)[None])[0]
    if len(parts) == 1:
        return first
    out = first.new_empty(X.shape[0], *first.shape[1:])  # small results between large ones
    out[parts[0]] = first  # would keep the memory of those from being used again
    for part in parts[1:]:
        out[part] = apply(dense_rows(X, part, like)[None])[0]
    return out


@dataclass
class Batch:
    """What one step sees.

    Attributes
    ----------
    X : Tensor of shape (K, batch, n_features)
    y : Tensor of shape (K, batch, n_targets)
    weights : Tensor of shape (K, batch, 1) or None
        None where every row counts once.
    totals : float or Tensor of shape (K, 1)
        The sum of the weights; one for a replica without rows.
    sizes : list of int or None
        Rows of each replica, where they differ; the rest of its batch is padding.
    active : list of int or None
        The replicas that have rows in this batch; None means all.
    part : Part or None
        What X, y and weights are of the batch, where other ranks have the rest.
    """

    X: Tensor
    y: Tensor
    weights: Tensor | None
    totals: float | Tensor
    sizes: list[int] | None = None
    active: list[int] | None = None
    part: Part | None = None


class Batches:
    """The batches of one epoch after another, for K replicas side by side.

    Parameters
    ----------
    rows : Rows
        The data that all replicas share.
    subsets : list of K Tensors or None
        The row numbers each replica trains on, repeats allowed; None means every row.
    weights : list of K Tensors or None
        The weight of each of those rows; None counts every row once.
    batch_sizes : list of K ints
    shuffle : bool
    random_states : list of K RandomState
        Replica k is shuffled by its own; the order of an epoch permutes that of the last one,
        as in scikit-learn.
    min_batch_size : int
        A last batch with fewer rows joins the one before it (batch normalisation needs two).
    orders : list of K ndarrays or None
        The order of the epoch before, where training goes on; ignored if the rows are more or
        fewer now.
    """

    def __init__(
        self,
        rows: Rows,
        subsets: list[Tensor] | None,
        weights: list[Tensor] | None,
        batch_sizes: Sequence[int],
        *,
        shuffle: bool,
        random_states: Sequence[np.random.RandomState],
        min_batch_size: int = 1,
        orders: Sequence[np.ndarray] | None = None,
    ) -> None:
        self.rows, self.subsets, self.weights = rows, subsets, weights
        self.shuffle, self.random_states = shuffle, random_states
        counts = [len(rows)] * len(batch_sizes) if subsets is None else [len(s) for s in subsets]
        self.orders = [np.arange(count, dtype=np.int32) for count in counts]
        if orders is not None and [len(order) for order in orders] == counts:
            self.orders = list(orders)
        self.slices = [
            list(gen_batches(count, min(size, count), min_batch_size=min_batch_size))
            for count, size in zip(counts, batch_sizes, strict=True)
        ]
        self._align()

    def _align(self) -> None:
        """Find the leading batches that are the same slice for every replica."""
        self.n_batches = [len(slices) for slices in self.slices]
        first = self.slices[0]
        self._n_aligned = min(_n_common(first, slices) for slices in self.slices)
        self._runs = self._group(first[: self._n_aligned])
        aligned = self._n_aligned == max(self.n_batches)
        self._whole = self._whole_batch() if aligned and self._n_aligned == 1 else None

    def epoch(self, running: np.ndarray) -> Iterator[Batch]:
        """Yield the batches of one epoch; replicas that do not run have no rows in them."""
        if self._whole is not None and running.all():
            yield self._whole
            return
        index, weights = self._drawn()
        n_aligned = 0
        if running.all():
            yield from self._aligned_batches(index, weights)
            n_aligned = self._n_aligned
        yield from self._ragged_batches(index, weights, running, n_aligned)

    def some(self, replicas: Sequence[int]) -> "Batches":
        """Return the batches of some replicas alone, which go on with their orders."""
        part = copy.copy(self)
        for name in ("subsets", "weights", "random_states", "orders", "slices"):
            values = getattr(self, name)
            setattr(part, name, None if values is None else [values[k] for k in replicas])
        part._align()
        return part

    def _whole_batch(self) -> Batch:
        """Return the only batch of every epoch, which is made once."""
        weights = None if self.weights is None else torch.stack(self.weights)
        if self.subsets is not None:
            return self._batch(*self.rows.take(torch.stack(self.subsets)), weights)
        return self._batch(*self.rows.all(len(self.orders)), weights)

    def _drawn(self) -> tuple[Tensor, Tensor | None]:
        """Draw the epoch's order: row numbers and weights ``(K, longest)``, padded by zeros."""
        for k, state in enumerate(self.random_states):
            # The order within a single batch changes rounding alone: nothing is drawn for it.
            if self.shuffle and self.n_batches[k] > 1:
                self.orders[k] = self.orders[k][state.permutation(len(self.orders[k]))]
        device = self.rows.y.device
        orders = [as_tensor(order, device=device) for order in self.orders]
        weights = None if self.weights is None else _gathered(self.weights, orders)
        return _padded(orders) if self.subsets is None else _gathered(self.subsets, orders), weights

    def _aligned_batches(self, index: Tensor, weights: Tensor | None) -> Iterator[Batch]:
        """Fetch the rows of several small batches at once, and cut them into batches."""
        for run in self._runs:
            first, last = run[0].start, run[-1].stop
            X, y = self.rows.take(index[:, first:last])
            for batch in run:
                part = slice(batch.start - first, batch.stop - first)
                weights_part = None if weights is None else weights[:, batch]
                yield self._batch(X[:, part], y[:, part], weights_part)

    def _group(self, slices: list[slice]) -> list[list[slice]]:
        """Group batches into runs whose rows fit into FETCH_BYTES."""
        if not slices:
            return []
        row = self.rows.n_bytes * len(self.orders)
        longest = max(1, FETCH_BYTES // (row * (slices[0].stop - slices[0].start)))
        return [slices[i : i + longest] for i in range(0, len(slices), longest)]

    def _ragged_batches(
        self, index: Tensor, weights: Tensor | None, running: np.ndarray, first: int
    ) -> Iterator[Batch]:
        """Yield the batches from the first one that is not the same slice for all replicas."""
        slices = [s if runs else [] for s, runs in zip(self.slices, running, strict=True)]
        for step in range(first, max(len(s) for s in slices)):
            cuts = [s[step] if step < len(s) else slice(0, 0) for s in slices]
            yield self._ragged_batch(index, weights, cuts)

    def _ragged_batch(self, index: Tensor, weights: Tensor | None, cuts: list[slice]) -> Batch:
        sizes = [s.stop - s.start for s in cuts]
        places = torch.arange(max(sizes), device=index.device)
        filled = places < torch.tensor(sizes, device=index.device)[:, None]
        # Padding is a row of the replica's own batch: where another's overflows, and nowhere
        # else does, zero times infinity would be nan.
        own = torch.stack([row[s.start] for row, s in zip(index, cuts, strict=True)])[:, None]
        X, y = self.rows.take(torch.where(filled, _padded(_each(index, cuts)), own))
        weights = filled.to(X.dtype) if weights is None else _padded(_each(weights, cuts))
        active = [k for k, size in enumerate(sizes) if size]
        batch = self._batch(X, y, weights, sizes)
        batch.active = None if len(active) == len(sizes) else active
        return batch

    def _batch(
        self, X: Tensor, y: Tensor, weights: Tensor | None, sizes: list[int] | None = None
    ) -> Batch:
        if weights is None:
            return Batch(X, y, None, float(X.shape[1]))
        totals = weights.sum(1, keepdim=True)
        return Batch(X, y, weights[..., None], totals.masked_fill(totals == 0, 1), sizes)


class ShardedBatches(Batches):
    """The batches of one replica whose rows lie on several ranks: the parts that are here."""

    def _whole_batch(self) -> Batch:
        device = self.rows.y.device
        numbers = torch.arange(len(self.rows), device=device)
        numbers = numbers if self.subsets is None else self.subsets[0]
        return self._part(numbers, None if self.weights is None else self.weights[0])

    def _aligned_batches(self, index: Tensor, weights: Tensor | None) -> Iterator[Batch]:
        for batch in self.slices[0]:
            yield self._part(index[0, batch], None if weights is None else weights[0, batch])

    def _part(self, numbers: Tensor, weights: Tensor | None) -> Batch:
        """Return what is here of a batch of row numbers and their weights, ``(batch,)`` each."""
        places, X = self.rows.X.locate(numbers)
        y = self.rows.y[numbers[places]]
        part, totals = Part(places, len(numbers), self.rows.X.group), float(len(numbers))
        if weights is not None:
            weights, totals = weights[places][None, :, None], weights.sum().view(1, 1)
        return Batch(_as_numbers(X)[None], y[None], weights, totals, part=part)


def _n_common(a: list[slice], b: list[slice]) -> int:
    """Return how many leading slices are the same."""
    differ = (i for i, (one, other) in enumerate(zip(a, b, strict=False)) if one != other)
    return next(differ, min(len(a), len(b)))


def _each(values: Sequence[Tensor] | Tensor, parts: Sequence[Any]) -> list[Tensor]:
    return [value[part] for value, part in zip(values, parts, strict=True)]


def _gathered(values: Sequence[Tensor], orders: Sequence[Tensor]) -> Tensor:
    """Return K vectors, each in its order, as a matrix padded by zeros, without more copies."""
    if len(orders) == 1:
        return values[0][orders[0]][None]
    matrix = values[0].new_zeros(len(orders), max(map(len, orders)))
    for row, value, order in zip(matrix, values, orders, strict=True):
        torch.index_select(value, 0, order, out=row[: len(order)])
    return matrix


def _padded(rows: Sequence[Tensor]) -> Tensor:
    """Return K vectors as a matrix, padded by zeros where they are shorter."""
    if len(rows) == 1:
        return rows[0][None]
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)


def epochs(
    objective: Any, optimizer: Any, state: Any, batches: Batches, running: np.ndarray
) -> Iterator[list[float]]:
    """Train forever, one epoch each ``next``, and yield the K mean losses of the epoch.

    Parameters
    ----------
    objective, optimizer, state
        ``optimizer.step(objective, batch, state, active)`` returns the K losses of the batch.
    batches : Batches
    running : ndarray of bool, shape (K,)
        The caller's: a replica set to False between two epochs is not stepped again.
    """
    while True:
        yield _epoch(objective, optimizer, state, batches, running)


# A decorator and not a `with` in the generator: a mode held across a yield would leak.
@torch.no_grad()
def _epoch(
    objective: Any, optimizer: Any, state: Any, batches: Batches, running: np.ndarray
) -> list[float]:
    objective.seed_epoch(batches.random_states)
    mean = Averages(len(running), objective.theta.device)
    state.train()
    for batch in batches.epoch(running):
        losses = optimizer.step(objective, batch, state, batch.active)
        mean.add(losses, batch.totals, batch.active)
    state.eval()
    return mean.values()


@dataclass
class Patience:
    """Counts epochs without improvement, for one replica and one falling quantity.

    An epoch counts as an improvement if it beats the best by `tol`; a smaller gain is kept as
    the best but does not restart the count (scikit-learn's rule).
    """

    tol: float
    n_iter_no_change: float
    best: float = np.inf
    count: int = 0

    def update(self, value: float) -> bool:
        """Take the value of an epoch; return whether it is the best so far."""
        self.count = self.count + 1 if value > self.best - self.tol else 0
        improved = value < self.best
        if improved:
            self.best = value
        return improved

    def start_over(self, *, forget: bool) -> None:
        """Count anew; `forget` the best too, where it was the best of another function."""
        self.count = 0
        if forget:
            self.best = np.inf

    @property
    def exhausted(self) -> bool:
        """Whether there were more than `n_iter_no_change` such epochs in a row."""
        return self.count > self.n_iter_no_change

    def export(self) -> dict[str, float]:
        """Return the state as plain numbers."""
        return asdict(self)
