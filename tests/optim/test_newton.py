"""Newton's method: exact on quadratics, away from saddles, on functions and on networks."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import scale

from skbasics import Adam, GradientDescent, MLPClassifier, MLPRegressor, Newton, minimize
from skbasics._derivatives import hessians
from skbasics._training import Batch
from skbasics.network import CrossEntropy, Network, NetworkObjective, feed_forward, resolve_loss
from skbasics.optim._function import FunctionObjective
from tests.optim.functions import monkey_saddle, rosenbrock, rosenbrock_hessian, saddle

X, y = load_iris(return_X_y=True)
X = scale(X)


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_hessians_of_many_functions_at_once():
    theta = normal(5, 2)
    for chunk_size in (32, 1):
        second = hessians(rosenbrock, theta, chunk_size)
        for k in range(5):
            torch.testing.assert_close(second[k], rosenbrock_hessian(theta[k]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_step_on_a_quadratic(dtype):
    """Curvatures from 0.1 to 100, in random directions, from many starts."""
    vectors, _ = torch.linalg.qr(normal(5, 5))
    curvatures = torch.tensor([0.1, 1.0, 3.0, 50.0, 100.0], dtype=torch.float64)
    second = ((vectors * curvatures) @ vectors.T).to(dtype)
    centre = normal(5, seed=1).to(dtype)

    def quadratic(x):
        return ((x - centre) @ second * (x - centre)).sum(-1) / 2

    found = minimize(quadratic, normal(7, 5, seed=2).to(dtype), optimizer=Newton(), max_iter=1)
    tolerance = {torch.float32: 1e-3, torch.float64: 1e-12}[dtype]
    torch.testing.assert_close(found.x, centre.expand(7, 5), rtol=0, atol=tolerance)
    assert (found.nit == 1).all()


def test_in_one_dimension_the_rate_is_the_reciprocal_of_the_curvature():
    """On x^4 a step is x^3 * 4 / (12 x^2), a third of x, whatever x."""
    starts = torch.tensor([[-3.0], [0.7], [10.0]], dtype=torch.float64)
    found = minimize(lambda x: (x**4).sum(-1), starts, optimizer=Newton(), max_iter=1, tol=0)
    np.testing.assert_allclose(found.x, 2 / 3 * starts, rtol=1e-12)


def test_curvatures_below_the_damping_count_as_the_damping():
    """A step of g / max(|curvature|, damping), component by component."""
    curvatures = torch.tensor([1e-3, 2.0], dtype=torch.float64)
    found = minimize(
        lambda x: (curvatures * x**2).sum() / 2,
        [1.0, 1.0],
        optimizer=Newton(damping=0.1),
        max_iter=1,
    )
    np.testing.assert_allclose(found.x, [1 - 1e-3 / 0.1, 0.0], atol=1e-12)
    half = minimize(
        lambda x: (x**2).sum(), [1.0, 1.0], optimizer=Newton(learning_rate=0.5), max_iter=1
    )
    np.testing.assert_allclose(half.x, 0.5)


@pytest.mark.parametrize("seed", range(3))
def test_rosenbrock_from_64_starts_at_once(seed):
    generator = torch.Generator().manual_seed(seed)
    starts = torch.rand(64, 2, generator=generator, dtype=torch.float64) * 4 - 2
    found = minimize(rosenbrock, starts, optimizer="newton", max_iter=200)
    assert (found.fun < 1e-8).sum() >= 63
    assert found.success.sum() >= 63


def test_values_never_rise():
    values = []
    minimize(rosenbrock, [-1.2, 1.0], optimizer="newton", callback=lambda r: values.append(r.fun))
    assert (np.diff(values) <= 0).all()


@pytest.mark.parametrize("start", [(1.0, 0.0), (0.0, 0.0), (0.5, 1e-9), (-0.3, -0.1)])
def test_saddles_are_left(start):
    """From the ridge, and from the saddle itself, where the gradient vanishes."""
    found = minimize(saddle, start, optimizer="newton")
    assert found.success
    np.testing.assert_allclose(np.abs(found.x), [0, np.sqrt(2)], atol=1e-6)
    assert found.fun == pytest.approx(-1)


def test_gradient_descent_and_the_bare_step_end_on_a_saddle():
    """Both find points where the gradient vanishes, and not minima."""
    from_ridge = minimize(saddle, [1.0, 0.0], optimizer=GradientDescent(0.1), max_iter=500)
    np.testing.assert_allclose(from_ridge.x, 0, atol=1e-5)
    x = torch.tensor([0.5, 0.1], dtype=torch.float64, requires_grad=True)
    for _ in range(6):
        (slope,) = torch.autograd.grad(saddle(x), x)
        second = torch.autograd.functional.hessian(saddle, x.detach())
        x = (x - torch.linalg.solve(second, slope)).detach().requires_grad_()
    assert x.norm() < 1e-9
    assert torch.linalg.eigvalsh(torch.autograd.functional.hessian(saddle, x.detach()))[0] < 0
    assert minimize(saddle, [0.5, 0.1], optimizer="newton").fun == pytest.approx(-1)


@pytest.mark.parametrize("start", [(1.0, 0.0), (0.4, 1e-9), (0.01, 0.01), (-0.5, 0.8)])
def test_monkey_saddles_are_left(start):
    found = minimize(monkey_saddle, start, optimizer="newton")
    assert found.success
    assert found.fun == pytest.approx(-27 / 256)
    assert np.linalg.norm(found.x) == pytest.approx(3 / 4)


def test_a_search_that_can_go_no_further_says_so():
    """The gradient of |x| never vanishes; at the kink no step is left that lowers it."""
    found = minimize(lambda x: x.abs().sum(), [0.3], optimizer="newton")
    assert (found.status, found.success) == (2, False)
    assert found.message.startswith("No step lowers the value any further: the largest component")
    np.testing.assert_allclose(found.x, 0, atol=1e-6)


def test_only_active_replicas_move():
    goal, batch = objective(CrossEntropy(), 3, n_replicas=3)
    start, state = goal.theta.clone(), Newton().start(goal)
    for _ in range(3):
        Newton().step(goal, batch, state, [0, 2])
    assert torch.equal(goal.theta[1], start[1])
    np.testing.assert_array_equal(state.steps, [3, 0, 3])
    alone, batch = objective(CrossEntropy(), 3, n_replicas=3)
    state = Newton().start(alone)
    for _ in range(3):
        Newton().step(alone, batch, state)
    torch.testing.assert_close(goal.theta[[0, 2]], alone.theta[[0, 2]], rtol=1e-9, atol=1e-9)


def test_a_stack_of_different_dampings_equals_each_alone():
    rules = [Newton(damping=0.1), Newton(0.5), Newton(damping=1.0)]
    start = normal(3, 2)
    stack = FunctionObjective(rosenbrock, start.clone(), single=False)
    state = Newton().start(stack, replicas=rules)
    for _ in range(10):
        Newton().step(stack, None, state)
    for k, rule in enumerate(rules):
        alone = minimize(rosenbrock, start[k], optimizer=rule, max_iter=10, tol=0)
        torch.testing.assert_close(stack.theta[k], alone.x, rtol=1e-9, atol=1e-9)


def objective(loss, n_outputs, n_replicas=2, weighted=False, alpha=0.3, activation="tanh"):
    architecture = feed_forward(4, (3,), n_outputs, activation=activation)
    theta = normal(n_replicas, architecture.n_parameters, seed=3) / 2
    network = Network(architecture, theta, theta.new_zeros(n_replicas, 0))
    inputs = normal(n_replicas, 6, 4)
    targets = normal(n_replicas, 6, n_outputs, seed=1).abs()
    if isinstance(loss, CrossEntropy):
        targets = (targets[..., :1] > 0.5).long()
    weights = torch.rand(n_replicas, 6, 1, generator=torch.Generator().manual_seed(5)).double()
    totals = weights.sum(1)
    batch = (
        Batch(inputs, targets, weights, totals) if weighted else Batch(inputs, targets, None, 6.0)
    )
    return NetworkObjective(network, loss, alpha), batch


LOSSES = [CrossEntropy(), *map(resolve_loss, ["squared_error", "poisson", "huber"])]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_hessian_of_a_network(loss, weighted):
    """Against the differences of our own backward passes, and its losses among themselves."""
    goal, batch = objective(loss, 3, weighted=weighted)
    second = goal.hessian(batch)
    torch.testing.assert_close(goal.loss(batch), goal.gradient(batch), rtol=1e-13, atol=0)
    start, width = goal.theta.clone(), goal.theta.shape[1]
    for column in range(width):
        sides = []
        for sign in (1, -1):
            goal.theta.copy_(start)
            goal.theta[:, column] += sign * 1e-6
            goal.gradient(batch)
            sides.append(goal.theta_gradient.clone())
        difference = (sides[0] - sides[1]) / 2e-6
        torch.testing.assert_close(second[:, :, column], difference, rtol=1e-6, atol=1e-8)


def test_chunks_of_directions_change_nothing(monkeypatch):
    goal, batch = objective(CrossEntropy(), 3)
    whole = goal.hessian(batch)
    monkeypatch.setattr("skbasics.network._network.HESSIAN_NUMBERS", 1)
    torch.testing.assert_close(goal.hessian(batch), whole, rtol=1e-12, atol=1e-14)


def test_ridge_regression_in_one_step():
    A, b = make_regression(50, 4, noise=5.0, random_state=0)
    ours = MLPRegressor((), optimizer="newton", alpha=2.0, tol=1e-9, random_state=0).fit(A, b)
    ridge = Ridge(2.0).fit(A, b)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], ridge.coef_, rtol=1e-9)
    np.testing.assert_allclose(ours.intercepts_[0][0], ridge.intercept_, rtol=1e-9)
    assert ours.n_iter_ == 2  # one to go there, one to see that it is there


def test_logistic_regression():
    for data, labels in (load_iris(return_X_y=True), load_breast_cancer(return_X_y=True)):
        data = scale(data)
        ours = MLPClassifier((), optimizer="newton", alpha=1.0, tol=1e-10).fit(data, labels)
        peer = LogisticRegression(C=1.0, tol=1e-12, max_iter=10**5).fit(data, labels)
        np.testing.assert_allclose(ours.coefs_[0].T, peer.coef_, atol=1e-5)
        assert ours.n_iter_ < 20


@pytest.mark.parametrize("data", ["iris", "breast cancer"])
def test_a_few_dozen_iterations_do_what_adam_needs_thousands_for(data):
    load = {"iris": load_iris, "breast cancer": load_breast_cancer}[data]
    inputs, labels = load(return_X_y=True)
    inputs = scale(inputs)
    options = {"alpha": 1.0, "random_state": 0, "batch_size": len(inputs)}
    ours = MLPClassifier((4,), "tanh", optimizer="newton", tol=1e-6, max_iter=60, **options)
    ours.fit(inputs, labels)
    assert ours.n_iter_ < 60
    assert ours.history_["gradient_norm"][-1] < 1e-5
    adam = MLPClassifier((4,), "tanh", optimizer=Adam(0.01), tol=0, max_iter=1000, **options)
    adam.set_params(n_iter_no_change=np.inf).fit(inputs, labels)
    assert adam.history_["gradient_norm"][-1] > 1e-5
    assert ours.loss_ <= adam.loss_ + 1e-3


def test_it_ends_by_the_gradient_and_not_at_a_saddle():
    """All weights zero is a saddle of a tanh network: the gradient of every weight vanishes."""
    goal, batch = objective(resolve_loss("squared_error"), 1, n_replicas=1, alpha=0.0)
    batch.y -= batch.y.mean()
    goal.theta.zero_()
    state = Newton().start(goal)
    goal.gradient(batch)
    assert goal.theta_gradient.abs().max() < 1e-15
    losses = [Newton().step(goal, batch, state).item() for _ in range(40)]
    assert losses[-1] < losses[0] / 2


def test_a_fit_does_not_end_on_a_saddle():
    """Warm-started at weights of zero, where the gradient of every weight vanishes."""
    A, b = X, y - y.mean()
    mlp = MLPRegressor((3,), "tanh", optimizer="newton", alpha=0.0, tol=1e-3, warm_start=True)
    mlp.set_params(random_state=0, max_iter=1)
    mlp.fit(A, b)
    mlp._theta[:] = 0
    mlp._theta[-1] = b.mean()
    mlp.set_params(max_iter=100).fit(A, b)
    assert mlp.n_iter_ > 3
    assert mlp.loss_ < np.var(b) / 10


def test_steps_that_gain_too_little_are_halved():
    """Armijo: the full step of this one ends as high as it began, to the right of the dip."""

    def dip(x):
        return (torch.sqrt(1 + x**2)).sum()

    start = 0.999  # Newton's step goes to -start^3, so the gain is small against the slope
    found = minimize(dip, [start], optimizer=Newton(learning_rate=1.0), max_iter=1)
    assert found.x[0] == pytest.approx(-(start**3), rel=1e-9)  # a gain of 1e-3 of the slope: enough
    start = 0.99999
    found = minimize(dip, [start], optimizer=Newton(learning_rate=1.0), max_iter=1)
    full, slope = -(start**3), start / np.sqrt(1 + start**2) * (start**3 + start)
    assert np.sqrt(1 + start**2) - np.sqrt(1 + full**2) < 1e-4 * slope
    assert found.x[0] == pytest.approx(start - (start + start**3) / 2, rel=1e-9)


@pytest.mark.parametrize("size", [1e4, 1e6])
def test_rounding_of_large_curvatures_is_no_saddle(size):
    """In float32 the zero eigenvalues of a large singular Hessian come out negative."""
    vectors = normal(6, 2).float()

    def flat(x):
        return size * (x @ vectors).square().sum(-1)

    found = minimize(flat, normal(4, 6, seed=2).float(), optimizer="newton", tol=1e-2 * size / 1e4)
    assert found.success.all()
    assert (found.nit <= 5).all()


def test_kinks_that_stop_it_are_named():
    mlp = MLPRegressor((), loss="absolute_error", optimizer="newton", alpha=0, tol=1e-9)
    with pytest.warns(ConvergenceWarning, match="Newton found no step that lowers the loss"):
        mlp.set_params(random_state=0, max_iter=1000, n_iter_no_change=1000).fit(X, y * 1.0)


@pytest.mark.parametrize("options", [{"dropout": 0.2}, {"batch_norm": True}])
def test_functions_that_change_are_refused(options):
    with pytest.raises(ValueError, match=r"Newton evaluates a batch more than once.*dropout=0\.0"):
        MLPClassifier((5,), optimizer="newton", **options).fit(X, y)


def test_too_many_parameters_are_named_with_the_memory_they_need():
    message = r"13003 x 13003 numbers or 1\.26 GiB, and allows itself 1 GiB.*LBFGS\(\)"
    with pytest.raises(ValueError, match=message):
        MLPClassifier((1625,), optimizer="newton").fit(X, y)
    with pytest.raises(ValueError, match=r"1000 times 500 x 500 numbers or 1\.86 GiB"):
        minimize(lambda x: x.square().sum(-1), torch.ones(1000, 500).double(), optimizer="newton")


def test_a_function_without_second_derivative():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x**2).sum()

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, slope):
            return 2 * ctx.saved_tensors[0] * slope

    with pytest.raises(ValueError, match="needs second derivatives: the gradient does not depend"):
        minimize(Once.apply, [1.0, 2.0], optimizer="newton")
    assert minimize(Once.apply, [1.0, 2.0], optimizer="lbfgs").success
    with pytest.raises(ValueError, match="second derivatives, and they are not finite here"):
        minimize(lambda x: x.abs().pow(1.5).sum(), [0.0, 1.0], optimizer="newton")


def test_streams_and_batches():
    stream = MLPClassifier((4,), "tanh", optimizer="newton", alpha=1.0, random_state=0)
    for _ in range(25):
        stream.partial_fit(X, y, classes=[0, 1, 2])
    whole = MLPClassifier((4,), "tanh", optimizer="newton", alpha=1.0, random_state=0, tol=0)
    whole.set_params(max_iter=25, n_iter_no_change=np.inf).fit(X, y)
    np.testing.assert_allclose(stream.coefs_[0], whole.coefs_[0], atol=1e-6)
    batched = MLPClassifier((4,), "tanh", optimizer=Newton(damping=0.1), batch_size=50)
    assert batched.set_params(random_state=0).fit(X, y).score(X, y) > 0.95
