"""What every optimizer is: a value, and the rule by which a step is made."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from skbasics._arrays import column
from skbasics._sklearn import Interval
from skbasics._values import Value
from skbasics.optim._schedules import POSITIVE, Schedule
from skbasics.optim._state import OptimizerState, State

FRACTION = Interval(Real, 0, 1, closed="left")
LEARNING_RATE = [POSITIVE, Schedule]


class Optimizer(Value, ABC):
    """How parameters are changed, as a value: a few numbers and no state.

    All that changes in training is in the state that `start` returns, so that one optimizer
    may serve many estimators at once.
    """

    full_batch: ClassVar[bool] = False
    """Whether it wants all rows at once."""

    ends_by_gradient: ClassVar[bool] = False
    """Whether a fit on one batch ends when the gradient vanishes, and not by patience alone."""

    @property
    def rule(self) -> str:
        """What rule this is: optimizers of one rule may take up each other's states."""
        return type(self).__name__

    @abstractmethod
    def gentler(self) -> dict[str, Any]:
        """Return changes of parameters of which each makes smaller steps; there may be none."""

    @abstractmethod
    def start(
        self,
        objective: Any,
        *,
        replicas: "Sequence[Optimizer] | None" = None,
        n_steps: Sequence[int] | None = None,
    ) -> OptimizerState:
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


class Stepwise(Optimizer):
    """An optimizer that makes one step at a time, so that it can follow a stream."""

    @abstractmethod
    def step(
        self, objective: Any, batch: Any, state: Any, active: Sequence[int] | None = None
    ) -> Tensor:
        """Make one step and return the K losses before it.

        Only the `active` replicas move, and only their clocks; None means all.
        """

    def survey(self, objective: Any, batch: Any, state: OptimizerState) -> None:
        """Note in the state what can be known of the place where theta stands, without a step."""


class Rule(Stepwise):
    """A rule of our own: what it remembers is a `State`."""

    buffer_names: ClassVar[tuple[str, ...]] = ()

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
        clips = [params.pop("max_gradient_norm", None) for params in values]
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


class FirstOrder(Rule):
    """A rule that needs the gradient and what it remembers of earlier ones.

    A subclass is the equation: it lists its buffers and writes `update`.
    """

    @abstractmethod
    def update(self, theta: Tensor, gradient: Tensor, state: State) -> None:
        """Change theta ``(K, P)`` in place, given the gradient at theta."""

    def look_ahead(self, theta: Tensor, state: State) -> None:
        """Move theta to where the rule wants its gradient taken."""

    def gentler(self) -> dict[str, Any]:
        clip = {} if self.max_gradient_norm else {"max_gradient_norm": 1.0}
        return lower_rate(self.learning_rate) | clip

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
        others = np.setdiff1d(np.arange(state.n_replicas), take).tolist()
        last = objective.theta_gradient[others]  # a copy: of these the step says nothing
        part, theta = state.rows(take), objective.theta[take]
        self.look_ahead(theta, part)
        objective.theta[take] = theta
        losses = objective.gradient(batch)
        objective.theta_gradient[others] = last
        self._advance(theta, objective.theta_gradient[take], part)
        objective.theta[take] = theta
        state.put(take, part)
        return losses

    def _advance(self, theta: Tensor, gradient: Tensor, state: State) -> None:
        if "max_gradient_norm" in state.numbers:
            state.gradient_norm = clip_gradient_(gradient, state.numbers["max_gradient_norm"])
        state.tick(theta)
        self.update(theta, gradient, state)


def lower_rate(rate: float | Schedule) -> dict[str, float]:
    """Return the change that makes a learning rate ten times lower."""
    if not isinstance(rate, Schedule):
        return {"learning_rate": float(f"{rate / 10:g}")}
    first = fields(rate)[0].name
    return {f"learning_rate__{first}": float(f"{getattr(rate, first) / 10:g}")}


def clip_gradient_(gradient: Tensor, limit: float | Tensor) -> Tensor:
    """Scale the rows of `gradient` in place to a norm of at most `limit`; return their norms."""
    norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    gradient.mul_((limit / (norm + 1e-6)).clamp_(max=1.0))
    return norm


def check_repeatable(objective: Any, name: str) -> None:
    """Raise if a second evaluation of a batch is another function."""
    if not objective.repeatable:
        raise ValueError(
            f"{name} evaluates a batch more than once, and with dropout, batch_norm or draws of "
            "latents each time is another function. Take an optimizer that needs one gradient a "
            "step ('adam'), or set dropout=0.0 and batch_norm=False."
        )
