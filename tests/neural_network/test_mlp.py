"""Multi-layer perceptrons: the numbers, beside scikit-learn and torch."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    make_classification,
    make_multilabel_classification,
    make_regression,
)
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
)
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier as PeerClassifier
from sklearn.neural_network import MLPRegressor as PeerRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from skbasics import (
    SGD,
    Adam,
    Adaptive,
    GradientDescent,
    Huber,
    MLPClassifier,
    MLPRegressor,
    Momentum,
    Poisson,
    Quantile,
    TorchOptimizer,
)
from skbasics.network import ACTIVATIONS

IRIS, IRIS_LABELS = load_iris(return_X_y=True)
IRIS = scale(IRIS)
DIGITS, DIGIT_LABELS = load_digits(return_X_y=True)
DIGITS = DIGITS / 16
CANCER, CANCER_LABELS = load_breast_cancer(return_X_y=True)
CANCER = scale(CANCER)
DIABETES, PROGRESS = load_diabetes(return_X_y=True)
DIABETES, PROGRESS = scale(DIABETES), scale(PROGRESS)

LABELLED = make_multilabel_classification(n_samples=250, random_state=0)

SOLVERS = {
    "sgd": ({"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.05}, SGD(0.05)),
    "momentum": (
        {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.05},
        Momentum(0.05),
    ),
    "adaptive": (
        {
            "solver": "sgd",
            "momentum": 0.0,
            "learning_rate": "adaptive",
            "learning_rate_init": 0.1,
            "tol": 0.05,
            "n_iter_no_change": 2,
        },
        SGD(Adaptive(0.1)),
    ),
}


def parameters(mlp):
    return [*mlp.coefs_, *mlp.intercepts_]


def assert_same(ours, peer, **tolerance):
    tolerance = tolerance or {"rtol": 1e-9, "atol": 1e-12}
    for own, other in zip(parameters(ours), parameters(peer), strict=True):
        np.testing.assert_allclose(own, other, **tolerance)


# The numbers are scikit-learn's.


@pytest.mark.parametrize("solver", sorted(SOLVERS))
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("data", ["binary", "multiclass", "multilabel"])
def test_the_same_seed_gives_the_network_of_scikit_learn(solver, activation, data):
    X, y = {
        "binary": (CANCER, CANCER_LABELS),
        "multiclass": (DIGITS[:500], DIGIT_LABELS[:500]),
        "multilabel": (scale(LABELLED[0]), LABELLED[1]),
    }[data]
    options, optimizer = SOLVERS[solver]
    common = {"max_iter": 12, "random_state": 3, "alpha": 0.1, "batch_size": 60}
    common |= {key: options[key] for key in ("tol", "n_iter_no_change") if key in options}
    peer = PeerClassifier((12, 7), activation, **{**options, **common}).fit(X, y)
    ours = MLPClassifier((12, 7), activation, optimizer=optimizer, **common).fit(X, y)
    assert_same(ours, peer)
    np.testing.assert_allclose(ours.loss_curve_, peer.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), rtol=1e-7, atol=1e-12)
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "loss_"):
        assert getattr(ours, name) == pytest.approx(getattr(peer, name)), name


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_the_same_seed_gives_the_regressor_of_scikit_learn(loss, n_outputs):
    X, y = make_regression(150, 6, n_targets=n_outputs, random_state=0)
    y = np.round(np.exp(scale(y) / 2)) if loss == "poisson" else scale(y)
    weights = np.random.RandomState(0).uniform(0.1, 3, len(X))
    common = {"max_iter": 15, "random_state": 1, "batch_size": 40, "loss": loss}
    options, optimizer = SOLVERS["momentum"]
    peer = PeerRegressor(hidden_layer_sizes=(9,), **options, **common)
    ours = MLPRegressor((9,), optimizer=optimizer, **common)
    for sample_weight in (None, weights):
        peer.fit(X, y, sample_weight)
        ours.fit(X, y, sample_weight)
        assert_same(ours, peer)
        np.testing.assert_allclose(ours.predict(X), peer.predict(X), rtol=1e-8)
        # scikit-learn averages the squared error over outputs in its loss, not in its gradient
        if n_outputs == 1 or loss == "poisson":
            np.testing.assert_allclose(ours.loss_curve_[:1], peer.loss_curve_[:1], rtol=0.2)


def test_early_stopping_is_that_of_scikit_learn():
    options, optimizer = SOLVERS["momentum"]
    common = {"max_iter": 60, "random_state": 3, "early_stopping": True, "n_iter_no_change": 3}
    peer = PeerClassifier((20,), **options, **common).fit(CANCER, CANCER_LABELS)
    ours = MLPClassifier((20,), optimizer=optimizer, **common).fit(CANCER, CANCER_LABELS)
    assert ours.validation_scores_ == peer.validation_scores_
    assert (
        ours.best_validation_score_ == peer.best_validation_score_ == max(ours.validation_scores_)
    )
    assert ours.n_iter_ == peer.n_iter_ < 60
    assert ours.best_loss_ is peer.best_loss_ is None
    assert_same(ours, peer)  # the best epoch's weights, not the last's


def test_early_stopping_of_a_regressor_is_that_of_scikit_learn():
    options, optimizer = SOLVERS["momentum"]
    common = {"max_iter": 60, "random_state": 3, "early_stopping": True, "n_iter_no_change": 3}
    peer = PeerRegressor((20,) and "squared_error", (20,), **options, **common)
    peer.fit(DIABETES, PROGRESS)
    ours = MLPRegressor((20,), optimizer=optimizer, **common).fit(DIABETES, PROGRESS)
    np.testing.assert_allclose(ours.validation_scores_, peer.validation_scores_, rtol=1e-9)
    assert_same(ours, peer)


# Closed forms and other estimators.


def full_batch(**options):
    settings = {"max_iter": 4000, "tol": 0.0, "n_iter_no_change": np.inf, "random_state": 0}
    return {"hidden_layer_sizes": (), "optimizer": GradientDescent(0.3)} | settings | options


def test_without_hidden_layers_it_is_logistic_regression():
    X, y = CANCER[:, :5], CANCER_LABELS
    momentum = Momentum(0.5, 0.95)
    ours = MLPClassifier(**full_batch(alpha=2.0, optimizer=momentum, batch_size=len(y))).fit(X, y)
    expected = LogisticRegression(C=1 / 2.0, tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], expected.coef_[0], rtol=1e-5)
    np.testing.assert_allclose(ours.decision_function(X), expected.decision_function(X), rtol=1e-4)


def test_without_hidden_layers_it_is_ridge_regression():
    weights = np.random.RandomState(0).uniform(0.1, 2, len(DIABETES))
    ours = MLPRegressor(**full_batch(alpha=30.0)).fit(DIABETES, PROGRESS, weights)
    expected = Ridge(alpha=30.0).fit(DIABETES, PROGRESS, weights)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], expected.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.intercepts_[0], expected.intercept_, atol=1e-6)


def test_without_hidden_layers_it_is_poisson_regression():
    y = np.random.RandomState(0).poisson(np.exp(DIABETES[:, 2] / 2 + 1))
    ours = MLPRegressor(**full_batch(loss="poisson", alpha=0.0, optimizer=GradientDescent(0.05)))
    expected = PoissonRegressor(alpha=0, tol=1e-10, max_iter=1000).fit(DIABETES[:, :4], y)
    ours.fit(DIABETES[:, :4], y)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], expected.coef_, atol=1e-4)
    np.testing.assert_allclose(
        ours.predict(DIABETES[:, :4]), expected.predict(DIABETES[:, :4]), rtol=1e-3
    )


@pytest.mark.parametrize(
    ("loss", "quantile"), [(Quantile(0.8), 0.8), ("quantile", 0.5), ("absolute_error", 0.5)]
)
def test_without_hidden_layers_it_is_quantile_regression(loss, quantile):
    X, y = DIABETES[:, :2], PROGRESS
    decay = SGD(Adaptive(0.2, factor=2, patience=50))
    ours = MLPRegressor(**full_batch(loss=loss, alpha=0.0, optimizer=decay, batch_size=len(y)))
    ours.set_params(tol=1e-7, n_iter_no_change=50).fit(X, y)
    expected = QuantileRegressor(quantile=quantile, alpha=0).fit(X, y)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], expected.coef_, atol=0.01)


def test_huber_lies_between_its_limits():
    X, y = DIABETES, PROGRESS
    wide = MLPRegressor(**full_batch(loss=Huber(100.0), alpha=0.0)).fit(X, y)
    squared = MLPRegressor(**full_batch(alpha=0.0)).fit(X, y)
    assert_same(wide, squared)
    own = MLPRegressor(**full_batch(loss=Huber(0.3), alpha=0.0, max_iter=50)).fit(X, y)
    by_hand = MLPRegressor(
        **full_batch(
            loss=lambda z, t: torch.nn.functional.huber_loss(z, t, reduction="none", delta=0.3).sum(
                -1
            ),
            alpha=0.0,
            max_iter=50,
        )
    ).fit(X, y)
    assert_same(own, by_hand)


def torch_twin(mlp, X, y, n_epochs, rate):
    """Train the fresh network of `mlp` by torch's autograd and Adam, on the full batch."""
    untrained = mlp.set_params(max_iter=1, optimizer=SGD(1e-300)).fit(X, y)
    module = untrained.to_torch().train()
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(n_epochs):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(X), y).backward()
        optimizer.step()
    return module.eval()


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_training_is_that_of_torch(activation):
    mlp = MLPClassifier((10, 8), activation, alpha=0.0, batch_size=150, random_state=0)
    module = torch_twin(mlp, IRIS, IRIS_LABELS.astype(np.int64), 40, 0.02)
    mlp.set_params(max_iter=40, optimizer=Adam(0.02), n_iter_no_change=np.inf).fit(
        IRIS, IRIS_LABELS
    )
    with torch.no_grad():
        expected = module(torch.from_numpy(IRIS)).numpy()
    np.testing.assert_allclose(mlp.decision_function(IRIS), expected, rtol=1e-8, atol=1e-10)


