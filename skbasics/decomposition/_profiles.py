r"""The mathematics of correspondence analysis: row profiles, their moments, their axes.

For a table N of non-negative numbers with total n, let :math:`P = N / n`, with row masses
:math:`r = P 1` and column masses :math:`c = P^T 1`. The analysis is the singular value
decomposition of the standardised residuals,

.. math::
    S = D_r^{-1/2} (P - r c^T) D_c^{-1/2} = U \Sigma V^T.

A row enters by its profile :math:`z_i = N_{i \cdot} / N_{i+}` alone, with its mass:
:math:`S_{i \cdot} = \sqrt{r_i} (z_i - c)^T D_c^{-1/2}`. So c is the mean of the profiles,

.. math::
    S^T S = D_c^{-1/2} \Big( \sum_i r_i (z_i - c)(z_i - c)^T \Big) D_c^{-1/2}

their scatter, and V is had from moments that can be merged. Where the rows themselves take less
memory than the p x p scatter, they are kept instead, as a factor :math:`\sqrt{n r_i}\, z_i`.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from skbasics._arrays import as_numpy, as_tensor
from skbasics._moments import Moments, merge
from skbasics.decomposition._directions import fixed_signs

Matrix = Any  # Tensor, or scipy.sparse.csr_array
EPSILON = np.finfo(np.float64).eps
NO_INERTIA = 1e3 * EPSILON**2  # what rounding leaves of a centred table without inertia
SIGN_TOLERANCE = 1e-6  # directions of sparse tables have lost a digit or two
FULL_SIZE = 300  # up to here all eigenvectors cost no more than a few


@dataclass(frozen=True)
class Profiles:
    """Rows of a table.

    Attributes
    ----------
    values : Tensor or csr_array of shape (n_rows, n_columns)
        The rows divided by their totals; rows that sum to zero stay zero.
    totals : Tensor of shape (n_rows,)
        The row sums.
    weights : Tensor of shape (n_rows,) or None
        How often each row counts; None is once.
    """

    values: Matrix
    totals: Tensor
    weights: Tensor | None

    @classmethod
    def of(cls, X: Any, weights: Any, device: torch.device, column_weights: Any = None) -> Self:
        """Return the rows of a table, in float64 on the device; a sparse table stays sparse."""
        weights, scale = (
            None if given is None else as_tensor(given, device=device, dtype=torch.float64)
            for given in (weights, column_weights)
        )
        if sp.issparse(X):
            X = sp.csr_array(X).astype(np.float64)  # a copy: the caller's is left as it is
            X.sum_duplicates()
            X = X if scale is None else X @ sp.diags_array(scale.cpu().numpy())
            totals = as_tensor(X.sum(axis=1), device=device)
        else:
            X = as_tensor(X, device=device, dtype=torch.float64)
            X = X if scale is None else X * scale
            totals = X.sum(1)
        return cls(_divide_rows(X, totals.where(totals > 0, 1)), totals, weights)

    @property
    def masses(self) -> Tensor:
        """The row sums, each counted as often as its row."""
        return self.totals if self.weights is None else self.totals * self.weights

    def take(self, rows: Tensor) -> "Profiles":
        """Return the rows of a mask."""
        if rows.all():
            return self
        values = self.values[rows.cpu().numpy() if sp.issparse(self.values) else rows]
        weights = None if self.weights is None else self.weights[rows]
        return Profiles(values, self.totals[rows], weights)


@dataclass(frozen=True)
class Table:
    """What the analysis needs of the rows seen so far: their factor, or their moments.

    Attributes
    ----------
    n_parts, n_rows : int
        How many tables were put together, and their rows of positive weight.
    weight, occupied : float
        The weights of the rows, and of those that do not sum to zero.
    factor : Tensor or csr_array of shape (n_rows, n_columns), or None
        Profiles times the root of their masses.
    moments : Moments or None
        Moments of the profiles, weighted by their masses.
    centred : bool
        Whether no scatter was the difference of two large matrices, as that of sparse rows is.
    """

    n_parts: int
    n_rows: int
    weight: float
    occupied: float
    factor: Matrix | None
    moments: Moments | None
    centred: bool

    @classmethod
    def of(cls, rows: Profiles) -> "Table":
        """Return the table of some rows."""
        rows = rows if rows.weights is None else rows.take(rows.weights > 0)
        n_rows = len(rows.totals)
        full = rows.totals > 0
        counts = (n_rows, int(full.sum()))
        if rows.weights is not None:
            counts = (float(rows.weights.sum()), float(rows.weights[full].sum()))
        rows = rows.take(full)
        sparse = sp.issparse(rows.values)
        table = cls(1, n_rows, float(counts[0]), float(counts[1]), None, None, not sparse)
        if _stored_numbers(rows.values) <= rows.values.shape[1] ** 2:
            return replace(table, factor=_scale_rows(rows.values, rows.masses.sqrt()))
        return replace(table, moments=_moments(rows.values, rows.masses))

    def join(self, other: "Table") -> "Table":
        """Return the table of the rows of both."""
        joined = Table(
            self.n_parts + other.n_parts,
            self.n_rows + other.n_rows,
            self.weight + other.weight,
            self.occupied + other.occupied,
            None,
            None,
            self.centred and other.centred,
        )
        factors = (self.factor, other.factor)
        if all(factor is not None for factor in factors):
            n_columns = factors[0].shape[1]
            if sum(map(_stored_numbers, factors)) <= n_columns**2:
                return replace(joined, factor=_stack(*factors))
        return replace(joined, moments=_join_moments(self.as_moments(), other.as_moments()))

    @property
    def total(self) -> Tensor | float:
        """The sum of the rows, each counted as often as it weighs."""
        if self.factor is not None:
            return _row_sums(self.factor).square().sum()
        return 0.0 if self.moments is None else self.moments.weight

    def as_moments(self) -> Moments | None:
        """Return the moments; None of no rows at all."""
        if self.factor is None:
            return self.moments
        roots = _row_sums(self.factor)
        if len(roots) == 0:
            return None
        return _moments(_scale_rows(self.factor, 1 / roots), roots.square())


@dataclass(frozen=True)
class Axes:
    r"""The axes of a table.

    Attributes
    ----------
    total : float
        The sum n of the table.
    centroid : Tensor of shape (n_columns,)
        The column masses c.
    directions : Tensor of shape (n_columns, n_components)
        V; zero for an axis without inertia.
    singular_values : Tensor of shape (n_components,)
        :math:`\Sigma`.
    inertia : float
        The sum of all squared singular values.
    column_inertias : Tensor of shape (n_columns,)
        The share of each column in it: the diagonal of :math:`S^T S`.
    noise : float
        What rounding leaves of an inertia of zero.
    """

    total: float
    centroid: Tensor
    directions: Tensor
    singular_values: Tensor
    inertia: float
    column_inertias: Tensor
    noise: float

    @property
    def standard_columns(self) -> Tensor:
        r"""Standard column coordinates :math:`\Gamma = D_c^{-1/2} V`."""
        return self.directions * inverse_root(self.centroid)[:, None]

    def singular_power(self, power: float) -> Tensor:
        """Return the singular values to a power, zero where they are zero."""
        positive = self.singular_values > 0
        return torch.where(positive, self.singular_values, 1.0) ** power * positive

    def share_of_columns(self, inertias: Tensor) -> Tensor:
        """Return inertias ``(n_columns, n_components)`` as shares of each column's own."""
        seen = self.column_inertias > self.noise * self.centroid
        return inertias / self.column_inertias.where(seen, torch.inf)[:, None]

    def project(self, rows: Profiles) -> tuple[Tensor, Tensor]:
        r"""Return principal row coordinates, and squared chi-square distances to the centroid.

        The transition formula :math:`f_i = (z_i - c)^T \Gamma`, and
        :math:`d_i^2 = \sum_j (z_{ij} - c_j)^2 / c_j`. A row that sums to zero is at zero.
        """
        columns, occupied = self.standard_columns, rows.totals > 0
        roots = inverse_root(self.centroid)  # whose square may be infinite
        if sp.issparse(rows.values):
            offset = self.centroid @ columns
            F = as_tensor(rows.values @ columns.cpu().numpy(), device=columns.device) - offset
            squares = (rows.values @ sp.diags_array(roots.cpu().numpy())).power(2).sum(axis=1)
            distances = as_tensor(squares, device=columns.device) - 1
        else:
            residuals = rows.values - self.centroid
            F = residuals @ columns
            distances = residuals.mul_(roots).square_().sum(1)
        F = F * occupied[:, None]
        return F, (distances * occupied).maximum(F.square().sum(1))


