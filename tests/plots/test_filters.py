"""The filters of a convolutional network, and what they find."""

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbasics import Conv2d, ConvNetClassifier, FiltersDisplay, MaxPool2d, MLPClassifier

mpl.use("agg")
ROWS, LABELS = (part[:100] for part in load_digits(return_X_y=True))


@pytest.fixture(scope="module")
def network():
    layers = [MaxPool2d(2, stride=1), Conv2d(5, 3)]
    return ConvNetClassifier(layers, image_shape=(8, 8), max_iter=2, random_state=0).fit(
        ROWS, LABELS
    )


def test_the_data_are_the_networks(network):
    display = FiltersDisplay.from_estimator(network, ROWS[:3])
    for number in range(5):
        np.testing.assert_array_equal(display.filters[number, ..., 0], network.coefs_[0][number, 0])
    np.testing.assert_array_equal(display.activation_maps, network.hidden_features(ROWS[:3], 1))
    np.testing.assert_array_equal(display.images[..., 0], ROWS[:3].reshape(3, 8, 8))


def test_what_is_drawn_is_the_data_on_one_scale(network):
    display = FiltersDisplay.from_estimator(network, ROWS[:2])
    most = abs(display.filters).max()
    for number, picture in enumerate(display.filters_):
        np.testing.assert_array_equal(picture.get_array(), display.filters[number, ..., 0])
        assert picture.get_clim() == (-most, most)
    for image, maps in enumerate(display.activation_maps_):
        for number, picture in enumerate(maps):
            np.testing.assert_array_equal(
                picture.get_array(), display.activation_maps[image, ..., number]
            )
    assert len(display.images_) == 2
    assert set(display.colorbars_) == {"filters", "activation_maps"}


def test_channels_first_and_colours():
    X = np.random.default_rng(0).random((20, 3, 9, 9))
    network = ConvNetClassifier([Conv2d(4, 3)], channels="first", max_iter=1, random_state=0)
    display = FiltersDisplay.from_estimator(network.fit(X, np.arange(20) % 2), X[:2])
    assert display.filters.shape == (4, 3, 3, 3)
    np.testing.assert_array_equal(display.images, X[:2].transpose(0, 2, 3, 1))
    maps = network.hidden_features(X[:2], 0).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(display.activation_maps, maps)
    grey = 0.5 + display.filters[0] / (2 * abs(display.filters).max())
    np.testing.assert_allclose(display.filters_[0].get_array(), grey)


def test_images_go_through_the_pipeline():
    network = ConvNetClassifier([Conv2d(4, 3)], image_shape=(8, 8), max_iter=1, random_state=0)
    model = make_pipeline(StandardScaler(), network).fit(ROWS, LABELS)
    display = FiltersDisplay.from_estimator(model, ROWS[:2], colorbar=False)
    scaled = model[0].transform(ROWS[:2]).reshape(2, 8, 8, 1)
    np.testing.assert_array_equal(display.images, scaled)
    assert display.colorbars_ == {}


def test_it_says_what_it_cannot_draw(network):
    with pytest.raises(TypeError, match="draws a ConvNetClassifier or ConvNetRegressor, got MLP"):
        FiltersDisplay.from_estimator(MLPClassifier())
    with pytest.raises(NotFittedError):
        FiltersDisplay.from_estimator(ConvNetClassifier())
    with pytest.raises(ValueError, match="too many to look at"):
        FiltersDisplay.from_estimator(network, np.repeat(ROWS, 3, 0))
    with pytest.raises(ValueError, match="n_columns must be"):
        FiltersDisplay.from_estimator(network, n_columns=0)
    plain = ConvNetClassifier([MaxPool2d(2)], image_shape=(8, 8), max_iter=1).fit(ROWS, LABELS)
    with pytest.raises(ValueError, match="has no convolution"):
        FiltersDisplay.from_estimator(plain)