def test_adam_is_that_of_scikit_learn_but_for_the_place_of_epsilon():
    """scikit-learn adds it before the correction of s, where it counts for more at first."""
    common = {"max_iter": 12, "random_state": 3, "batch_size": 60}
    for epsilon, tolerance in ((1e-300, 1e-9), (1e-8, 1e-2)):
        peer = PeerClassifier((12,), epsilon=epsilon, **common).fit(CANCER, CANCER_LABELS)
        ours = MLPClassifier((12,), optimizer=Adam(epsilon=epsilon), **common)
        ours.fit(CANCER, CANCER_LABELS)
        assert_same(ours, peer, rtol=tolerance, atol=tolerance)


def test_a_composition_of_linear_layers_is_a_linear_map_that_learns():
    """It has gradients, and by them comes to least squares, but to nothing else."""
    X, y = DIABETES[:, :4], PROGRESS
    deep = MLPRegressor((6, 5), "identity", optimizer="lbfgs", alpha=0.0, tol=1e-7, max_iter=500)
    deep.set_params(random_state=0).fit(X, y)
    W, b = np.eye(4), np.zeros(4)
    for weight, bias in zip(deep.coefs_, deep.intercepts_, strict=True):
        W, b = W @ weight, b @ weight + bias
    np.testing.assert_allclose(deep.predict(X), (X @ W + b)[:, 0], rtol=1e-9, atol=1e-12)
    expected = LinearRegression().fit(X, y)
    np.testing.assert_allclose(deep.predict(X), expected.predict(X), atol=1e-4)


