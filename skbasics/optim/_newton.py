"""Newton's method, made safe where the function is not convex."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from skbasics.optim._base import (
    LEARNING_RATE,
    Optimizer,
    Rule,
    check_repeatable,
    lower_rate,
)
from skbasics.optim._schedules import POSITIVE, Schedule
from skbasics.optim._state import State

HESSIAN_BYTES = 2**30
"""What the Hessians of all replicas may take: 11585 parameters in float64."""

KICK = 1e-3
"""The least length of a step along a direction of negative curvature: at a saddle the
gradient has no component along it, and would never have one."""

SUFFICIENT = 1e-4
"""The share of the predicted decrease that makes a step acceptable (Armijo's constant)."""

HALVINGS = 40
"""How often a step may be halved before it is given up."""


@dataclass(frozen=True)
class Newton(Rule):
    r"""Newton's method with absolute curvatures and a backtracking line search.

    With the eigenvalues and eigenvectors of the Hessian, :math:`H = V \Lambda V^T`,

    .. math::
        \theta_{t+1} = \theta_t - s\, V \max(|\Lambda|, \lambda)^{-1} V^T \nabla L(\theta_t)

    where s starts at :math:`\eta` and is halved until the decrease is sufficient. On a quadratic
    with curvatures above the damping a single step ends in the minimum. The absolute value turns
    a maximum's attraction into repulsion; where the gradient has no component along a direction
    of negative curvature, the step is given one, so that saddle points are left.

    Each step needs the P x P Hessian of the P parameters and its eigenvalues: right for
    small networks and functions, whose minimum it finds in some dozen steps. An estimator with
    ``batch_size="auto"`` gives it all rows at once, and it has converged when no component of
    the gradient exceeds ``tol`` and no curvature lies below minus the damping.

    Parameters
    ----------
    learning_rate : float or Schedule, default=1.0
        The first step length :math:`\eta` that is tried.
    damping : float, default=1e-4
        The floor :math:`\lambda` of the absolute curvature.

    Raises
    ------
    ValueError
        If the Hessians of all replicas would take more than a gibibyte, or if the function
        changes from one evaluation to the next (dropout, batch normalisation).

    References
    ----------
    Nocedal and Wright, "Numerical Optimization", Springer 2006, chapter 3.
    Dauphin et al., "Identifying and attacking the saddle point problem in high-dimensional
    non-convex optimization", NeurIPS 2014.

    Examples
    --------
    >>> from skbasics.optim import Newton, minimize
    >>> result = minimize(lambda x: (x - 3).square().sum(), [0.0, 1.0], optimizer=Newton())
    >>> result.x, result.nit
    (array([3., 3.]), 1)
    """

    learning_rate: float | Schedule = 1.0
    damping: float = 1e-4

    full_batch: ClassVar[bool] = True
    descends: ClassVar[bool] = True
    _parameter_constraints: ClassVar[dict] = {
        "learning_rate": LEARNING_RATE,
        "damping": [POSITIVE],
    }

    def gentler(self) -> list[str]:
        return [f"damping={10 * self.damping:g}", lower_rate(self.learning_rate)]

    def start(
        self,
        objective: Any,
        *,
        replicas: Sequence[Optimizer] | None = None,
        n_steps: Sequence[int] | None = None,
    ) -> State:
        check_repeatable(objective, "Newton")
        _check_size(objective.theta)
        return super().start(objective, replicas=replicas, n_steps=n_steps)

    def step(
        self,
        objective: Any,
        batch: Any,
        state: State,
        active: Sequence[int] | None = None,
    ) -> Tensor:
        losses = objective.gradient(batch)
        if not torch.isfinite(losses).all():
            return losses  # the caller says where
        second = _hessian(objective, batch)
        model = _Model.of(objective.theta_gradient, second, state.numbers["damping"])
        lengths = torch.zeros_like(losses)
        moving = slice(None) if active is None else list(active)
        lengths[moving] = losses.new_tensor(state.current_rates())[moving]
        state.tick(losses, active)
        state.stuck = _backtrack(objective, batch, losses, model, lengths)
        state.at_saddle = model.at_saddle
        return losses


@dataclass
class _Model:
    """The direction of each replica, and what the quadratic model predicts along it.

    A step of length s is predicted to change the loss by ``s * slope + s^2 / 2 * curvature``.
    """

    direction: Tensor
    slope: Tensor
    curvature: Tensor
    at_saddle: Tensor

    @classmethod
    def of(cls, gradient: Tensor, second: Tensor, damping: float | Tensor) -> "_Model":
        curvatures, vectors = torch.linalg.eigh(second)
        slopes = (vectors.mT @ gradient[..., None])[..., 0]
        steps = -slopes / curvatures.abs().clamp(min=damping)
        concave = curvatures < -damping
        kick = torch.full_like(steps, KICK).copysign(steps)
        steps = torch.where(concave & (steps.abs() < KICK), kick, steps)
        return cls(
            (vectors @ steps[..., None])[..., 0],
            (slopes * steps).sum(1),
            (curvatures * steps.square()).sum(1),
            concave.any(1),
        )


def _backtrack(
    objective: Any, batch: Any, losses: Tensor, model: _Model, lengths: Tensor
) -> Tensor:
    """Move each replica along its direction, as far as the loss falls sufficiently.

    Those of length zero stay. Returns which replicas found no length at all.
    """
    start, moving = objective.theta.clone(), lengths > 0
    # Near the minimum the decrease drowns in rounding.
    slack = 10 * torch.finfo(losses.dtype).eps * losses.abs()
    for _ in range(HALVINGS):
        objective.theta.copy_(start).addcmul_(model.direction, lengths[:, None])
        predicted = lengths * (model.slope + lengths / 2 * model.curvature.clamp(max=0))
        enough = objective.loss(batch) <= losses + SUFFICIENT * predicted + slack
        too_long = moving & ~enough  # a loss that is nan is too long as well
        if not too_long.any():
            return too_long
        lengths = torch.where(too_long, lengths / 2, lengths)
    objective.theta.copy_(start).addcmul_(model.direction, (lengths * ~too_long)[:, None])
    return too_long


def _hessian(objective: Any, batch: Any) -> Tensor:
    try:
        second = objective.hessian(batch)
        problem = "" if torch.isfinite(second).all() else "the second derivative is not finite here"
    except RuntimeError as error:
        problem = str(error).strip().splitlines()[0].rstrip(".")
    if problem:
        raise ValueError(
            f"Newton needs a function that can be differentiated twice: {problem}. Take LBFGS() or "
            "a first-order rule."
        )
    return second


def _check_size(theta: Tensor) -> None:
    n_replicas, n_parameters = theta.shape
    needed = n_replicas * n_parameters**2 * theta.element_size()
    if needed > HESSIAN_BYTES:
        times = "" if n_replicas == 1 else f"{n_replicas} times "
        raise ValueError(
            f"Newton needs the Hessian of all parameters, {times}{n_parameters} x {n_parameters} "
            f"numbers or {needed / 2**30:.3g} GiB, and allows itself {HESSIAN_BYTES / 2**30:g} "
            "GiB. Take fewer parameters (smaller hidden_layer_sizes), or LBFGS(), which needs a "
            "few vectors of that length."
        )
