"""One pass over the rows of a mixture: responsibilities, the bound, and what the update needs.

Rows are columns here, ``(D, n)``, and go by in blocks that stay in the cache. A block is
whitened by every component of every mixture of the stack at once; its responsibilities are used
where they are made, and only sums over rows are kept.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 2**17
"""Numbers that a block may be turned into: a mebibyte in float64."""


@dataclass(frozen=True)
class Rows:
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

    def double(self) -> "Rows":
        """Return the rows in float64."""
        weights = None if self.weights is None else self.weights.double()
        return Rows(self.X.double(), weights, self.total)

    @functools.cached_property
    def reach(self) -> Tensor:
        """The largest absolute value of each feature, ``(D,)`` in float64."""
        return self.X.abs().amax(1).double()

    def blocks(self, width: int) -> Iterator[slice]:
        """Yield slices of rows, so few that `width` numbers for each fit into a block."""
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


def sweep(
    rows: Rows, terms: Terms, kernel: Callable, responsibilities: Tensor | None = None
) -> Sums:
    """Pass over the rows once.

    Parameters
    ----------
    rows : Rows
    terms : Terms
    kernel : callable
        Makes a `Kernel` of terms and rows.
    responsibilities : Tensor of shape (R, K, n), default=None
        Those to sum by; None takes the ones that the terms imply.
    """
    work = kernel(terms, rows)
    c = terms.constants[..., None].to(rows.X.dtype)
    N, g, G, evidence = 0.0, 0.0, 0.0, torch.zeros(len(c), dtype=torch.float64, device=c.device)
    for block in rows.blocks(work.width):
        lengths = work.lengths(rows.X[:, block])
        w = None if rows.weights is None else rows.weights[block]
        if responsibilities is None:
            r = torch.add(c, lengths, alpha=-0.5, out=lengths)
            log_density = log_sum_exp_(r)
            evidence += (log_density if w is None else log_density * w).sum(-1, dtype=torch.float64)
        else:
            r = responsibilities[..., block].clone()
        if w is not None:
            r *= w
        sums, products = work.products(r)
        N, g, G = N + r.sum(-1, dtype=torch.float64), g + sums.double(), G + products.double()
    return Sums(N, *work.whitened(N, g, G), evidence)


def log_sum_exp_(log_joint: Tensor) -> Tensor:
    """Turn log joint densities ``(R, K, b)`` into responsibilities, and return ``(R, b)`` sums."""
    top = log_joint.amax(1, keepdim=True)
    log_joint.sub_(top).exp_()
    total = log_joint.sum(1, keepdim=True)
    log_joint.div_(total)
    return (top + total.log_())[:, 0]
