r"""The eigenproblem of principal components, by four roads.

For centred rows :math:`D = \mathrm{diag}(\sqrt w)(X - 1\mu^T)` all of them find the leading
:math:`v_j, \lambda_j` of :math:`D^T D v_j = (n - 1) \lambda_j v_j` with :math:`n = \sum_i w_i`.
Decompositions are made in float64.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import LinearOperator, svds
from sklearn import config_context
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from skbasics._arrays import as_numpy, as_tensor
from skbasics._moments import Moments, merge
from skbasics._sklearn import infer_dimension
from skbasics.decomposition._directions import SIGN_TOLERANCE, completed, fixed_signs
from skbasics.decomposition._scatter import (
    Array,
    Centred,
    Collected,
    multiplied_in_float32,
    scatter_moments,
)

TRUNCATED = ("arpack", "randomized")
TALL = 10
"""Rows a feature from which the scatter is the fastest road (scikit-learn's figure)."""


@dataclass(frozen=True)
class Spectrum:
    """Squared singular values of the centred rows, largest first, and their right vectors.

    Attributes
    ----------
    squares : Tensor of shape (n_found,)
        All of them, or the leading ones of a truncated solver.
    V : Tensor of shape (n_found, n_features)
    total : float
        The sum of all squares.
    shift, mean : Tensor of shape (n_features,)
        The mean of the rows is the sum of the two.
    noise : float
        Squares below this share of the largest are rounding.
    """

    squares: Tensor
    V: Tensor
    total: float
    shift: Tensor
    mean: Tensor
    noise: float

    def cleaned(self, dtype: torch.dtype) -> "Spectrum":
        """Return the spectrum with zeros where there is only the rounding of rows in `dtype`."""
        least = max(self.noise, 16 * torch.finfo(dtype).eps ** 2 * len(self.squares))
        rank = int((self.squares > least * self.squares.amax()).sum()) if len(self.squares) else 0
        squares = self.squares.clone()
        squares[rank:] = 0
        return replace(self, squares=squares, V=self.V[:rank].to(torch.float64))

    def components(self, n_components: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the leading squares and components; where nothing varies, zeros and axes."""
        squares = self.squares.new_zeros(n_components)
        found = min(n_components, len(self.squares))
        squares[:found] = self.squares[:found]
        V = completed(as_numpy(self.V[:n_components]), n_components)
        tolerance = SIGN_TOLERANCE[str(dtype).rpartition(".")[2]]
        return squares, as_tensor(fixed_signs(V, tolerance), device=squares.device)

    def left_out(self, n_components: int) -> float:
        """Return the sum of the squares that come after the leading ones."""
        if n_components < len(self.squares):
            return float(self.squares[n_components:].sum())
        rest = self.total - float(self.squares.sum())
        return rest if rest > len(self.mean) * torch.finfo(torch.float64).eps * self.total else 0.0

    def moments(self, weight: float) -> Moments:
        """Return the moments of the rows whose whole spectrum this is."""
        scatter = (self.V.mT * self.squares[: len(self.V)]) @ self.V
        return Moments(weight, self.shift, self.mean, scatter)


def choose_solver(
    svd_solver: str, n_components: Any, n_samples: float, n_features: int, sparse: bool
) -> str:
    """Return the solver that "auto" stands for; scikit-learn's policy."""
    if svd_solver != "auto":
        return svd_solver
    if sparse:
        return "arpack"
    if n_features <= 1000 and n_samples >= TALL * n_features:
        return "covariance_eigh"
    least = min(n_samples, n_features)
    if max(n_samples, n_features) <= 500 or n_components in (None, "mle"):
        return "full"
    return "randomized" if 1 <= n_components < 0.8 * least else "full"


def check_n_components(
    n_components: Any, solver: str, n_samples: int, n_features: int
) -> int | float | str:
    """Return the number of components asked for; None is as many as the solver finds.

    Raises
    ------
    ValueError
        In scikit-learn's words, if there cannot be as many.
    """
    least = min(n_samples, n_features)
    truncated = solver in TRUNCATED
    if n_components is None:
        n_components = least - (solver == "arpack")
    if n_components == "mle":
        if truncated:
            raise ValueError(f"n_components='mle' cannot be a string with svd_solver='{solver}'")
        if n_samples < n_features:
            raise ValueError("n_components='mle' is only supported if n_samples >= n_features")
    elif not truncated <= n_components <= least:
        raise ValueError(
            f"n_components={n_components} must be between {int(truncated)} and "
            f"min(n_samples, n_features)={least} with svd_solver='{solver}'"
        )
    elif solver == "arpack" and n_components == least:
        raise ValueError(
            f"n_components={n_components} must be strictly less than "
            f"min(n_samples, n_features)={least} with svd_solver='{solver}'"
        )
    return n_components


def resolve_n_components(n_components: Any, squares: Tensor, n_samples: float) -> int:
    """Return how many components a share of the variance or Minka's "mle" comes to."""
    if n_components == "mle":
        variances = squares.cpu().numpy() / (n_samples - 1)
        return int(infer_dimension(variances, n_samples))
    if 0 < n_components < 1:
        ratios = squares.cpu().numpy() / (float(squares.sum()) or 1.0)
        n_more = int(np.searchsorted(np.cumsum(ratios), n_components, side="right"))
        return min(n_more + 1, len(ratios))
    return int(n_components)


def by_rows(X: Any, weights: Array | None) -> Spectrum:
    """Return the whole spectrum of some rows, to the accuracy of a singular value decomposition.

    Sparse rows are multiplied with one another instead, for which they must be few.
    """
    if sp.issparse(X):
        return _by_row_products(Centred.of(X, weights))
    D, *location = centred(X, weights)
    if len(D) > D.shape[1]:  # the left vectors are not needed
        D = torch.linalg.qr(D, mode="r").R
    _, values, V = torch.linalg.svd(D, full_matrices=False)
    squares = values.square()
    return Spectrum(squares, V, _finite(squares.sum()), *location, 0.0)


def _by_row_products(rows: Centred) -> Spectrum:
    K = torch.from_numpy(rows.gram())
    _finite(K.trace())
    squares, U = _eigh(K)
    kept = squares > 0
    B = torch.from_numpy(rows.transposed_times(U[:, kept].numpy())).mT
    _, values, V = torch.linalg.svd(B, full_matrices=False)
    squares = values.square()
    return Spectrum(squares, V, float(squares.sum()), *_location(rows), _eigh_noise(K))


def _location(rows: Centred) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(rows.shift), torch.from_numpy(rows.mean)


def by_scatter(collected: Collected) -> Spectrum:
    """Return the whole spectrum of a scatter matrix, and of rows not yet in it."""
    moments, coarse = collected.moments, collected.coarse
    if collected.blocks:
        X, weights = collected.rows()
        kept = scatter_moments(X, weights, moments.shift if moments else None)
        moments = merge(moments, kept) if moments else kept
        coarse = coarse or multiplied_in_float32(X, weights)
    scatter = as_tensor(moments.scatter)
    _finite(scatter.trace())
    squares, V = _eigh(scatter)
    squares, V = _resolved(squares, V.mT, scatter) if coarse else (squares, V.mT)
    location = as_tensor(moments.shift), as_tensor(moments.mean)
    return Spectrum(squares, V, float(squares.sum()), *location, _eigh_noise(scatter))


def _resolved(squares: Tensor, V: Tensor, scatter: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return the squares with zeros for those that float32 products leave to rounding, and V.

    A product of features i and j is off by a share of :math:`s_i s_j` with :math:`s_i^2 =
    S_{ii}`, a square along v therefore by that of :math:`(\sum_i |v_i| s_i)^2`: features on a
    small scale of their own keep their digits.
    """
    sizes = scatter.diagonal().clamp(min=0).sqrt()
    errors = (V.abs() @ sizes).square().clamp(max=squares[0]) * torch.finfo(torch.float32).eps / 4
    kept = squares > errors
    found = torch.zeros_like(squares)
    found[: int(kept.sum())] = squares[kept]
    return found, V[kept]


def _eigh(A: Tensor) -> tuple[Tensor, Tensor]:
    if A.device.type == "cpu":  # on one core NumPy's LAPACK takes two thirds of torch's time
        values, vectors = (torch.from_numpy(part) for part in np.linalg.eigh(A.numpy()))
    else:
        values, vectors = torch.linalg.eigh(A)
    return values.flip(0).clamp(min=0), vectors.flip(1)


def _eigh_noise(A: Tensor) -> float:
    return len(A) * torch.finfo(A.dtype).eps


def spectrum(collected: Collected) -> Spectrum:
    """Return the whole spectrum of what a stream has shown."""
    if collected.moments:
        return by_scatter(collected)
    return by_rows(*collected.rows())


def _finite(total: Tensor | float) -> float:
    """Return the sum of all squares.

    Raises
    ------
    ValueError
        If it is more than float64 can hold.
    """
    if not math.isfinite(total):
        raise ValueError(
            "The squares of X do not fit in float64, whose largest number is 1.8e308. Divide X by "
            "a constant, such as its largest entry: the components stay as they are."
        )
    return float(total)


def centred(X: Array, weights: Array | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return dense rows in float64, less their mean and times the roots of their weights.

    Then the mean, in two parts: a value near the rows and the rest.
    """
    near = as_tensor(X[0]).to(torch.float64)
    D = as_tensor(X) - near
    share = D.new_full((len(D),), 1 / len(D))
    if weights is not None:
        share = as_tensor(weights) / float(weights.sum())
    mean = share @ D
    D -= mean
    rest = share @ D
    D -= rest
    if weights is not None:
        D *= as_tensor(weights).sqrt()[:, None]
    return D, near, mean + rest


def arpack(
    X: Any, weights: Array | None, n_components: int, tol: float, rng: np.random.RandomState
) -> Spectrum:
    """Return the leading part of the spectrum by ARPACK, of sparse rows without densifying."""
    start = rng.uniform(-1, 1, min(X.shape))
    if sp.issparse(X):
        rows = Centred.of(X, weights)
        D = LinearOperator(
            X.shape,
            matvec=rows.times,
            matmat=rows.times,
            rmatvec=rows.transposed_times,
            rmatmat=rows.transposed_times,
            dtype=np.float64,
        )
        total, location = _finite(rows.total()), _location(rows)
    else:
        tensor, *location = centred(X, weights)
        D, total = tensor.numpy(), _finite(tensor.square().sum())
    n_found = min(n_components, min(X.shape) - 1)  # weighty rows may be fewer than n
    if n_found and total:
        _, values, V = svds(D, k=n_found, tol=tol, v0=start)
    else:
        values, V = np.zeros(0), np.zeros((0, X.shape[1]))
    order = np.argsort(-values)
    squares, V = torch.from_numpy(values[order] ** 2), torch.from_numpy(V[order])
    return Spectrum(squares, V, total, *location, _eigh_noise(location[0]))


def randomized(
    X: Array,
    weights: Array | None,
    n_components: int,
    *,
    as_tensors: bool,
    **options: Any,
) -> Spectrum:
    """Return the leading part of the spectrum by the method of Halko, in the dtype of X.

    Its right vectors are turned to those of the rows projected on them, so that the variances
    are those that `transform` shows.

    `as_tensors` is whether scikit-learn shall work on tensors: it knows no LU decomposition of
    those.
    """
    D, *location = centred(X, weights)
    total = _finite(D.square().sum())
    D = D.to(as_tensor(X).dtype)
    with config_context(array_api_dispatch=as_tensors):
        _, _, V = randomized_svd(
            D if as_tensors else D.numpy(), n_components, flip_sign=False, **options
        )
    V = as_tensor(V)
    _, values, turn = torch.linalg.svd((D @ V.mT).to(torch.float64), full_matrices=False)
    return Spectrum(values.square(), turn @ V.to(turn.dtype), total, *location, 0.0)
