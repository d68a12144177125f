r"""The mathematics of FastICA, for a stack of searches at once.

Data :math:`x = A s` mix independent sources s. Whitened, :math:`z = \sqrt{n} K (x - \bar x)` with
unit covariance, they differ from the sources by a rotation: :math:`s = W z`. A row w of W is a
direction in which :math:`w^T z` is as far from Gaussian as it can be. Newton's method for the
extrema of :math:`E\,G(w^T z)` on the unit sphere is the fixed-point iteration

.. math:: w \leftarrow E[z\, g(w^T z)] - E[g'(w^T z)]\, w, \qquad g = G',

made orthonormal after each step: all rows together (parallel), or each against those that were
found before it (deflation).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from skbasics._arrays import as_floats
from skbasics.decomposition._negentropy import Contrast

BLOCK = 2**21
"""Numbers in a block of projections: few enough for many restarts, and so many that the
threads of a product are not started over and over."""


class Step(NamedTuple):
    """Where the searches of a stack are after an iteration.

    Attributes
    ----------
    W : Tensor of shape (R, m, k)
        The rows found so far.
    change : Tensor of shape (R,)
        The largest last change of a row, as 1 - |cos| of the angle it turned by.
    n_iter : Tensor of shape (R,)
        Iterations made; with deflation, for the row that took the most.
    done : bool
        Whether it was the last.
    """

    W: Tensor
    change: Tensor
    n_iter: Tensor
    done: bool


def starts(n_components: int, w_init: Any, n_starts: int, random_state: Any) -> np.ndarray:
    """Return where the searches start, ``(n_starts, n_components, n_components)``.

    The first from `w_init` if there is one, the others from a normal distribution.

    Raises
    ------
    ValueError
        If `w_init` has another shape, a row of zeros, or is not finite.
    """
    shape = (n_components, n_components)
    first = np.empty((0, *shape))
    if w_init is not None:
        first = as_floats("w_init", w_init)[None]
        if first.shape[1:] != shape:
            raise ValueError(
                f"w_init has invalid shape -- should be {shape}, a row a component; got "
                f"{first.shape[1:]}."
            )
        if not (np.isfinite(first).all() and first.any(axis=-1).all()):
            raise ValueError("w_init must be finite, and none of its rows zero.")
    drawn = check_random_state(random_state).normal(size=(n_starts - len(first), *shape))
    return np.concatenate([first, drawn])


def parallel(
    Z: Tensor, W: Tensor, contrast: Contrast, *, tol: float, max_iter: int
) -> Iterator[Step]:
    """Search all rows together, a step at a time; a search that has converged rests.

    Parameters
    ----------
    Z : Tensor of shape (k, n)
        White data.
    W : Tensor of shape (R, k, k)
        Where the searches start.
    contrast : Contrast
    tol : float
    max_iter : int
    """
    W = decorrelated(W)
    change = W.new_full((len(W),), torch.inf)
    n_iter = torch.zeros_like(change, dtype=torch.int64)
    for i in range(1, max_iter + 1):
        moving = ~(change < tol)
        new = decorrelated(fixed_point(Z, W[moving], contrast))
        change[moving] = turned(W[moving], new).amax(dim=-1)
        W = W.index_put((moving,), new)
        n_iter[moving] = i
        done = i == max_iter or bool((change < tol).all())
        yield Step(W, change, n_iter, done)
        if done:
            return


def deflation(
    Z: Tensor, W: Tensor, contrast: Contrast, *, tol: float, max_iter: int
) -> Iterator[Step]:
    """Search one row after another; the parameters are those of `parallel`."""
    n_rows = W.shape[1]
    found = W[:, :0]
    change = W.new_zeros(len(W))
    n_iter = torch.zeros_like(change, dtype=torch.int64)
    for j in range(n_rows):
        w = unit(W[:, j : j + 1])
        move = torch.full_like(change, torch.inf)
        for i in range(1, max_iter + 1):
            moving = ~(move < tol)
            new = fixed_point(Z, w[moving], contrast)
            new = unit(orthogonal(orthogonal(new, found[moving]), found[moving]))
            move[moving] = turned(w[moving], new)[:, 0]
            w = w.index_put((moving,), new)
            n_iter[moving] = n_iter[moving].clamp_min(i)
            last = i == max_iter or bool((move < tol).all())
            rows = torch.cat([found, w], dim=1)
            yield Step(rows, change.maximum(move), n_iter, last and j + 1 == n_rows)
            if last:
                break
        found, change = rows, change.maximum(move)


def fixed_point(Z: Tensor, W: Tensor, contrast: Contrast) -> Tensor:
    """Return E[z g(w^T z)] - E[g'(w^T z)] w for each row w of W ``(R, m, k)``.

    Raises
    ------
    ValueError
        If that is not finite.
    """
    rows, n = W.flatten(0, 1), Z.shape[1]
    mean, slope = torch.zeros_like(rows), rows.new_zeros(len(rows))
    for block in _blocks(Z, len(rows) if contrast.elementwise else 0):
        g, block_slope = contrast.derivatives(rows @ block)
        mean.addmm_(g, block.mT, alpha=1 / n)
        slope.add_(block_slope, alpha=block.shape[1] / n)
    new = mean - slope[:, None] * rows
    if not torch.isfinite(new).all():
        raise ValueError(
            "FastICA diverged: a step is not finite. Scale X, whiten it (whiten='unit-variance'), "
            "or take a contrast that grows more slowly (fun='logcosh')."
        )
    return new.view_as(W)


def decorrelated(W: Tensor) -> Tensor:
    """Return (W W^T)^(-1/2) W: the polar factor, the orthogonal matrix next to W.

    By its singular vectors, for W W^T would square its condition.
    """
    U, _, Vh = torch.linalg.svd(W, full_matrices=False)
    return U @ Vh


def orthogonal(w: Tensor, found: Tensor) -> Tensor:
    """Return rows w less their projections on orthonormal rows (once; twice is exact)."""
    return w - (w @ found.mT) @ found


def unit(w: Tensor) -> Tensor:
    """Return rows w at length one."""
    return w / w.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(w.dtype).tiny)


def turned(old: Tensor, new: Tensor) -> Tensor:
    """Return 1 - |cos| of the angle between unit rows."""
    return ((old * new).sum(dim=-1).abs() - 1).abs()


def negentropy(Z: Tensor, W: Tensor, contrast: Contrast) -> Tensor:
    """Return the summed approximate negentropies of the rows of each W of a stack, (R,)."""
    rows = W.flatten(0, 1)
    mean = rows.new_zeros(len(rows))
    for block in _blocks(Z, len(rows)):
        mean.add_(contrast.mean(rows @ block), alpha=block.shape[1] / Z.shape[1])
    return (mean - contrast.gaussian_mean()).square().view(W.shape[:2]).sum(dim=1)


def _blocks(Z: Tensor, n_rows: int) -> tuple[Tensor, ...]:
    """Return Z in parts, for n_rows projections at a time; whole if that is 0."""
    return Z.split(max(1, BLOCK // n_rows), dim=1) if n_rows else (Z,)
