"""All optimizers on all problems in both precisions: every one must come to the known minimum."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from skbasics import (
    LBFGS,
    NAG,
    SGD,
    Adam,
    AdamW,
    Cosine,
    GradientDescent,
    Momentum,
    Newton,
    RMSprop,
    TorchOptimizer,
    minimize,
)
from skbasics.network import feed_forward
from skbasics.optim import OPTIMIZERS
from tests.optim.functions import rosenbrock, stiff_quadratic


@dataclass
class Problem:
    """A function, a start, the lowest value there is, and steps that suit its curvature.

    Attributes
    ----------
    steps : int
        How many a first-order rule gets.
    rate, fast : float
        Learning rates for plain gradients and for those divided by their size.
    gap : float
        How near the lowest value the value must come, in float64; ten times that in float32.
    """

    function: Callable
    start: torch.Tensor
    lowest: float
    steps: int
    rate: float
    fast: float
    gap: float


def logistic_problem():
    """Penalised logistic regression on two kinds of iris; the minimum is scikit-learn's."""
    X, y = load_iris(return_X_y=True)
    X, signs = scale(X[50:]), 2.0 * (y[50:] == 2) - 1

    def function(x):
        margins = torch.as_tensor(signs, dtype=x.dtype) * (
            torch.as_tensor(X, dtype=x.dtype) @ x[:4] + x[4]
        )
        return (torch.nn.functional.softplus(-margins).sum() + x[:4].square().sum() / 2) / len(X)

    peer = LogisticRegression(C=1.0, tol=1e-12, max_iter=10**5).fit(X, signs)
    best = torch.from_numpy(np.append(peer.coef_[0], peer.intercept_))
    return Problem(function, torch.zeros(5), float(function(best)), 500, 1.0, 0.2, 1e-6)


def network_problem():
    """A tanh network that learns from another of its kind: nothing is lower than zero."""
    architecture = feed_forward(2, (3,), 1, activation="tanh")
    generator = torch.Generator().manual_seed(0)
    teacher, inputs, noise = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((1, architecture.n_parameters), (1, 50, 2), (1, architecture.n_parameters))
    )

    def outputs(theta):
        X = inputs.to(theta.dtype)
        return architecture.apply(theta, theta.new_zeros(1, 0), X)

    def function(x):
        return (outputs(x[None]) - outputs(teacher.to(x.dtype))).square().mean()

    return Problem(function, (teacher + 0.2 * noise)[0], 0.0, 1000, 0.2, 0.05, 1e-3)


PROBLEMS = {
    "quadratic": Problem(stiff_quadratic, torch.zeros(2), 0.0, 1500, 0.01, 0.2, 1e-8),
    "rosenbrock": Problem(rosenbrock, torch.tensor([0.8, 0.8]), 0.0, 4000, 2e-3, 0.05, 1e-3),
    "logistic": logistic_problem(),
    "network": network_problem(),
}


def rules(problem):
    slow, fast = problem.rate, Cosine(problem.fast)
    return {
        "gd": GradientDescent(slow),
        "sgd": SGD(slow),
        "momentum": Momentum(slow / 2, 0.9),
        "nag": NAG(slow / 2, 0.9),
        "rmsprop": RMSprop(fast),
        "adam": Adam(fast),
        "adamw": AdamW(fast, weight_decay=0.0),
        "newton": Newton(),
        "lbfgs": LBFGS(),
        "torch": TorchOptimizer(torch.optim.Adagrad, {"lr": 10 * problem.fast}),
    }


def test_no_optimizer_is_left_out():
    assert set(rules(PROBLEMS["quadratic"])) == {*OPTIMIZERS, "torch"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", sorted(PROBLEMS))
@pytest.mark.parametrize("rule", sorted(rules(PROBLEMS["quadratic"])))
def test_every_optimizer_finds_the_minimum(rule, name, dtype):
    problem = PROBLEMS[name]
    second_order = rule in ("newton", "lbfgs")
    found = minimize(
        problem.function,
        problem.start.to(dtype),
        optimizer=rules(problem)[rule],
        max_iter=100 if second_order else problem.steps,
        tol=1e-7,
    )
    assert found.x.dtype == dtype
    gap = problem.gap if dtype == torch.float64 else 10 * problem.gap
    gap = gap / 100 if second_order and dtype == torch.float64 else gap
    assert abs(float(found.fun) - problem.lowest) < gap
