"""What an autoencoder makes of rows, and what lies between its codes."""

import copy

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skbasics import (
    PCA,
    Autoencoder,
    LatentSpaceDisplay,
    MLPClassifier,
    ReconstructionDisplay,
    VAETransformer,
)

mpl.use("agg")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ROWS, LABELS = (part[:100] for part in load_digits(return_X_y=True))
SCALED = ROWS / 16


@pytest.fixture(scope="module")
def vae():
    return VAETransformer(3, (8,), likelihood="bernoulli", max_iter=3, random_state=0).fit(SCALED)


def test_pairs_of_images_are_the_rows_and_their_reconstructions(vae):
    display = ReconstructionDisplay.from_estimator(vae, SCALED[:4], image_shape=(8, 8))
    np.testing.assert_array_equal(display.rows, SCALED[:4])
    np.testing.assert_array_equal(display.reconstructions, vae.reconstruct(SCALED[:4]))
    np.testing.assert_array_equal(display.scores, vae.score_samples(SCALED[:4]))
    for pictures, part in zip(
        display.images_, (display.rows, display.reconstructions), strict=True
    ):
        for picture, row in zip(pictures, part, strict=True):
            np.testing.assert_array_equal(picture.get_array(), row.reshape(8, 8))
            low, high = picture.get_clim()
            assert (low, high) == display.images_[0][0].get_clim()
            assert low <= part.min() <= part.max() <= high
    assert [panel.get_title() for panel in display.axes_[0]] == [f"{s:.3g}" for s in display.scores]


def test_rows_that_are_no_images_are_lines(vae):
    display = ReconstructionDisplay.from_estimator(vae, SCALED[:3], scores=False)
    for lines, part in zip(display.lines_, (display.rows, display.reconstructions), strict=True):
        for line, row in zip(lines, part, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), row)
    assert display.images_ == []
    assert display.axes_[0, 0].get_title() == ""


def test_missing_pixels_stay_blank_above(vae):
    holes = SCALED[:2].copy()
    holes[0, 20:30] = np.nan
    display = ReconstructionDisplay.from_estimator(vae, holes, image_shape=(8, 8))
    assert np.isnan(display.images_[0][0].get_array().filled(np.nan)).sum() == 10
    assert np.isfinite(display.reconstructions).all()


def test_the_grid_is_decoded_at_equal_steps_of_the_priors_probability(vae):
    display = LatentSpaceDisplay.from_estimator(vae, n_grid=4, components=(2, 0))
    steps = norm.ppf([0.125, 0.375, 0.625, 0.875])
    for values in display.grid:
        np.testing.assert_allclose(values, steps)
    for i in range(4):
        for j in range(4):
            code = np.array([[steps[3 - i], 0.0, steps[j]]])  # latent 2 to the right, 0 upwards
            expected = vae.inverse_transform(code).reshape(8, 8)
            np.testing.assert_allclose(display.images[i, j], expected, atol=1e-12)
            shown = display.image_.get_array()[9 * i : 9 * i + 8, 9 * j : 9 * j + 8]
            np.testing.assert_allclose(shown, expected, atol=1e-12)
    assert display.codes is None
    assert len(display.axes_) == 1


def test_codes_are_coloured_by_their_classes(vae):
    display = LatentSpaceDisplay.from_estimator(vae, SCALED, LABELS, n_grid=3)
    codes = vae.transform(SCALED)[:, :2]
    np.testing.assert_array_equal(display.codes, codes)
    assert len(display.scatters_) == 10
    for label, scatter in enumerate(display.scatters_):
        np.testing.assert_array_equal(scatter.get_offsets(), codes[label == LABELS])
        assert scatter.get_label() == str(label)
    numbers = LatentSpaceDisplay.from_estimator(vae, SCALED, SCALED[:, 20], n_grid=3)
    continuous = np.linspace(0, 1, 100)
    numbers = LatentSpaceDisplay.from_estimator(vae, SCALED, continuous, n_grid=3)
    np.testing.assert_array_equal(numbers.scatters_[0].get_array(), continuous)


def test_without_a_prior_the_grid_goes_through_the_codes_behind_a_pipeline():
    model = make_pipeline(MinMaxScaler(), Autoencoder(3, max_iter=2, random_state=0)).fit(ROWS)
    display = LatentSpaceDisplay.from_estimator(model, ROWS, n_grid=3)
    codes = model.transform(ROWS)
    for values, part in zip(display.grid, codes.T[:2], strict=True):
        np.testing.assert_allclose(values[[0, -1]], np.quantile(part, [0.01, 0.99]))
    middle = [[display.grid[0][1], display.grid[1][1], codes[:, 2].mean()]]
    expected = model[-1].inverse_transform(np.array(middle)).reshape(8, 8)
    np.testing.assert_allclose(display.images[1, 1], expected, atol=1e-12)
    assert LatentSpaceDisplay.from_estimator(PCA(2).fit(ROWS), ROWS, n_grid=2).images.shape == (
        2,
        2,
        8,
        8,
    )


