"""How blocks of rows are whitened by the components of a stack of mixtures, and summed."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from skbasics.variational._mixture._sweep import Rows, Terms


class Kernel(ABC):
    """Whitens blocks of rows.

    Parameters
    ----------
    terms : Terms
    rows : Rows

    Attributes
    ----------
    width : int
        How many numbers a row is turned into.
    """

    def __init__(self, terms: Terms, rows: Rows) -> None:
        self.R, self.K, self.D = terms.means.shape
        self.width = terms.means.numel()

    @abstractmethod
    def lengths(self, X: Tensor) -> Tensor:
        """Return the squared lengths ``(R, K, b)`` of a block ``(D, b)`` once whitened."""

    @abstractmethod
    def products(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """Return sums of the last block by responsibilities ``(R, K, b)``: rows and products."""

    def whitened(self, N: Tensor, g: Tensor, G: Tensor) -> tuple[Tensor, Tensor]:
        """Return what all the sums are for whitened rows."""
        return g, G


class DirectKernel(Kernel):
    """Forms every whitened row, of which no digit is lost however far apart the components are."""

    def __init__(self, terms: Terms, rows: Rows) -> None:
        super().__init__(terms, rows)
        self._z = self._spare = rows.X.new_empty(0)

    @abstractmethod
    def _whiten(self, X: Tensor) -> None:
        """Whiten a block into ``_z (R, K, D, b)``."""

    def squares(self, X: Tensor) -> Tensor:
        """Return the squared entries ``(R, K, D, b)`` of a whitened block."""
        shape = (self.R, self.K, self.D, X.shape[1])
        if self._z.shape != shape:
            self._z, self._spare = X.new_empty(shape), X.new_empty(shape)
        self._whiten(X)
        return torch.mul(self._z, self._z, out=self._spare)

    def lengths(self, X: Tensor) -> Tensor:
        return self.squares(X).sum(2)


class MatrixKernel(DirectKernel):
    """Whitening by matrices: one product for all components."""

    def __init__(self, terms: Terms, rows: Rows) -> None:
        super().__init__(terms, rows)
        self._A = terms.P.mT.reshape(-1, self.D).to(rows.X.dtype)
        self._offset = (terms.means[..., None, :] @ terms.P)[..., 0, :, None].to(rows.X.dtype)

    def _whiten(self, X: Tensor) -> None:
        if len(self._A) == self.width:
            torch.mm(self._A, X, out=self._z.view(-1, X.shape[1]))
            self._z.sub_(self._offset)
        else:
            shared = (self._A @ X).view(-1, 1, self.D, X.shape[1])
            torch.sub(shared, self._offset, out=self._z)

    def products(self, r: Tensor) -> tuple[Tensor, Tensor]:
        weighted = torch.mul(self._z, r[:, :, None], out=self._spare)
        return weighted.sum(-1), weighted @ self._z.mT


class ElementwiseKernel(DirectKernel):
    """Whitening by numbers, feature by feature."""

    def __init__(self, terms: Terms, rows: Rows) -> None:
        super().__init__(terms, rows)
        self._m, self._p = (part[..., None].to(rows.X.dtype) for part in (terms.means, terms.P))

    def _whiten(self, X: Tensor) -> None:
        torch.sub(X, self._m, out=self._z).mul_(self._p)

    def products(self, r: Tensor) -> tuple[Tensor, Tensor]:
        return _summed(self._z, r), _summed(self._spare, r)


class ExpandedKernel(Kernel):
    r"""Whitening by numbers, multiplied out: :math:`p^2 x^2 - 2 p^2 m x + p^2 m^2`.

    Two products of matrices do it, and no whitened row is formed. What cancels costs digits where
    components lie many of their deviations from the middle of all rows.
    """

    def __init__(self, terms: Terms, rows: Rows) -> None:
        super().__init__(terms, rows)
        self._m, self._p = terms.means, terms.P.expand_as(terms.means)
        slopes = torch.cat([self._p.square(), -2 * self._p.square() * self._m], dim=-1)
        self._slopes = slopes.view(-1, 2 * self.D).to(rows.X.dtype)
        offsets = (self._p * self._m).square().sum(-1).view(-1, 1)
        self._offsets = offsets.to(rows.X.dtype)
        self.width = self.R * self.K + 2 * self.D
        self._powers = rows.X.new_empty(0)

    def lengths(self, X: Tensor) -> Tensor:
        self._powers = torch.cat([X.square(), X])
        lengths = torch.addmm(self._offsets, self._slopes, self._powers)
        return lengths.clamp_min_(0).view(self.R, self.K, -1)

    def products(self, r: Tensor) -> tuple[Tensor, Tensor]:
        summed = (r.view(self.R * self.K, -1) @ self._powers.mT).view(self.R, self.K, 2, self.D)
        return summed[:, :, 1], summed[:, :, 0]

    def whitened(self, N: Tensor, g: Tensor, G: Tensor) -> tuple[Tensor, Tensor]:
        m, p = self._m, self._p
        shifted = g - N[..., None] * m
        return p * shifted, p.square() * (G - m * (g + shifted))


def elementwise(terms: Terms, rows: Rows) -> Kernel:
    """Return the fast kernel where it costs less than half of the digits, else the direct one."""
    limits, steepest = torch.finfo(rows.X.dtype), float(terms.P.abs().max()) ** 2
    largest = float((rows.reach * terms.P).square().sum(-1).max())
    fast = largest * limits.eps**0.5 < 1 and steepest < limits.max**0.8
    return (ExpandedKernel if fast else ElementwiseKernel)(terms, rows)


def _summed(blocks: Tensor, r: Tensor) -> Tensor:
    """Return sums ``(R, K, D)`` of blocks by responsibilities."""
    return (blocks @ r[..., None])[..., 0]