def test_width_helps_unless_the_activation_is_a_polynomial():
    """Units that square make a parabola however many they are; tanh comes as near as one likes."""
    x = np.linspace(-3, 3, 200)[:, None]
    y = np.sin(3 * x[:, 0])
    parabola = np.polynomial.Polynomial.fit(x[:, 0], y, 2)(x[:, 0])
    options = {"optimizer": "lbfgs", "alpha": 0.0, "tol": 1e-5, "max_iter": 500, "random_state": 0}
    squares = MLPRegressor((30,), activation=lambda z: z * z, **options).fit(x, y)
    np.testing.assert_allclose(squares.predict(x), parabola, atol=1e-3)
    narrow, wide = (MLPRegressor(size, "tanh", **options).fit(x, y) for size in (1, 12))
    errors = [np.abs(model.predict(x) - y).max() for model in (squares, narrow, wide)]
    assert min(errors[:2]) > 1
    assert errors[2] < 0.1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_to_torch_is_the_same_network(dtype):
    X = DIGITS[:300].astype(dtype)
    mlp = MLPClassifier((16, 12), "gelu", batch_norm=True, dropout=0.3, max_iter=5, random_state=0)
    mlp.fit(X, DIGIT_LABELS[:300])
    module = mlp.to_torch()
    assert not module.training
    assert all(p.dtype == getattr(torch, dtype.__name__) for p in module.parameters())
    with torch.no_grad():
        logits = module(torch.from_numpy(X)).numpy()
    tolerance = 1e-4 if dtype is np.float32 else 1e-10
    np.testing.assert_allclose(mlp.decision_function(X), logits, rtol=tolerance, atol=tolerance)
    before = mlp.coefs_[0].copy()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(mlp.coefs_[0], before)


