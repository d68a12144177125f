"""Raising an ELBO until it has settled."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from skbasics.optim import Adaptive, FirstOrder, Optimizer, Schedule, Stepwise, resolve_optimizer
from skbasics.variational._elbo import NegativeElbo, Noise, antithetic

RATE = 0.05
"""The first learning rate of a rule given by name, in standard deviations of the start."""

WINDOW = 50
"""Steps with fresh noise over which iterates are averaged, and their ELBO compared."""

FIXED_WINDOW = 10
"""The same for steps on fixed noise, where the last iterate counts."""

SETTLED = 1e-3
"""Nats: a window that gains less has settled."""

FIXED_SETTLED = 1e-7
"""The same for fixed noise."""

PROMISE = 0.01
"""Nats that a slope may promise where a rate that was given has settled: one too low does, too."""

N_JUDGES = 256
"""Draws on which averages are compared, always the same."""


def named(optimizer: str | Optimizer) -> Optimizer:
    """Return an optimizer; a first-order rule given by name gets a rate that adapts."""
    resolved = resolve_optimizer(optimizer)
    if isinstance(optimizer, str) and isinstance(resolved, FirstOrder):
        resolved = resolved.replace(learning_rate=Adaptive(RATE))
    resolved.validate()
    return resolved


@dataclass
class Ascent:
    """How the ELBO was raised.

    Attributes
    ----------
    row : Tensor of shape (n_parameters,)
        The best member of the family that was seen.
    curve : list of float
        The ELBO of each step, by the draws of that step.
    converged : bool
    gain : float
        What the last window gained, in nats.
    """

    row: Tensor
    curve: list[float] = field(default_factory=list)
    converged: bool = False
    gain: float = np.inf


def ascend(
    objective: NegativeElbo,
    optimizer: Optimizer,
    noise: Noise,
    max_iter: int,
    random_state: np.random.RandomState,
) -> Ascent:
    """Raise the ELBO from where the objective stands."""
    if not isinstance(optimizer, Stepwise):
        return _run(objective, optimizer, noise, max_iter)
    judges = noise.draw()
    if noise.fresh:
        judges = antithetic(N_JUDGES, objective.family.width, random_state)
    return _Climb(objective, optimizer, noise, judges, max_iter).run()


def _run(objective: NegativeElbo, optimizer: Optimizer, noise: Noise, max_iter: int) -> Ascent:
    """Let an optimizer that runs by itself do so."""
    curve: list[float] = []
    optimizer.start(objective)
    draws = noise.draw()
    result = optimizer.run(
        objective,
        draws,
        max_iter=max_iter,
        tol=1e-5,
        on_iteration=lambda loss: curve.append(-loss),
    )
    curve = curve or [-float(objective.loss(draws))]
    return Ascent(objective.theta[0], curve, converged=result.status != 1, gain=0.0)


class _Climb:
    """Steps in windows: each ends with the ELBO of its mean iterate, on the same draws."""

    def __init__(
        self,
        objective: NegativeElbo,
        optimizer: Stepwise,
        noise: Noise,
        judges: Tensor,
        max_iter: int,
    ) -> None:
        self.objective, self.optimizer, self.noise = objective, optimizer, noise
        self.judges, self.max_iter = judges, max_iter
        self.length = min(max_iter, WINDOW if noise.fresh else FIXED_WINDOW)
        self.state = optimizer.start(objective, n_steps=[max_iter])
        self.just_cut = False
        row = objective.theta[0].clone()
        self.ascent, self.best = Ascent(row), objective.log_ratios(row, judges)

    def run(self) -> Ascent:
        """Climb until a window gains nothing at a rate that cannot be lowered with profit."""
        rate = getattr(self.optimizer, "learning_rate", None)
        adapts = isinstance(rate, Adaptive)
        planned = isinstance(rate, Schedule) and not adapts
        while len(self.ascent.curve) < self.max_iter:
            settled = self._settled(self._window())
            arrived = adapts or self.promise < PROMISE
            if settled and not planned and not self._cut() and arrived:
                self.ascent.converged = True
                break
            self.just_cut = settled
        self.ascent.converged |= planned
        return self.ascent

    def _cut(self) -> bool:
        """Lower the rate, unless the last time brought nothing; return whether to go on."""
        return not self.just_cut and self.state.cut(0)

    @torch.no_grad()
    def _window(self) -> Tensor:
        """Make the steps of a window; return the row to judge it by."""
        n_steps = min(self.length, self.max_iter - len(self.ascent.curve))
        total = torch.zeros_like(self.objective.theta[0])
        slopes, squares = total.clone(), total.clone()
        self.state.train()
        for _ in range(n_steps):
            losses = self.optimizer.step(self.objective, self.noise.draw(), self.state)
            self.ascent.curve.append(-float(losses))
            total += self.objective.theta[0]
            slopes += self.objective.theta_gradient[0]
            squares += self.objective.theta_gradient[0].square()
        self.state.eval()
        self.promise = _promise(slopes / n_steps, squares / n_steps, n_steps)
        return total / n_steps if self.noise.fresh else self.objective.theta[0].clone()

    def _settled(self, row: Tensor) -> bool:
        """Compare a row with the best so far, which it may become; return if it is no better."""
        ratios = self.objective.log_ratios(row, self.judges)
        gains = ratios - self.best
        gain, error, enough = float(gains.mean()), 0.0, FIXED_SETTLED
        if self.noise.fresh:
            pairs = (gains[: len(gains) // 2] + gains[len(gains) // 2 :]) / 2  # antithetic
            error = float(pairs.std()) / len(pairs) ** 0.5
            enough = max(SETTLED, error)
        if gain > error:
            self.best, self.ascent.row = ratios, row
        self.ascent.gain = gain
        return gain < enough


def _promise(slope: Tensor, square: Tensor, n_steps: int) -> float:
    """Return what a step along a mean slope would gain, where curvatures are about one.

    Half the square of the slope, less what its noise makes of that.
    """
    noise = (square - slope.square()).sum() / max(1, n_steps - 1)
    return float(slope.square().sum() - noise) / 2
