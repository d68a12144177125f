"""Our backward passes against autograd through the pure twins, in float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from skbasics._training import Batch
from skbasics.network import (
    ACTIVATIONS,
    AbsoluteError,
    BatchNorm,
    BinaryCrossEntropy,
    CallableLoss,
    CrossEntropy,
    Huber,
    Network,
    NetworkObjective,
    Poisson,
    Quantile,
    SquaredError,
    TrainingPass,
    feed_forward,
)

K, ROWS, FEATURES, OUTPUTS = 3, 7, 4, 3
REAL_LOSSES = [
    SquaredError(),
    AbsoluteError(),
    Huber(0.7),
    Quantile(0.8),
    Poisson(),
    CallableLoss(lambda z, y: ((z - y) ** 4).sum(-1)),
]


def make_network(generator, **options):
    settings = {"activation": "tanh"} | options
    architecture = feed_forward(FEATURES, (5, 6), OUTPUTS, **settings)
    like = torch.zeros((), dtype=torch.float64)
    theta, statistics = architecture.initial(like, K)
    theta += 0.6 * torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    return Network(architecture, theta, statistics)


def make_batch(generator, loss, weighted):
    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    X = normal(K, ROWS, FEATURES)
    y = normal(K, ROWS, OUTPUTS)
    if isinstance(loss, CrossEntropy):
        y = torch.randint(0, OUTPUTS, (K, ROWS, 1), generator=generator)
    elif isinstance(loss, BinaryCrossEntropy):
        y = (y > 0).double()
    elif isinstance(loss, Poisson):
        y = y.abs().round()
    if not weighted:
        return Batch(X, y, None, float(ROWS))
    weights = torch.rand(K, ROWS, 1, generator=generator, dtype=torch.float64)
    weights[0, 2:4] = 0
    return Batch(X, y, weights, weights.sum(1))


def by_autograd(objective, batch, alpha):
    """Return losses and gradient of the textbook's objective, through the pure functions."""
    network = objective.network
    theta = network.theta.clone().requires_grad_()
    training = TrainingPass(batch.weights)
    Z = network.architecture.apply(theta, network.statistics, batch.X, training=training)
    rows = objective.loss_function.rows(Z, batch.y)
    weights = torch.ones_like(rows) if batch.weights is None else batch.weights[..., 0]
    squares = theta[:, : network.architecture.n_decayed].square().sum(1)
    losses = ((weights * rows).sum(1) + alpha / 2 * squares) / weights.sum(1)
    losses.sum().backward()
    return losses.detach(), theta.grad