def test_hidden_features_are_the_activations():
    mlp = MLPClassifier((7, 5), "tanh", max_iter=3, random_state=0, batch_norm=False)
    mlp.fit(IRIS, IRIS_LABELS)
    first = np.tanh(IRIS @ mlp.coefs_[0] + mlp.intercepts_[0])
    second = np.tanh(first @ mlp.coefs_[1] + mlp.intercepts_[1])
    np.testing.assert_allclose(mlp.hidden_features(IRIS, 0), first)
    np.testing.assert_allclose(mlp.hidden_features(IRIS), second)
    np.testing.assert_allclose(
        mlp.decision_function(IRIS), second @ mlp.coefs_[2] + mlp.intercepts_[2]
    )
    mlp.set_params(batch_norm=True).fit(IRIS, IRIS_LABELS)
    assert mlp.hidden_features(IRIS, 0).shape == (150, 7)
    assert mlp.hidden_features(IRIS, -1).shape == (150, 5)


# Accuracy.


def test_accuracy_on_digits_is_that_of_scikit_learn():
    scores = [
        cross_val_score(make_pipeline(StandardScaler(), mlp), DIGITS, DIGIT_LABELS, cv=3).mean()
        for mlp in (
            MLPClassifier(max_iter=60, random_state=0),
            PeerClassifier(max_iter=60, random_state=0),
        )
    ]
    assert scores[0] == pytest.approx(scores[1], abs=0.01)
    assert scores[0] > 0.93


def test_dropout_and_batch_norm_learn():
    X, y = DIGITS[:1200], DIGIT_LABELS[:1200]
    for options in (
        {"dropout": 0.3},
        {"batch_norm": True},
        {"dropout": [0.1, 0.4], "batch_norm": True},
    ):
        mlp = MLPClassifier((60, 40), max_iter=40, random_state=0, **options).fit(X, y)
        plain = MLPClassifier((60, 40), max_iter=40, random_state=0).fit(X, y)
        assert mlp.score(DIGITS[1200:], DIGIT_LABELS[1200:]) > 0.88
        assert not np.allclose(mlp.coefs_[0], plain.coefs_[0])
    # dropping most units in training leaves the training loss far higher
    heavy = MLPClassifier((60, 40), max_iter=40, random_state=0, dropout=0.8).fit(X, y)
    assert heavy.loss_ > 10 * plain.loss_


