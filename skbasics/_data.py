"""From the user's X, y and weights to tensors on a device."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils import column_or_1d
from torch import Tensor

from skbasics._arrays import Border, as_numpy, as_tensor
from skbasics._shards import Shard
from skbasics._sklearn import check_sample_weight
from skbasics._training import Rows


@dataclass
class Checked:
    """Data that scikit-learn's validation has passed, rows of weight zero left out.

    Attributes
    ----------
    X : array of the caller's namespace, or sparse matrix, of shape (n_samples, n_features)
    y : ndarray or sparse matrix of shape (n_samples,) or (n_samples, n_outputs)
        As the user wrote it: labels are not encoded.
    weights : ndarray of shape (n_samples,) or None
        None where every row counts once.
    border : Border
        Where X came from.
    """

    X: Any
    y: Any
    weights: np.ndarray | None
    border: Border


def check_data(
    estimator: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool, y_numeric: bool
) -> Checked:
    """Validate as scikit-learn does, and drop what weighs nothing.

    Raises
    ------
    ValueError
        In scikit-learn's words, for what its validation refuses.
    """
    border = Border.of(X)
    X, y = estimator._validate(
        X, border, y=as_numpy(y), multi_output=True, y_numeric=y_numeric, reset=reset
    )
    if y.ndim == 2 and y.shape[1] == 1 and not sp.issparse(y):
        y = column_or_1d(y, warn=True)
    return _counted(Checked(X, y, None, border), sample_weight)


def check_rows(estimator: Any, X: Any, sample_weight: Any, *, reset: bool) -> Checked:
    """Validate rows that have no targets, and drop what weighs nothing.

    What stands as their targets has no columns.

    Raises
    ------
    ValueError
        In scikit-learn's words, for what its validation refuses.
    """
    border = Border.of(X)
    X = estimator._validate(X, border, reset=reset)
    return _counted(Checked(X, np.empty((X.shape[0], 0)), None, border), sample_weight)


def _counted(data: Checked, sample_weight: Any) -> Checked:
    """Return the data with weights, without the rows that weigh nothing."""
    if sample_weight is None:
        return data
    counted, weights = check_weights(sample_weight, data.X)
    if counted is None:
        return replace(data, weights=weights)
    return replace(data, X=select(data.X, counted), y=data.y[counted], weights=weights)


def check_weights(sample_weight: Any, X: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return which rows count (None: all), and their weights (None: each is one)."""
    weights = finite_weights(sample_weight, X)
    counted = weights > 0
    if counted.all():
        return None, unless_ones(weights)
    return counted, unless_ones(weights[counted])


def finite_weights(sample_weight: Any, X: Any) -> np.ndarray:
    """Return weights of the rows of X in float64, none of them negative and their sum finite."""
    weights = check_sample_weight(sample_weight, X, ensure_non_negative=True)
    weights = as_numpy(weights).astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        if not np.isfinite(weights.sum()):
            raise ValueError(
                "the sum of the weights is beyond float64. Divide sample_weight by its largest "
                "value."
            )
    return weights


def unless_ones(weights: np.ndarray | None) -> np.ndarray | None:
    """Return weights; None if every row counts once."""
    return None if weights is None or (weights == 1).all() else weights


def select(X: Any, rows: np.ndarray) -> Any:
    """Return the rows of an array (of any namespace) or sparse matrix, by mask or number.

    Of a shard it is by number.
    """
    if isinstance(X, Shard):
        return X.select(rows)
    if sp.issparse(X) or isinstance(X, np.ndarray):
        return X[rows]
    return as_tensor(X)[torch.from_numpy(rows)]


def numeric_targets(y: Any, name: str) -> np.ndarray:
    """Return validated targets of the regressor of a name as numbers in float64.

    Raises
    ------
    ValueError
        If they are sparse, words or dates.
    """
    if sp.issparse(y):
        raise ValueError(f"y is sparse, and {name} takes dense targets. Pass y.toarray().")
    if y.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} predicts numbers, and y has the dtype {y.dtype}. Convert it to numbers, or "
            "take a classifier for labels."
        )
    return np.asarray(y, dtype=float)


