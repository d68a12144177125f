"""Batches, epochs, patience, and a stack of replicas beside each of them alone."""

from itertools import chain

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.datasets import load_iris
from sklearn.preprocessing import scale

from skbasics import _training
from skbasics._training import Batches, Patience, Rows, epochs
from skbasics.network import CrossEntropy, Network, NetworkObjective, feed_forward, glorot_uniform
from skbasics.optim import SGD, Adam, AdamW, Momentum, RMSprop

X, y = load_iris(return_X_y=True)
X = scale(X)


def make_rows(sparse=False):
    features = sp.csr_array(X) if sparse else torch.from_numpy(X)
    return Rows(features, torch.from_numpy(y.astype(np.int64))[:, None])


def make_batches(seed=0, n_rows=None, size=40, rows=None, weights=None, **options):
    subsets = None if n_rows is None else [torch.arange(n_rows)]
    settings = {"shuffle": True, "random_states": [np.random.RandomState(seed)]} | options
    return Batches(rows or make_rows(), subsets, weights, [size], **settings)


def numbers(batches):
    """Return the row numbers of an epoch's batches."""
    rows = Rows(torch.arange(150.0)[:, None], torch.zeros(150, 1))
    batches.rows = rows
    running = np.ones(1, bool)
    return [batch.X[0, :, 0].long().tolist() for batch in batches.epoch(running)]


def test_every_row_is_seen_once_in_an_epoch_and_in_a_new_order_each_time():
    batches = make_batches()
    first, second = numbers(batches), numbers(batches)
    assert [len(batch) for batch in first] == [40, 40, 40, 30]
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(150))
    assert first != second


def test_the_mean_gradient_of_equal_batches_is_that_of_all_rows():
    """Means on both sides: a sum over a batch would be too small by n / M."""
    architecture = feed_forward(4, (8,), 3, activation="tanh")
    theta = torch.from_numpy(glorot_uniform(architecture, np.random.RandomState(0), 6.0))[None]

    def gradients(size):
        network = Network(architecture, theta.clone(), theta.new_zeros(1, 0))
        objective = NetworkObjective(network, CrossEntropy(), 0.0)
        found = []
        for batch in make_batches(size=size).epoch(np.ones(1, bool)):
            with torch.no_grad():
                objective.gradient(batch)
            found.append(objective.theta_gradient.clone())
        return torch.stack(found)

    (whole,) = gradients(150)
    assert len(gradients(30)) == 5
    torch.testing.assert_close(gradients(30).mean(0), whole, rtol=1e-12, atol=1e-14)
    assert len(gradients(40)) == 4  # the last one has the rest


def test_without_shuffling_the_order_is_that_of_the_rows():
    assert list(chain(*numbers(make_batches(shuffle=False)))) == list(range(150))


@pytest.mark.parametrize("fetch", [1, 40 * 4, 10**9])
def test_how_many_rows_are_fetched_at_once_changes_nothing(monkeypatch, fetch):
    expected = numbers(make_batches())
    monkeypatch.setattr(_training, "FETCH_BYTES", fetch)
    assert numbers(make_batches()) == expected


def test_a_last_batch_of_one_joins_the_one_before_it():
    sizes = [len(batch) for batch in numbers(make_batches(n_rows=121, min_batch_size=2))]
    assert sizes == [40, 40, 41]
    sizes = [len(batch) for batch in numbers(make_batches(n_rows=122, min_batch_size=2))]
    assert sizes == [40, 40, 40, 2]


def test_sparse_rows_are_dense_a_batch_at_a_time():
    weights = torch.linspace(0.5, 2, 150, dtype=torch.float64)
    sparse = make_batches(rows=make_rows(sparse=True), weights=[weights])
    running = np.ones(1, bool)
    dense = make_batches(weights=[weights]).epoch(running)
    for one, other in zip(sparse.epoch(running), dense, strict=True):
        assert torch.equal(one.X, other.X)
        assert torch.equal(one.y, other.y)
        assert torch.equal(one.weights, other.weights)
        assert torch.equal(one.totals, one.weights.sum(1))


class Replica:
    """One member of the stack, with everything that may differ."""

    def __init__(self, seed, optimizer, alpha, subset, size, dropout):
        self.seed, self.optimizer, self.alpha = seed, optimizer, alpha
        self.subset, self.size, self.dropout = subset, size, dropout