def test_predicted_probabilities_of_a_learned_problem():
    mlp = MLPClassifier((10,), random_state=1, max_iter=150).fit(CANCER, CANCER_LABELS)
    probabilities = mlp.predict_proba(CANCER)
    assert probabilities.shape == (len(CANCER), 2)
    assert roc_auc_score(CANCER_LABELS, probabilities[:, 1]) > 0.99
    np.testing.assert_allclose(mlp.predict_log_proba(CANCER), np.log(probabilities), atol=1e-12)


@pytest.mark.parametrize("labels", [2, 3])
def test_log_probabilities_are_finite_where_probabilities_vanish(labels):
    X, y = IRIS[: 50 * labels], IRIS_LABELS[: 50 * labels]
    mlp = MLPClassifier(random_state=0).fit(X, y)
    far = 1e6 * X
    assert (mlp.predict_proba(far) == 0).any()
    logs = mlp.predict_log_proba(far)
    assert np.isfinite(logs).all()
    assert (logs < -1e4).any()


# Kinds of targets.


def test_multilabel():
    X, y = make_multilabel_classification(n_samples=120, random_state=0)
    mlp = MLPClassifier((50,), alpha=1e-5, max_iter=400, optimizer=Adam(0.01), random_state=0)
    mlp.fit(X, y)
    assert mlp.score(X, y) > 0.9
    probabilities = mlp.predict_proba(X)
    np.testing.assert_array_equal(probabilities > 0.5, mlp.predict(X))
    assert np.abs(probabilities.sum(1) - 1).max() > 0.1
    np.testing.assert_allclose(mlp.predict_log_proba(X), np.log(probabilities), atol=1e-12)
    sparse = MLPClassifier((50,), max_iter=5, random_state=0).fit(X, sp.csr_array(y))
    dense = MLPClassifier((50,), max_iter=5, random_state=0).fit(X, y)
    assert_same(sparse, dense)
    stream = MLPClassifier((50,), random_state=0, optimizer=Momentum(0.1))
    for _ in range(150):
        stream.partial_fit(X, y, classes=[0, 1, 2, 3, 4])
    assert stream.score(X, y) > 0.9
    MLPClassifier(early_stopping=True, max_iter=5).fit(X, y).predict(X)


@pytest.mark.parametrize("labels", [["cat", "dog", "eel"], [-3, 0, 7], [False, True]])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_labels_of_any_kind(labels, early_stopping):
    n = 50 * len(labels)
    y = np.array(labels)[IRIS_LABELS[:n]]
    numbers = IRIS_LABELS[:n]
    options = {"max_iter": 20, "random_state": 0, "early_stopping": early_stopping}
    mlp = MLPClassifier(**options).fit(IRIS[:n], y)
    plain = MLPClassifier(**options).fit(IRIS[:n], numbers)
    assert mlp.classes_.tolist() == sorted(labels)
    np.testing.assert_array_equal(mlp.predict(IRIS[:n]), np.array(labels)[plain.predict(IRIS[:n])])
    if y.dtype.kind == "U":
        assert_same(MLPClassifier(**options).fit(IRIS[:n], y.astype(object)), plain)


def test_a_single_class():
    mlp = MLPClassifier(max_iter=3).fit(IRIS, np.full(150, "only"))
    assert set(mlp.predict(IRIS)) == {"only"}
    np.testing.assert_array_equal(mlp.predict_proba(IRIS), np.ones((150, 1)))
    np.testing.assert_array_equal(mlp.predict_log_proba(IRIS), np.zeros((150, 1)))


