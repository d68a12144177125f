"""The parametric map: its price against autograd, its draws, and what it is good for."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.spatial.distance import cdist
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skbasics import UMAP, ParametricUMAP
from skbasics._stack import Job, fit_side_by_side
from skbasics._training import Batch
from skbasics.manifold._edges import EdgePrice, Edges
from skbasics.manifold._forces import Forces
from skbasics.network import TrainingPass

DIGITS, CLASSES = load_digits(return_X_y=True)
DIGITS = DIGITS / 16
FORCES = Forces(1.6, 0.9, 1.3, 4)
SMALL = {"hidden_layer_sizes": (20,), "max_iter": 5, "random_state": 0}


@pytest.mark.parametrize("weighted", [False, True])
def test_slope_of_the_price_is_that_of_autograd(weighted):
    draws = torch.Generator().manual_seed(0)
    codes = 3 * torch.randn(2, 12, 3, generator=draws, dtype=torch.float64)
    shares = 1 / 12
    if weighted:
        shares = torch.rand(2, 6, 1, generator=draws, dtype=torch.float64)
        shares[1, 5] = 0  # padding
        shares = torch.cat([shares, shares], 1) / shares.sum(1, keepdim=True) / 2
    training = TrainingPass(shares=shares)
    layer = EdgePrice(FORCES, [])
    assert layer.forward(codes, training) is codes
    codes = codes.requires_grad_()
    prices = layer.price(codes, training)
    torch.testing.assert_close(layer.prices, prices.detach(), rtol=1e-12, atol=0)
    (slope,) = torch.autograd.grad(prices.sum(), codes)
    torch.testing.assert_close(layer.backward(torch.zeros_like(slope)), slope, rtol=0, atol=1e-12)


def test_price_is_the_cross_entropy_of_pairs():
    y = np.array([[0.0, 0], [1, 1], [0, 2], [3, 1]])
    codes, training = torch.from_numpy(y)[None], TrainingPass(shares=1 / 4)
    layer = EdgePrice(FORCES, [])
    layer.forward(codes, training)
    q = 1 / (1 + 1.6 * ((y[:2, None] - y[2:]) ** 2).sum(-1) ** 0.9)
    attraction = -np.log(np.diag(q)).mean()
    repulsion = -1.3 * 4 * np.log(1 - q).mean()
    assert layer.prices.item() == pytest.approx(attraction + repulsion, rel=1e-3)


def test_neighbours_are_drawn_as_their_edges_weigh():
    weights = np.array([[0, 3.0, 1, 0], [3, 0, 0, 0], [1, 0, 0, 2], [0, 0, 2, 0]])
    X = torch.arange(8.0)[:, None]
    numbers = np.array([1, 3, 4, 7])
    edges = Edges.of(sp.csr_matrix(weights), X, numbers)
    draws = torch.linspace(0, 1, 4001, dtype=torch.float64)[:-1]
    for row, own in zip(numbers, weights, strict=True):
        drawn = edges.neighbours(torch.full((4000,), row), draws).numpy()
        shares = np.bincount(drawn, minlength=8)[numbers] / 4000
        np.testing.assert_allclose(shares, own / own.sum(), atol=1e-3)


@pytest.mark.parametrize("input_noise", [0.0, 0.5])
def test_noise_fills_the_ball_of_a_row(input_noise):
    """Its length is a share of the distance from the nearest, alike in all directions."""
    model = ParametricUMAP(**SMALL, n_neighbors=5, input_noise=input_noise)
    X = np.random.RandomState(0).normal(size=(300, 40))
    replica = model._replica(model._check(X, None, None, reset=True), {})
    layers = replica.structure.architecture([replica.structure]).layers
    (layer,) = [layer for layer in layers if isinstance(layer, EdgePrice)]
    numbers = torch.arange(300)[None, :, None]
    noise = []
    for seed in range(200):
        layer.seed([np.random.RandomState(seed)], torch.device("cpu"))
        rows, noisy = layer.pairs(Batch(torch.from_numpy(X)[None], numbers, None, 300.0))
        np.testing.assert_array_equal(rows[0, :300], X)
        noise.append((noisy - rows)[0, :300].numpy())
    nearest = np.sort(cdist(X, X), 1)[:, 1]
    length = np.sqrt((np.array(noise) ** 2).sum(-1).mean(0))
    np.testing.assert_allclose(length, input_noise * nearest, rtol=0.1)
    share = (np.array(noise) ** 2).mean((0, 1))
    np.testing.assert_allclose(share, share.mean(), rtol=0.1)


OLD, NEW, OLD_CLASSES, NEW_CLASSES = train_test_split(
    DIGITS, CLASSES, test_size=297, random_state=0
)


@pytest.fixture(scope="module")
def fitted():
    return ParametricUMAP(random_state=0).fit(OLD)


def test_map_of_new_digits(fitted):
    """Within 0.04 in trustworthiness and 0.06 in accuracy of places found one by one."""
    umap, found = UMAP(random_state=0).fit(OLD), []
    for model in (umap, fitted):
        nearest = KNeighborsClassifier(10).fit(model.transform(OLD), OLD_CLASSES)
        places = model.transform(NEW)
        found.append([trustworthiness(NEW, places, n_neighbors=12), 0])
        found[-1][1] = nearest.score(places, NEW_CLASSES)
    (trust, accuracy), (own_trust, own_accuracy) = found
    assert own_trust > trust - 0.04
    assert own_accuracy > accuracy - 0.06
    np.testing.assert_allclose(fitted.transform(NEW[3:4])[0], places[3], atol=1e-12)


def test_graph_is_that_of_umap(fitted):
    assert abs(fitted.graph_ - UMAP(n_epochs=0).fit(OLD).graph_).max() < 1e-12


def test_history_and_modules(fitted):
    np.testing.assert_array_equal(fitted.history_["cross_entropy"], fitted.history_["loss"])
    assert "reconstruction_loss" not in fitted.history_
    out = fitted.to_torch()(torch.from_numpy(DIGITS[:5]))
    np.testing.assert_allclose(out.detach(), fitted.transform(DIGITS[:5]), atol=1e-12)


def test_decoder_leads_back():
    model = ParametricUMAP(
        (50,), 2, decoder=True, reconstruction_weight=0.1, max_iter=60, tol=0, random_state=0
    ).fit(DIGITS[:600])
    back = model.inverse_transform(model.transform(DIGITS[:600]))
    error = ((back - DIGITS[:600]) ** 2).sum()
    assert error < 0.8 * ((DIGITS[:600] - DIGITS[:600].mean(0)) ** 2).sum()
    history = model.history_
    total = history["cross_entropy"] + history["reconstruction_loss"]
    np.testing.assert_allclose(history["loss"], total, rtol=1e-6)
    module = model.to_torch()(torch.from_numpy(DIGITS[:4])).detach()
    np.testing.assert_allclose(module, back[:4], atol=1e-12)
    assert model.hidden_features(DIGITS[:4], layer=1).shape == (4, 2)
    with pytest.raises(ValueError, match="X has 3 columns, and places have 2"):
        model.inverse_transform(np.zeros((1, 3)))


def test_without_decoder_there_is_no_way_back(fitted):
    assert not hasattr(fitted, "inverse_transform")
    with pytest.raises(AttributeError) as raised:
        _ = fitted.inverse_transform
    assert "Set decoder=True and fit again" in str(raised.value.__cause__)


def test_seed_and_pickle():
    one, other = (ParametricUMAP(**SMALL).fit(DIGITS[:150]) for _ in range(2))
    np.testing.assert_array_equal(one._theta, other._theta)
    loaded = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(loaded.transform(DIGITS), one.transform(DIGITS))
    assert one._structure.edges is None  # what is pickled has no rows in it


def test_stack_of_seeds_equals_fits_alone():
    rows = [None, np.arange(20, 140), np.arange(0, 150, 2)]
    models = [ParametricUMAP(**SMALL | {"random_state": seed}) for seed in range(3)]
    models[1].set_params(n_neighbors=8, optimizer__learning_rate=3e-3)
    X = DIGITS[:150].copy()
    alone = [
        clone(model).fit(X if r is None else X[r]) for model, r in zip(models, rows, strict=True)
    ]
    jobs = [Job(model, X, None, r) for model, r in zip(models, rows, strict=True)]
    assert fit_side_by_side(jobs) == [None] * 3
    for model, single in zip(models, alone, strict=True):
        np.testing.assert_allclose(model._theta, single._theta, rtol=1e-8, atol=1e-9)
        assert model.graph_.shape == single.graph_.shape


def test_stream_goes_on():
    model = ParametricUMAP(**SMALL)
    for _ in range(30):
        model.partial_fit(DIGITS[:300])
    assert model.t_ == 30 * 300
    assert model.history_["loss"][-1] < 0.8 * model.history_["loss"][0]
    warm = ParametricUMAP(**SMALL, warm_start=True).fit(DIGITS[:100])
    before = warm._theta.copy()
    assert not np.array_equal(warm.fit(DIGITS[:100])._theta, before)
    assert len(warm.loss_curve_) == 10


def test_tensors_stay_tensors():
    X = torch.from_numpy(DIGITS[:60])
    with config_context(array_api_dispatch=True):
        model = ParametricUMAP(**SMALL, decoder=True).fit(X)
        places = model.transform(X)
        assert isinstance(places, torch.Tensor)
        assert isinstance(model.inverse_transform(places), torch.Tensor)
    assert isinstance(copy.deepcopy(model)._theta, torch.Tensor)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"optimizer": "lbfgs"}, "draws edges anew in each step, and optimizer='lbfgs'"),
        ({"metric": "precomputed"}, "has no rows for a network to map. Use UMAP"),
        ({"metric": "nobody's"}, "no distance that torch, scipy or umap-learn has"),
    ],
)
def test_errors_teach(parameters, message):
    model = ParametricUMAP(**SMALL, **parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(DIGITS[:30])
    assert not hasattr(model, "_theta")


def test_few_neighbours_and_constant_rows():
    with pytest.warns(UserWarning, match="n_neighbors=15 is too many for 6 distinct rows"):
        ParametricUMAP(**SMALL).fit(DIGITS[:6])
    with (
        pytest.raises(ValueError, match="they are all the same"),
        pytest.warns(UserWarning, match="too many for 1 distinct rows"),
    ):
        ParametricUMAP(**SMALL).fit(np.ones((40, 3)))


def test_copies_have_the_edges_of_the_first_and_rows_without_edges_are_listed():
    X = np.vstack([DIGITS[:60], DIGITS[:60]])
    model = ParametricUMAP(**SMALL).fit(X)
    assert abs(model.graph_ - UMAP(n_epochs=0).fit(X).graph_).max() < 1e-12
    X = (np.random.RandomState(0).uniform(size=(60, 30)) < 0.2).astype(float)
    X[:, 29] = np.arange(60) == 7
    X[7, :29] = 0
    model = ParametricUMAP(**SMALL, metric="jaccard").fit(X)
    assert model.disconnected_.tolist() == [7]
