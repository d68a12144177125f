"""L-BFGS in estimators, against scikit-learn's MLP with solver="lbfgs" and its linear models."""

import threading
import time
import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.optimize import OptimizeResult
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    make_multilabel_classification,
    make_regression,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.neural_network import MLPClassifier as PeerClassifier
from sklearn.neural_network import MLPRegressor as PeerRegressor
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_info, threadpool_limits

from skbasics import LBFGS, MLPClassifier, MLPRegressor, minimize

DIGITS, DIGIT_LABELS = load_digits(return_X_y=True)
DIGITS = DIGITS / 16
X, y = load_iris(return_X_y=True)
X = scale(X)


def counts():
    generator = np.random.RandomState(0)
    A = generator.randn(200, 4)
    return A, generator.poisson(np.exp(A @ [0.5, -0.3, 0.2, 0.0] + 0.5)).astype(float)


def same_network(ours, peer, tolerance=1e-6):
    assert ours.n_iter_ == peer.n_iter_
    assert ours.loss_ == pytest.approx(peer.loss_, rel=1e-9)
    for a, b in zip(
        [*ours.coefs_, *ours.intercepts_], [*peer.coefs_, *peer.intercepts_], strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_same_seed_gives_the_classifier_of_scikit_learn(activation, classes):
    chosen = classes > DIGIT_LABELS
    A, labels = DIGITS[chosen][:150], DIGIT_LABELS[chosen][:150]
    options = {"activation": activation, "max_iter": 150, "random_state": 1}
    ours = MLPClassifier(50, optimizer="lbfgs", **options).fit(A, labels)
    peer = PeerClassifier(50, solver="lbfgs", **options).fit(A, labels)
    same_network(ours, peer, 1e-4)
    assert ours.score(A, labels) > 0.95
    np.testing.assert_allclose(
        ours.predict_proba(DIGITS), peer.predict_proba(DIGITS), rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_the_same_seed_gives_the_regressor_of_scikit_learn(activation):
    A, b = make_regression(200, 10, n_informative=5, noise=0.1, random_state=0)
    b = scale(b)
    options = {"activation": activation, "max_iter": 20, "tol": 1e-3, "random_state": 1}
    ours = MLPRegressor(50, optimizer="lbfgs", **options).fit(A, b)
    peer = PeerRegressor(hidden_layer_sizes=50, solver="lbfgs", **options).fit(A, b)
    same_network(ours, peer)


def test_multilabel_and_weights_are_those_of_scikit_learn():
    A, Y = make_multilabel_classification(n_samples=50, random_state=0)
    weights = np.random.RandomState(0).rand(50)
    options = {"alpha": 1e-2, "activation": "logistic", "max_iter": 15, "random_state": 0}
    ours = MLPClassifier(50, optimizer="lbfgs", **options).fit(A, Y, weights)
    peer = PeerClassifier(50, solver="lbfgs", **options).fit(A, Y, weights)
    same_network(ours, peer)


def test_without_hidden_layers_it_is_logistic_regression():
    for data, labels in (load_iris(return_X_y=True), load_breast_cancer(return_X_y=True)):
        data = scale(data)
        ours = MLPClassifier((), optimizer="lbfgs", alpha=1.0, tol=1e-9, max_iter=2000)
        ours.fit(data, labels)
        peer = LogisticRegression(C=1.0, tol=1e-12, max_iter=10**5).fit(data, labels)
        np.testing.assert_allclose(ours.coefs_[0].T, peer.coef_, atol=1e-4)


def test_without_hidden_layers_it_is_poisson_regression():
    A, b = counts()
    ours = MLPRegressor((), loss="poisson", optimizer="lbfgs", alpha=2.0, tol=1e-9)
    ours.set_params(max_iter=2000).fit(A, b)
    peer = PoissonRegressor(alpha=2.0 / len(A), tol=1e-10, max_iter=10**4).fit(A, b)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], peer.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.intercepts_[0], peer.intercept_, atol=1e-4)


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_max_fun_and_max_iter_end_it_with_scikit_learns_warning(estimator):
    mlp = estimator(50, optimizer=LBFGS(max_fun=10), max_iter=150, tol=0.0, random_state=1)
    with pytest.warns(
        ConvergenceWarning, match=r"lbfgs failed to converge after \d+ iteration.*EV"
    ):
        mlp.fit(DIGITS[:200], DIGIT_LABELS[:200])
    assert mlp.n_iter_ <= 10
    mlp.set_params(optimizer="lbfgs", max_iter=5)
    with pytest.warns(ConvergenceWarning, match=r"after 5 iteration\(s\) \(status=1.*max_iter=5"):
        mlp.fit(DIGITS[:200], DIGIT_LABELS[:200])
    assert mlp.n_iter_ == 5


def test_patience_plays_no_part_without_early_stopping():
    options = {"optimizer": "lbfgs", "random_state": 0, "max_iter": 200}
    patient = MLPClassifier((20,), n_iter_no_change=1, **options).fit(X, y)
    other = MLPClassifier((20,), n_iter_no_change=np.inf, **options).fit(X, y)
    assert patient.n_iter_ == other.n_iter_ > 5


