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
"""What the Hessians of all replicas may take, 11585 parameters in float64; a step needs some
five times that."""

KICK = 1e-3
"""The least length of a step along a direction of negative curvature: at a saddle the
gradient has no component along it, and would never have one."""

SUFFICIENT = 1e-4
"""The share of the predicted decrease that makes a step acceptable (Armijo's constant)."""

HALVINGS = 40
"""How often a step may be halved before it is given up."""

ELSE = "Take LBFGS() or a first-order rule."

Moving = slice | list[int]
"""The replicas that make a step."""


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
        The floor :math:`\lambda` of the absolute curvature (or what rounding leaves of the
        largest, if that is more).

    Raises
    ------
    ValueError
        If the Hessians of all replicas would take more than a gibibyte (a step needs some five
        times what they take), or if the function changes from one evaluation to the next
        (dropout, batch normalisation).

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
    ends_by_gradient: ClassVar[bool] = True
    _parameter_constraints: ClassVar[dict] = {
        "learning_rate": LEARNING_RATE,
        "damping": [POSITIVE],
    }

    def gentler(self) -> dict[str, Any]:
        return {"damping": 10 * self.damping} | lower_rate(self.learning_rate)

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
        moving = slice(None) if active is None else list(active)
        model = _Model.of(objective, batch, moving, state.numbers["damping"])
        rates = losses.new_tensor(state.current_rates())[moving]
        state.tick(losses, active)
        state.stuck[:] = False
        state.stuck[moving] = _backtrack(objective, batch, losses, model, moving, rates).cpu()
        state.at_saddle[moving] = model.concave.cpu()
        return losses

    def survey(self, objective: Any, batch: Any, state: State) -> None:
        everyone = slice(None)
        model = _Model.of(objective, batch, everyone, state.numbers["damping"])
        state.at_saddle[everyone] = model.concave.cpu()


@dataclass
class _Model:
    """The direction of some replicas, and what the quadratic model predicts along it.

    A step of length s is predicted to change the loss by ``s * slope + s^2 / 2 * curvature``.
    """

    direction: Tensor
    slope: Tensor
    curvature: Tensor
    concave: Tensor

    @classmethod
    def of(cls, objective: Any, batch: Any, moving: Moving, damping: float | Tensor) -> "_Model":
        second, gradient = _hessian(objective, batch)[moving], objective.theta_gradient[moving]
        if not torch.isfinite(second).all():
            raise ValueError(
                "Newton needs second derivatives, and they are not finite here. " + ELSE
            )
        damping = damping[moving] if isinstance(damping, Tensor) else damping
        # In float32 LAPACK gives up on some matrices of which many rows are zero.
        curvatures, vectors = (part.to(second.dtype) for part in torch.linalg.eigh(second.double()))
        # Curvatures that the rounding of the largest may have made say nothing.
        floor = (_rounding(curvatures) * curvatures.abs().amax(1, keepdim=True)).clamp(min=damping)
        slopes = (vectors.mT @ gradient[..., None])[..., 0]
        steps = -slopes / curvatures.abs().clamp(min=floor)
        concave = curvatures < -floor
        kick = torch.full_like(steps, KICK).copysign(steps)
        steps = torch.where(concave & (steps.abs() < KICK), kick, steps)
        return cls(
            (vectors @ steps[..., None])[..., 0],
            (slopes * steps).sum(1),
            (curvatures * steps.square()).sum(1),
            concave.any(1),
        )


def _rounding(curvatures: Tensor) -> float:
    """Return the relative error of the eigenvalues of a matrix of this size."""
    return 10 * curvatures.shape[1] * torch.finfo(curvatures.dtype).eps


def _backtrack(
    objective: Any, batch: Any, losses: Tensor, model: _Model, moving: Moving, lengths: Tensor
) -> Tensor:
    """Move some replicas along their directions, as far as the loss falls sufficiently.

    `lengths` says how far to go at most. Returns which of them found no length at all; they
    stay.
    """
    start, before = objective.theta[moving].clone(), losses[moving]
    # Near the minimum the decrease drowns in rounding.
    slack = 10 * torch.finfo(losses.dtype).eps * before.abs()
    for _ in range(HALVINGS):
        objective.theta[moving] = start + lengths[:, None] * model.direction
        predicted = lengths * (model.slope + lengths / 2 * model.curvature.clamp(max=0))
        enough = objective.loss(batch)[moving] <= before + SUFFICIENT * predicted + slack
        too_long = ~enough  # a loss that is nan is too long as well
        if not too_long.any():
            return too_long
        lengths = torch.where(too_long, lengths / 2, lengths)
    objective.theta[moving] = torch.where(too_long[:, None], start, objective.theta[moving])
    return too_long


def _hessian(objective: Any, batch: Any) -> Tensor:
    try:
        return objective.hessian(batch)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ValueError(f"Newton needs second derivatives: {reason}. {ELSE}") from error


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
