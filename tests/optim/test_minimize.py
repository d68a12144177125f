"""`minimize`: paths against torch.optim and scipy, many starts against each alone."""

import math

import numpy as np
import pytest
import scipy.optimize
import torch
from scipy.optimize import OptimizeResult

from skbasics import (
    LBFGS,
    NAG,
    SGD,
    Adam,
    AdamW,
    Adaptive,
    Cosine,
    GradientDescent,
    InverseScaling,
    Momentum,
    Newton,
    RMSprop,
    TorchOptimizer,
    minimize,
)
from skbasics.optim import OPTIMIZERS
from tests.optim.functions import beale, rosenbrock, stiff_quadratic

STEPS = 50
PATHS = {
    "gd": (GradientDescent(1e-3), torch.optim.SGD, {"lr": 1e-3}),
    "sgd": (SGD(1e-3), torch.optim.SGD, {"lr": 1e-3}),
    "momentum": (Momentum(1e-3, 0.8), torch.optim.SGD, {"lr": 1e-3, "momentum": 0.8}),
    "rmsprop": (RMSprop(0.02), torch.optim.RMSprop, {"lr": 0.02, "alpha": 0.9}),
    "adam": (Adam(0.02), torch.optim.Adam, {"lr": 0.02}),
    "adamw": (AdamW(0.02, weight_decay=0.1), torch.optim.AdamW, {"lr": 0.02, "weight_decay": 0.1}),
}


def starts(n_starts=4, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(n_starts, 2, generator=generator, dtype=torch.float64) * 4 - 2).to(dtype)


def torch_path(cls, options, function, start):
    parameter = torch.nn.Parameter(start.clone())
    optimizer = cls([parameter], **options)
    path = [start.clone()]
    for _ in range(STEPS):
        optimizer.zero_grad()
        function(parameter).sum().backward()
        optimizer.step()
        path.append(parameter.detach().clone())
    return torch.stack(path)


@pytest.mark.parametrize("function", [stiff_quadratic, rosenbrock])
@pytest.mark.parametrize("name", sorted(PATHS))
def test_paths_are_those_of_torch(name, function):
    rule, cls, options = PATHS[name]
    found = minimize(function, starts(), optimizer=rule, max_iter=STEPS, return_path=True)
    expected = torch_path(cls, options, function, starts())
    assert found.path.shape == (STEPS + 1, 4, 2)
    torch.testing.assert_close(found.path, expected, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(found.path[-1], starts(), atol=1e-2)


@pytest.mark.parametrize("name", sorted({*PATHS} - {"momentum"}))
def test_paths_with_a_schedule_are_those_of_torch(name):
    rule, cls, options = PATHS[name]
    rule = rule.replace(learning_rate=InverseScaling(options["lr"], power=0.7))
    found = minimize(rosenbrock, starts(), optimizer=rule, max_iter=STEPS)
    parameter = torch.nn.Parameter(starts())
    optimizer = cls([parameter], **options)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (step + 1) ** -0.7)
    for _ in range(STEPS):
        optimizer.zero_grad()
        rosenbrock(parameter).sum().backward()
        optimizer.step()
        schedule.step()
    torch.testing.assert_close(found.x, parameter.detach(), rtol=1e-9, atol=1e-9)


