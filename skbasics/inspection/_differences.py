r"""Slopes of a loss by finite differences, and whether a derivative agrees with them.

With :math:`L(t) = L(\theta + t v)` the central difference is

.. math:: \frac{L(h) - L(-h)}{2 h} = L'(0) + O(h^2) + O(\epsilon / h)

where :math:`\epsilon` is the rounding of L. Their sum is least at h near :math:`\epsilon^{1/3}`. A
kink within h of the point spoils it, and so does a large third derivative: where the derivative
does not agree, h is lowered. A kink *at* the point stays, and then the one-sided differences tell
two slopes: every number between is a subgradient.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skbasics._run import Run
from skbasics._training import Batch

EPS = torch.finfo(torch.float64).eps
STEPS = tuple(EPS ** (1 / 3) * factor for factor in (1.0, 0.1, 0.01))
SMALL = 1e-3
"""A derivative smaller than this share of its block's largest is measured by that."""


class Surface:
    """The training loss of one batch over theta: at every call the same function.

    What is random in training is drawn from one seed again and again, and running statistics are
    where they were.

    Parameters
    ----------
    run : Run
        Of one replica, in float64.
    batch : Batch
    seed : int

    Attributes
    ----------
    loss : float
        Where theta stands.
    gradient : Tensor of shape (n_parameters,)
        Of the backward pass, there.
    rounding : float
        How much the loss changes where theta changes in its last digits alone.
    """

    @torch.no_grad()
    def __init__(self, run: Run, batch: Batch, seed: int) -> None:
        self.network, self.objective, self.batch = run.network, run.objective, batch
        self.theta = run.network.theta[0]
        self._statistics, self._seed = run.network.statistics.clone(), seed
        self._begin()
        self.loss = float(self.objective.gradient(batch))
        self.gradient = run.network.gradient[0].clone()
        self.rounding = self._rounding()

    def _begin(self) -> None:
        self.network.statistics.copy_(self._statistics)
        self.objective.seed_epoch([np.random.RandomState(self._seed)])

    def _here(self) -> float:
        self._begin()
        return float(self.objective.loss(self.batch))

    def _rounding(self) -> float:
        start = self.theta.clone()
        losses = []
        for n_digits in range(5):
            torch.mul(start, 1 + n_digits * EPS, out=self.theta)
            losses.append(self._here())
        self.theta.copy_(start)
        return max(max(losses) - min(losses), EPS * abs(self.loss))

    @torch.no_grad()
    def along(self, block: slice, direction: Tensor, t: float) -> float:
        """Return the loss at a distance t in a direction of some columns of theta."""
        part = self.theta[block]
        start = part.clone()
        part.add_(direction, alpha=t)
        loss = self._here()
        part.copy_(start)
        return loss


class Agreement(NamedTuple):
    """How well a derivative agrees with finite differences.

    Attributes
    ----------
    absolute, relative : float
        The error, as it is and by the larger of the two numbers.
    kink : bool
        Whether the loss bends so close by that the step had to be lowered, or at the point.
    """

    absolute: float
    relative: float
    kink: bool = False


class _Slopes(NamedTuple):
    """The one-sided differences at a step, and how the derivative compares."""

    lower: float
    upper: float
    agreement: Agreement

    @property
    def gap(self) -> float:
        return self.upper - self.lower


def agreement(
    surface: Surface, block: slice, direction: Tensor, *, scale: float, tolerance: float
) -> Agreement:
    """Return how well the gradient agrees with finite differences in one direction.

    Parameters
    ----------
    surface : Surface
    block : slice
        Columns of theta.
    direction : Tensor
        In those.
    scale : float
        Smaller numbers are measured by it.
    tolerance : float
        The relative error at which a smaller step is tried.
    """
    derivative = float(surface.gradient[block] @ direction)
    tried: list[_Slopes] = []
    for step in STEPS:
        # Within ten times the rounding of a slope, an error is none.
        floor = max(scale, 10 * surface.rounding / step / tolerance)
        slopes = _slopes(surface, block, direction, step, derivative, floor)
        tried.append(slopes)
        if slopes.agreement.relative <= tolerance:
            return slopes.agreement._replace(kink=_jumped(tried, floor * tolerance))
    if slopes.gap > max(tried[0].gap / 2, tolerance * floor):
        outside = max(slopes.lower - derivative, derivative - slopes.upper, 0.0)
        return _measured(outside, max(abs(derivative), abs(slopes.upper), floor), kink=True)
    return min((slopes.agreement for slopes in tried), key=lambda found: found.absolute)


def _slopes(
    surface: Surface,
    block: slice,
    direction: Tensor,
    step: float,
    derivative: float,
    floor: float,
) -> _Slopes:
    ahead, behind = (surface.along(block, direction, t) for t in (step, -step))
    sides = (ahead - surface.loss) / step, (surface.loss - behind) / step
    central = (ahead - behind) / (2 * step)
    size = max(abs(central), abs(derivative), floor)
    return _Slopes(min(sides), max(sides), _measured(abs(central - derivative), size))


def _measured(error: float, size: float, *, kink: bool = False) -> Agreement:
    if not np.isfinite(error):
        return Agreement(np.inf, np.inf, kink)
    return Agreement(error, error / max(size, np.finfo(float).tiny), kink)


def _jumped(tried: list[_Slopes], noise: float) -> bool:
    """Whether the step that agrees at last lies this side of a kink.

    Where the loss is smooth, the gap of the one-sided slopes shrinks with the step, ten times.
    """
    return len(tried) > 1 and tried[-2].gap > 30 * tried[-1].gap + noise
