"""The rules against torch.optim, NAG against its recurrence."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from skbasics.optim import (
    NAG,
    OPTIMIZERS,
    SGD,
    Adam,
    AdamW,
    Adaptive,
    GradientDescent,
    InverseScaling,
    Momentum,
    RMSprop,
    TorchOptimizer,
    resolve_optimizer,
)

STEPS, K, P = 50, 3, 4
TORCH = {
    "gd": (GradientDescent(0.02), torch.optim.SGD, {"lr": 0.02}),
    "sgd": (SGD(0.02), torch.optim.SGD, {"lr": 0.02}),
    "momentum": (Momentum(0.02, 0.8), torch.optim.SGD, {"lr": 0.02, "momentum": 0.8}),
    "rmsprop": (
        RMSprop(0.02, 0.8, 1e-6),
        torch.optim.RMSprop,
        {"lr": 0.02, "alpha": 0.8, "eps": 1e-6},
    ),
    "adam": (
        Adam(0.02, 0.8, 0.95, 1e-6),
        torch.optim.Adam,
        {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-6},
    ),
    "adamw": (
        AdamW(0.02, weight_decay=0.3),
        torch.optim.AdamW,
        {"lr": 0.02, "weight_decay": 0.3},
    ),
}


@dataclass
class Rosenbrock:
    """K Rosenbrock functions of four variables, as an objective without batches."""

    theta: torch.Tensor
    slots: list = field(default_factory=list)
    n_decayed: int = P
    repeatable: bool = True

    def __post_init__(self):
        self.theta_gradient = torch.zeros_like(self.theta)

    @staticmethod
    def value(theta):
        return (100 * (theta[:, 1:] - theta[:, :-1] ** 2) ** 2 + (1 - theta[:, :-1]) ** 2).sum(1)

    def gradient(self, batch):
        with torch.enable_grad():
            theta = self.theta.detach().clone().requires_grad_()
            losses = self.value(theta)
            (slope,) = torch.autograd.grad(losses.sum(), theta)
        self.theta_gradient.copy_(slope / 100)
        return losses.detach()


def start(n_replicas=K):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n_replicas, P, generator=generator, dtype=torch.float64)


def run(optimizer, objective, steps=STEPS, active=None, **options):
    state = optimizer.start(objective, **options)
    for step in range(steps):
        optimizer.step(objective, None, state, active(step) if active else None)
    return objective.theta


def run_torch(cls, options, theta, steps=STEPS, clip=None):
    parameter = torch.nn.Parameter(theta.clone())
    optimizer = cls([parameter], **options)
    for _ in range(steps):
        optimizer.zero_grad()
        (Rosenbrock.value(parameter) / 100).sum().backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_([parameter], clip)
        optimizer.step()
    return parameter.detach()


def test_every_name_is_compared():
    assert set(OPTIMIZERS) == {*TORCH, "nag", "newton", "lbfgs"}


@pytest.mark.parametrize("name", sorted(TORCH))
def test_against_torch(name):
    ours, cls, options = TORCH[name]
    result = run(ours, Rosenbrock(start()))
    torch.testing.assert_close(result, run_torch(cls, options, start()), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(result, start(), atol=1e-2)


@pytest.mark.parametrize("name", sorted(TORCH))
def test_gradient_clipping_against_torch(name):
    ours, cls, options = TORCH[name]
    result = run(ours.replace(max_gradient_norm=0.05), Rosenbrock(start(1)))
    expected = run_torch(cls, options, start(1), clip=0.05)
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(result, run(ours, Rosenbrock(start(1))))


def test_nag_against_its_recurrence():
    objective = Rosenbrock(start())
    theta, velocity = start(), torch.zeros(K, P, dtype=torch.float64)
    for _ in range(STEPS):
        ahead = Rosenbrock(theta - 0.8 * velocity)
        ahead.gradient(None)
        velocity = 0.8 * velocity + 0.01 * ahead.theta_gradient
        theta = theta - velocity
    torch.testing.assert_close(run(NAG(0.01, 0.8), objective), theta, rtol=1e-9, atol=1e-9)


def test_nag_is_torch_nesterov_seen_from_the_look_ahead_points():
    optimizer, objective = NAG(0.01, 0.8), Rosenbrock(start())
    state = optimizer.start(objective)
    for _ in range(STEPS):
        optimizer.step(objective, None, state)
    ahead = objective.theta - 0.8 * state.buffers["velocity"]
    options = {"lr": 0.01, "momentum": 0.8, "nesterov": True}
    expected = run_torch(torch.optim.SGD, options, start())
    torch.testing.assert_close(ahead, expected, rtol=1e-9, atol=1e-9)


def test_nag_converges_on_the_stiff_quadratic_where_the_reversed_sign_diverges():
    """H = diag(1, 100), rate 0.01, momentum 0.9: theta is 8e-6 after 200 steps."""
    curvatures = torch.tensor([1.0, 100.0], dtype=torch.float64)

    class Quadratic(Rosenbrock):
        def gradient(self, batch):
            self.theta_gradient.copy_(self.theta * curvatures)
            return self.theta.square().sum(1)

    objective = Quadratic(torch.ones(1, 2, dtype=torch.float64))
    assert run(NAG(0.01, 0.9), objective, 200).norm().item() == pytest.approx(8e-6, rel=0.01)

    theta, velocity = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for _ in range(100):  # with the gradient at theta + gamma * velocity
        velocity = 0.9 * velocity + 0.01 * curvatures * (theta + 0.9 * velocity)
        theta = theta - velocity
    assert theta.norm() > 1e3


def test_momentum_is_a_decayed_sum_that_remembers_some_ten_steps():
    """Where the gradient is one, step t is 0.01 (1 - 0.9^t) / (1 - 0.9) long, and no mean of it."""
    places = []

    class Slope(Rosenbrock):
        def gradient(self, batch):
            places.append(self.theta.item())
            self.theta_gradient.fill_(1)
            return self.theta.sum(1)

    run(Momentum(0.01, 0.9), Slope(torch.zeros(1, 1, dtype=torch.float64)), 100)
    expected = 0.01 * (1 - 0.9 ** np.arange(1, 100)) / (1 - 0.9)
    np.testing.assert_allclose(-np.diff(places), expected, rtol=1e-9)


def test_rmsprop_adds_epsilon_to_the_root():
    """A first gradient of 2 at beta 0.75: s is 1, and epsilon 1 halves the step."""

    class Slope(Rosenbrock):
        def gradient(self, batch):
            self.theta_gradient.fill_(2)
            return 2 * self.theta.sum(1)

    objective = Slope(torch.zeros(1, 1, dtype=torch.float64))
    moved = run(RMSprop(0.1, 0.75, 1.0), objective, 1).item()
    assert moved == pytest.approx(-0.1 * 2 / (1 + 1), rel=1e-12)
    assert moved != pytest.approx(-0.1 * 2 / np.sqrt(1 + 1), rel=1e-2)  # epsilon inside the root


def test_the_first_step_of_adam_has_the_length_of_the_learning_rate():
    """With both corrections: (x - 3)^2 / 2 at rate 0.1 is at 0.1 after a step."""

    class Parabola(Rosenbrock):
        def gradient(self, batch):
            self.theta_gradient.copy_(self.theta - 3)
            return (self.theta - 3).square().sum(1) / 2

    objective = Parabola(torch.zeros(1, 1, dtype=torch.float64))
    assert run(Adam(0.1), objective, 1).item() == pytest.approx(0.1, rel=1e-7)
    objective = Parabola(torch.zeros(1, 1, dtype=torch.float64))
    assert run(Adam(0.1), objective, 50).item() == pytest.approx(3.1689, abs=1e-4)


def varied(name):
    """Return three versions of a rule that differ in every number."""
    ours = TORCH[name][0] if name in TORCH else NAG(0.01, 0.8)
    numbers = ours.get_params()
    changed = []
    for k in range(K):
        factor = 1 - 0.1 * k
        some = {n: v * factor for n, v in numbers.items() if v is not None}
        changed.append(ours.replace(**some, max_gradient_norm=None if k == 1 else 5.0 + k))
    return changed


@pytest.mark.parametrize("name", [*sorted(TORCH), "nag"])
def test_a_stack_of_different_rules_equals_each_alone(name):
    rules = varied(name)
    stack = run(rules[0], Rosenbrock(start()), replicas=rules)
    for k, rule in enumerate(rules):
        alone = run(rule, Rosenbrock(start()[k : k + 1]))
        torch.testing.assert_close(stack[k : k + 1], alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [*sorted(TORCH), "nag"])
def test_inactive_replicas_do_not_move_and_their_clocks_stand_still(name):
    rule = varied(name)[0]
    stack = run(rule, Rosenbrock(start()), active=lambda step: [0, 2] if step % 3 else None)
    alone = run(rule, Rosenbrock(start()))
    torch.testing.assert_close(stack[[0, 2]], alone[[0, 2]], rtol=1e-9, atol=1e-9)
    fewer = run(rule, Rosenbrock(start()), steps=sum(step % 3 == 0 for step in range(STEPS)))
    torch.testing.assert_close(stack[1], fewer[1], rtol=1e-9, atol=1e-9)


def test_weight_decay_spares_what_does_not_decay():
    objective = Rosenbrock(start(), n_decayed=2)
    decayed = run(AdamW(0.02, weight_decay=0.3), objective, 1)
    plain = run(Adam(0.02), Rosenbrock(start()), 1)
    assert torch.equal(decayed[:, 2:], plain[:, 2:])
    torch.testing.assert_close(decayed[:, :2], plain[:, :2] - 0.02 * 0.3 * start()[:, :2])


def test_state_exported_and_resumed_is_no_interruption():
    for rule in (Momentum(0.01), Adam(InverseScaling(0.05))):
        whole, parts = Rosenbrock(start()), Rosenbrock(start())
        run(rule, whole, 20)
        state = rule.start(parts)
        for _ in range(10):
            rule.step(parts, None, state)
        state = rule.start(parts).resume(state.export())
        for _ in range(10):
            rule.step(parts, None, state)
        assert torch.equal(whole.theta, parts.theta)


def test_an_adaptive_rate_is_divided_until_it_is_too_small():
    state = SGD(Adaptive(1e-4, factor=10)).start(Rosenbrock(start(2)))
    assert [state.cut(0) for _ in range(4)] == [True, True, False, False]
    np.testing.assert_allclose(state.current_rates(), [1e-6, 1e-4])
    assert not SGD(1e-4).start(Rosenbrock(start(1))).cut(0)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (SGD(0.0), "'learning_rate' parameter of SGD must be a float in the range"),
        (Adam("fast"), "'learning_rate' parameter of Adam must be a float in the range"),
        (Momentum(momentum=1.0), "'momentum' parameter of Momentum must be a float in the range"),
        (Adam(beta_2=-0.1), "'beta_2' parameter of Adam must be"),
        (Adam(InverseScaling(-1.0)), "'initial' parameter of InverseScaling must be"),
        (RMSprop(max_gradient_norm=0), "'max_gradient_norm' parameter of RMSprop must be"),
        (TorchOptimizer("adam"), "'cls' parameter of TorchOptimizer must be a callable"),
    ],
)
def test_bad_numbers_are_named(optimizer, message):
    with pytest.raises(ValueError, match=message):
        optimizer.validate()


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match=r"Unknown optimizer 'adma'.*'adam', 'adamw', 'gd'"):
        resolve_optimizer("adma")
    assert resolve_optimizer("momentum") == Momentum()