def test_the_record_of_a_fit():
    mlp = MLPClassifier((10,), optimizer="lbfgs", tol=1e-3, random_state=0).fit(X, y)
    assert set(mlp.history_) == {"loss", "gradient_norm", "seconds"}
    assert len(mlp.loss_curve_) == mlp.n_iter_
    assert (np.diff(mlp.loss_curve_) < 0).all()
    assert mlp.loss_ == mlp.best_loss_ == mlp.loss_curve_[-1]
    assert mlp.history_["gradient_norm"][-1] <= 1e-3 * np.sqrt(mlp._theta.size)
    assert mlp.t_ == mlp.n_iter_ * len(X)


def test_early_stopping_keeps_the_best_iterate():
    options = {"optimizer": "lbfgs", "random_state": 0, "max_iter": 100, "tol": 1e-6}
    stopped = MLPClassifier((50,), early_stopping=True, n_iter_no_change=5, **options)
    stopped.set_params(scoring="neg_log_loss").fit(DIGITS[:300], DIGIT_LABELS[:300])
    best = int(np.argmax(stopped.validation_scores_)) + 1
    assert best < stopped.n_iter_ < 100
    assert stopped.best_validation_score_ == max(stopped.validation_scores_)
    shorter = MLPClassifier((50,), early_stopping=True, **options).set_params(
        max_iter=best, scoring="neg_log_loss", n_iter_no_change=np.inf
    )
    with pytest.warns(ConvergenceWarning):
        shorter.fit(DIGITS[:300], DIGIT_LABELS[:300])
    np.testing.assert_array_equal(stopped.coefs_[0], shorter.coefs_[0])


@pytest.mark.parametrize("optimizer", ["gd", "newton", "lbfgs"])
def test_full_batch_methods_watch_validation_data_and_stop_by_it(optimizer):
    options = {"optimizer": optimizer, "activation": "tanh", "random_state": 0, "max_iter": 30}
    watched = MLPClassifier((4,), tol=0, **options).fit(
        X[::2], y[::2], X_val=X[1::2], y_val=y[1::2]
    )
    history = watched.history_
    assert len(history["validation_loss"]) == len(history["loss"]) == watched.n_iter_
    assert history["validation_score"][-1] == watched.score(X[1::2], y[1::2])
    stopped = MLPClassifier((4,), early_stopping=True, n_iter_no_change=2, tol=1e-1, **options)
    stopped.fit(X, y)
    assert stopped.n_iter_ < 30
    assert stopped.best_validation_score_ == max(stopped.validation_scores_)


