"""The map of an embedding."""

import matplotlib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import trustworthiness
from sklearn.metrics import pairwise_distances
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbasics import PCA, UMAP
from skbasics.plots import EmbeddingDisplay
from skbasics.plots._embedding import row_trustworthiness

matplotlib.use("agg")
X, y = load_iris(return_X_y=True)
X = X + 1e-6 * np.random.RandomState(0).normal(size=X.shape)  # no ties in ranks


@pytest.fixture(autouse=True)
def close():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def test_points_are_the_places_by_class():
    pipeline = make_pipeline(StandardScaler(), PCA(3)).fit(X)
    display = EmbeddingDisplay.from_estimator(pipeline, X, y, axes=(2, 0))
    places = pipeline.transform(X)[:, [2, 0]]
    assert len(display.points_) == 3
    for c, points in enumerate(display.points_):
        np.testing.assert_allclose(points.get_offsets(), places[y == c])
    assert display.ax_.get_xlabel() == "component 3"
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["0", "1", "2"]
    assert display.figure_ is display.ax_.figure


def test_every_class_has_a_colour_of_its_own():
    pca = PCA(2).fit(X)
    words = np.array([f"class {i % 25}" for i in range(150)], dtype=object)
    words[:3] = -1
    display = EmbeddingDisplay.from_estimator(pca, X, words)
    colours = {tuple(points.get_facecolor()[0]) for points in display.points_}
    assert len(colours) == len(display.points_) == 26
    labels = [points.get_label() for points in display.points_]
    grey = display.points_[labels.index("-1")].get_facecolor()[0]
    np.testing.assert_allclose(grey, matplotlib.colors.to_rgba("lightgrey"))


@pytest.mark.parametrize("metric", ["cosine", "precomputed"])
def test_trustworthiness_goes_by_the_distance_of_the_estimator(metric):
    rows = X - X.mean(0)
    given = pairwise_distances(rows) if metric == "precomputed" else rows
    model = UMAP(metric=metric, n_epochs=20, random_state=0).fit(given)
    display = EmbeddingDisplay.from_estimator(
        model, given, color_by="trustworthiness", n_neighbors=9
    )
    expected = model.trustworthiness(given, n_neighbors=9)
    assert display.points_[0].get_array().mean() == pytest.approx(expected, abs=1e-6)


def test_numbers_have_a_bar():
    pca = PCA(2).fit(X)
    display = EmbeddingDisplay.from_estimator(pca, X, X[:, 0])
    np.testing.assert_array_equal(display.points_[0].get_array(), X[:, 0])
    assert display.colorbar_ is not None
    assert EmbeddingDisplay.from_estimator(pca, X).colorbar_ is None


def test_trustworthiness_of_rows_has_scikit_learns_mean():
    places = PCA(1).fit_transform(X)
    rows = row_trustworthiness(X, places, 9)
    assert rows.mean() == pytest.approx(trustworthiness(X, places, n_neighbors=9), abs=1e-12)
    pca = PCA(2).fit(X)
    display = EmbeddingDisplay.from_estimator(pca, X, color_by="trustworthiness", n_neighbors=9)
    expected = row_trustworthiness(X, pca.transform(X), 9)
    np.testing.assert_array_equal(display.points_[0].get_array(), expected)
    assert display.colorbar_.ax.get_ylabel() == "trustworthiness"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"axes": (0, 2)}, ValueError, "the places have 2 components"),
        ({"axes": 1}, ValueError, "the places have 2 components"),
        ({"axes": (0.0, 1.0)}, ValueError, "the places have 2 components"),
        ({"y": y[:4]}, ValueError, r"y has shape \(4,\) for 150 rows"),
        ({"color_by": "class"}, ValueError, "neither 'y' nor 'trustworthiness'"),
        ({"color_by": "trustworthiness", "n_neighbors": 80}, ValueError, "less than half"),
    ],
)
def test_errors_teach(options, error, message):
    with pytest.raises(error, match=message):
        EmbeddingDisplay.from_estimator(PCA(2).fit(X), X, **options)


def test_a_predictor_has_no_map():
    with pytest.raises(TypeError, match="LogisticRegression has no transform"):
        EmbeddingDisplay.from_estimator(LogisticRegression(max_iter=500).fit(X, y), X)