def find_axes(table: Table, n_components: int) -> Axes:
    """Return the leading axes of a table that does not sum to zero."""
    if table.factor is None:
        total, centroid = table.moments.weight, table.moments.location
        scale = inverse_root(centroid)
        gram = table.moments.scatter * scale[:, None] * scale / total
        inertias = gram.diagonal().clone()
        solve = _from_gram(gram)
    elif sp.issparse(table.factor):
        total, centroid, inertias, solve = _from_sparse(table.factor)
    else:
        total, centroid, inertias, solve = _from_rows(table.factor)
    inertias = inertias.clamp(min=0)
    inertia = float(inertias.sum())
    noise = NO_INERTIA if table.centred else len(centroid) * EPSILON
    directions = centroid.new_zeros(len(centroid), n_components)
    values = centroid.new_zeros(n_components)
    if inertia > noise:
        found, vectors = solve(n_components)
        floor = max(noise, len(centroid) * EPSILON * float(found[0]))
        real = int((found > floor).sum())
        values[:real] = found[:real]
        directions[:, :real] = _oriented(vectors[:, :real], centroid.sqrt())
    return Axes(float(total), centroid, directions, values.sqrt(), inertia, inertias, noise)


def inverse_root(c: Tensor) -> Tensor:
    """Return ``c ** -0.5``, and zero where c is zero."""
    return torch.where(c > 0, c, torch.inf).rsqrt()