def replicas(rule):
    """Return five replicas: seeds, rates, alphas, subsets, sizes and dropouts all differ."""
    order = np.random.RandomState(9).permutation(150)
    subsets = [order[:150], order[10:110], order[50:121], order[:37], order[40:150].repeat(2)[:190]]
    return [
        Replica(
            k,
            rule.replace(learning_rate=0.01 * (k + 1)),
            0.05 * k,
            torch.from_numpy(subsets[k].copy()),
            (32, 40, 20, 200, 50)[k],
            (0.2, 0.0, 0.5, 0.3, 0.0)[k],
        )
        for k in range(5)
    ]


def train(members, weights=None, stop_after=(50,) * 5, batch_norm=False):
    """Train some replicas as one stack; return their parameters and losses."""
    states = [np.random.RandomState(member.seed) for member in members]
    architecture = feed_forward(
        4,
        (8,),
        3,
        activation="relu",
        dropout=[[member.dropout for member in members]],
        batch_norm=batch_norm,
    )
    theta = torch.from_numpy(np.stack([glorot_uniform(architecture, s, 6.0) for s in states]))
    statistics = architecture.initial(theta, len(members))[1]
    network = Network(architecture, theta, statistics)
    alpha = torch.tensor([[member.alpha] for member in members], dtype=torch.float64)
    objective = NetworkObjective(network, CrossEntropy(), alpha)
    batches = Batches(
        make_rows(),
        [member.subset for member in members],
        None if weights is None else [weights[m.subset] for m in members],
        [member.size for member in members],
        shuffle=True,
        random_states=states,
        min_batch_size=2,
    )
    optimizers = [member.optimizer for member in members]
    state = optimizers[0].start(objective, replicas=optimizers)
    running, losses = np.ones(len(members), bool), []
    training = epochs(objective, optimizers[0], state, batches, running)
    for epoch in range(max(stop_after)):
        losses.append(next(training))
        running[:] = [epoch + 1 < stop for stop in stop_after]
    return theta, statistics, np.array(losses)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rule", [SGD(), Momentum(), RMSprop(), Adam(), AdamW(max_gradient_norm=1)])
def test_a_stack_equals_each_replica_alone(rule, weighted, batch_norm):
    weights = torch.linspace(0.2, 3, 150, dtype=torch.float64) if weighted else None
    members, stop_after = replicas(rule), (50, 50, 20, 50, 35)
    theta, statistics, losses = train(members, weights, stop_after, batch_norm)
    for k, member in enumerate(members):
        alone, kept, loss = train([member], weights, stop_after[k : k + 1], batch_norm)
        torch.testing.assert_close(theta[k : k + 1], alone, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(statistics[k : k + 1], kept, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(losses[: stop_after[k], k], loss[:, 0], rtol=1e-8)
        assert np.isnan(losses[stop_after[k] :, k]).all()


def test_replicas_of_equal_size_take_the_short_path_to_the_same_place():
    members = replicas(Adam())[:3]
    for k, member in enumerate(members):
        member.subset, member.size = torch.arange(10 * k, 10 * k + 100), 30
    theta, _, losses = train(members, stop_after=(50,) * 3)
    for k, member in enumerate(members):
        alone, _, loss = train([member], stop_after=(50,))
        torch.testing.assert_close(theta[k : k + 1], alone, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(losses[:, k], loss[:, 0], rtol=1e-8)


def test_no_mode_of_torch_is_held_between_epochs():
    members = replicas(Adam())[:1]
    architecture = feed_forward(4, (8,), 3, activation="relu")
    row = glorot_uniform(architecture, np.random.RandomState(0), 6.0)
    theta = torch.from_numpy(row)[None]
    objective = NetworkObjective(
        Network(architecture, theta, architecture.initial(theta, 1)[1]), CrossEntropy(), 0.0
    )
    state = members[0].optimizer.start(objective)
    training = epochs(objective, members[0].optimizer, state, make_batches(), np.ones(1, bool))
    next(training)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    training.close()
    assert torch.is_grad_enabled()
    weight = theta.requires_grad_()
    (weight * 2).sum().backward()  # the parameters are ordinary tensors afterwards
    assert torch.equal(weight.grad, torch.full_like(theta, 2))


def test_patience_counts_as_scikit_learn_does():
    patience = Patience(tol=0.1, n_iter_no_change=2)
    improved = [patience.update(value) for value in (1.0, 0.95, 0.5, 0.45, 0.44)]
    assert improved == [True] * 5  # a gain below tol is kept, but not counted
    assert (patience.count, patience.best, patience.exhausted) == (2, 0.44, False)
    assert not patience.update(0.44)
    assert patience.exhausted
