r"""Learning rates that change from step to step.

A schedule stands wherever a learning rate does. It counts steps (batches, not epochs), from
zero; `Cosine` and `OneCycle` span the whole fit, ``max_iter`` epochs, unless told otherwise.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Integral, Real
from typing import ClassVar

from skbasics._sklearn import Interval
from skbasics._values import Value

POSITIVE = Interval(Real, 0, None, closed="neither")
COUNT = Interval(Integral, 1, None, closed="left")


class Schedule(Value, ABC):
    """A learning rate as a function of the step."""

    @abstractmethod
    def at(self, step: int, n_steps: int | None = None, n_cuts: int = 0) -> float:
        """Return the learning rate of a step.

        Parameters
        ----------
        step : int
            The number of steps made before this one.
        n_steps : int or None
            The length of the fit in steps; None where it is not known, as in a stream.
        n_cuts : int
            How often the training loss has stalled.
        """


@dataclass(frozen=True)
class InverseScaling(Schedule):
    r"""Falls as a power of the step, :math:`\eta_t = \eta_0 / (t + 1)^{p}`.

    Parameters
    ----------
    initial : float
        The rate of the first step.
    power : float, default=0.5
        The exponent p.

    Examples
    --------
    >>> from skbasics.optim import InverseScaling
    >>> InverseScaling(0.1).at(3)
    0.05
    """

    initial: float
    power: float = 0.5

    _parameter_constraints: ClassVar[dict] = {
        "initial": [POSITIVE],
        "power": [Interval(Real, 0, None, closed="left")],
    }

    def at(self, step: int, n_steps: int | None = None, n_cuts: int = 0) -> float:
        return self.initial / (step + 1) ** self.power


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    r"""Falls by the same factor each step, :math:`\eta_t = \eta_0 \, r^t`.

    Parameters
    ----------
    initial : float
        The rate of the first step.
    rate : float
        The factor r, in (0, 1].

    Examples
    --------
    >>> from skbasics.optim import ExponentialDecay
    >>> ExponentialDecay(0.1, 0.5).at(2)
    0.025
    """

    initial: float
    rate: float

    _parameter_constraints: ClassVar[dict] = {
        "initial": [POSITIVE],
        "rate": [Interval(Real, 0, 1, closed="right")],
    }

    def at(self, step: int, n_steps: int | None = None, n_cuts: int = 0) -> float:
        return self.initial * self.rate**step


@dataclass(frozen=True)
class Cosine(Schedule):
    r"""Falls along half a cosine, after a linear warm-up.

    With w warm-up steps and n steps in all,

    .. math::
        \eta_t = \begin{cases} \eta_0 \, (t + 1) / w & t < w \\
        \tfrac12 \eta_0 \left(1 + \cos \pi \frac{t - w}{n - w}\right) & t \ge w \end{cases}

    Parameters
    ----------
    initial : float
        The rate at the top.
    n_steps : int or None, default=None
        The steps n. None means the whole fit; a stream has no length and needs a number.
    warmup : int, default=0
        The warm-up steps w.

    References
    ----------
    Loshchilov and Hutter, "SGDR", ICLR 2017.

    Examples
    --------
    >>> from skbasics.optim import Cosine
    >>> [round(Cosine(0.1, n_steps=4).at(t), 4) for t in range(5)]
    [0.1, 0.0854, 0.05, 0.0146, 0.0]
    """

    initial: float
    n_steps: int | None = None
    warmup: int = 0

    _parameter_constraints: ClassVar[dict] = {
        "initial": [POSITIVE],
        "n_steps": [COUNT, None],
        "warmup": [Interval(Integral, 0, None, closed="left")],
    }

    def at(self, step: int, n_steps: int | None = None, n_cuts: int = 0) -> float:
        if step < self.warmup:
            return self.initial * (step + 1) / self.warmup
        length = _known_length("Cosine", self.n_steps or n_steps)
        progress = min(1.0, (step - self.warmup) / max(1, length - self.warmup))
        return self.initial * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class OneCycle(Schedule):
    r"""Rises to a peak over the first 30 % of the fit and falls far below its start.

    Both legs are half cosines: from peak/25 to the peak, and from there to peak/250,000.

    Parameters
    ----------
    peak : float
        The highest rate.
    n_steps : int or None, default=None
        The length in steps. None means the whole fit; a stream needs a number.

    References
    ----------
    Smith and Topin, "Super-convergence", 2019.

    Examples
    --------
    >>> from skbasics.optim import OneCycle
    >>> [round(OneCycle(0.1, n_steps=11).at(t), 4) for t in (0, 2, 10)]
    [0.004, 0.096, 0.0]
    """

    peak: float
    n_steps: int | None = None

    _parameter_constraints: ClassVar[dict] = {"peak": [POSITIVE], "n_steps": [COUNT, None]}

    def at(self, step: int, n_steps: int | None = None, n_cuts: int = 0) -> float:
        length = _known_length("OneCycle", self.n_steps or n_steps)
        top = max(0.0, 0.3 * length - 1)
        low, lowest = self.peak / 25, self.peak / 25e4
        if step <= top:
            return _half_cosine(low, self.peak, step / top if top else 1.0)
        return _half_cosine(self.peak, lowest, min(1.0, (step - top) / max(1.0, length - 1 - top)))


@dataclass(frozen=True)
class Adaptive(Schedule):
    r"""Constant until the training stalls, then divided: :math:`\eta = \eta_0 / f^c`.

    c counts the stalls: epochs without an improvement by the estimator's ``tol``, one after
    another (of the training loss, or of the validation score with early stopping). Where a fixed
    rate would stop the fit there, this one goes on until it is below 1e-6.

    Parameters
    ----------
    initial : float
        The first rate.
    factor : float, default=5
        The divisor f, greater than one.
    patience : int or None, default=None
        The rate is divided after more than this many epochs in a row without an improvement;
        None means the estimator's ``n_iter_no_change``.

    Examples
    --------
    >>> from skbasics.optim import Adaptive
    >>> Adaptive(0.1).at(step=1000, n_cuts=2)
    0.004
    """

    initial: float
    factor: float = 5
    patience: int | None = None

    lowest: ClassVar[float] = 1e-6

    _parameter_constraints: ClassVar[dict] = {
        "initial": [POSITIVE],
        "factor": [Interval(Real, 1, None, closed="neither")],
        "patience": [COUNT, None],
    }

    def at(self, step: int, n_steps: int | None = None, n_cuts: int = 0) -> float:
        return self.initial / self.factor**n_cuts


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * progress))


def _known_length(name: str, n_steps: int | None) -> int:
    if n_steps is None:
        raise ValueError(
            f"{name} spans a number of steps, and a stream has none: partial_fit was called "
            f"with {name}(n_steps=None). Give it the length, as in {name}(0.01, n_steps=10000), "
            "or use InverseScaling or ExponentialDecay."
        )
    return n_steps