def as_rows(X: Any, target: np.ndarray, device: torch.device, dtype: torch.dtype) -> Rows:
    """Return validated data as rows on the device."""
    return Rows(as_features(X, device, dtype), as_target(target, device, dtype))


def as_target(target: np.ndarray, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return encoded targets as a tensor on the device; class numbers stay integers."""
    y = as_tensor(target, device=device)
    return y.to(dtype) if y.is_floating_point() else y


def as_features(X: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """Return validated X as a tensor on the device, in the dtype.

    A sparse matrix stays one, as does a shard, and pixels stay whole numbers.
    """
    if isinstance(X, Shard):
        return X.holding(as_features(X.rows, device, dtype))
    if sp.issparse(X):
        return X.astype(str(dtype).removeprefix("torch."), copy=False)
    held = None if are_pixels(X) else dtype
    return as_tensor(X, device=device, dtype=held).contiguous()


def floating_dtype(X: Any) -> torch.dtype:
    """Return the torch dtype in which a validated array or sparse matrix is computed with."""
    return torch.float32 if are_pixels(X) else getattr(torch, str(X.dtype).rpartition(".")[2])


def are_pixels(X: Any) -> bool:
    """Whether validated X holds the whole numbers of pixels, from 0 to 255."""
    return str(X.dtype).endswith("uint8")


def as_weights(weights: np.ndarray | None, rows: Rows) -> Tensor | None:
    """Return weights beside the rows, in a floating dtype; None if every row counts once."""
    weights = unless_ones(weights)
    if weights is None:
        return None
    dtype = floating_dtype(rows.X)
    tensor = torch.as_tensor(weights, dtype=dtype, device=rows.y.device)
    if not torch.isfinite(tensor.sum()) or ((tensor == 0).cpu().numpy() & (weights > 0)).any():
        raise ValueError(
            f"sample_weight lies between {weights.min():g} and {weights.max():g}, and X is "
            f"{str(dtype).removeprefix('torch.')}, which cannot hold such weights or their sum. "
            "Divide them by their mean, or pass X as float64."
        )
    return tensor


@dataclass
class Sample:
    """The rows of a fit, which may be some of those that several fits share.

    Attributes
    ----------
    X : Tensor or sparse matrix
        All shared rows.
    target : Tensor of shape (n_rows, n_targets)
        The encoded targets of this fit's rows.
    index : ndarray of int or None
        Their numbers in X; None means all.
    train : ndarray of int or None
        Those of them, by position, that are trained on; None means all.
    weights : Tensor of shape (n_train,) or None
        The weights of the latter; None counts every one once.
    block : hashable
        Fits of the same block share X, and the coding of its targets.
    """

    X: Any
    target: Tensor
    index: np.ndarray | None = None
    train: np.ndarray | None = None
    weights: Tensor | None = None
    block: Any = None

    def numbers(self, positions: np.ndarray | None) -> np.ndarray | None:
        """Return the numbers in X of the rows at some positions; None means all."""
        if self.index is None:
            return positions
        return self.index if positions is None else self.index[positions]

    def trains_on(self, train: np.ndarray | None, weights: np.ndarray | None) -> None:
        """Set the rows to train on, and by the weights of all; those of weight zero are not."""
        if weights is not None and not weights.all():
            train = np.flatnonzero(weights) if train is None else train[weights[train] > 0]
        self.train = train
        self.weights = as_weights(weights, Rows(self.X, self.target))
        if self.weights is not None and train is not None:
            self.weights = self.weights[torch.from_numpy(train).to(self.target.device)]

    @property
    def n_train(self) -> int:
        """How many rows are trained on."""
        return len(self.target) if self.train is None else len(self.train)


def as_sample(data: Checked, target: np.ndarray, like: Tensor, shared: Sample | None) -> Sample:
    """Return validated rows and encoded targets, on the device and in the dtype of `like`."""
    if shared is None:
        rows = as_rows(data.X, target, like.device, like.dtype)
        return Sample(rows.X, rows.y)
    return replace(shared, target=as_target(target, like.device, like.dtype))