def test_multi_output_regression():
    X, y = make_regression(n_samples=200, n_targets=5, random_state=11)
    mlp = MLPRegressor((50,), max_iter=300, optimizer=Adam(0.01), random_state=1).fit(X, scale(y))
    assert mlp.score(X, scale(y)) > 0.9
    assert mlp.predict(X).shape == (200, 5)
    assert mlp.predict(X[:1]).shape == (1, 5)


def test_shapes_of_y_do_not_broadcast():
    wide = MLPRegressor(max_iter=5, random_state=0).fit(IRIS, IRIS_LABELS)
    with pytest.warns(UserWarning, match="column-vector y was passed"):
        tall = MLPRegressor(max_iter=5, random_state=0).fit(IRIS, IRIS_LABELS[:, None])
    assert_same(wide, tall)
    assert wide.predict(IRIS[:1]).shape == tall.predict(IRIS[:1]).shape == (1,)


# Dtypes and containers.


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_dtypes(estimator):
    for dtype in (np.float32, np.float64):
        mlp = estimator((5, 3), max_iter=20, random_state=1)
        mlp.fit(DIGITS[:300].astype(dtype), DIGIT_LABELS[:300])
        assert {array.dtype for array in parameters(mlp)} == {np.dtype(dtype)}
        if estimator is MLPRegressor:
            assert mlp.predict(DIGITS[:5].astype(dtype)).dtype == dtype
    assert (
        estimator(max_iter=2).fit(np.arange(20).reshape(10, 2), [0, 1] * 5).coefs_[0].dtype == float
    )


def test_float32_follows_float64():
    options = {"hidden_layer_sizes": (5, 3), "max_iter": 100, "tol": 0.1, "random_state": 1}
    fitted = [
        MLPClassifier(alpha=1e-5, **options).fit(DIGITS[:300].astype(t), DIGIT_LABELS[:300])
        for t in (np.float32, np.float64)
    ]
    proba = [mlp.predict_proba(DIGITS[300:]) for mlp in fitted]
    np.testing.assert_allclose(*proba, rtol=0.01)


@pytest.mark.parametrize("container", [sp.csr_matrix, sp.csc_matrix, sp.csr_array, sp.coo_array])
@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_sparse_and_dense_are_the_same(container, estimator):
    X, y = DIGITS[:450], DIGIT_LABELS[:450]
    weights = np.linspace(0, 2, len(y))
    options = {"max_iter": 8, "random_state": 0, "early_stopping": True, "batch_size": 100}
    dense = estimator((10,), **options).fit(X, y, weights)
    sparse = estimator((10,), **options).fit(container(X), y, weights)
    assert_same(dense, sparse)
    np.testing.assert_array_equal(dense.predict(X), sparse.predict(container(X)))
    dense.partial_fit(X, y)
    sparse.partial_fit(container(X), y)
    assert_same(dense, sparse)
    small = estimator((10,), max_iter=3, random_state=0)
    np.testing.assert_array_equal(
        small.fit(container(X.astype("f4")), y).predict(container(X.astype("f4"))),
        small.fit(X.astype("f4"), y).predict(X.astype("f4")),
    )


def test_a_long_prediction_is_cut_into_blocks():
    mlp = MLPRegressor(max_iter=3, random_state=0).fit(IRIS, IRIS_LABELS)
    many = np.tile(IRIS, (70, 1))
    assert mlp.predict(many).shape == (10500,)
    np.testing.assert_allclose(mlp.predict(many), np.tile(mlp.predict(IRIS), 70), rtol=1e-12)


