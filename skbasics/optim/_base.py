"""What every optimizer is: a value, and the rule by which a step is made."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from skbasics._arrays import as_tensor, column
from skbasics._sklearn import Interval
from skbasics._values import Value
from skbasics.optim._schedules import POSITIVE, Adaptive, Schedule

FRACTION = Interval(Real, 0, 1, closed="left")
LEARNING_RATE = [POSITIVE, Schedule]


class Optimizer(Value, ABC):
    """How parameters are changed, as a value: a few numbers and no state.

    All that changes in training is in the state that `start` returns, so that one optimizer
    may serve many estimators at once.
    """

    full_batch: ClassVar[bool] = False

    @property
    def rule(self) -> str:
        """What rule this is: optimizers of one rule may take up each other's states."""
        return type(self).__name__

    @abstractmethod
    def gentler(self) -> str:
        """Say, in an estimator's parameters, how to make smaller steps after a divergence."""

    @abstractmethod
    def start(
        self,
        objective: Any,
        *,
        replicas: "Sequence[Optimizer] | None" = None,
        n_steps: Sequence[int] | None = None,
    ) -> Any:
        """Return the state of K replicas before their first step.

        Parameters
        ----------
        objective : Objective
            Owns ``theta (K, P)`` and ``theta_gradient``; its leading ``n_decayed`` columns
            are what weight decay touches, its ``slots`` the single parameters.
        replicas : list of K optimizers of this class, optional
            The numbers of each replica; by default all have this one's.
        n_steps : list of K ints, optional
            The length of each replica's fit, for the schedules that span it.
        """

    @abstractmethod
    def step(
        self, objective: Any, batch: Any, state: Any, active: Sequence[int] | None = None
    ) -> Tensor:
        """Make one step and return the K losses before it.

        Only the `active` replicas move, and only their clocks; None means all.
        """


@dataclass
class State:
    """What a first-order rule remembers of K replicas.

    Attributes
    ----------
    numbers : dict
        The rule's hyper-parameters, each a number or a ``(K, 1)`` column.
    buffers : dict of Tensor of shape (K, P)
        Velocities and moments.
    steps : ndarray of int, shape (K,)
        How many steps each replica has made.
    n_cuts : ndarray of int, shape (K,)
        How often an `Adaptive` rate has been divided.
    rates : list of K numbers or schedules
    n_steps : list of K ints or None
        The length of each replica's fit in steps, where it is known.
    n_decayed : int
        How many leading columns of theta decay.
    learning_rate : float or Tensor of shape (K, 1)
        The rate of the step being made; None before the first.
    gradient_norm : Tensor of shape (K, 1) or None
        The norm of the last gradient before it was clipped, if it is clipped at all.
    """

    numbers: dict[str, float | Tensor]
    buffers: dict[str, Tensor]
    steps: np.ndarray
    n_cuts: np.ndarray
    rates: list[float | Schedule]
    n_steps: Sequence[int | None]
    n_decayed: int
    learning_rate: float | Tensor | None = None
    gradient_norm: Tensor | None = None

    def __post_init__(self) -> None:
        self._scheduled = any(isinstance(rate, Schedule) for rate in self.rates)
        columns = [number for number in self.numbers.values() if isinstance(number, Tensor)]
        self._same_numbers = not columns

    def tick(self, like: Tensor) -> None:
        """Begin a step: set the clocks, and the learning rate unless it is known already."""
        if self.learning_rate is None or self._scheduled:
            self.learning_rate = column(self.current_rates(), like)
        self.steps += 1

    @property
    def common_step(self) -> int | None:
        """The step being made, if all replicas share it and all numbers; else None."""
        first = int(self.steps[0])
        same = self._same_numbers and not isinstance(self.learning_rate, Tensor)
        return first if same and (len(self.steps) == 1 or (self.steps == first).all()) else None

    def current_rates(self) -> list[float]:
        """Return the learning rate of each replica's next step."""
        return [
            rate.at(int(step), length, int(cuts)) if isinstance(rate, Schedule) else rate
            for rate, step, length, cuts in zip(
                self.rates, self.steps, self.n_steps, self.n_cuts, strict=True
            )
        ]

    def time(self, like: Tensor) -> float | Tensor:
        """Return the number of the step being made, from one, as a number or a column."""
        return column(self.steps.tolist(), like)

    def patience(self, replica: int) -> int | None:
        """Return the epochs an `Adaptive` rate waits, where it has its own mind on that."""
        rate = self.rates[replica]
        return rate.patience if isinstance(rate, Adaptive) else None

    def cut(self, replica: int) -> bool:
        """Divide a stalled replica's `Adaptive` rate; return whether training should go on."""
        rate = self.rates[replica]
        if not isinstance(rate, Adaptive):
            return False
        if rate.at(0, n_cuts=int(self.n_cuts[replica])) <= Adaptive.lowest:
            return False
        self.n_cuts[replica] += 1
        return True

    def rows(self, active: Sequence[int]) -> "State":
        """Return the state of some replicas alone; its buffers are copies."""
        take = list(active)
        return State(
            {name: v[take] if isinstance(v, Tensor) else v for name, v in self.numbers.items()},
            {name: buffer[take] for name, buffer in self.buffers.items()},
            self.steps[take],
            self.n_cuts[take],
            [self.rates[k] for k in take],
            [self.n_steps[k] for k in take],
            self.n_decayed,
        )

    def put(self, active: Sequence[int], part: "State") -> None:
        """Write the state of some replicas back."""
        for name, buffer in self.buffers.items():
            buffer[list(active)] = part.buffers[name]
        self.steps[list(active)] = part.steps

    def export(self) -> dict[str, Any]:
        """Return what a later fit needs in order to go on, as tensors and arrays."""
        return {"buffers": dict(self.buffers), "steps": self.steps, "n_cuts": self.n_cuts}

    def resume(self, exported: dict[str, Any]) -> Self:
        """Take up an exported state."""
        for name, buffer in self.buffers.items():
            buffer.copy_(as_tensor(exported["buffers"][name]))
        self.steps[:] = exported["steps"]
        self.n_cuts[:] = exported["n_cuts"]
        return self