def test_they_say_what_they_cannot_draw(vae):
    with pytest.raises(TypeError, match="draws an autoencoder, got MLPClassifier"):
        ReconstructionDisplay.from_estimator(MLPClassifier(), ROWS)
    with pytest.raises(TypeError, match="decodes codes, which MLPClassifier cannot"):
        LatentSpaceDisplay.from_estimator(MLPClassifier(), ROWS)
    for display in (ReconstructionDisplay, LatentSpaceDisplay):
        with pytest.raises(NotFittedError):
            display.from_estimator(Autoencoder(), ROWS)
    with pytest.raises(ValueError, match="X has 100 rows, too many to look at"):
        ReconstructionDisplay.from_estimator(vae, SCALED)
    message = r"Rows of 64 features are no images of \(9, 8\)\. Pass image_shape=\(height, width\),"
    for display in (ReconstructionDisplay, LatentSpaceDisplay):
        with pytest.raises(ValueError, match=message):
            display.from_estimator(vae, SCALED[:2], image_shape=(9, 8))
    with pytest.raises(ValueError, match=r"components=\(0, 3\) are no two latents"):
        LatentSpaceDisplay.from_estimator(vae, components=(0, 3))
    plain = Autoencoder(2, max_iter=1).fit(SCALED)
    with pytest.raises(ValueError, match=r"have no prior to take a grid from\. Pass X"):
        LatentSpaceDisplay.from_estimator(plain)
    with pytest.raises(ValueError, match="are no images of 64"):
        ReconstructionDisplay.from_estimator(vae, SCALED[:2], image_shape=64)
    with pytest.raises(ValueError, match="are no two latents"):
        LatentSpaceDisplay.from_estimator(vae, components=(1, 1))
    with pytest.raises(ValueError, match="y colours the codes of rows"):
        LatentSpaceDisplay.from_estimator(vae, y=LABELS)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LatentSpaceDisplay.from_estimator(vae, SCALED, LABELS[:50])


def test_frames_tensors_and_changed_parameters_make_no_difference(vae):
    expected = LatentSpaceDisplay.from_estimator(vae, SCALED, n_grid=3)
    framed = clone(vae).set_output(transform="pandas").fit(SCALED)
    display = LatentSpaceDisplay.from_estimator(framed, SCALED, pd.Series(LABELS), n_grid=3)
    np.testing.assert_array_equal(display.codes, expected.codes)
    with config_context(array_api_dispatch=True):
        tensors = torch.from_numpy(SCALED)
        fitted = clone(vae).fit(tensors)
        for X in (None, tensors):
            display = LatentSpaceDisplay.from_estimator(fitted, X, n_grid=3)
            np.testing.assert_allclose(display.images, expected.images, atol=1e-9)
    changed = copy.copy(vae).set_params(n_components=7)
    display = LatentSpaceDisplay.from_estimator(changed, n_grid=3)
    np.testing.assert_array_equal(display.images, expected.images)


def test_colours_share_a_scale_and_many_words_are_classes():
    rows = np.random.default_rng(0).uniform(0, 255, (60, 12))
    plain = Autoencoder(2, max_iter=2, random_state=0).fit(rows)
    words = np.array([f"word {i % 25}" for i in range(60)])
    display = LatentSpaceDisplay.from_estimator(plain, rows, words, image_shape=(2, 2, 3), n_grid=3)
    assert len(display.scatters_) == 25
    picture = display.image_.get_array()
    low, high = display.images.min(), display.images.max()
    np.testing.assert_allclose(picture[:2, :2], (display.images[0, 0] - low) / (high - low))
    grey = LatentSpaceDisplay.from_estimator(plain, rows, image_shape=(3, 4, 1), n_grid=2)
    assert grey.images.shape == (2, 2, 3, 4)


def test_lines_of_rows_without_values_or_without_ups_and_downs():
    vae = VAETransformer(1, (), max_iter=1, random_state=0).fit(np.ones((5, 4)))
    rows = np.array([[np.nan] * 4, [1.0] * 4])
    display = ReconstructionDisplay.from_estimator(vae, rows)
    low, high = display.axes_[0, 0].get_ylim()
    assert low < min(1, display.reconstructions.min()) <= display.reconstructions.max() < high