def _scale_rows(rows: Matrix, scale: Tensor) -> Matrix:
    if sp.issparse(rows):
        data = rows.data * np.repeat(scale.cpu().numpy(), np.diff(rows.indptr))
        return sp.csr_array((data, rows.indices, rows.indptr), shape=rows.shape)
    return rows * scale[:, None]


def _divide_rows(rows: Matrix, totals: Tensor) -> Matrix:
    """Return rows by their totals, of which the reciprocal of the smallest is infinite."""
    if sp.issparse(rows):
        data = rows.data / np.repeat(totals.cpu().numpy(), np.diff(rows.indptr))
        return sp.csr_array((data, rows.indices, rows.indptr), shape=rows.shape)
    return rows / totals[:, None]


def _row_sums(rows: Matrix) -> Tensor:
    return as_tensor(rows.sum(axis=1))


def _stored_numbers(factor: Matrix) -> int:
    return factor.nnz if sp.issparse(factor) else factor.numel()


def _stack(a: Matrix, b: Matrix) -> Matrix:
    if sp.issparse(a) or sp.issparse(b):
        a, b = (f if sp.issparse(f) else sp.csr_array(f.cpu().numpy()) for f in (a, b))
        return sp.csr_array(sp.vstack([a, b]))
    return torch.cat([a, b])


def _moments(profiles: Matrix, masses: Tensor) -> Moments:
    """Return the moments of profiles, of which there is one at least."""
    total = float(masses.sum())
    if sp.issparse(profiles):
        factor = _scale_rows(profiles, masses.sqrt())
        c = profiles.T @ masses.cpu().numpy() / total
        scatter = as_tensor((factor.T @ factor).toarray() - total * np.outer(c, c))
        centroid = as_tensor(c)
    else:
        centroid = masses @ profiles / total
        residuals = (profiles - centroid).mul_(masses.sqrt()[:, None])
        scatter = _squared(residuals)
    return Moments(total, centroid, torch.zeros_like(centroid), scatter)