def test_momentum_with_a_schedule_is_its_recurrence():
    """The velocity is made of steps, each with its own rate; torch's is made of gradients."""
    rule = Momentum(InverseScaling(1e-3, power=0.7), 0.8)
    found = minimize(rosenbrock, starts(), optimizer=rule, max_iter=STEPS)
    theta, velocity = starts(), 0
    for step in range(STEPS):
        theta.requires_grad_()
        (gradient,) = torch.autograd.grad(rosenbrock(theta).sum(), theta)
        velocity = 0.8 * velocity + 1e-3 * (step + 1) ** -0.7 * gradient
        theta = theta.detach() - velocity
    torch.testing.assert_close(found.x, theta, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("function", [stiff_quadratic, rosenbrock])
def test_the_path_of_nag_is_its_recurrence(function):
    found = minimize(function, starts(), optimizer=NAG(3e-4, 0.8), max_iter=STEPS, return_path=True)
    theta, velocity = starts(), torch.zeros(4, 2, dtype=torch.float64)
    for step in range(STEPS + 1):
        torch.testing.assert_close(found.path[step], theta, rtol=1e-9, atol=1e-9)
        ahead = (theta - 0.8 * velocity).requires_grad_()
        (gradient,) = torch.autograd.grad(function(ahead).sum(), ahead)
        velocity = 0.8 * velocity + 3e-4 * gradient
        theta = theta - velocity


def test_lbfgs_takes_the_path_of_scipy():
    path = [np.array([-1.2, 1.0])]
    options = {"gtol": 1e-6, "ftol": 1e7 * np.finfo(float).eps / 100, "maxcor": 10}
    expected = scipy.optimize.minimize(
        scipy.optimize.rosen,
        path[0],
        jac=scipy.optimize.rosen_der,
        method="L-BFGS-B",
        callback=lambda x: path.append(x.copy()),
        options=options,
    )
    found = minimize(rosenbrock, [-1.2, 1.0], optimizer="lbfgs", return_path=True)
    np.testing.assert_allclose(found.path, path, rtol=1e-6)
    assert (found.nit, found.nfev, found.status) == (expected.nit, expected.nfev, 0)
    assert found.fun < 1e-8
    assert expected.message in found.message


CONVERGING = {
    "gd": GradientDescent(1e-3),
    "momentum": Momentum(1e-3, max_gradient_norm=10.0),
    "nag": NAG(1e-3, max_gradient_norm=10.0),
    "adam": Adam(0.1),
    "newton": Newton(),
    "lbfgs": LBFGS(),
    "torch": TorchOptimizer(torch.optim.NAdam, {"lr": 0.1}),
}


@pytest.mark.parametrize("name", sorted(CONVERGING))
def test_many_starts_are_as_many_searches(name):
    """Including those that end sooner than others, or at max_iter."""
    options = {"optimizer": CONVERGING[name], "max_iter": 300, "tol": 1e-2, "return_path": True}
    stack = minimize(rosenbrock, starts(6).numpy(), **options)
    for k, start in enumerate(starts(6).numpy()):
        alone = minimize(rosenbrock, start, **options)
        for key in ("x", "fun", "jac"):
            np.testing.assert_allclose(stack[key][k], alone[key], rtol=1e-8, atol=1e-12)
        for key in ("nit", "success", "status"):
            assert stack[key][k] == alone[key]
        assert stack.nit[k] <= 300
        np.testing.assert_allclose(stack.path[: alone.nit + 1, k], alone.path, rtol=1e-8)
        np.testing.assert_array_equal(
            stack.path[alone.nit :, k], np.tile(stack.x[k], (len(stack.path) - alone.nit, 1))
        )
    assert len(stack.path) == stack.nit.max() + 1


@pytest.mark.parametrize("name", sorted(CONVERGING))
@pytest.mark.parametrize("tol", [1e-1, 1e-5])
def test_success_is_the_truth(name, tol):
    found = minimize(rosenbrock, starts(8), optimizer=CONVERGING[name], max_iter=400, tol=tol)
    x = found.x.clone().requires_grad_()
    value = rosenbrock(x)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    torch.testing.assert_close(found.fun, value.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(found.jac, gradient, rtol=1e-12, atol=1e-300)
    small = (gradient.abs().amax(1) <= tol).numpy()
    np.testing.assert_array_equal(found.success, small)
    np.testing.assert_array_equal(found.status == 0, small)
    for message, success, nit in zip(found.message, found.success, found.nit, strict=True):
        assert success or (nit == 400 and "max_iter=400 steps are over" in message)


def test_a_stationary_start_needs_no_step():
    for optimizer in ("gd", "newton", "lbfgs"):
        found = minimize(rosenbrock, [1.0, 1.0], optimizer=optimizer, return_path=True)
        assert (found.nit, found.success, found.fun) == (0, True, 0.0)
        np.testing.assert_array_equal(found.path, [[1.0, 1.0]])


@pytest.mark.parametrize("name", ["momentum", "newton", "lbfgs"])
@pytest.mark.parametrize("many", [False, True])
def test_the_callback_sees_every_iterate_with_its_value(name, many):
    seen = []
    x0 = starts(2) if many else starts(2)[0]
    options = {"optimizer": CONVERGING[name], "max_iter": 30, "return_path": True}
    found = minimize(rosenbrock, x0, callback=seen.append, **options)
    assert all(isinstance(now, OptimizeResult) for now in seen)
    assert [now.nit for now in seen][-1] == np.max(found.nit)
    for now in seen:
        assert now.x.shape == x0.shape
        torch.testing.assert_close(now.fun, rosenbrock(now.x))
        assert now.jac.shape == x0.shape
    if not many:
        assert [now.nit for now in seen] == list(range(1, found.nit + 1))
        torch.testing.assert_close(torch.stack([now.x for now in seen]), found.path[1:])


class Enough(StopIteration):
    pass


@pytest.mark.parametrize("name", ["adam", "newton", "lbfgs"])
@pytest.mark.parametrize("by", ["value", "exception"])
def test_the_callback_may_end_the_search(name, by):
    def third(now):
        if now.nit == 3 and by == "exception":
            raise Enough
        return now.nit == 3

    free = minimize(
        rosenbrock, [-1.2, 1.0], optimizer=CONVERGING[name], max_iter=50, return_path=True
    )
    found = minimize(rosenbrock, [-1.2, 1.0], optimizer=CONVERGING[name], callback=third)
    assert (found.nit, found.status, found.success) == (3, 99, False)
    assert found.message.startswith("Ended by the callback")
    np.testing.assert_allclose(found.x, free.path[3])
    assert found.fun == rosenbrock(torch.from_numpy(found.x)).item()


def test_a_callback_that_ends_lbfgs_ends_all_its_starts():
    found = minimize(rosenbrock, starts(3), optimizer="lbfgs", callback=lambda now: True)
    np.testing.assert_array_equal(found.nit, [1, 0, 0])
    np.testing.assert_array_equal(found.status, 99)


def test_arrays_come_back_as_arrays_and_tensors_as_tensors():
    found = minimize(beale, [1, 1], optimizer="newton")
    assert isinstance(found.x, np.ndarray)
    assert found.x.dtype == np.float64
    kinds = [type(found[key]) for key in ("nit", "nfev", "success", "status", "message")]
    assert kinds == [int, int, bool, int, str]
    assert isinstance(float(found.fun), float)
    np.testing.assert_allclose(found.x, [3, 0.5], rtol=1e-6)
    single = minimize(beale, np.ones(2, np.float32), optimizer="newton", tol=1e-3)
    assert single.x.dtype == np.float32
    tensors = minimize(beale, torch.ones(3, 2), optimizer="newton", tol=1e-3, return_path=True)
    assert tensors.x.dtype == tensors.path.dtype == torch.float32
    assert tensors.fun.shape == (3,)


def test_the_start_is_not_touched():
    array, tensor = np.ones(2), torch.ones(2, requires_grad=True)
    minimize(beale, array, optimizer="newton")
    minimize(beale, tensor, optimizer="newton")
    np.testing.assert_array_equal(array, 1)
    assert torch.equal(tensor, torch.ones(2))
    assert tensor.grad is None


def test_functions_may_know_which_start_is_whose():
    """K problems at once: each start has a target of its own."""
    targets = torch.arange(10, dtype=torch.float64).reshape(5, 2)
    for optimizer in ("newton", "lbfgs", Momentum(0.1)):
        found = minimize(
            lambda x: ((x - targets) ** 2).sum(-1), torch.zeros(5, 2).double(), optimizer=optimizer
        )
        torch.testing.assert_close(found.x, targets, rtol=0, atol=1e-6)


def test_schedules_span_max_iter():
    """Plain steps along a slope of one add up to the sum of the rates."""
    rates = [0.1 / 2 * (1 + math.cos(math.pi * step / 20)) for step in range(20)]
    found = minimize(lambda x: x.sum(), [0.0], optimizer=SGD(Cosine(0.1)), max_iter=20)
    assert found.x[0] == pytest.approx(-sum(rates), rel=1e-12)


def test_adaptive_rates_fall_until_they_are_too_low():
    """At rate 1.05 a unit parabola is overshot further each step; divided by five it is not."""

    def parabola(x):
        return x.square().sum()

    found = minimize(parabola, [1.0], optimizer=SGD(Adaptive(1.05)))
    assert found.success
    kink = minimize(lambda x: x.abs().sum(), [1.03], optimizer=SGD(Adaptive(0.1)), max_iter=5000)
    assert (kink.status, kink.success) == (2, False)
    assert abs(kink.x[0]) < 1e-5


class Ascending(torch.optim.SGD):
    """Moves uphill before it asks for its gradient, as sharpness-aware rules do."""

    @torch.no_grad()
    def step(self, closure):
        (parameter,) = self.param_groups[0]["params"]
        move = parameter.grad * (0.05 / parameter.grad.norm())
        parameter.add_(move)
        closure()
        parameter.sub_(move)
        super().step()


def test_rules_that_evaluate_elsewhere_keep_their_iterates():
    """The path, the callback and the result are of the iterates, not of the points tried."""
    seen = []
    found = minimize(
        stiff_quadratic,
        [1.0, 1.0],
        optimizer=TorchOptimizer(Ascending, {"lr": 1e-2}),
        max_iter=20,
        callback=seen.append,
        return_path=True,
    )
    theta = torch.tensor([1.0, 1.0], dtype=torch.float64)
    for step in range(21):
        np.testing.assert_allclose(found.path[step], theta, rtol=1e-12)
        theta.requires_grad_()
        (slope,) = torch.autograd.grad(stiff_quadratic(theta), theta)
        uphill = (theta + 0.05 * slope / slope.norm()).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(stiff_quadratic(uphill), uphill)
        theta = (theta - 1e-2 * gradient).detach()
    np.testing.assert_array_equal([now.x for now in seen], found.path[1:])
    np.testing.assert_array_equal(found.x, found.path[-1])


def test_a_line_search_in_torch_is_one_step():
    optimizer = TorchOptimizer(torch.optim.LBFGS, {"max_iter": 5, "line_search_fn": "strong_wolfe"})
    seen = []
    found = minimize(
        stiff_quadratic, [0.0, 0.0], optimizer=optimizer, callback=seen.append, return_path=True
    )
    assert found.success
    assert 0 < found.nit < 10
    np.testing.assert_array_equal(found.path[0], [0.0, 0.0])
    np.testing.assert_array_equal([now.x for now in seen], found.path[1:])


@pytest.mark.parametrize("name", sorted(CONVERGING))
def test_calls_of_the_function_are_counted(name):
    calls = []

    def counted(x):
        calls.append(1)
        return rosenbrock(x)

    found = minimize(counted, [-1.2, 1.0], optimizer=CONVERGING[name], max_iter=20)
    # A last evaluation makes the result, where it was not made already.
    assert found.nfev in (len(calls), len(calls) - 1)
    assert found.nfev > found.nit


def test_success_knows_the_curvature_of_the_last_point():
    """One step of Newton's ends on a saddle; another one on a minimum."""

    def bent(x):
        return x[0] ** 2 / 2 + (x[0] - 0.5) * x[1] ** 2 + x[1] ** 4

    found = minimize(bent, [1.0, 0.0], optimizer="newton", max_iter=1)
    assert np.abs(found.jac).max() < 1e-12
    assert (found.success, found.status) == (False, 1)
    assert minimize(bent, [1.0, 0.0], optimizer="newton").fun == pytest.approx(-0.125)
    near = minimize(lambda x: -x.cos().sum(), [2.0], optimizer="newton", tol=0.9, max_iter=1)
    assert near.success


def test_the_callback_may_end_it_at_the_last_step():
    for optimizer in (GradientDescent(1e-3), LBFGS()):
        options = {"optimizer": optimizer, "max_iter": 1, "callback": lambda now: now.nit == 1}
        found = minimize(rosenbrock, [-1.2, 1.0], **options)
        assert (found.status, found.nit) == (99, 1)


def test_functions_may_differentiate_by_themselves():
    def steepness(x):
        (slope,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
        return slope.square().sum() + (x - 1).square().sum()

    expected = minimize(lambda x: (9 * x**4 + (x - 1) ** 2).sum(), [0.7, 0.3], optimizer="newton")
    for optimizer in ("newton", "lbfgs"):
        found = minimize(steepness, [0.7, 0.3], optimizer=optimizer)
        np.testing.assert_allclose(found.x, expected.x, rtol=1e-5)


def test_under_inference_mode():
    with torch.inference_mode():
        assert minimize(rosenbrock, [-1.2, 1.0], optimizer="newton").success


def test_lbfgs_settles_on_a_large_value_without_calling_it_success():
    found = minimize(lambda x: 1e9 + rosenbrock(x), [-1.2, 1.0], optimizer="lbfgs", tol=1e-9)
    assert np.abs(found.jac).max() > 1e-9
    assert (found.success, found.status) == (False, 2)
    assert found.message.startswith("Settled too early: L-BFGS-B: ")


def test_every_name_is_accepted():
    for name in OPTIMIZERS:
        assert minimize(stiff_quadratic, [3.0, -2.0], optimizer=name).success


@pytest.mark.parametrize(
    ("function", "x0", "message"),
    [
        (lambda x: x, [1.0, 2.0], r"shape \(2,\) for x of shape \(2,\); expected \(\).*\.sum\(\)"),
        (
            lambda x: x.sum(),
            [[1.0, 2.0]] * 3,
            r"shape \(\) for x of shape \(3, 2\); expected \(3,\)",
        ),
        (lambda x: x, [[1.0, 2.0]] * 3, r"shape \(3, 2\) for x of shape \(3, 2\); expected \(3,\)"),
        (lambda x: float(x.detach().sum()), [1.0], "fun returned float for x of shape"),
        (lambda x: x.detach().sum(), [1.0], "without a gradient for x of shape"),
        (lambda x: (x > 0).sum(), [1.0], "without a gradient for x of shape"),
        (
            lambda x: torch.from_numpy(np.sin(x.numpy())).sum(),
            [1.0],
            r"fun failed on a torch.float64",
        ),
        (
            lambda x: x.log().sum(),
            [-1.0],
            r"the value of fun is nan at x=\[-1.0\], after 1 evaluations. Start elsewhere",
        ),
        (lambda x: x.sqrt().sum(), [0.0], r"the gradient of fun is \[inf\] at x=\[0.0\]"),
        (
            lambda x: x.log().sum(-1),
            [[1.0], [-1.0]],
            r"start 1 \(1 such\): the value of fun is nan",
        ),
        (rosenbrock, [np.nan, 1.0], "x0 must be finite"),
        (rosenbrock, [[1.0, 1.0], [np.inf, 1.0]], r"x0 must be finite.*rows \[1\]"),
        (rosenbrock, [], "not empty"),
        (rosenbrock, 1.0, r"x0 has shape \(\); expected one start \(D,\) or K starts \(K, D\)"),
        (rosenbrock, np.ones((2, 2, 2)), r"x0 has shape \(2, 2, 2\)"),
        (rosenbrock, ["a", "b"], "x0 must hold numbers"),
        (rosenbrock, [1j, 1.0], "x0 is complex"),
        (lambda x: torch.complex(x.sum(), x.sum()), [1.0], "complex numbers; a minimum needs real"),
        (lambda x: torch.unique(x).sum(), [1.0, 2.0], "fun cannot be differentiated at x of shape"),
    ],
)
@pytest.mark.parametrize("optimizer", ["adam", "newton", "lbfgs"])
def test_bad_functions_and_starts(function, x0, message, optimizer):
    with pytest.raises(ValueError, match=message):
        minimize(function, x0, optimizer=optimizer)


def test_a_function_that_stops_being_finite_says_where_and_what_to_do():
    with pytest.raises(
        ValueError, match=r"fun is inf at x=.*Try optimizer=SGD\(learning_rate=0.1, "
    ):
        minimize(lambda x: x.square().sum() ** 2, [10.0], optimizer=SGD(1.0))
    with pytest.raises(ValueError, match=r"fun is inf at x=.*Try optimizer='newton', which steps"):
        minimize(lambda x: x[0] - x[0].log() / 1e3, [1.0], optimizer=LBFGS())
    found = minimize(lambda x: x[0] - x[0].log() / 1e3, [1.0], optimizer="newton")
    assert found.x[0] == pytest.approx(1e-3, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adma"}, "Unknown optimizer 'adma'"),
        ({"optimizer": Adam}, r"is a class; pass a value, Adam\(\)"),
        ({"optimizer": Adam(-1.0)}, "'learning_rate' parameter of Adam must be"),
        ({"optimizer": 3}, "'optimizer' parameter of minimize must be"),
        ({"max_iter": 0}, "'max_iter' parameter of minimize must be"),
        ({"tol": -1.0}, "'tol' parameter of minimize must be"),
        ({"callback": 3}, "'callback' parameter of minimize must be"),
        ({"return_path": "yes"}, "'return_path' parameter of minimize must be"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        minimize(rosenbrock, [1.0, 1.0], **options)