def check(network, loss, batch, alpha=0.3):
    objective = NetworkObjective(network, loss, alpha)
    statistics = network.statistics.clone()
    with torch.no_grad():
        losses = objective.gradient(batch)
    network.statistics.copy_(statistics)
    expected_losses, expected = by_autograd(objective, batch, alpha)
    torch.testing.assert_close(losses, expected_losses, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(network.gradient, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_activation(activation):
    generator = torch.Generator().manual_seed(0)
    loss = SquaredError()
    check(make_network(generator, activation=activation), loss, make_batch(generator, loss, False))


def test_activations_are_their_formulas():
    z = torch.linspace(-19, 19, 241, dtype=torch.float64)  # torch's softplus is z from 20 on
    sigmoid = 1 / (1 + torch.exp(-z))
    expected = {
        "identity": z,
        "logistic": sigmoid,
        "tanh": 2 / (1 + torch.exp(-2 * z)) - 1,  # 2 sigmoid(2 z) - 1
        "relu": torch.where(z > 0, z, 0.0),
        "leaky_relu": torch.where(z > 0, z, 0.01 * z),
        "elu": torch.where(z > 0, z, torch.exp(z) - 1),
        "gelu": z * torch.special.ndtr(z),
        "silu": z * sigmoid,
        "softplus": torch.log1p(torch.exp(z)),
    }
    assert set(expected) == set(ACTIVATIONS)
    for name, values in expected.items():
        found = ACTIVATIONS[name].pure(z)
        torch.testing.assert_close(found, values, rtol=1e-12, atol=1e-12, msg=name)


def test_positive_inputs_give_a_row_gradients_of_one_sign():
    """Those of a unit's weights, for one row: rows of a batch may differ, and so their sum may."""
    generator, loss = torch.Generator().manual_seed(11), SquaredError()
    network, batch = make_network(generator), make_batch(generator, loss, False)
    objective = NetworkObjective(network, loss, 0.0)
    X = batch.X.abs() + 0.1

    def signs(rows):
        with torch.no_grad():
            objective.gradient(Batch(X[:, rows], batch.y[:, rows], None, float(len(rows))))
        return network.gradient[:, : 5 * FEATURES].view(K, 5, FEATURES).sign()

    for row in range(ROWS):
        found = signs([row])
        assert (found == found[..., :1]).all()
        assert (found != 0).all()
    found = signs(list(range(ROWS)))
    assert (found != found[..., :1]).any()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "loss",
    [CrossEntropy(), BinaryCrossEntropy(), *REAL_LOSSES],
    ids=lambda loss: type(loss).__name__,
)
def test_every_loss(loss, weighted):
    generator = torch.Generator().manual_seed(1)
    check(make_network(generator), loss, make_batch(generator, loss, weighted))


@pytest.mark.parametrize("weighted", [False, True])
def test_batch_norm(weighted):
    generator = torch.Generator().manual_seed(2)
    loss = SquaredError()
    network = make_network(generator, batch_norm=True)
    check(network, loss, make_batch(generator, loss, weighted))


def test_batch_norm_is_that_of_torch():
    """In training by the biased variance of the batch, in prediction by what has been running."""
    generator = torch.Generator().manual_seed(12)
    layer = BatchNorm(5)
    theirs = torch.nn.BatchNorm1d(5, dtype=torch.float64)
    scale, shift, mean = (torch.randn(1, 5, generator=generator).double() for _ in range(3))
    statistics = [mean, torch.rand(1, 5, generator=generator).double() + 0.5]
    with torch.no_grad():
        for target, source in [(theirs.weight, scale), (theirs.bias, shift)]:
            target.copy_(source[0])
        theirs.running_mean.copy_(statistics[0][0])
        theirs.running_var.copy_(statistics[1][0])
    X = 3 * torch.randn(1, 8, 5, generator=generator, dtype=torch.float64) + 2
    close = {"rtol": 1e-12, "atol": 1e-12}
    found = layer.apply([scale, shift], statistics, X)
    torch.testing.assert_close(found[0], theirs.eval()(X[0]).detach(), **close)
    found = layer.apply([scale, shift], statistics, X, TrainingPass())
    torch.testing.assert_close(found[0], theirs.train()(X[0]).detach(), **close)
    by_hand = (X - X.mean(1)) / (X.var(1, correction=0) + 1e-5).sqrt() * scale + shift
    torch.testing.assert_close(found, by_hand, **close)


def test_batch_norm_of_a_single_row_uses_the_running_statistics():
    generator = torch.Generator().manual_seed(3)
    loss = SquaredError()
    network = make_network(generator, batch_norm=True)
    network.statistics.add_(0.5)
    batch = make_batch(generator, loss, True)
    batch.weights[1, 1:] = 0  # replica 1 is left with one row
    batch.totals = batch.weights.sum(1)
    before = network.statistics.clone()
    with torch.no_grad():
        NetworkObjective(network, loss, 0.0).gradient(batch)
    assert torch.equal(network.statistics[1], before[1])
    assert not torch.equal(network.statistics[0], before[0])
    network.statistics.copy_(before)
    check(network, loss, batch)


def random_states(*seeds):
    return [np.random.RandomState(seed) for seed in seeds]


def test_dropout():
    generator = torch.Generator().manual_seed(4)
    loss = CrossEntropy()
    network = make_network(generator, dropout=[[0.5] * K, [0.1, 0.0, 0.6]])
    for dropout in network.random_layers:
        dropout.seed(random_states(5, 6, 7), torch.device("cpu"))
    check(network, loss, make_batch(generator, loss, True))


def test_dropout_keeps_the_mean_and_drops_the_stated_share():
    network = make_network(torch.Generator().manual_seed(0), dropout=[[0.3] * K, [0.3] * K])
    dropout = network.random_layers[0]
    dropout.seed(random_states(1, 2, 3), torch.device("cpu"))
    out = dropout.forward(torch.ones(K, 400, 500, dtype=torch.float64), TrainingPass())
    assert set(out.unique().tolist()) == {0.0, 1 / 0.7}
    # 200,000 draws a replica: five standard deviations of the share are 0.005.
    torch.testing.assert_close(
        (out == 0).double().mean((1, 2)), torch.full((K,), 0.3).double(), atol=5e-3, rtol=0
    )


def test_callable_activation():
    generator = torch.Generator().manual_seed(5)
    loss = SquaredError()
    network = make_network(generator, activation=lambda z: z * torch.tanh(F.softplus(z)))
    check(network, loss, make_batch(generator, loss, True))


def test_alpha_and_dropout_may_differ_between_replicas():
    generator = torch.Generator().manual_seed(6)
    loss = SquaredError()
    alpha = torch.tensor([[0.0], [0.5], [2.0]], dtype=torch.float64)
    network, batch = make_network(generator), make_batch(generator, loss, True)
    objective = NetworkObjective(network, loss, alpha)
    with torch.no_grad():
        losses = objective.gradient(batch)
    expected_losses, expected = by_autograd(objective, batch, alpha[:, 0])
    torch.testing.assert_close(losses, expected_losses, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(network.gradient, expected, rtol=1e-10, atol=1e-10)


def test_batch_norm_running_statistics_are_those_of_torch_after_the_first_batches():
    """Ten batches are averaged plainly; from there on the recurrence is torch's."""
    generator = torch.Generator().manual_seed(7)
    architecture = feed_forward(2, (3,), 1, activation="identity", batch_norm=True)
    theta, statistics = architecture.initial(torch.zeros((), dtype=torch.float64), 1)
    theta += torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    network = Network(architecture, theta, statistics)
    dense, norm = architecture.layers[:2]
    means, variances = [], []
    reference = torch.nn.BatchNorm1d(3, dtype=torch.float64)
    for step in range(20):
        X = torch.randn(1, 8, 2, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            Z = dense.apply(dense.parameters, [], X)
            network.forward(X, TrainingPass())
        means.append(Z[0].mean(0))
        variances.append(Z[0].var(0))
        if step < 10:
            reference.running_mean.copy_(torch.stack(means).mean(0))
            reference.running_var.copy_(torch.stack(variances).mean(0))
        else:
            reference(Z[0])
        torch.testing.assert_close(norm.statistics[0][0, 0], reference.running_mean)
        torch.testing.assert_close(norm.statistics[1][0, 0], reference.running_var)


def test_weighted_batch_norm_counts_a_weight_of_two_as_two_rows():
    generator = torch.Generator().manual_seed(8)
    loss = SquaredError()
    once, twice = (make_network(torch.Generator().manual_seed(9), batch_norm=True) for _ in "ab")
    batch = make_batch(generator, loss, False)
    weights = torch.ones(K, ROWS, 1, dtype=torch.float64)
    weights[:, 0] = 2
    weighted = Batch(batch.X, batch.y, weights, weights.sum(1))
    repeated = Batch(
        torch.cat([batch.X, batch.X[:, :1]], 1), torch.cat([batch.y, batch.y[:, :1]], 1), None, 8.0
    )
    with torch.no_grad():
        a = NetworkObjective(once, loss, 0.1).gradient(weighted)
        b = NetworkObjective(twice, loss, 0.1).gradient(repeated)
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(once.gradient, twice.gradient, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(once.statistics, twice.statistics, rtol=1e-12, atol=1e-12)


def test_losses_of_rows_do_not_overflow():
    Z = torch.tensor([[[800.0, -800.0], [-800.0, 800.0]]], dtype=torch.float64)
    rows, delta = CrossEntropy().rows_and_delta(Z.clone(), torch.zeros(1, 2, 1, dtype=torch.long))
    torch.testing.assert_close(rows, torch.tensor([[0.0, 1600.0]], dtype=torch.float64))
    assert torch.isfinite(delta).all()
    rows, delta = BinaryCrossEntropy().rows_and_delta(Z, torch.ones_like(Z))
    torch.testing.assert_close(rows, torch.tensor([[800.0, 800.0]], dtype=torch.float64))
    assert torch.isfinite(delta).all()


def test_batch_norm_takes_one_row_of_weight_two_as_two_rows():
    loss, generator = SquaredError(), torch.Generator().manual_seed(10)
    once, twice = (make_network(torch.Generator().manual_seed(9), batch_norm=True) for _ in "ab")
    batch = make_batch(generator, loss, False)
    X, y = batch.X[:, :1], batch.y[:, :1]
    weights = torch.full((K, 1, 1), 2.0, dtype=torch.float64)
    with torch.no_grad():
        NetworkObjective(once, loss, 0.1).gradient(Batch(X, y, weights, weights.sum(1)))
        doubled = Batch(X.repeat(1, 2, 1), y.repeat(1, 2, 1), None, 2.0)
        NetworkObjective(twice, loss, 0.1).gradient(doubled)
    torch.testing.assert_close(once.gradient, twice.gradient, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(once.statistics, twice.statistics, rtol=1e-12, atol=1e-12)