def _squared(A: Tensor) -> Tensor:
    """Return ``A^T A``; on the CPU by NumPy, which computes one half of it alone."""
    return as_tensor(A.numpy().T @ A.numpy()) if A.device.type == "cpu" else A.T @ A


def _join_moments(a: Moments | None, b: Moments | None) -> Moments | None:
    return (a or b) if a is None or b is None else merge(a, b)


def _from_gram(gram: Tensor) -> Any:
    return lambda n_components: _leading(gram, n_components)


def _from_rows(factor: Tensor) -> tuple:
    """Solve for a dense factor, which has no more rows than columns."""
    roots = factor.sum(1)
    total = roots @ roots
    centroid = roots @ factor / total
    S = (factor - roots[:, None] * centroid) * (inverse_root(centroid) / total.sqrt())

    def solve(n_components: int) -> tuple[Tensor, Tensor]:
        values, U = _leading(_squared(S.T), n_components)
        return values, torch.linalg.qr(S.T @ U)[0]

    return total, centroid, S.square().sum(0), solve


def _from_sparse(factor: sp.csr_array) -> tuple:
    r"""Solve for a sparse factor: its standardised residuals are sparse minus rank one.

    :math:`S = T - t u^T` with the unit vectors :math:`t = T u` and :math:`u = T^T t` of the
    trivial solution, so that :math:`S S^T = T T^T - t t^T` and :math:`S^T S = T^T T - u u^T`.
    """
    roots = factor.sum(axis=1)
    total = roots @ roots
    c = factor.T @ roots / total
    T = sp.csr_array(factor @ sp.diags_array(inverse_root(as_tensor(c)).numpy() / np.sqrt(total)))
    t, u = roots / np.sqrt(total), np.sqrt(c)

    def solve(n_components: int) -> tuple[Tensor, Tensor]:
        if T.shape[0] >= T.shape[1]:
            return _leading(_deflated(T.T, u, n_components), n_components)
        values, U = _leading(_deflated(T, t, n_components), n_components)
        U = U.numpy()
        return values, torch.linalg.qr(as_tensor(T.T @ U - np.outer(u, t @ U)))[0]

    return total, as_tensor(c), as_tensor(T.power(2).sum(axis=0) - c), solve


def _few(n_components: int, size: int) -> bool:
    """Whether so few components are asked for that an iteration finds them sooner."""
    return size > max(FULL_SIZE, 10 * n_components)


def _deflated(T: Any, t: np.ndarray, n_components: int) -> Tensor | LinearOperator:
    """Return ``T T^T - t t^T``, as a product where a few of its eigenvectors are enough."""
    size = T.shape[0]
    if not _few(n_components, size):
        return as_tensor((T @ T.T).toarray() - np.outer(t, t))
    return LinearOperator(
        (size, size), matvec=lambda x: T @ (T.T @ x) - t * (t @ x), dtype=np.float64
    )


def _leading(gram: Tensor | LinearOperator, n_components: int) -> tuple[Tensor, Tensor]:
    """Return the largest eigenvalues of a symmetric matrix in falling order, and their vectors."""
    size = gram.shape[0]
    if isinstance(gram, Tensor) and not _few(n_components, size):
        values, vectors = torch.linalg.eigh(gram)
        return values.flip(0)[:n_components], vectors.flip(1)[:, :n_components]
    matrix = gram.cpu().numpy() if isinstance(gram, Tensor) else gram
    start = np.random.RandomState(0).uniform(-1, 1, size)  # ARPACK would draw one of its own
    values, vectors = eigsh(matrix, n_components, v0=start, which="LA")
    device = gram.device if isinstance(gram, Tensor) else None
    order = np.argsort(-values)
    return as_tensor(values[order], device=device), as_tensor(vectors[:, order], device=device)


def _oriented(V: Tensor, trivial: Tensor) -> Tensor:
    """Return directions freed of the trivial one, with fixed signs. An empty column has no part."""
    V = (V - trivial[:, None] * (trivial @ V)) * (trivial > 0)[:, None]
    return as_tensor(fixed_signs(as_numpy(V.mT), SIGN_TOLERANCE), device=V.device).mT
