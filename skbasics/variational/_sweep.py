"""One pass over the rows of a mixture: responsibilities, the bound, and what the update needs.

Rows are columns here, ``(D, n)``, and go by in blocks that stay in the cache. A block is
whitened by every component of every mixture of the stack at once; its responsibilities are used
where they are made, and only sums over rows are kept.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 2**17
"""Numbers in a whitened block: a mebibyte in float64."""


class Rows(NamedTuple):
    """The rows of a fit.

    Attributes
    ----------
    X : Tensor of shape (D, n)
        Rows less their mean, as columns.
    weights : Tensor of shape (n,) or None
        How often each counts; None is once.
    total : float
        The sum of the weights.
    """

    X: Tensor
    weights: Tensor | None
    total: float

    def blocks(self, width: int) -> Iterator[slice]:
        """Yield slices of rows, so few that `width` numbers of each fit into a block."""
        n, size = self.X.shape[1], max(16, BLOCK // width)
        for start in range(0, n, size):
            yield slice(start, min(n, start + size))


class Terms(NamedTuple):
    r"""What the log joint density of a row and its component is made of.

    It is :math:`c_k - \tfrac12 \|P_k^T (x - m_k)\|^2`.

    Attributes
    ----------
    means : Tensor of shape (R, K, D)
    P : Tensor of shape (R, K, D, D), (R, 1, D, D), (R, K, D) or (R, K, 1)
    constants : Tensor of shape (R, K)
    """

    means: Tensor
    P: Tensor
    constants: Tensor


class Sums(NamedTuple):
    """Sums over rows, each times its weight and its responsibility.

    Attributes
    ----------
    N : Tensor of shape (R, K)
        Of ones.
    g : Tensor of shape (R, K, D)
        Of whitened rows.
    G : Tensor of shape (R, K, D, D) or (R, K, D)
        Of their products, or squares.
    evidence : Tensor of shape (R,)
        The log densities of the rows, summed by their weights.
    """

    N: Tensor
    g: Tensor
    G: Tensor
    evidence: Tensor


class Kernel(ABC):
    """Whitens blocks of rows by the components of a stack of mixtures.

    Parameters
    ----------
    terms : Terms
    dtype : torch.dtype
        That of the rows.
    """

    def __init__(self, terms: Terms, dtype: torch.dtype) -> None:
        self.R, self.K, self.D = terms.means.shape
        self._dtype, self._device = dtype, terms.means.device
        self._spare = torch.empty(0, dtype=dtype, device=self._device)
        self._z = self._spare

    @abstractmethod
    def whiten(self, X: Tensor) -> Tensor:
        """Return a block ``(D, b)`` whitened by every component, ``(R, K, D, b)``."""

    @abstractmethod
    def products(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """Return sums of the last block by responsibilities ``(R, K, b)``: whitened, products."""

    def squares(self, X: Tensor) -> Tensor:
        """Return the squared entries ``(R, K, D, b)`` of a whitened block."""
        self._resize(X.shape[1])
        z = self.whiten(X)
        return torch.mul(z, z, out=self._spare)

    def _resize(self, n: int) -> None:
        if self._z.shape[-1] != n:
            shape = (self.R, self.K, self.D, n)
            self._z, self._spare = (
                torch.empty(shape, dtype=self._dtype, device=self._device) for _ in range(2)
            )

    def _summed(self, blocks: Tensor, r: Tensor) -> Tensor:
        return (blocks @ r[..., None])[..., 0]


class MatrixKernel(Kernel):
    """Whitening by matrices: one product for all components."""

    def __init__(self, terms: Terms, dtype: torch.dtype) -> None:
        super().__init__(terms, dtype)
        self._A = terms.P.mT.reshape(-1, self.D).to(dtype)
        self._offset = (terms.means[..., None, :] @ terms.P)[..., 0, :, None].to(dtype)

    def whiten(self, X: Tensor) -> Tensor:
        if self._A.shape[0] == self._z[..., 0].numel():
            torch.mm(self._A, X, out=self._z.view(-1, X.shape[1]))
            return self._z.sub_(self._offset)
        shared = (self._A @ X).view(self.R, 1, self.D, -1)
        return torch.sub(shared, self._offset, out=self._z)

    def products(self, r: Tensor) -> tuple[Tensor, Tensor]:
        weighted = torch.mul(self._z, r[:, :, None], out=self._spare)
        return self._summed(self._z, r), weighted @ self._z.mT


class ElementwiseKernel(Kernel):
    """Whitening by numbers, feature by feature."""

    def __init__(self, terms: Terms, dtype: torch.dtype) -> None:
        super().__init__(terms, dtype)
        self._m, self._p = (a[..., None].to(dtype) for a in (terms.means, terms.P))

    def whiten(self, X: Tensor) -> Tensor:
        return torch.sub(X, self._m, out=self._z).mul_(self._p)

    def products(self, r: Tensor) -> tuple[Tensor, Tensor]:
        return self._summed(self._z, r), self._summed(self._spare, r)


def sweep(
    rows: Rows, terms: Terms, kernel: type[Kernel], responsibilities: Tensor | None = None
) -> Sums:
    """Pass over the rows once.

    Parameters
    ----------
    rows : Rows
    terms : Terms
    kernel : type
    responsibilities : Tensor of shape (R, K, n), default=None
        Those to sum by; None takes the ones that the terms imply.
    """
    work = kernel(terms, rows.X.dtype)
    c = terms.constants[..., None].to(rows.X.dtype)
    N, g, G, evidence = 0.0, 0.0, 0.0, torch.zeros(work.R, dtype=torch.float64, device=c.device)
    for block in rows.blocks(work.R * work.K * work.D):
        squares = work.squares(rows.X[:, block]).sum(2)
        w = None if rows.weights is None else rows.weights[block]
        if responsibilities is None:
            log_density = log_sum_exp_(torch.add(c, squares, alpha=-0.5, out=squares))
            evidence += (log_density if w is None else log_density * w).sum(-1, dtype=torch.float64)
            r = squares
        else:
            r = responsibilities[..., block].clone()
        if w is not None:
            r *= w
        sums, products = work.products(r)
        N, g, G = N + r.sum(-1, dtype=torch.float64), g + sums.double(), G + products.double()
    return Sums(N, g, G, evidence)


def log_sum_exp_(log_joint: Tensor) -> Tensor:
    """Turn log joint densities ``(R, K, b)`` into responsibilities, and return ``(R, b)`` sums."""
    top = log_joint.amax(1, keepdim=True)
    log_joint.sub_(top).exp_()
    total = log_joint.sum(1, keepdim=True)
    log_joint.div_(total)
    return (top + total.log_())[:, 0]
