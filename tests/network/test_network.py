"""The layout of theta, the start, and the two libraries of matrix products."""

import numpy as np
import pytest
import torch
from sklearn.neural_network import MLPClassifier as PeerMLP

from skbasics.network import Huber, Quantile, feed_forward, glorot_uniform
from skbasics.network import _products as products


def test_decayed_parameters_come_first():
    architecture = feed_forward(4, (3, 2), 5, activation="relu", batch_norm=True)
    names = [slot.name for slot in architecture.slots]
    assert names[:3] == ["coef"] * 3
    assert "coef" not in names[3:]
    assert architecture.n_decayed == 4 * 3 + 3 * 2 + 2 * 5
    assert architecture.n_parameters == architecture.n_decayed + 3 + 2 + 5 + 2 * (3 + 2)
    assert architecture.n_statistics == 2 * (3 + 2) + 2
    assert [slot.start for slot in architecture.slots[1:]] == [
        slot.stop for slot in architecture.slots[:-1]
    ]


@pytest.mark.parametrize(("activation", "factor"), [("relu", 6.0), ("logistic", 2.0)])
def test_initial_weights_are_those_of_scikit_learn(activation, factor):
    X, y = np.random.RandomState(0).randn(30, 4), np.arange(30) % 3
    peer = PeerMLP((6, 5), activation, solver="sgd", learning_rate_init=1e-300, max_iter=1)
    peer.set_params(random_state=7).fit(X, y)
    architecture = feed_forward(4, (6, 5), 3, activation=activation)
    row = glorot_uniform(architecture, np.random.RandomState(7), factor)
    parts = architecture.split(torch.from_numpy(row)[None])
    dense = [part for part in parts if part]
    for (weight, bias), coef, intercept in zip(dense, peer.coefs_, peer.intercepts_, strict=True):
        np.testing.assert_array_equal(weight[0].T.numpy(), coef)
        np.testing.assert_array_equal(bias[0, 0].numpy(), intercept)


@pytest.mark.parametrize("n_replicas", [1, 3])
@pytest.mark.parametrize("threshold", [0, 10**12], ids=["oneDNN", "MKL"])
def test_both_libraries_multiply_alike(monkeypatch, n_replicas, threshold):
    monkeypatch.setattr(products, "ONEDNN_FROM", threshold)
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(n_replicas, *shape, generator=generator)

    X, weight, bias, delta = normal(50, 20), normal(30, 20), normal(1, 30), normal(50, 30)
    close = {"rtol": 1e-5, "atol": 1e-4}
    exact = [part.double() for part in (X, weight, bias, delta)]
    out = products.affine(X, weight, bias, torch.empty(n_replicas, 50, 30))
    torch.testing.assert_close(out.double(), exact[0] @ exact[1].mT + exact[2], **close)
    out = products.back_to_input(delta, weight, torch.empty_like(X))
    torch.testing.assert_close(out.double(), exact[3] @ exact[1], **close)
    out = torch.empty_like(weight)
    products.back_to_weight(delta, X, out)
    torch.testing.assert_close(out.double(), exact[3].mT @ exact[0], **close)


def test_onednn_is_really_used_on_large_float32_products(monkeypatch):
    calls = []
    monkeypatch.setattr(products, "_linear", lambda *a: calls.append(1) or a[0] @ a[1].mT)
    large, small = torch.zeros(1, 200, 784), torch.zeros(1, 200, 30)
    products.back_to_input(large, torch.zeros(1, 784, 100), torch.empty(1, 200, 100))
    assert len(calls) == 1
    products.back_to_input(small, torch.zeros(1, 30, 100), torch.empty(1, 200, 100))
    doubles = torch.zeros(1, 784, 100).double()
    products.back_to_input(large.double(), doubles, torch.empty(1, 200, 100).double())
    assert len(calls) == 1


@pytest.mark.parametrize("loss", [Huber(-1.0), Quantile(1.5)])
def test_loss_parameters_are_checked(loss):
    with pytest.raises(ValueError, match=f"parameter of {type(loss).__name__} must be a float in"):
        loss.validate()