def test_memory_is_some_vectors_and_no_square():
    """Of 50,000 parameters a square would be 20 GB; two of each remembered step are 8 MB."""
    n, memory = 50_000, 10
    curvatures = torch.linspace(1, 100, n, dtype=torch.float64)

    def quadratic(x):
        return (curvatures * (x - 1) ** 2).sum() / 2

    tracemalloc.start()  # which sees NumPy's arrays, and scipy's workspace is one
    found = minimize(quadratic, np.zeros(n), optimizer=LBFGS(memory=memory), tol=1e-4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.success
    np.testing.assert_allclose(found.x, 1, atol=1e-4)
    assert 2 * memory * n * 8 <= peak < 2 * (2 * memory * n * 8)


def test_it_has_no_partial_fit():
    for optimizer in ("lbfgs", LBFGS()):
        for estimator in (MLPClassifier(optimizer=optimizer), MLPRegressor(optimizer=optimizer)):
            assert not hasattr(estimator, "partial_fit")
            assert hasattr(estimator.set_params(optimizer="adam"), "partial_fit")
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'") as error:
        _ = MLPClassifier(optimizer="lbfgs").partial_fit
    assert "step by step" in str(error.value.__cause__)


def test_a_warm_start_goes_on_from_the_parameters():
    mlp = MLPClassifier((10,), optimizer="lbfgs", warm_start=True, max_iter=5, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        first = mlp.fit(X, y).loss_
        second = mlp.fit(X, y).loss_
    assert second < first
    assert len(mlp.loss_curve_) == 10
    mlp.set_params(max_iter=1000).fit(X, y)
    mlp.fit(X, y)
    assert mlp.n_iter_ <= 1
    assert np.isfinite(mlp.loss_)


def test_a_start_that_is_a_minimum_needs_no_iteration():
    mlp = MLPRegressor((), optimizer="lbfgs", tol=1e9, random_state=0).fit(X, y)
    assert mlp.n_iter_ == 0
    loss = np.mean((mlp.predict(X) - y) ** 2) / 2 + 1e-4 / 2 * (mlp.coefs_[0] ** 2).sum() / len(X)
    assert mlp.loss_ == mlp.best_loss_ == pytest.approx(loss, rel=1e-12)


def test_all_rows_at_once():
    with pytest.raises(ValueError, match=r"LBFGS takes all 150 rows at once.*into 3 batches"):
        MLPClassifier(optimizer="lbfgs", batch_size=50).fit(X, y)
    whole = MLPClassifier((5,), optimizer="lbfgs", batch_size=150, random_state=0).fit(X, y)
    auto = MLPClassifier((5,), optimizer="lbfgs", random_state=0).fit(X, y)
    np.testing.assert_array_equal(whole.coefs_[0], auto.coefs_[0])


@pytest.mark.parametrize("options", [{"dropout": 0.2}, {"batch_norm": True}])
def test_functions_that_change_are_refused(options):
    with pytest.raises(ValueError, match="LBFGS evaluates a batch more than once"):
        MLPClassifier((5,), optimizer="lbfgs", **options).fit(X, y)


def test_sparse_and_float32_rows():
    dense = MLPClassifier((15,), optimizer="lbfgs", random_state=1).fit(
        DIGITS[:50], DIGIT_LABELS[:50]
    )
    sparse = MLPClassifier((15,), optimizer="lbfgs", random_state=1)
    sparse.fit(sp.csr_array(DIGITS[:50]), DIGIT_LABELS[:50])
    np.testing.assert_allclose(sparse.coefs_[0], dense.coefs_[0], rtol=1e-6, atol=1e-9)
    single = MLPClassifier((15,), optimizer="lbfgs", random_state=1)
    single.fit(DIGITS[:50].astype(np.float32), DIGIT_LABELS[:50])
    assert single.coefs_[0].dtype == np.float32
    assert single.n_iter_ == dense.n_iter_
    np.testing.assert_allclose(single.loss_curve_, dense.loss_curve_, rtol=1e-3)


def test_losses_that_overflow_are_an_error():
    message = r"diverged: the loss was inf in epoch 0\. Try features of unit scale"
    with pytest.raises(ValueError, match=message):
        MLPRegressor((), loss="poisson", optimizer="lbfgs", random_state=0).fit(X * 1e6, y)


def openblas_threads():
    pools = [pool for pool in threadpool_info() if pool["internal_api"] == "openblas"]
    return {pool["num_threads"] for pool in pools}


def parabola(x):
    return ((x - 1) ** 2).sum()


def test_thread_counts_are_restored():
    inside, torch_threads = [], torch.get_num_threads()

    def watch(now: OptimizeResult) -> None:
        inside.append((openblas_threads(), torch.get_num_threads()))

    with threadpool_limits(2, user_api="blas"):
        minimize(parabola, [0.0], optimizer="lbfgs", callback=watch)
        assert openblas_threads() == {2}
    assert inside[0] == ({1}, torch_threads)
    assert torch.get_num_threads() == torch_threads


def test_thread_counts_are_restored_when_fits_overlap():
    entered, go_on = threading.Event(), threading.Event()

    def hold(now: OptimizeResult) -> None:
        entered.set()
        go_on.wait(10)

    def release(now: OptimizeResult) -> None:
        go_on.set()

    with threadpool_limits(2, user_api="blas"):
        first = threading.Thread(
            target=minimize, args=(parabola, [0.0]), kwargs={"optimizer": "lbfgs", "callback": hold}
        )
        first.start()
        entered.wait(10)
        minimize(parabola, [0.0], optimizer="lbfgs", callback=release)
        first.join()
        assert openblas_threads() == {2}


def test_patience_after_lbfgs_begins_anew():
    """It played no part there, however many iterations were made."""
    mlp = MLPRegressor((10,), "tanh", optimizer="lbfgs", warm_start=True, max_iter=100)
    mlp.set_params(random_state=0).fit(X, y)
    assert mlp.set_params(optimizer="adam", tol=10.0).fit(X, y).n_iter_ == 11


def test_an_iteration_is_timed_without_its_callbacks():
    class Slow:
        def setup(self, estimator, context): ...

        def teardown(self, estimator, context): ...

        def on_fit_task_begin(self, estimator, context, **task): ...

        def on_fit_task_end(self, estimator, context, **task):
            time.sleep(0.05)

    for optimizer in ("lbfgs", "adam"):
        mlp = MLPClassifier((2,), optimizer=optimizer, max_iter=4, random_state=0)
        start = time.perf_counter()
        mlp.set_callbacks(Slow()).fit(X, y)
        assert mlp.history_["seconds"].sum() < time.perf_counter() - start - 4 * 0.05


def test_an_exception_of_a_callback_is_not_taken_for_a_wish_to_stop():
    def scorer(estimator, A, b):
        raise StopIteration("out of data")

    mlp = MLPClassifier((4,), optimizer="lbfgs", early_stopping=True, scoring=scorer)
    with pytest.raises(StopIteration, match="out of data"):
        mlp.fit(X, y)
    assert not hasattr(mlp, "classes_")


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (LBFGS(memory=0), "'memory' parameter of LBFGS must be an int in the range"),
        (LBFGS(max_fun=1.5), "'max_fun' parameter of LBFGS must be an int in the range"),
    ],
)
def test_bad_numbers_are_named(optimizer, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(optimizer=optimizer).fit(X, y)