# Weights.


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("options", [{}, {"batch_norm": True, "batch_size": 40}, {"dropout": 0.3}])
def test_the_weight_law(estimator, options):
    def fit(X, y, weights=None):
        return estimator((8,), max_iter=15, random_state=0, **options).fit(X, y, weights)

    X, y = IRIS[::2], IRIS_LABELS[::2]
    ones, none = fit(X, y, np.ones(len(y))), fit(X, y)
    np.testing.assert_array_equal(ones._theta, none._theta)  # bit for bit
    weights = np.ones(len(y))
    weights[[3, 20, 41]] = 0
    zero, absent = fit(X, y, weights), fit(X[weights > 0], y[weights > 0])
    np.testing.assert_array_equal(zero._theta, absent._theta)
    if not options:
        weights[[5, 30]] = 2
        repeated = fit(*(np.repeat(part, weights.astype(int), axis=0) for part in (X, y)))
        np.testing.assert_allclose(fit(X, y, weights)._theta, repeated._theta, rtol=1e-7, atol=1e-9)
        order = np.random.RandomState(0).permutation(len(y))
        np.testing.assert_allclose(
            fit(X[order], y[order])._theta, none._theta, rtol=1e-7, atol=1e-9
        )


def test_class_weight():
    X, y = make_classification(300, weights=[0.9], random_state=0)
    options = {"max_iter": 20, "random_state": 0}
    given = MLPClassifier(class_weight={0: 0.5, 1: 3.0}, **options).fit(X, y)
    by_sample = MLPClassifier(**options).fit(X, y, np.where(y == 1, 3.0, 0.5))
    np.testing.assert_array_equal(given._theta, by_sample._theta)
    balanced = MLPClassifier(class_weight="balanced", **options).fit(X, y)
    share = 1 / (2 * np.bincount(y) / len(y))
    np.testing.assert_array_equal(
        balanced._theta, MLPClassifier(**options).fit(X, y, share[y])._theta
    )
    labels = np.array(["no", "yes"])[y]
    named = MLPClassifier(class_weight={"yes": 3.0, "no": 0.5}, **options).fit(X, labels)
    np.testing.assert_array_equal(named._theta, given._theta)
    both = MLPClassifier(class_weight={1: 3.0}, **options).fit(X, y, np.full(len(y), 2.0))
    single = MLPClassifier(**options).fit(X, y, np.where(y == 1, 6.0, 2.0))
    np.testing.assert_array_equal(both._theta, single._theta)
    ignored = MLPClassifier(class_weight={0: 0.0}, **options).fit(X, y)
    elsewhere = MLPClassifier(class_weight={0: 0.0}, **options)
    elsewhere.fit(np.where(y[:, None] == 0, 1e6, X), y)
    np.testing.assert_array_equal(ignored._theta, elsewhere._theta)
    assert ignored.classes_.tolist() == [0, 1]


# Other optimizers.


def test_any_torch_optimizer_trains():
    mlp = MLPClassifier(optimizer=TorchOptimizer(torch.optim.NAdam, {"lr": 0.01}), max_iter=30)
    assert mlp.fit(IRIS, IRIS_LABELS).score(IRIS, IRIS_LABELS) > 0.95
    adam = MLPClassifier((8,), max_iter=10, random_state=0).fit(IRIS, IRIS_LABELS)
    foreign = MLPClassifier((8,), max_iter=10, random_state=0)
    foreign.set_params(optimizer=TorchOptimizer(torch.optim.Adam, {"lr": 1e-3}))
    assert_same(foreign.fit(IRIS, IRIS_LABELS), adam)


def test_gradient_descent_takes_all_rows_in_a_step():
    mlp = MLPClassifier(optimizer="gd", max_iter=4).fit(DIGITS[:500], DIGIT_LABELS[:500])
    assert mlp._training["state"]["steps"].tolist() == [4]
    mlp = MLPClassifier(max_iter=4).fit(DIGITS[:500], DIGIT_LABELS[:500])
    assert mlp._training["state"]["steps"].tolist() == [12]


def test_loss_values_and_names_are_the_same():
    for name, value in {"huber": Huber(), "quantile": Quantile(), "poisson": Poisson()}.items():
        named = MLPRegressor(loss=name, max_iter=5, random_state=0).fit(IRIS, IRIS_LABELS)
        given = MLPRegressor(loss=value, max_iter=5, random_state=0).fit(IRIS, IRIS_LABELS)
        assert_same(named, given)
