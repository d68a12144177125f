"""Networks whose weights are set by hand, so that it is known what their units do."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skbasics import (
    Autoencoder,
    Conv2d,
    ConvNetClassifier,
    MaxPool2d,
    MLPClassifier,
    MLPRegressor,
    ParametricUMAP,
    SparseAutoencoder,
    VAETransformer,
    layer_health,
)

X, y = load_digits(return_X_y=True)
X, y = X[:100] / 16, y[:100]
ROWS = np.array([[-2.0], [-1.0], [1.0], [4.0]])
TARGET = np.zeros(4)


def by_hand(activation, weights, biases):
    """Return a network of one input and one hidden layer with these numbers."""
    network = MLPRegressor((len(weights),), activation, max_iter=1, random_state=0)
    network.fit(ROWS, TARGET)
    network.coefs_[0][0] = weights
    network.intercepts_[0][:] = biases
    return network


def test_dead_units_are_those_that_are_never_on():
    #                              always, never, never, once,  at zero
    network = by_hand("relu", [0.0, 0.0, -1.0, 1.0, 0.0], [2.0, -1.0, -3.0, -3.0, 0.0])
    (row,) = layer_health(network, ROWS).layers
    assert (row.layer, row.activation, row.n_units, row.n_dead) == (1, "relu", 5, 3)
    # The unit z = -x - 3 is -1, -2, -4, -7; z = x - 3 is 1 for the last row alone.
    assert row.sparsity == 15 / 20
    assert row.mean_activation == (4 * 2 + 1) / 20
    assert row.mean_derivative == 5 / 20
    assert np.isnan(row.saturated)
    found = layer_health(network, ROWS)
    assert found.remarks == [
        "layer 1: 3 of 5 units are dead; lower the learning rate, or use activation='leaky_relu'."
    ]
    assert layer_health(network, np.array([[-10.0]])).layers[0].n_dead == 3  # the third is on


def test_no_unit_that_leaks_is_dead():
    (row,) = layer_health(by_hand("leaky_relu", [0.0, 1.0], [-1.0, -9.0]), ROWS).layers
    assert row.n_dead == 0
    assert row.mean_derivative == pytest.approx(0.01)


@pytest.mark.parametrize(("activation", "limit"), [("tanh", 2.9932), ("logistic", 5.9865)])
def test_activations_are_saturated_beyond_a_known_limit(activation, limit):
    # tanh' = 1 - tanh^2 is 0.01 at z = atanh(sqrt(0.99)); s' = s (1 - s) is 0.0025 at twice that.
    assert limit == pytest.approx(np.arctanh(0.99**0.5) * (1 + (activation == "logistic")), 1e-4)
    biases = limit + np.array([-0.001, 0.001, -2 * limit + 0.001, -2 * limit - 0.001, -limit])
    network = by_hand(activation, np.zeros(5), biases)
    found = layer_health(network, ROWS)
    assert found.layers[0].saturated == 2 / 5
    assert found.remarks == []
    network.intercepts_[0][-1] = 2 * limit
    found = layer_health(network, ROWS)
    assert found.layers[0].saturated == 3 / 5
    assert found.remarks == [
        "layer 1: 60% of the activations are saturated, and let hardly any gradient through; scale "
        "the features (StandardScaler), or use activation='relu'."
    ]


def test_means_are_those_of_the_hidden_features():
    network = MLPClassifier((7, 5), "tanh", max_iter=5, tol=0, random_state=0).fit(X, y)
    found = layer_health(network, X)
    for layer, row in enumerate(found.layers):
        features = network.hidden_features(X, layer)
        assert row.mean_activation == pytest.approx(features.mean(), rel=1e-12)
        assert row.mean_derivative == pytest.approx((1 - features**2).mean(), rel=1e-12)
        assert row.sparsity == 0
    assert found.gradient_norms == ()
    assert np.isnan(found.gradient_ratio)


def test_filters_are_the_units_of_a_convolution():
    layers = [Conv2d(4, 3), MaxPool2d(2)]
    network = ConvNetClassifier(layers, image_shape=(8, 8), hidden_layer_sizes=(5,), max_iter=1)
    network.set_params(random_state=0).fit(X, y)
    network.coefs_[0][1] = 0
    network.intercepts_[0][1] = -1  # a filter that is never on
    first, second = layer_health(network, X).layers
    assert (first.layer, first.n_units, first.n_dead) == (1, 4, 1)
    assert (second.layer, second.n_units) == (2, 5)
    maps = network.hidden_features(X, 0)
    assert first.sparsity == (maps == 0).mean()
    assert first.mean_activation == pytest.approx(maps.mean(), rel=1e-12)


def test_codes_are_layers_too():
    topk = SparseAutoencoder(9, sparsity="topk", n_active=2, max_iter=3, tol=0, random_state=0)
    (row,) = layer_health(topk.fit(X), X).layers
    codes = topk.transform(X)
    assert (row.activation, row.n_units) == ("topk", 9)
    assert row.n_dead == (codes == 0).all(0).sum()
    assert row.sparsity == (codes == 0).mean() == 1 - row.mean_derivative
    assert "raise n_active" in row._replace(n_dead=9).remarks()[0]
    kl = SparseAutoencoder(9, (6,), sparsity="kl", max_iter=3, tol=0, random_state=0).fit(X)
    rows = layer_health(kl, X).layers
    assert [(row.layer, row.activation) for row in rows] == [
        *((1, "relu"), (2, "logistic"), (3, "relu")),
    ]


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (Autoencoder(2, (5,), "gelu"), ["gelu", "gelu"]),
        (VAETransformer(2, (5, 4)), ["relu"] * 4),
        (ParametricUMAP((5,), n_neighbors=5, decoder=True), ["relu", "relu"]),
        (MLPClassifier((5, 4), torch.sin, batch_norm=True, dropout=0.2), ["sin", "sin"]),
        (MLPClassifier(()), []),
    ],
    ids=["autoencoder", "vae", "map", "callable", "linear"],
)
def test_layers_of_other_networks(network, expected):
    network.set_params(max_iter=2, tol=0, random_state=0)
    given = (X, y) if network._has_targets else (X,)
    found = layer_health(network.fit(*given), *given)
    assert [row.activation for row in found.layers] == expected
    assert len(found.gradient_norms) == len(network.coefs_)
    assert all(norm > 0 for norm in found.gradient_norms)
    assert repr(found).startswith(f"Hidden layers of {type(network).__name__} on 100 rows\n")


def test_gradient_norms_are_those_of_autograd():
    network = MLPClassifier((6, 5), alpha=0.0, max_iter=3, tol=0, random_state=0).fit(X, y)
    found = layer_health(network, X, y)
    module = network.to_torch()
    loss = torch.nn.functional.cross_entropy(module(torch.from_numpy(X)), torch.from_numpy(y))
    gradients = torch.autograd.grad(loss, list(module.parameters())[::2])
    norms = [float(gradient.norm()) for gradient in gradients]
    np.testing.assert_allclose(found.gradient_norms, norms, rtol=1e-10)
    assert [row.gradient_norm for row in found.layers] == list(found.gradient_norms[:2])
    assert found.gradient_ratio == found.gradient_norms[0] / found.gradient_norms[2]


def test_a_gradient_that_vanishes_or_explodes_is_told():
    network = MLPClassifier((8,) * 8, "logistic", max_iter=1, random_state=0).fit(X, y)
    found = layer_health(network, X, y)
    assert found.gradient_ratio < 1e-3
    assert found.remarks[-1].startswith("the gradient vanishes: that of layer 1 is ")
    assert "of that of layer 9; try batch_norm=True" in found.remarks[-1]
    network = MLPClassifier((8,) * 8, "identity", alpha=0, max_iter=1, random_state=0).fit(X, y)
    for weights, biases in zip(network.coefs_[:-1], network.intercepts_[:-1], strict=True):
        weights[:], biases[:] = 0.01 * np.eye(*weights.shape), 0
    network.coefs_[-1][:] *= 1e4  # what comes back is large, and what went in small
    assert layer_health(network, X, y).remarks[-1].startswith("the gradient explodes: ")


def test_rows_in_blocks_are_rows_at_once(monkeypatch):
    network = MLPClassifier((7, 5), max_iter=5, tol=0, random_state=0).fit(X, y)
    whole = layer_health(network, X)
    monkeypatch.setattr("skbasics.inspection._layers.PREDICTION_NUMBERS", 22 * 7)
    blocks = layer_health(network, X)
    for one, other in zip(whole.layers, blocks.layers, strict=True):
        np.testing.assert_allclose(one[2:8], other[2:8], rtol=1e-12)


def test_the_last_step_of_a_pipeline_and_nothing_is_changed():
    pipeline = make_pipeline(MinMaxScaler(), MLPClassifier((6,), max_iter=2, random_state=0))
    pipeline.fit(16 * X, y)
    before, rows = pickle.dumps(pipeline), X.copy()
    found = layer_health(pipeline, 16 * X, y)
    assert pickle.dumps(pipeline) == before
    np.testing.assert_array_equal(X, rows)
    inside = layer_health(pipeline[-1], pipeline[0].transform(16 * X), y)
    assert found.layers == inside.layers


def test_single_precision_tensors_and_a_class_alone():
    network = MLPClassifier((6,), max_iter=2, random_state=0).fit(X.astype(np.float32), y)
    found = layer_health(network, X[:9].astype(np.float32), y[:9])
    assert found.n_rows == 9
    assert layer_health(network, X[y == 3], y[y == 3]).gradient_norms[0] > 0


def test_table():
    found = layer_health(by_hand("relu", [0.0, 1.0], [-1.0, 0.0]), ROWS, TARGET)
    assert found.to_frame()["n_dead"].tolist() == found.as_dict()["n_dead"] == [1]
    lines = repr(found).split("\n")
    assert lines[0] == "Hidden layers of MLPRegressor on 4 rows"
    assert lines[1].split() == [
        *("layer", "activation", "units", "dead", "saturated", "mean", "derivative", "zero"),
        "gradient",
    ]
    assert lines[3].split()[:7] == ["1", "relu", "2", "1", "0.625", "0.25", "75%"]
    assert lines[4] == found.remarks[0]
    assert "1 of 2 units is dead" in lines[4]


def test_what_cannot_be_looked_into_is_refused():
    with pytest.raises(TypeError, match=r"layer_health looks into networks .*LogisticRegression"):
        layer_health(LogisticRegression().fit(X, y), X)
    with pytest.raises(NotFittedError, match="MLPClassifier instance is not fitted yet"):
        layer_health(MLPClassifier(), X)
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 64"):
        layer_health(MLPClassifier(max_iter=1).fit(X, y), X[:, :3])
