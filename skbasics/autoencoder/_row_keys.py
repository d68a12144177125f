"""Numbers by which rows are known, whatever stands beside them."""

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skbasics._arrays import as_tensor
from skbasics.autoencoder._observed import READ_AT_ONCE
from skbasics.network import mixed


def row_keys(X: Any) -> np.ndarray:
    r"""Return a 64-bit key ``(n, 1)`` of each row, a function of what the row contains.

    .. math:: k_i = s\Big(\sum_j a_j \, b(x_{ij}) \bmod 2^{64}\Big)

    with odd factors a, the bits b of a number, and a function s that scrambles. Zeros count
    nothing, so a sparse row has the key of the same row written out.

    Parameters
    ----------
    X : array of any namespace or csr matrix, of shape (n_samples, n_features)
    """
    if sp.issparse(X):
        sums = _sparse_sums(X)
    else:
        rows = as_tensor(X)
        factors = _factors(rows.shape[1], rows.device)
        blocks = rows.split(max(1, READ_AT_ONCE // rows.shape[1]))
        sums = torch.cat([_bits(block).mul_(factors).sum(1) for block in blocks])
    return mixed(sums)[:, None].cpu().numpy()


def _sparse_sums(X: Any) -> Tensor:
    factors = _factors(X.shape[1], torch.device("cpu"))[as_tensor(X.indices).long()]
    terms = _bits(as_tensor(X.data)).mul_(factors)
    sums = torch.cat([terms.new_zeros(1), terms.cumsum(0)])
    stops = as_tensor(X.indptr).long()
    return sums[stops[1:]] - sums[stops[:-1]]


def _factors(n_features: int, device: torch.device) -> Tensor:
    return mixed(torch.arange(1, n_features + 1, device=device)) | 1


def _bits(values: Tensor) -> Tensor:
    values = values + 0.0  # minus zero is zero
    if values.dtype == torch.float32:
        return values.view(torch.int32).long()
    bits = values.view(torch.int64)
    return bits ^ (bits >> 32)  # of round numbers all but the highest bits are zero
