"""Convolutional networks in a stack are those of fits alone."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits

from skbasics import (
    Adam,
    AvgPool2d,
    Conv2d,
    ConvNetClassifier,
    ConvNetRegressor,
    GridSearchCV,
    LocalResponseNorm,
    MaxPool2d,
    Momentum,
    _run,
)
from skbasics._stack import Job, fit_side_by_side

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DIGITS, LABELS = load_digits(return_X_y=True)
ROWS, LABELS = DIGITS[:160] / 16, LABELS[:160]
IMAGES = ROWS.reshape(160, 8, 8, 1)
PIXELS = (DIGITS[:160] * 15).astype(np.uint8)
LAYERS = (Conv2d(4, 3, padding="same"), MaxPool2d(2), LocalResponseNorm(3), Conv2d(4, 2, groups=2))
BASE = ConvNetClassifier(
    LAYERS, image_shape=(8, 8), hidden_layer_sizes=(6,), max_iter=5, batch_size=30, random_state=0
)
VARIED = [
    {"optimizer__learning_rate": 0.03},
    {"alpha": 0.3, "random_state": 1},
    {"dropout": 0.4, "random_state": 2},
    {"batch_size": 25, "max_iter": 3},
    {"early_stopping": True, "n_iter_no_change": 1, "random_state": 3},
]


@pytest.fixture
def stacks(monkeypatch):
    """The sizes of the stacks that are trained."""
    sizes = []
    train = _run.Run.train

    def counted(run):
        sizes.append(len(run.running))
        return train(run)

    monkeypatch.setattr(_run.Run, "train", counted)
    return sizes


def subsets(n):
    """Return n sets of row numbers: samples with repeats, and parts of different sizes."""
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 160, 160) if i % 2 else rng.permutation(160)[: 90 + i] for i in range(n)
    ]


def compare(estimators, X, y=LABELS, params=None, tolerance=1e-8):
    params = params or [{}] * len(estimators)
    rows = subsets(len(estimators))
    jobs = [
        Job(clone(estimator), X, y, part, given(len(part)) if given else {})
        for estimator, part, given in zip(estimators, rows, params, strict=True)
    ]
    assert fit_side_by_side(jobs) == [None] * len(jobs)
    for estimator, job in zip(estimators, jobs, strict=True):
        alone = clone(estimator).fit(X[job.rows], y[job.rows], **job.fit_params)
        np.testing.assert_allclose(
            job.estimator._theta, alone._theta, rtol=tolerance, atol=tolerance
        )
        assert job.estimator.image_shape_ == alone.image_shape_
        assert set(vars(job.estimator)) == set(vars(alone))


@pytest.mark.parametrize("X", [ROWS, IMAGES, IMAGES[..., 0]], ids=["rows", "4-D", "3-D"])
def test_all_that_may_differ_does(X, stacks):
    compare([clone(BASE).set_params(optimizer=Adam(0.01), **p) for p in VARIED], X)
    assert stacks[0] == len(VARIED)


@pytest.mark.parametrize(
    "params",
    [
        {"augment": "shift"},
        {"augment": "flip", "batch_norm": True, "dropout": 0.2, "optimizer": Momentum(0.01)},
        {"activation": "gelu", "layers": (Conv2d(3, (2, 4), stride=2), AvgPool2d(3, stride=1))},
        {"channels": "first", "layers": (Conv2d(3, 4, padding="same"),)},
        {"layers": (), "class_weight": "balanced"},
        {"optimizer": Momentum(0.01), "hidden_layer_sizes": ()},
    ],
    ids=lambda params: "-".join(params),
)
def test_one_thing_for_all(params, stacks):
    compare([clone(BASE).set_params(random_state=k, **params) for k in range(4)], ROWS)
    assert stacks[0] == 4


def test_pixels(stacks):
    estimators = [clone(BASE).set_params(random_state=k) for k in range(3)]
    weigh = lambda n: {"sample_weight": np.arange(n) % 3}  # noqa: E731
    compare(estimators, PIXELS, params=[weigh, None, weigh], tolerance=1e-4)
    assert stacks[0] == 3


def test_bfloat16_in_a_stack(stacks):
    """The narrow images are rounded alike, whoever is beside them."""
    estimators = [clone(BASE).set_params(random_state=k, precision="bfloat16") for k in range(3)]
    compare(estimators, ROWS, tolerance=1e-8)
    assert stacks[0] == 3


def test_regression(stacks):
    targets = np.column_stack([ROWS.mean(1), ROWS @ np.linspace(0, 1, 64)])
    layers = [Conv2d(3, 3), MaxPool2d(2)]
    model = ConvNetRegressor(layers, image_shape=(8, 8), hidden_layer_sizes=5, max_iter=4)
    compare([clone(model).set_params(random_state=k) for k in range(3)], ROWS, targets)
    assert stacks[0] == 3


def test_those_that_read_the_rows_otherwise_are_apart(stacks):
    shapes = [(8, 8), (4, 16), (8, 4, 2)]
    estimators = [
        clone(BASE).set_params(image_shape=shape, layers=[Conv2d(2, 2)], channels=channels)
        for shape in shapes
        for channels in ("first", "last")
    ]
    compare(estimators, ROWS)
    assert sorted(stacks[:6]) == [1] * 6


def test_a_search_stacks_them(stacks):
    grid = {"optimizer__learning_rate": [0.003, 0.03], "alpha": [0, 0.1]}
    search = GridSearchCV(BASE, grid, cv=3).fit(IMAGES, LABELS)
    assert stacks[0] == 12
    theirs = np.array([search.cv_results_[f"split{i}_test_score"] for i in range(3)])
    assert np.isfinite(theirs).all()
    best = clone(BASE).set_params(**search.best_params_).fit(IMAGES, LABELS)
    np.testing.assert_allclose(search.best_estimator_._theta, best._theta, atol=1e-8)
