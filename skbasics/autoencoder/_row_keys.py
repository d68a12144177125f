"""Numbers by which rows are known, whatever stands beside them."""

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skbasics._arrays import as_tensor
from skbasics.network import mixed

BLOCK = 2**22
"""Numbers that are read at a time."""


def row_keys(X: Any) -> np.ndarray:
    """Return a 64-bit key ``(n, 1)`` of each row, a function of what the row contains.

    A sum over the features of scrambled bits, in which zeros count nothing: so a sparse row has
    the key of the same row written out.

    Parameters
    ----------
    X : array of any namespace or csr matrix, of shape (n_samples, n_features)
    """
    if sp.issparse(X):
        return _sparse_keys(X)
    rows = as_tensor(X)
    columns = _columns(rows.shape[1], rows.device)
    blocks = rows.split(max(1, BLOCK // rows.shape[1]))
    keys = torch.cat([_scrambled(block, columns).sum(1) for block in blocks])
    return keys[:, None].cpu().numpy()


def _sparse_keys(X: Any) -> np.ndarray:
    columns = _columns(X.shape[1], torch.device("cpu"))[torch.from_numpy(X.indices)]
    terms = _scrambled(torch.from_numpy(X.data), columns)
    sums = torch.cat([terms.new_zeros(1), terms.cumsum(0)]).numpy()
    return (sums[X.indptr[1:]] - sums[X.indptr[:-1]])[:, None]


def _columns(n_features: int, device: torch.device) -> Tensor:
    return mixed(torch.arange(1, n_features + 1, device=device))


def _scrambled(values: Tensor, columns: Tensor) -> Tensor:
    values = values + 0.0  # minus zero is zero
    integers = torch.int32 if values.dtype == torch.float32 else torch.int64
    bits = values.view(integers).long()
    return torch.where(values == 0, 0, mixed(bits + columns))
