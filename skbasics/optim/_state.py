"""What changes while an optimizer works: velocities, clocks, learning rates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from skbasics._arrays import as_tensor, column
from skbasics.optim._schedules import Adaptive, Schedule


class OptimizerState:
    """What an optimizer remembers of K replicas; by itself, nothing.

    Attributes
    ----------
    n_replicas : int
        The number K.
    gradient_norm : Tensor of shape (K, 1) or None
        The norm of the last gradient before it was clipped, if it is clipped at all.
    at_saddle : Tensor of bool, shape (K,)
        The replicas known to have stood where some direction curves downwards.
    stuck : Tensor of bool, shape (K,)
        The replicas that found no step that lowers their loss.
    """

    gradient_norm: Tensor | None = None

    def __init__(self, n_replicas: int) -> None:
        self.n_replicas = n_replicas
        self.at_saddle = torch.zeros(n_replicas, dtype=torch.bool)
        self.stuck = torch.zeros(n_replicas, dtype=torch.bool)

    def train(self) -> None:
        """Put the parameters where training goes on, if that is not where they predict."""

    def eval(self) -> None:
        """Put the parameters where they predict best, if that is not where they train."""

    def current_rates(self) -> list[float]:
        """Return the learning rate of each replica's next step, nan where there is none."""
        return [math.nan] * self.n_replicas

    def patience(self, replica: int) -> int | None:
        """Return the epochs to wait before a rate is cut, where it has its own mind on that."""
        return None

    def cut(self, replica: int) -> bool:
        """Lower a stalled replica's rate, if it can be; return whether training should go on."""
        return False

    def export(self) -> dict[str, Any]:
        """Return what a later fit needs in order to go on, as tensors and arrays."""
        return {}

    def resume(self, exported: dict[str, Any]) -> Self:
        """Take up an exported state."""
        return self


@dataclass
class State(OptimizerState):
    """What one of our own rules remembers of K replicas.

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
    """

    numbers: dict[str, float | Tensor]
    buffers: dict[str, Tensor]
    steps: np.ndarray
    n_cuts: np.ndarray
    rates: list[float | Schedule]
    n_steps: Sequence[int | None]
    n_decayed: int
    learning_rate: float | Tensor | None = None

    def __post_init__(self) -> None:
        super().__init__(len(self.rates))
        self._scheduled = any(isinstance(rate, Schedule) for rate in self.rates)
        columns = [number for number in self.numbers.values() if isinstance(number, Tensor)]
        self._same_numbers = not columns

    def tick(self, like: Tensor, active: Sequence[int] | None = None) -> None:
        """Begin a step: set the clocks, and the learning rate unless it is known already."""
        if self.learning_rate is None or self._scheduled:
            self.learning_rate = column(self.current_rates(), like)
        self.steps[slice(None) if active is None else list(active)] += 1

    @property
    def common_step(self) -> int | None:
        """The step being made, if all replicas share it and all numbers; else None."""
        first = int(self.steps[0])
        same = self._same_numbers and not isinstance(self.learning_rate, Tensor)
        return first if same and (len(self.steps) == 1 or (self.steps == first).all()) else None

    def current_rates(self) -> list[float]:
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
        rate = self.rates[replica]
        return rate.patience if isinstance(rate, Adaptive) else None

    def cut(self, replica: int) -> bool:
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
        part = State(
            {name: v[take] if isinstance(v, Tensor) else v for name, v in self.numbers.items()},
            {name: buffer[take] for name, buffer in self.buffers.items()},
            self.steps[take],
            self.n_cuts[take],
            [self.rates[k] for k in take],
            [self.n_steps[k] for k in take],
            self.n_decayed,
        )
        if self.gradient_norm is not None:
            part.gradient_norm = self.gradient_norm[take]
        return part

    def put(self, active: Sequence[int], part: "State") -> None:
        """Write the state of some replicas back."""
        for name, buffer in self.buffers.items():
            buffer[list(active)] = part.buffers[name]
        self.steps[list(active)] = part.steps
        if part.gradient_norm is not None:
            if self.gradient_norm is None:
                self.gradient_norm = part.gradient_norm.new_zeros(self.n_replicas, 1)
            self.gradient_norm[list(active)] = part.gradient_norm

    def export(self) -> dict[str, Any]:
        return {"buffers": dict(self.buffers), "steps": self.steps, "n_cuts": self.n_cuts}

    def resume(self, exported: dict[str, Any]) -> Self:
        for name, buffer in self.buffers.items():
            buffer.copy_(as_tensor(exported["buffers"][name]))
        self.steps[:] = exported["steps"]
        self.n_cuts[:] = exported["n_cuts"]
        return self
