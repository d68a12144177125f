"""Coordinate ascent on the bounds of several mixtures side by side."""

from collections.abc import Iterator
from typing import NamedTuple

import torch

from skbasics.variational._mixture._mixture_models import Mixture, Model, Summary
from skbasics.variational._mixture._sweep import Rows, sweep


class Progress(NamedTuple):
    """Where the ascents of a stack are after an iteration.

    Attributes
    ----------
    mixture : Mixture
        What is known, R times.
    bounds : list of list of float
        The bounds of each, one for each of its iterations.
    converged : list of bool
    done : bool
        Whether it was the last iteration.
    """

    mixture: Mixture
    bounds: list[list[float]]
    converged: list[bool]
    done: bool

    @property
    def best(self) -> int:
        """The ascent with the highest bound."""
        last = [bounds[-1] if bounds else -torch.inf for bounds in self.bounds]
        return max(range(len(last)), key=last.__getitem__)


def ascend(
    rows: Rows,
    model: Model,
    mixture: Mixture,
    *,
    tol: float,
    max_iter: int,
    previous: float = -torch.inf,
) -> Iterator[Progress]:
    """Climb until no bound gains `tol` or more; yield the start, and each iteration.

    What has converged rests, and leaves the stack.

    Parameters
    ----------
    rows : Rows
    model : Model
    mixture : Mixture
        Where to start.
    tol : float
    max_iter : int
    previous : float
        The bound before the first iteration.
    """
    R = len(mixture.means)
    bounds: list[list[float]] = [[] for _ in range(R)]
    converged = [False] * R
    yield Progress(mixture, bounds, converged, max_iter == 0)
    for i in range(1, max_iter + 1):
        moving = [replica for replica in range(R) if not converged[replica]]
        moved, found = iterate(rows, model, mixture.at(moving))
        mixture = mixture.put(moving, moved)
        for replica, bound in zip(moving, found, strict=True):
            last = bounds[replica][-1] if bounds[replica] else previous
            converged[replica] = has_settled(bound, last, tol, rows.X.dtype)
            bounds[replica].append(bound)
        done = i == max_iter or all(converged)
        yield Progress(mixture, bounds, converged, done)
        if done:
            return


def iterate(rows: Rows, model: Model, mixture: Mixture) -> tuple[Mixture, list[float]]:
    """Return a stack after an iteration, and the bounds at the responsibilities it went by.

    Raises
    ------
    ValueError
        If a bound is not finite, or a covariance is not one.
    """
    factor = model.covariances.factor(mixture.covariance)
    terms = model.terms(mixture, factor)
    sums = sweep(rows, terms, model.covariances.kernel)
    bounds = model.bound(sums.evidence, mixture, factor, rows.total)
    if not bool(torch.isfinite(bounds).all()):
        raise ValueError(
            "The bound of the mixture is not finite: X is too large or too widely spread for "
            f"{str(rows.X.dtype).removeprefix('torch.')}. Scale its features, for instance by "
            "StandardScaler."
        )
    return model.update(
        Summary.of(sums, mixture.means, factor.L, model.covariances)
    ), bounds.tolist()


def has_settled(bound: float, previous: float, tol: float, dtype: torch.dtype) -> bool:
    """Whether a bound has moved by less than `tol`, or than its own rounding."""
    return abs(bound - previous) < max(tol, torch.finfo(dtype).eps * abs(bound))