class FirstOrder(Optimizer):
    """A rule that needs the gradient and what it remembers of earlier ones.

    A subclass is the equation: it lists its buffers and writes `update`.
    """

    buffer_names: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def update(self, theta: Tensor, gradient: Tensor, state: State) -> None:
        """Change theta ``(K, P)`` in place, given the gradient at theta."""

    def look_ahead(self, theta: Tensor, state: State) -> None:
        """Move theta to where the rule wants its gradient taken."""

    def gentler(self) -> str:
        rate, name = self.learning_rate, "optimizer__learning_rate"
        if isinstance(rate, Schedule):
            first = fields(rate)[0].name
            rate, name = getattr(rate, first), f"{name}__{first}"
        hint = f"{name}={rate / 10:g}"
        clip = "" if self.max_gradient_norm else " or optimizer__max_gradient_norm=1.0"
        return hint + clip

    def start(
        self,
        objective: Any,
        *,
        replicas: Sequence[Optimizer] | None = None,
        n_steps: Sequence[int] | None = None,
    ) -> State:
        theta = objective.theta
        n_replicas = len(theta)
        replicas = [self] * n_replicas if replicas is None else replicas
        values = [replica.get_params(deep=False) for replica in replicas]
        rates = [params.pop("learning_rate") for params in values]
        clips = [params.pop("max_gradient_norm") for params in values]
        numbers = {name: column([v[name] for v in values], theta) for name in values[0]}
        if any(clip is not None for clip in clips):
            limits = [np.inf if clip is None else clip for clip in clips]
            numbers["max_gradient_norm"] = column(limits, theta)
        return State(
            numbers,
            {name: torch.zeros_like(theta) for name in self.buffer_names},
            np.zeros(n_replicas, dtype=np.int64),
            np.zeros(n_replicas, dtype=np.int64),
            rates,
            [None] * n_replicas if n_steps is None else n_steps,
            objective.n_decayed,
        )

    def step(
        self, objective: Any, batch: Any, state: State, active: Sequence[int] | None = None
    ) -> Tensor:
        if active is None:
            self.look_ahead(objective.theta, state)
            losses = objective.gradient(batch)
            self._advance(objective.theta, objective.theta_gradient, state)
            return losses
        return self._step_some(objective, batch, state, active)

    def _step_some(self, objective: Any, batch: Any, state: State, active: Sequence[int]) -> Tensor:
        take = list(active)
        part, theta = state.rows(take), objective.theta[take]
        self.look_ahead(theta, part)
        objective.theta[take] = theta
        losses = objective.gradient(batch)
        self._advance(theta, objective.theta_gradient[take], part)
        objective.theta[take] = theta
        state.put(take, part)
        return losses

    def _advance(self, theta: Tensor, gradient: Tensor, state: State) -> None:
        if "max_gradient_norm" in state.numbers:
            state.gradient_norm = clip_gradient_(gradient, state.numbers["max_gradient_norm"])
        state.tick(theta)
        self.update(theta, gradient, state)


def clip_gradient_(gradient: Tensor, limit: float | Tensor) -> Tensor:
    """Scale the rows of `gradient` in place to a norm of at most `limit`; return their norms."""
    norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    gradient.mul_((limit / (norm + 1e-6)).clamp_(max=1.0))
    return norm
