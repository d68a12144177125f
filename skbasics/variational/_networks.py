"""The fit of a network whose weights are independent Gaussians."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from skbasics._arrays import as_tensor
from skbasics._training import Rows
from skbasics.network import SquaredError, glorot_uniform
from skbasics.optim import (
    Adaptive,
    FirstOrder,
    Optimizer,
    Stepwise,
    TorchOptimizer,
    resolve_optimizer,
)
from skbasics.variational._prior import Prior, Target
from skbasics.variational._problem import Found, Problem
from skbasics.variational._weights import (
    RATE,
    START,
    Epoch,
    WeightPrior,
    WeightsObjective,
    train_weights,
    unit_scales,
)


def resolve_rule(optimizer: str | Optimizer) -> Stepwise:
    """Return the rule that trains a network; by name, with a rate that adapts and short steps.

    Raises
    ------
    ValueError
        If the rule needs a function that stands still.
    """
    resolved = resolve_optimizer(optimizer)
    resolved.validate()
    if isinstance(resolved, TorchOptimizer):
        return resolved
    if not isinstance(resolved, FirstOrder):
        raise ValueError(
            f"{type(resolved).__name__} evaluates a batch more than once, and the weights of a "
            "variational network are drawn anew each time. Take optimizer='adam'."
        )
    if isinstance(optimizer, str):
        resolved = resolved.replace(learning_rate=Adaptive(RATE), max_gradient_norm=1.0)
    return resolved


def network_steps(estimator: Any, problem: Problem, first: bool) -> Iterator[Found]:
    """Yield the posterior after each epoch."""
    rule = resolve_rule(estimator.optimizer)
    units = _units(problem) if first else estimator._units
    y = (problem.y - units[1]) / units[0] if _has_noise(problem) else problem.y
    objective = _objective(estimator, problem, first, units[0])
    batch_size = len(problem.X)
    if estimator.batch_size != "auto" or not rule.full_batch:
        asked = 200 if estimator.batch_size == "auto" else int(estimator.batch_size)
        batch_size = min(asked, batch_size)
    training = train_weights(
        objective,
        rule,
        Rows(problem.X, y),
        problem.weights,
        batch_size=batch_size,
        max_iter=estimator.max_iter,
        tol=estimator.tol,
        random_state=problem.random_state,
    )
    for n_iter, epoch in enumerate(training, start=1):
        done = epoch.settled or n_iter == estimator.max_iter
        found = _found(epoch, problem, y, units, done)
        yield found if first else replace(found, prior_scale=estimator.prior_scale_)


def _has_noise(problem: Problem) -> bool:
    return isinstance(problem.loss, SquaredError)


def _units(problem: Problem) -> tuple[float, float]:
    """Return the deviation and the mean of y, in whose units a regression is trained."""
    if not _has_noise(problem):
        return 1.0, 0.0
    y = problem.y[:, 0].double()
    weights = None if problem.weights is None else problem.weights.double()
    n = len(y) if weights is None else weights.sum()
    mean = (y if weights is None else weights * y).sum() / n
    squares = (y - mean).square()
    variance = (squares if weights is None else weights * squares).sum() / n
    return math.sqrt(float(variance)) or 1.0, float(mean)


def _objective(estimator: Any, problem: Problem, first: bool, unit: float) -> WeightsObjective:
    architecture, like = problem.architecture, problem.X
    learned = estimator.prior_scale == "learned"
    noise_scale, learn_noise = None, False
    if first:
        factor = 1.0 if learned else float(estimator.prior_scale)
        scale = factor * unit_scales(architecture, like)
        prior = WeightPrior(torch.zeros_like(scale), scale, learned)
        gain = 2.0 if estimator.activation == "logistic" else 6.0
        start = torch.from_numpy(glorot_uniform(architecture, problem.random_state, gain)).to(like)
        scale = START * scale
    else:
        start, scale = (_copy(getattr(estimator, name), like) for name in ("_mean", "_scale"))
        prior = WeightPrior(start.clone(), scale.clone(), False)
    if _has_noise(problem):
        learn_noise = estimator.noise_scale == "learned" and first
        noise_scale = estimator.noise_scale
        if noise_scale == "learned":  # from the first rows, and then it stands
            noise_scale = unit if first else estimator.noise_scale_
        noise_scale /= unit
    return WeightsObjective(
        architecture,
        problem.loss,
        prior,
        start,
        scale,
        noise_scale=noise_scale,
        learn_noise=learn_noise,
        n=problem.n,
        n_samples=int(estimator.n_samples),
    )


def _copy(array: Any, like: Tensor) -> Tensor:
    return as_tensor(array, device=like.device, dtype=like.dtype).clone()


def _found(
    epoch: Epoch, problem: Problem, y: Tensor, units: tuple[float, float], done: bool
) -> Found:
    """Return where an epoch has left the posterior."""
    objective = epoch.objective
    tau = objective.prior.scale * objective.prior_factor
    prior = Prior(objective.prior.mean, tau.square().reciprocal())
    noise_scale = objective.noise_scale
    target = Target(
        problem.architecture, problem.X, y, problem.weights, problem.loss, prior, noise_scale
    )
    # The noise is in the units of y, and so is its density.
    elbo = -objective.n * (epoch.loss + math.log(units[0]))
    return Found(
        objective.mean.clone(),
        objective.scale,
        torch.zeros_like(problem.X[0]),
        elbo,
        float(tau.max()),
        target,
        target.values,
        noise_scale * units[0],
        units,
        done,
        epoch.settled,
        epoch.gain,
    )
