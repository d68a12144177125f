"""The check agrees with autograd, finds what is broken, and knows kinks."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skbasics import (
    Autoencoder,
    AvgPool2d,
    Conv2d,
    ConvNetClassifier,
    ConvNetRegressor,
    LocalResponseNorm,
    MaxPool2d,
    MLPClassifier,
    MLPRegressor,
    ParametricUMAP,
    SparseAutoencoder,
    VAETransformer,
    check_gradients,
)
from skbasics.inspection._differences import agreement
from skbasics.network import ACTIVATIONS, Dense, Elementwise, GaussianLatent

X, y = load_digits(return_X_y=True)
PIXELS, X, y = (16 * X[:40] - 1).clip(0).astype(np.uint8), X[:40] / 16, y[:40]
IMAGES = [Conv2d(3, 3, padding="same"), LocalResponseNorm(), MaxPool2d(2), AvgPool2d(2)]
NETWORK = MLPClassifier((6,), "tanh", random_state=0)


def quartic(prediction, target):
    return ((prediction - target) ** 4).sum(-1)


NETWORKS = [
    *(MLPClassifier((7, 6), name) for name in ACTIVATIONS),
    MLPClassifier((), class_weight="balanced"),
    MLPClassifier((7,), activation=torch.sin, optimizer="lbfgs", dropout=0.3),
    MLPClassifier((7, 6), dropout=0.3, batch_norm=True, alpha=1.0),
    MLPClassifier((7,), "tanh", batch_size=9, early_stopping=True),
    *(MLPRegressor((7,), "tanh", loss=loss) for loss in ("huber", "quantile", "poisson", quartic)),
    ConvNetClassifier(IMAGES, image_shape=(8, 8), hidden_layer_sizes=(5,), augment="shift"),
    ConvNetRegressor(IMAGES, image_shape=(8, 8), hidden_layer_sizes=(), precision="bfloat16"),
    Autoencoder(2, (6,), loss="bernoulli"),
    SparseAutoencoder(6, sparsity="kl"),
    SparseAutoencoder(6, sparsity="l1"),
    SparseAutoencoder(6, sparsity="topk", n_active=2),
    VAETransformer(2, (6,), kl_warmup=3, free_bits=0.01),
    VAETransformer(2, (6,), likelihood="bernoulli", beta=2.0, batch_norm=True),
    ParametricUMAP((8,), n_neighbors=5, decoder=True),
]


def targets(network):
    return y if network._has_targets else None


def checked(network, X=X, **options):
    return check_gradients(network, X, targets(network), random_state=0, **options)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: type(network).__name__)
def test_every_network_has_the_right_gradient_before_a_fit_and_after_it(network):
    found = checked(network, n_parameters=12)
    assert found.ok, found
    assert found.max_error < 2e-6
    changes = {"optimizer": "adam", "max_iter": 2, "tol": 0, "random_state": 0}
    fitted = clone(network).set_params(**changes)
    given = (X, y) if network._has_targets else (X,)
    found = checked(fitted.fit(*given), n_parameters=12)
    assert found.ok, found
    shapes = [part.shape for part in fitted.coefs_]
    assert [b.shape for b in found.blocks if b.name.startswith("coefs_")] == shapes


def test_other_data():
    weights = np.linspace(0, 3, len(X))
    sparse = NETWORK, sp.csr_matrix(X), y, weights
    single = NETWORK, X.astype(np.float32), y, weights
    tensor = NETWORK, torch.tensor(X, dtype=torch.float32), torch.tensor(y)
    some = X.copy()
    some[::3, 20] = np.nan
    missing = VAETransformer(2, (6,), random_state=0), some
    pixels = ConvNetClassifier(IMAGES, image_shape=(8, 8), random_state=0), PIXELS, y
    fitted = clone(pixels[0]).set_params(max_iter=1).fit(PIXELS, y), PIXELS[:5], y[:5]
    for given in (sparse, single, tensor, missing, pixels, fitted):
        assert check_gradients(*given, n_parameters=10, random_state=0).ok


def test_the_loss_and_the_gradient_are_those_of_autograd():
    fitted = MLPClassifier((6, 5), alpha=2.0, max_iter=3, tol=0, random_state=0).fit(X, y)
    found = check_gradients(fitted, X, y, random_state=0)
    module = fitted.to_torch()
    loss = torch.nn.functional.cross_entropy(module(torch.from_numpy(X)), torch.from_numpy(y))
    parameters = list(module.parameters())
    loss = loss + sum((part**2).sum() for part in parameters[::2]) / len(X)  # alpha / 2 = 1
    gradients = torch.autograd.grad(loss, parameters)
    assert found.loss == pytest.approx(loss.item(), rel=1e-12)
    assert [block.name for block in found.blocks] == [
        *("coefs_[0]", "intercepts_[0]", "coefs_[1]", "intercepts_[1]"),
        *("coefs_[2]", "intercepts_[2]"),
    ]
    norms = [float(gradient.norm()) for gradient in gradients]
    np.testing.assert_allclose([block.gradient_norm for block in found.blocks], norms, rtol=1e-10)


def test_a_broken_activation_spoils_what_comes_before_it(monkeypatch):
    right = Elementwise.backward
    monkeypatch.setattr(Elementwise, "backward", lambda *a, **k: right(*a, **k).mul_(1.001))
    found = checked(NETWORK)
    assert not found.ok
    wrong = [block.name for block in found.blocks if block.relative_error > found.tolerance]
    assert wrong == ["coefs_[0]", "intercepts_[0]"]
    assert found.max_error == pytest.approx(1e-3, rel=1e-2)
    assert found.max_error == max(block.relative_error for block in found.blocks)
    assert "WRONG" in repr(found)
    assert checked(NETWORK, tolerance=2e-3).ok


def broken_dense(monkeypatch, *, bias=0.0, entry=None):
    right = Dense.backward

    def backward(self, delta, input_needed=True):
        back = right(self, delta, input_needed)
        self.gradients[1].add_(bias)
        if entry is not None and not input_needed:
            self.gradients[0][0, entry[1], entry[0]] += 0.01
        return back

    monkeypatch.setattr(Dense, "backward", backward)


def test_a_broken_bias_spoils_itself_alone(monkeypatch):
    broken_dense(monkeypatch, bias=1e-3)
    found = checked(NETWORK)
    wrong = {block.name for block in found.blocks if block.relative_error > found.tolerance}
    assert wrong == {"intercepts_[0]", "intercepts_[1]"}
    assert found.blocks[1].absolute_error == pytest.approx(1e-3, rel=1e-4)


def test_a_wrong_entry_is_named_and_a_direction_sees_it_where_it_is_not_drawn(monkeypatch):
    broken_dense(monkeypatch, entry=(40, 3))
    whole = checked(NETWORK, n_parameters=None)
    assert whole.blocks[0].n_checked == 64 * 6
    assert whole.blocks[0].worst == (40, 3)
    assert [block.relative_error <= 1e-5 for block in whole.blocks] == [False, True, True, True]
    part = checked(NETWORK, n_parameters=2)
    assert part.blocks[0].n_checked == 2
    assert part.blocks[0].worst is None
    assert not part.ok
    assert "a direction" in repr(part)


def test_a_latent_that_forgets_its_noise_is_found(monkeypatch):
    right = GaussianLatent.backward

    def backward(self, delta, input_needed=True):
        self.noise = torch.zeros_like(self.noise)
        return right(self, delta, input_needed)

    network = VAETransformer(2, (6,), "tanh", random_state=0)
    assert checked(network).ok
    monkeypatch.setattr(GaussianLatent, "backward", backward)
    assert not checked(network).ok


def test_a_gradient_that_is_not_a_number_is_wrong(monkeypatch):
    right = Elementwise.backward
    monkeypatch.setattr(Elementwise, "backward", lambda *a, **k: right(*a, **k).mul_(torch.nan))
    found = checked(NETWORK)
    assert found.max_error == np.inf
    assert not found.ok


def test_rectifiers_at_zero_are_kinks_and_no_errors():
    rows = np.vstack([np.zeros((10, 64)), X])
    labels = np.append(np.zeros(10, int), y)
    fitted = MLPClassifier((6,), max_iter=1, random_state=0).fit(rows, labels)
    fitted.intercepts_[0][:] = 0  # so that zero rows put every unit at its kink
    found = check_gradients(fitted, rows, labels, random_state=0)
    assert found.ok, found
    assert [block.n_kinks for block in found.blocks] == [0, 6, 0, 0]


class Line:
    """A function of one number as a surface, with a gradient that is claimed."""

    def __init__(self, function, gradient):
        self.function, self.loss = function, function(0.0)
        self.gradient = torch.tensor([gradient], dtype=torch.float64)
        self.rounding = 1e-16

    def along(self, block, direction, t):
        return self.function(t)


@pytest.mark.parametrize(
    ("function", "gradient", "error", "kink"),
    [
        (lambda t: 1 + t**2 + 2 * t, 2.0, 0, False),
        (lambda t: 1 + t**2 + 2 * t, 2.1, 0.1, False),
        (lambda t: 1 + 2 * t + 1e7 * t**3, 2.0, 0, False),  # a step too long, and no kink
        (lambda t: 1 + abs(t), 0.0, 0, False),  # agrees, as it happens
        (lambda t: 1 + abs(t), 0.7, 0, True),
        (lambda t: 1 + abs(t), 1.5, 0.5, True),
        (lambda t: 1 + abs(t), -1.5, 0.5, True),
        (lambda t: 1 + max(0.0, t - 1e-6), 0.0, 0, True),
        (lambda t: 1 + max(0.0, t - 1e-6) + t, 1.0, 0, True),
        (lambda t: 1 + max(0.0, t - 1e-7) + t, 1.0, 0, True),
        (lambda t: 1 + max(0.0, t - 1e-6) + t, 1.2, 0.2, False),
    ],
)
def test_kinks_are_told_from_errors(function, gradient, error, kink):
    line, one = Line(function, gradient), torch.ones(1, dtype=torch.float64)
    found = agreement(line, slice(0, 1), one, scale=1e-3, tolerance=1e-5)
    assert found.absolute == pytest.approx(error, abs=1e-5)
    assert (found.relative <= 1e-5) == (error == 0)
    assert found.kink == kink


def test_what_is_cut_in_training_is_left_whole_for_the_check_alone():
    network = ParametricUMAP((8,), n_neighbors=5, max_iter=2, tol=0, random_state=0)
    before = clone(network).fit(X).transform(X)
    assert checked(network).ok
    np.testing.assert_array_equal(clone(network).fit(X).transform(X), before)


@pytest.mark.parametrize("fitted", [False, True])
def test_nothing_is_changed(fitted):
    own = np.random.RandomState(3)
    network = MLPClassifier((5,), dropout=0.2, batch_norm=True, max_iter=2, random_state=own)
    if fitted:
        network.fit(X, y)
    before, rows, seed = pickle.dumps(network), X.copy(), torch.initial_seed()
    state, drawn = torch.get_rng_state(), np.random.get_state()[2]  # noqa: NPY002
    first, again = checked(network), checked(network)
    assert pickle.dumps(network) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.initial_seed(), np.random.get_state()[2]) == (seed, drawn)  # noqa: NPY002
    np.testing.assert_array_equal(X, rows)
    assert first.blocks == again.blocks


def test_what_is_trained_is_found_inside():
    raw = 16 * X
    pipeline = make_pipeline(MinMaxScaler(), NETWORK)
    found = check_gradients(pipeline, raw, y, random_state=0)
    expected = check_gradients(NETWORK, MinMaxScaler().fit_transform(raw), y, random_state=0)
    assert found.blocks == expected.blocks
    assert not hasattr(pipeline[0], "scale_")
    search = GridSearchCV(pipeline.set_params(mlpclassifier__max_iter=2), {}, cv=2).fit(raw, y)
    inside = search.best_estimator_
    found = check_gradients(search, raw, y, random_state=0)
    expected = check_gradients(inside[-1], inside[0].transform(raw), y, random_state=0)
    assert found.blocks == expected.blocks
    A, b = load_diabetes(return_X_y=True)
    network = MLPRegressor((3,), "tanh", max_iter=1, random_state=0)
    scaled = TransformedTargetRegressor(network, transformer=StandardScaler()).fit(A, b)
    found = check_gradients(scaled, A, b, random_state=0)
    assert found.ok
    assert found.loss < 2  # and not that of targets in the hundreds


def test_table():
    found = checked(NETWORK)
    columns = found.as_dict()
    assert list(columns) == [
        *("name", "shape", "n_checked", "n_kinks", "gradient_norm", "absolute_error"),
        *("relative_error", "worst"),
    ]
    frame = found.to_frame()
    assert frame["shape"].tolist() == [(64, 6), (6,), (6, 10), (10,)]
    assert frame["relative_error"].max() == found.max_error
    lines = repr(found).split("\n")
    assert lines[0].startswith("Gradient of MLPClassifier at loss ")
    assert "right. Largest relative error" in lines[0]
    assert len(lines) == 7
    assert str(found) == repr(found)


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(
        TypeError, match=r"check_gradients looks into networks .*LogisticRegression"
    ):
        check_gradients(LogisticRegression(), X, y)
    with pytest.raises(TypeError, match=r"got the class MLPClassifier\. Pass an object"):
        check_gradients(MLPClassifier, X, y)
    with pytest.raises(TypeError, match=r"got GridSearchCV.* a fitted search over one"):
        check_gradients(GridSearchCV(NETWORK, {}), X, y)
    with pytest.raises(ValueError, match="'n_parameters' parameter of check_gradients must be"):
        check_gradients(NETWORK, X, y, n_parameters=0)
    with pytest.raises(ValueError, match="'alpha' parameter of MLPClassifier must be"):
        check_gradients(MLPClassifier(alpha=-1), X, y)
    with pytest.raises(ValueError, match="requires y to be passed"):
        check_gradients(NETWORK, X)
    with pytest.raises(ValueError, match=r"ParametricUMAP takes no sample_weight\. Leave it out"):
        check_gradients(ParametricUMAP(), X, sample_weight=np.ones(len(X)))
    with pytest.raises(ValueError, match=r"loss of MLPRegressor on these rows is inf, .*Scale"):
        check_gradients(MLPRegressor((3,)), X, 1e200 * y)
