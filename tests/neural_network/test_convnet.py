"""Convolutional networks: the model, its arithmetic, its input."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skbasics import (
    SGD,
    Adam,
    AvgPool2d,
    Conv2d,
    ConvNetClassifier,
    ConvNetRegressor,
    LocalResponseNorm,
    MaxPool2d,
    NormalWeights,
    alexnet,
)
from skbasics.network import AUGMENTATIONS

pytestmark = pytest.mark.filterwarnings("ignore:.*reached max_iter")

SMALL = (Conv2d(4, 3, padding="same"), MaxPool2d(2), Conv2d(6, 3), AvgPool2d((2, 1)))


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


@pytest.fixture(scope="module")
def colours():
    """Images of 8 x 7 with three channels, last; what is to be found is which is brightest."""
    rng = np.random.default_rng(0)
    X = rng.random((120, 8, 7, 3))
    y = rng.integers(3, size=120)
    X[np.arange(120), :, :, y] += 0.5
    return X, y


def convnet(**options):
    settings = {"layers": SMALL, "hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}
    return ConvNetClassifier(**(settings | options))


# The model.


def textbook_network(activation):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        activation(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3),
        activation(),
        nn.AvgPool2d((2, 1)),
        nn.Flatten(),
        nn.Linear(12, 8),
        activation(),
        nn.Linear(8, 10),
    ).double()


@pytest.mark.parametrize(
    ("name", "activation"), [("relu", nn.ReLU), ("tanh", nn.Tanh), ("gelu", nn.GELU)]
)
def test_a_fit_is_torchs_loop_over_the_textbooks_network(digits, name, activation):
    X, y = digits
    alpha, rate, n_epochs = 0.1, 0.5, 5
    options = {"activation": name, "alpha": alpha, "batch_size": 300, "tol": 0.0}
    ours = convnet(image_shape=(8, 8), optimizer=SGD(rate), max_iter=n_epochs, **options)
    start = copy.deepcopy(ours).set_params(optimizer=SGD(1e-300), max_iter=1).fit(X, y)
    network = textbook_network(activation)
    network.load_state_dict(
        dict(zip(network.state_dict(), start.to_torch().parameters(), strict=True))
    )
    weights = [p for p in network.parameters() if p.ndim > 1]
    images, labels = torch.from_numpy(X).view(-1, 1, 8, 8), torch.from_numpy(y)
    losses = []
    for _ in range(n_epochs):
        penalty = alpha / 2 * sum(p.square().sum() for p in weights) / len(y)
        loss = nn.functional.cross_entropy(network(images), labels) + penalty
        network.zero_grad()
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            for p in network.parameters():
                p -= rate * p.grad
    ours.fit(X, y)
    np.testing.assert_allclose(ours.loss_curve_, losses, rtol=1e-10)
    logits = network(images).detach().numpy()
    np.testing.assert_allclose(ours.decision_function(X), logits, rtol=0, atol=1e-9)
    for ours_, theirs in zip(ours.to_torch().parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(ours_, theirs, rtol=0, atol=1e-10)


def test_digits_are_learned():
    rows = np.random.default_rng(0).permutation(1797)
    X, y = (part[rows] for part in load_digits(return_X_y=True))
    model = make_pipeline(
        StandardScaler(),
        ConvNetClassifier(image_shape=(8, 8), optimizer=Adam(5e-3), max_iter=20, random_state=0),
    )
    assert model.fit(X[:1200], y[:1200]).score(X[1200:], y[1200:]) > 0.96


def test_regression_of_several_targets(colours):
    X, _ = colours
    y = np.stack([X.mean((1, 2, 3)), X[:, 0, 0, 0]], axis=1)
    model = ConvNetRegressor([Conv2d(8, 3)], max_iter=300, tol=1e-7, random_state=0).fit(X, y)
    assert model.predict(X).shape == (120, 2)
    assert model.score(X, y) > 0.9


def test_the_same_images_in_every_layout_are_the_same_model(colours):
    X, y = colours
    rows, shape = X.reshape(120, -1), (8, 7, 3)
    first = np.ascontiguousarray(X.transpose(0, 3, 1, 2))
    fits = [
        convnet().fit(X, y),
        convnet(image_shape=shape).fit(X, y),
        convnet(image_shape=shape).fit(rows, y),
        convnet(channels="first").fit(first, y),
        convnet(channels="first", image_shape=shape).fit(first.reshape(120, -1), y),
        convnet().fit(X.tolist(), y),
        convnet().fit(np.asfortranarray(X), y),
    ]
    inputs = [X, X, rows, first, first.reshape(120, -1), X.tolist(), X]
    expected = fits[0].predict_proba(X)
    for model, given in zip(fits, inputs, strict=True):
        assert model.n_features_in_ == 168
        assert model.image_shape_ == shape
        np.testing.assert_allclose(model.predict_proba(given), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(fits[2].predict_proba(X), expected, rtol=0, atol=1e-10)


def test_images_of_one_channel_need_no_axis_for_it(digits):
    X, y = digits
    by_rows = convnet(image_shape=(8, 8)).fit(X, y).predict_proba(X)
    for shape in [(-1, 8, 8), (-1, 8, 8, 1)]:
        given = X.reshape(shape)
        np.testing.assert_allclose(
            convnet().fit(given, y).predict_proba(given), by_rows, rtol=0, atol=1e-10
        )


def test_pixels_are_floats_of_a_255th(digits):
    X, y = digits
    pixels = np.round(X * 255).astype(np.uint8)
    floats = pixels.astype(np.float32) / np.float32(255)
    for options in ({}, {"batch_size": 50}, {"early_stopping": True}):
        by_pixels = convnet(image_shape=(8, 8), **options).fit(pixels, y)
        by_floats = convnet(image_shape=(8, 8), **options).fit(floats, y)
        assert by_pixels.coefs_[0].dtype == np.float32
        np.testing.assert_array_equal(
            by_pixels.predict_proba(pixels), by_floats.predict_proba(floats)
        )
    weights = np.arange(300) % 3
    one = convnet(image_shape=(8, 8)).fit(pixels, y, sample_weight=weights)
    other = convnet(image_shape=(8, 8)).fit(floats, y, sample_weight=weights)
    np.testing.assert_array_equal(one.predict_proba(pixels), other.predict_proba(floats))


def test_constant_pixels_are_fitted():
    X, y = np.full((20, 8, 8), 7, np.uint8), np.arange(20) % 2
    probabilities = convnet().fit(X, y).predict_proba(X)
    np.testing.assert_allclose(probabilities, probabilities[:1].repeat(20, 0))


def test_the_other_kind_of_numbers_is_refused(digits):
    X, y = digits
    pixels = np.round(X * 255).astype(np.uint8)
    of_pixels, of_floats = (convnet(image_shape=(8, 8)).fit(given, y) for given in (pixels, X))
    with pytest.raises(ValueError, match=r"fitted on uint8, .* given float64"):
        of_pixels.predict(X)
    with pytest.raises(ValueError, match=r"fitted on floats .* given uint8"):
        of_floats.predict(pixels)
    with pytest.raises(ValueError, match="fitted on uint8"):
        of_pixels.partial_fit(X, y)
    with pytest.raises(ValueError, match="fitted on floats"):
        convnet(image_shape=(8, 8)).fit(X, y, X_val=pixels, y_val=y)


# The arithmetic.


def test_the_arithmetic_of_the_first_layer_of_alexnet():
    layers = [Conv2d(96, 11, stride=4)]
    table = ConvNetClassifier(layers).layer_table((227, 227, 3), 1000)
    first = table[0]
    assert first.output_shape == (55, 55, 96)
    assert np.prod(first.output_shape) == 290_400
    assert first.n_weights_unshared == 290_400 * 364
    assert first.n_parameters == 34_848 + 96
    assert first.receptive_field == (11, 11)


def test_the_arithmetic_of_units_on_small_images_and_of_alexnets_margin():
    def first(layer, shape, **options):
        layers = [] if layer is None else [layer]
        return ConvNetClassifier(layers, **options).layer_table(shape, 10)[0]

    unit = first(None, (32, 32, 3), hidden_layer_sizes=(1,))
    assert unit.n_parameters == 3072 + 1
    assert first(Conv2d(1, 5), (32, 32, 3)).n_parameters == 75 + 1
    assert first(Conv2d(10, 5), (32, 32, 3)).output_shape == (28, 28, 10)
    assert first(Conv2d(96, 11, stride=4), (224, 224, 3)).output_shape[0] == 54
    assert first(Conv2d(96, 11, stride=4, padding=2), (224, 224, 3)).output_shape[0] == 55


def test_the_arithmetic_of_alexnet():
    grouped = alexnet().layer_table((227, 227, 3), 1000)
    assert grouped.n_parameters == 60_965_224
    sides = [row.output_shape[0] for row in grouped if row.name.startswith(("conv", "max"))]
    assert sides == [55, 27, 27, 13, 13, 13, 13, 6]
    whole = [
        layer.replace(groups=1) if isinstance(layer, Conv2d) else layer
        for layer in alexnet().layers
    ]
    table = alexnet(layers=whole).layer_table((227, 227, 3), 1000)
    assert table.n_parameters == 62_378_344
    assert "62,378,344" in repr(table)


def test_receptive_fields_are_what_a_unit_sees():
    """The inputs that move a unit in the middle are as many as the table says."""
    layers = [Conv2d(2, 3, stride=2), MaxPool2d(3, stride=1), Conv2d(2, (2, 3))]
    model = ConvNetClassifier(layers, hidden_layer_sizes=(), activation="tanh", max_iter=1)
    rng = np.random.default_rng(0)
    X, y = rng.random((8, 25, 25)), np.arange(8) % 2
    model.fit(X, y)
    for number, row in enumerate(model.layer_table_[:-1]):
        height, width, _ = row.output_shape
        seen = np.zeros((25, 25), bool)
        start = model.hidden_features(X, number)[:, height // 2, width // 2]
        for i, j in np.ndindex(25, 25):
            moved = X.copy()
            moved[:, i, j] += rng.normal(0, 5, len(X))
            now = model.hidden_features(moved, number)[:, height // 2, width // 2]
            seen[i, j] = (now != start).any()
        sides = [np.ptp(np.flatnonzero(seen.any(axis))) + 1 for axis in (1, 0)]
        assert tuple(sides) == row.receptive_field


@pytest.mark.parametrize("channels", ["first", "last"])
@pytest.mark.parametrize(
    "layers",
    [None, "lenet", SMALL, [Conv2d(6, (4, 3), stride=(2, 1), padding=(1, 2), groups=3)]],
    ids=["default", "lenet", "small", "groups"],
)
def test_the_table_is_that_of_the_torch_module(layers, channels, colours):
    X = np.repeat(np.repeat(colours[0], 2, 1), 2, 2)
    X = X.transpose(0, 3, 1, 2) if channels == "first" else X
    options = {"channels": channels, "batch_norm": True, "dropout": 0.2}
    model = convnet(layers=layers, **options).fit(X, colours[1])
    assert model.layer_table_ == convnet(layers=layers, **options).layer_table((16, 14, 3), 3)
    module = model.to_torch()
    images = torch.from_numpy(X if channels == "first" else X.transpose(0, 3, 1, 2))
    rows = iter(model.layer_table_)
    for part in module:
        images = part(images)
        if isinstance(part, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.Linear, nn.BatchNorm1d)):
            row = next(rows)
            shape = tuple(images.shape[1:])
            if len(shape) == 3 and channels == "last":
                shape = (*shape[1:], shape[0])
            assert row.output_shape == shape
            assert row.n_parameters == sum(p.numel() for p in part.parameters())
    assert next(rows, None) is None
    assert model.layer_table_.n_parameters == sum(p.numel() for p in module.parameters())
    np.testing.assert_allclose(images.detach().numpy(), model.decision_function(X), atol=1e-10)


def test_hidden_features_are_those_of_the_torch_module(colours):
    X, y = colours
    model = convnet(batch_norm=True).fit(X, y)
    parts = list(model.to_torch())
    images = torch.from_numpy(X.transpose(0, 3, 1, 2))
    for layer, stop in enumerate([2, 3, 5, 6, 10]):
        expected = nn.Sequential(*parts[:stop])(images).detach()
        expected = expected.permute(0, 2, 3, 1) if expected.ndim == 4 else expected
        np.testing.assert_allclose(
            model.hidden_features(X, layer), expected.numpy(), rtol=0, atol=1e-10
        )
    np.testing.assert_array_equal(model.hidden_features(X), model.hidden_features(X, 4))
    with pytest.raises(ValueError, match="layer=5 is not a hidden layer"):
        model.hidden_features(X, 5)


@pytest.mark.slow
def test_a_step_of_alexnet_on_images_of_real_size():
    rng = np.random.default_rng(0)
    X, y = rng.integers(256, size=(4, 227, 227, 3), dtype=np.uint8), np.arange(4)
    model = alexnet(max_iter=1, random_state=0, batch_size=4).fit(X, y)
    assert np.isfinite(model.loss_)
    assert [row.output_shape for row in model.layer_table_][-4] == (6, 6, 256)
    assert model.predict_proba(X).shape == (4, 4)


def test_alexnet_is_drawn_as_the_paper_says():
    model = alexnet(width=1 / 8, max_iter=1, optimizer=SGD(1e-300), random_state=0, batch_size=4)
    X = np.random.default_rng(0).random((4, 67, 67, 3))
    model.fit(X, np.arange(4))
    starts = [c.flat[0] for c in model.intercepts_]
    np.testing.assert_allclose(starts, [0, 1, 0, 1, 1, 1, 1, 0], atol=1e-300)
    assert [len(c) for c in model.intercepts_] == [12, 32, 48, 48, 32, 512, 512, 4]
    drawn = np.concatenate([c.ravel() for c in model.coefs_])
    assert drawn.std() == pytest.approx(0.01 * np.sqrt(8), rel=0.02)
    assert alexnet().initial_weights.scale == 0.01


# Training.


def test_moved_images_are_moved_by_whole_pixels_and_filled_with_zero():
    images = torch.arange(1.0, 1 + 200 * 2 * 20 * 30).view(200, 2, 20, 30)
    generator = torch.Generator().manual_seed(0)
    moved = AUGMENTATIONS["shift"](images, generator)
    found = set()
    for before, after in zip(images, moved, strict=True):
        fits = []
        for down in range(-2, 3):
            for right in range(-3, 4):
                rolled = torch.roll(before, (down, right), (1, 2))
                rolled[:, : max(down, 0)] = 0
                rolled[:, 20 + min(down, 0) :] = 0
                rolled[:, :, : max(right, 0)] = 0
                rolled[:, :, 30 + min(right, 0) :] = 0
                if torch.equal(rolled, after):
                    fits.append((down, right))
        assert len(fits) == 1
        found.add(fits[0])
    assert {down for down, _ in found} == set(range(-2, 3))
    assert {right for _, right in found} == set(range(-3, 4))


def test_half_of_the_images_are_mirrored():
    images = torch.rand(400, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    mirrored = AUGMENTATIONS["flip"](images, torch.Generator().manual_seed(0))
    flipped = (mirrored == images.flip(3)).flatten(1).all(1)
    assert ((mirrored == images).flatten(1).all(1) ^ flipped).all()
    assert abs(flipped.double().mean() - 0.5) < 5 * 0.5 / 20


@pytest.mark.parametrize("augment", ["shift", "flip", lambda images, generator: 1 - images])
def test_augmentation_is_reproducible_and_only_for_training(augment, digits):
    X, y = digits
    before = X.copy()
    fits = [convnet(image_shape=(8, 8), augment=augment).fit(X, y) for _ in range(2)]
    np.testing.assert_array_equal(fits[0]._theta, fits[1]._theta)
    np.testing.assert_array_equal(X, before)
    plain = convnet(image_shape=(8, 8)).fit(X, y)
    assert not np.array_equal(plain._theta, fits[0]._theta)
    np.testing.assert_array_equal(fits[0].predict_proba(X), fits[0].predict_proba(X))


def test_an_augmentation_of_the_users_sees_images(digits):
    X, y = digits
    seen = []

    def noted(images, generator):
        assert isinstance(generator, torch.Generator)
        seen.append(images.clone())
        return images

    convnet(image_shape=(8, 8), augment=noted, batch_size=300, max_iter=1).fit(X, y)
    (images,) = seen
    np.testing.assert_array_equal(images.numpy(), X.reshape(-1, 1, 8, 8))


def test_an_augmentation_that_changes_the_size_is_refused(digits):
    cut = convnet(image_shape=(8, 8), augment=lambda images, generator: images[..., 1:])
    with pytest.raises(ValueError, match=r"'augment' callable returned \(200, 1, 8, 7\)"):
        cut.fit(*digits)


def test_bfloat16_is_near_and_predicts_in_full(digits):
    X, y = digits
    for options in ({}, {"layers": [Conv2d(4, 3), LocalResponseNorm(), MaxPool2d(2)]}):
        wide = convnet(image_shape=(8, 8), **options).fit(X, y)
        narrow = convnet(image_shape=(8, 8), precision="bfloat16", **options).fit(X, y)
        assert narrow._theta.dtype == np.float64
        assert not np.array_equal(narrow._theta, wide._theta)
        np.testing.assert_allclose(narrow.loss_curve_, wide.loss_curve_, rtol=2**-7)
        images = torch.from_numpy(X).view(-1, 1, 8, 8)
        np.testing.assert_allclose(
            narrow.decision_function(X), narrow.to_torch()(images).detach().numpy(), atol=1e-12
        )


def test_epochs_and_streams_go_on(digits):
    X, y = digits
    options = {"image_shape": (8, 8), "augment": "shift", "dropout": 0.3, "batch_size": 64}
    once = convnet(**options, max_iter=6).fit(X, y)
    twice = convnet(**options, max_iter=3, warm_start=True).fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(twice)).fit(X, y)._theta, once._theta)
    stream = convnet(**options, batch_norm=True).partial_fit(X[:150], y[:150], classes=range(10))
    stream.partial_fit(X[150:151], y[150:151])
    assert stream.t_ == 151
    assert np.isfinite(stream.predict_proba(X)).all()


@pytest.mark.parametrize("optimizer", ["lbfgs", "newton"])
def test_second_order_rules_fit_images(optimizer, digits):
    X, y = digits[0][:40], digits[1][:40] % 2
    layers = [Conv2d(1, 3, stride=2), AvgPool2d(2)]
    model = convnet(layers=layers, hidden_layer_sizes=(), activation="tanh", alpha=1.0)
    model.set_params(image_shape=(8, 8), optimizer=optimizer, max_iter=200, tol=1e-5).fit(X, y)
    module = model.to_torch()
    rows = torch.from_numpy(X).view(-1, 1, 8, 8)
    loss = nn.functional.softplus((1 - 2 * torch.from_numpy(y)) * module(rows)[:, 0]).mean()
    loss = loss + 0.5 / 40 * sum(p.square().sum() for p in module.parameters() if p.ndim > 1)
    loss.backward()
    assert max(p.grad.abs().max() for p in module.parameters()) < 1e-4


def test_a_search_over_layers_behind_a_scaler(digits):
    X, y = digits
    grid = {
        "convnetclassifier__layers": [[Conv2d(4, 3), MaxPool2d(2)], None, SMALL],
        "convnetclassifier__optimizer__learning_rate": [1e-3, 1e-2],
    }
    pipeline = make_pipeline(StandardScaler(), convnet(image_shape=(8, 8), max_iter=40))
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(X, y)
    assert search.best_score_ > 0.85
    assert search.best_params_["convnetclassifier__optimizer__learning_rate"] == 1e-2
    assert len(set(map(repr, search.cv_results_["param_convnetclassifier__layers"]))) == 3


# Values and bad input.


def test_layers_are_values():
    assert Conv2d(3, 2) == Conv2d(3, 2)
    assert Conv2d(3, 2) != Conv2d(3, 2, stride=2)
    assert len({MaxPool2d(2), MaxPool2d(2), AvgPool2d(2)}) == 2
    model = convnet()
    assert clone(model).layers == model.layers
    assert clone(LocalResponseNorm(3)).get_params()["size"] == 3
    weights = convnet(initial_weights=NormalWeights()).set_params(initial_weights__scale=0.5)
    assert weights.initial_weights == NormalWeights(0.5)


def test_signals_are_clipped_to_with_one_warning():
    X, y = np.random.default_rng(0).random((20, 9)), np.arange(20) % 2
    with pytest.warns(UserWarning, match="signals of 1 x 9") as caught:
        model = ConvNetClassifier(max_iter=2).fit(X, y)
    assert sum("signals" in str(w.message) for w in caught) == 1
    assert "image_shape=(3, 3)" in str(caught[0].message)
    shapes = [row.output_shape for row in model.layer_table_[:4]]
    assert shapes == [(1, 9, 32), (1, 4, 32), (1, 4, 64), (1, 2, 64)]
    ConvNetClassifier([Conv2d(4, (1, 3))], max_iter=2).fit(X, y)  # fits, and does not warn


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({}, (9, 4), r"conv2d_2: kernel_size=\(3, 3\) is larger than its input of 4 x 2 x 4"),
        ({"layers": [MaxPool2d(9)]}, (8, 8), r"max_pool2d_1: size=\(9, 9\) .* 8 x 8 x 1"),
        ({"layers": [Conv2d(2, 9, padding=0)]}, (8, 8), r"conv2d_1: kernel_size=\(9, 9\)"),
        ({"layers": [Conv2d(2, 13, padding=2)]}, (8, 8), "12 x 12 with its padding"),
        ({"layers": [Conv2d(4, 3, groups=2)]}, (8, 8), "groups=2 does not divide its 1 input"),
        ({"layers": [Conv2d(5, 3, groups=5)]}, (8, 8, 2), "groups=5 does not divide its 2 input"),
        ({"layers": [Conv2d(5, 3, groups=2)]}, (8, 8, 2), "groups=2 does not divide its 5 filt"),
        ({"layers": [Conv2d(2, 3, stride=2, padding="same")]}, (8, 8), "padding='same' keeps"),
        ({"layers": [Conv2d(2, (3, 0))]}, (8, 8), "kernel_size must be a whole number >= 1"),
        ({"layers": [Conv2d(2, (3, 3, 3))]}, (8, 8), "two of them for height and width"),
        ({"layers": [Conv2d(0, 3)]}, (8, 8), "'n_filters' parameter of Conv2d must be"),
        ({"layers": [MaxPool2d(2, stride=0)]}, (8, 8), "'stride' parameter of MaxPool2d must be"),
        ({"layers": ["lenet"]}, (8, 8), "layers must be a sequence of Conv2d"),
        ({"layers": "resnet"}, (8, 8), "'layers' parameter of ConvNetClassifier must be"),
        ({"image_shape": (8, 7)}, (8, 8), r"images of 8 x 8 with 1 channel, and image_shape is"),
        ({"image_shape": (8,)}, (8, 8), "image_shape must be the height and width"),
        ({"image_shape": (8, 0)}, (8, 8), "as whole numbers > 0"),
        ({"channels": "middle"}, (8, 8), "'channels' parameter"),
        ({"precision": "float8"}, (8, 8), "'precision' parameter"),
        ({"augment": "blur"}, (8, 8), "'augment' parameter"),
        ({"batch_norm": True, "batch_size": 1}, (8, 8), "batches of two rows or more"),
        ({"initial_weights": NormalWeights(0.1, intercepts=(1.0,))}, (8, 8), "each of the 4 layer"),
        ({"initial_weights": NormalWeights(-1.0)}, (8, 8), "'scale' parameter of NormalWeights"),
    ],
)
def test_bad_parameters_say_what_is_wrong(options, shape, message):
    X, y = np.random.default_rng(0).random((10, *shape)), np.arange(10) % 2
    model = convnet(**options)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert not [name for name in vars(model) if name.endswith("_")]


def test_ambiguous_images_are_refused_in_both_readings():
    X, y = np.random.default_rng(0).random((10, 3, 12, 12)), np.arange(10) % 2
    both = r"images of 3 x 12 with 12 channels, with channels='first' as images of 12 x 12 with 3"
    with pytest.raises(ValueError, match=both):
        convnet().fit(X, y)
    convnet(channels="first").fit(X, y)
    layers = [Conv2d(2, 3)]
    assert convnet(layers=layers, image_shape=(3, 12, 12)).fit(X, y).image_shape_ == (3, 12, 12)
    with pytest.raises(ValueError, match="channels='last' as images of 12 x 12 with 3 channels"):
        convnet(channels="first").fit(X.transpose(0, 2, 3, 1), y)


def test_rows_that_do_not_fill_an_image_and_images_of_another_size(digits):
    X, y = digits
    with pytest.raises(ValueError, match=r"rows of 64 features, and images of 8 x 9 .* have 72"):
        convnet(image_shape=(8, 9)).fit(X, y)
    model = convnet(image_shape=(8, 8)).fit(X, y)
    with pytest.raises(ValueError, match="4 x 16 with 1 channel, and the fit saw images of 8 x 8"):
        model.predict(X.reshape(-1, 4, 16))
    with pytest.raises(ValueError, match="X has 63 features"):
        model.predict(X[:, 1:])
    with pytest.raises(ValueError, match="They would be, with channels='first'"):
        convnet(image_shape=(8, 4, 2)).fit(X.reshape(-1, 2, 8, 4), y)
    with pytest.raises(ValueError, match="dim 5"):
        convnet().fit(X.reshape(-1, 8, 2, 2, 2), y)
