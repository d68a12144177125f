"""Multi-layer perceptrons as users of scikit-learn handle them."""

import copy
import inspect
import io
import pickle
import threading

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import skops.io
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from skbasics import (
    SGD,
    Adam,
    Cosine,
    Huber,
    InverseScaling,
    MLPClassifier,
    MLPRegressor,
    Momentum,
    Quantile,
    TorchOptimizer,
)

X, y = load_iris(return_X_y=True)
X = scale(X)
BOTH = pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])


def same(one, other):
    np.testing.assert_array_equal(one._theta, other._theta)
    np.testing.assert_array_equal(one._statistics, other._statistics)


def assert_patience_ended_at_the_last(losses, tol, patience):
    """Hold a loss curve against the stopping rule, written out."""
    best, count = np.inf, 0
    for epoch, loss in enumerate(losses, start=1):
        count = count + 1 if loss > best - tol else 0
        best = min(best, loss)
        assert (count > patience) == (epoch == len(losses))


# Continuation.

CONTINUED = [
    {},
    {"optimizer": Momentum(InverseScaling(0.1)), "shuffle": False},
    {"batch_norm": True, "dropout": 0.3, "batch_size": 40},
    {"optimizer": TorchOptimizer(torch.optim.NAdam)},
    {"early_stopping": True, "batch_size": 30, "batch_norm": True},
]


@BOTH
@pytest.mark.parametrize("options", CONTINUED)
def test_ten_epochs_and_ten_more_are_twenty(estimator, options):
    settings = {"max_iter": 10, "random_state": 0, "n_iter_no_change": 30} | options
    parts = estimator(warm_start=True, **settings).fit(X, y)
    parts = pickle.loads(pickle.dumps(parts)).fit(X, y)
    whole = estimator(**settings).set_params(max_iter=20).fit(X, y)
    same(parts, whole)
    assert parts.loss_curve_ == whole.loss_curve_
    assert (parts.n_iter_, whole.n_iter_) == (10, 20)
    assert parts.t_ == whole.t_
    assert parts.validation_scores_ == whole.validation_scores_
    assert {len(column) for column in parts.history_.values()} == {20}


@BOTH
def test_partial_fit_goes_on_where_the_last_call_ended(estimator):
    options = {"random_state": 0, "batch_size": 40, "dropout": 0.2, "batch_norm": True}
    options["shuffle"] = False  # a stream's rows have no identity, and so no order to go on from
    first = {"classes": [0, 1, 2]} if estimator is MLPClassifier else {}
    stream = estimator(**options).partial_fit(X, y, **first)
    for _ in range(9):
        stream = copy.deepcopy(stream).partial_fit(X, y)
    whole = estimator(max_iter=10, **options).fit(X, y)
    same(stream, whole)
    assert stream.t_ == whole.t_ == 1500
    assert stream.n_iter_ == 1
    assert len(stream.loss_curve_) == 10
    stream.fit(X, y)
    assert len(stream.loss_curve_) == stream.n_iter_
    assert not hasattr(stream, "should_stop_")


def test_an_integer_seed_does_not_repeat_the_shuffles_of_a_stream():
    stream = MLPRegressor((3,), random_state=0, batch_size=10).partial_fit(X, y)
    orders = []
    for _ in range(2):
        orders.append(copy.deepcopy(stream._training["random_state"]).permutation(150))
        stream.partial_fit(X, y)
    assert not np.array_equal(*orders)


@BOTH
def test_partial_fit_of_single_rows(estimator):
    first = {"classes": [0, 1, 2]} if estimator is MLPClassifier else {}
    stream = estimator((5,), batch_norm=True, random_state=0).partial_fit(X[:1], y[:1], **first)
    statistics = stream._statistics.copy()
    for row in range(1, 20):
        stream.partial_fit(X[row : row + 1], y[row : row + 1])
        assert stream.predict(X[:1]).shape == (1,)
    np.testing.assert_array_equal(stream._statistics, statistics)  # a row has no variance
    stream.partial_fit(X, y)
    assert not np.array_equal(stream._statistics, statistics)


def test_a_class_may_come_late():
    stream = MLPClassifier(random_state=0)
    stream.partial_fit([[1.0], [2.0], [3.0]], ["a", "b", "c"], classes=["a", "b", "c", "d"])
    stream.partial_fit([[4.0]], ["d"])
    assert stream.predict_proba([[4.0]]).shape == (1, 4)


@BOTH
def test_partial_fit_is_legal_with_early_stopping_and_says_when_to_stop(estimator):
    stream = estimator(early_stopping=True, random_state=0, tol=0.01, n_iter_no_change=3)
    first = {"classes": [0, 1, 2]} if estimator is MLPClassifier else {}
    stream.partial_fit(X, y, **first)
    assert stream.should_stop_ is False
    calls = 1
    while not stream.should_stop_:
        stream.partial_fit(X, y)
        calls += 1
        assert calls < 1000
    assert_patience_ended_at_the_last(stream.loss_curve_, tol=0.01, patience=3)
    after_fit = estimator(early_stopping=True, random_state=0, max_iter=5).fit(X, y)
    assert after_fit.partial_fit(X, y).should_stop_ is False


@BOTH
def test_fit_after_early_stopping_goes_on_from_the_last_epoch_and_a_stream_from_the_best(estimator):
    options = {"early_stopping": True, "max_iter": 40, "random_state": 0, "warm_start": True}
    mlp = estimator(optimizer=Adam(0.05), n_iter_no_change=5, **options).fit(X, y)
    last = np.asarray(mlp._training["last"][0])[0]
    assert not np.array_equal(last, mlp._theta)
    best = mlp._theta.copy()
    mlp.set_params(optimizer=SGD(1e-300)).partial_fit(X, y)
    np.testing.assert_array_equal(mlp._theta, best)


def test_a_warm_start_counts_epochs_of_the_call_and_stops_by_itself():
    mlp = MLPClassifier(warm_start=True, max_iter=400, tol=0.01, random_state=0).fit(X, y)
    assert mlp.n_iter_ < 400
    first = mlp.n_iter_
    mlp.fit(X, y)
    assert 1 < mlp.n_iter_ < 400
    assert len(mlp.loss_curve_) == first + mlp.n_iter_


def test_a_warm_start_may_change_the_optimizers_numbers_and_its_kind():
    mlp = MLPClassifier((5,), warm_start=True, max_iter=3, random_state=0).fit(X, y)
    moments = mlp._training["state"]["buffers"]["first_moment"].copy()
    mlp.set_params(optimizer__learning_rate=1e-300).fit(X, y)
    assert mlp._training["state"]["steps"][0] == 6
    assert not np.array_equal(mlp._training["state"]["buffers"]["first_moment"], moments)
    mlp.set_params(optimizer="sgd").fit(X, y)
    assert mlp._training["state"]["steps"][0] == 3


# Stopping.


def test_tol_and_patience():
    for patience in (2, 5, 10):
        mlp = MLPClassifier(tol=0.01, max_iter=3000, n_iter_no_change=patience, random_state=0)
        mlp.fit(X, y)
        assert_patience_ended_at_the_last(mlp.loss_curve_, tol=0.01, patience=patience)
        assert mlp.best_loss_ == min(mlp.loss_curve_)


def test_infinite_patience_goes_to_the_end_and_says_so():
    mlp = MLPClassifier(tol=1e9, max_iter=30, n_iter_no_change=np.inf)
    with pytest.warns(ConvergenceWarning, match=r"reached max_iter=30 epochs before the training"):
        mlp.fit(X, y)
    assert mlp.n_iter_ == 30


@BOTH
def test_own_validation_data_with_any_scorer(estimator):
    X_fit, X_val, y_fit, y_val = train_test_split(X, y, random_state=0)
    weights = np.linspace(0.5, 2, len(y_val))
    scoring = "neg_log_loss" if estimator is MLPClassifier else "neg_mean_absolute_error"
    mlp = estimator(early_stopping=True, scoring=scoring, max_iter=60, random_state=0)
    mlp.set_params(n_iter_no_change=3, optimizer=Adam(0.02))
    mlp.fit(X_fit, y_fit, X_val=X_val, y_val=y_val, sample_weight_val=weights)
    assert mlp.t_ == mlp.n_iter_ * len(y_fit)  # no training row is held out
    if estimator is MLPClassifier:
        best = -log_loss(y_val, mlp.predict_proba(X_val), sample_weight=weights)
        np.testing.assert_allclose(
            -mlp.history_["validation_loss"], mlp.history_["validation_score"], rtol=1e-9
        )
    else:
        best = -np.average(np.abs(y_val - mlp.predict(X_val)), weights=weights)
    assert mlp.best_validation_score_ == pytest.approx(best, rel=1e-9)
    assert mlp.best_validation_score_ == max(mlp.validation_scores_)


def test_validation_data_is_watched_without_early_stopping_too():
    mlp = MLPClassifier(max_iter=7, random_state=0).fit(X, y, X_val=X, y_val=y)
    plain = MLPClassifier(max_iter=7, random_state=0).fit(X, y)
    same(mlp, plain)
    assert mlp.validation_scores_ is None
    assert mlp.history_["validation_score"][-1] == accuracy_score(y, mlp.predict(X))
    assert set(mlp.history_) == {
        "loss",
        "validation_loss",
        "validation_score",
        "learning_rate",
        "gradient_norm",
        "seconds",
    }
    assert set(plain.history_) == {"loss", "learning_rate", "gradient_norm", "seconds"}
    np.testing.assert_array_equal(plain.history_["loss"], plain.loss_curve_)


def test_a_learning_rate_that_changes_is_recorded():
    rate = Cosine(0.1)
    mlp = MLPClassifier(optimizer=SGD(rate), max_iter=10, batch_size=50).fit(X, y)
    expected = [rate.at(3 * epoch, 30) for epoch in range(10)]
    np.testing.assert_allclose(mlp.history_["learning_rate"], expected)
    with pytest.raises(ValueError, match="a stream has none"):
        MLPClassifier(optimizer=SGD(rate)).partial_fit(X, y, classes=[0, 1, 2])


def test_gradient_norm_is_that_of_the_last_step():
    mlp = MLPRegressor((), alpha=0.5, optimizer=SGD(1e-9), max_iter=1, batch_size=150).fit(X, y)
    residual = X @ mlp.coefs_[0] + mlp.intercepts_[0] - y[:, None]
    slope = np.vstack([X.T @ residual + 0.5 * mlp.coefs_[0], [residual.sum(0)]]) / 150
    assert mlp.history_["gradient_norm"][0] == pytest.approx(np.linalg.norm(slope), rel=1e-6)


def test_the_validation_split_is_stratified_and_kept():
    many = np.repeat(X, 3, axis=0), np.repeat(y, 3)
    mlp = MLPClassifier(early_stopping=True, warm_start=True, max_iter=2, random_state=0).fit(*many)
    state = mlp._training["split_state"]
    mlp.fit(*many)
    np.testing.assert_array_equal(state[1], mlp._training["split_state"][1])
    with pytest.raises(ValueError, match="least populated class"):
        MLPClassifier(early_stopping=True).fit([[1, 2], [2, 3], [3, 4], [4, 5]], [0, 0, 0, 1])


# Pipelines and searches.


def test_validation_data_goes_through_the_pipelines_scaler():
    raw, labels = load_digits(return_X_y=True)
    X_fit, X_val, y_fit, y_val = train_test_split(raw, labels, random_state=0)
    with config_context(enable_metadata_routing=True):
        mlp = MLPClassifier(early_stopping=True, max_iter=15, random_state=0)
        mlp.set_fit_request(X_val=True, y_val=True)
        pipeline = Pipeline([("scale", StandardScaler()), ("mlp", mlp)], transform_input=["X_val"])
        pipeline.fit(X_fit, y_fit, X_val=X_val, y_val=y_val)
        scaler = StandardScaler().fit(X_fit)
        by_hand = MLPClassifier(early_stopping=True, max_iter=15, random_state=0).fit(
            scaler.transform(X_fit), y_fit, X_val=scaler.transform(X_val), y_val=y_val
        )
    same(pipeline[-1], by_hand)
    assert by_hand.best_validation_score_ == pipeline.score(X_val, y_val)


def search(**options):
    pipeline = make_pipeline(StandardScaler(), PCA(), MLPClassifier(max_iter=8, random_state=0))
    grid = {
        "pca__n_components": [2, 3],
        "mlpclassifier__optimizer__learning_rate": [1e-3, 1e-2],
        "mlpclassifier__hidden_layer_sizes": [5, (4, 4)],
    }
    return GridSearchCV(pipeline, grid, cv=3, **options)


def test_a_grid_search_needs_no_preparation_and_survives_copies():
    fitted = search().fit(X, y)
    rates = {
        str(p["mlpclassifier__optimizer__learning_rate"]) for p in fitted.cv_results_["params"]
    }
    assert rates == {"0.001", "0.01"}
    assert fitted.best_estimator_[-1].optimizer.learning_rate in (1e-3, 1e-2)
    expected = fitted.predict_proba(X)
    for copied in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(copied.predict_proba(X), expected)
    buffer = io.BytesIO()
    joblib.dump(fitted, buffer)
    buffer.seek(0)
    np.testing.assert_array_equal(joblib.load(buffer).predict_proba(X), expected)


def test_one_process_and_two_find_the_same():
    results = [search(n_jobs=n).fit(X, y).cv_results_["mean_test_score"] for n in (1, 2)]
    np.testing.assert_array_equal(*results)


def test_the_order_of_the_folds_does_not_matter():
    mlp = MLPClassifier(max_iter=5, random_state=3)
    folds = [(np.arange(150) % 3 != k, np.arange(150) % 3 == k) for k in range(3)]
    folds = [tuple(np.flatnonzero(part) for part in fold) for fold in folds]
    forward = cross_val_predict(mlp, X, y, cv=folds, method="predict_proba")
    backward = cross_val_predict(mlp, X, y, cv=folds[::-1], method="predict_proba")
    np.testing.assert_array_equal(forward, backward)


def test_boosting_and_bagging_take_it():
    mlp = MLPClassifier((10,), optimizer=Adam(0.03), max_iter=60)
    for ensemble in (AdaBoostClassifier, BaggingClassifier):
        fitted = ensemble(mlp, n_estimators=3, random_state=0).fit(X, y)
        assert fitted.score(X, y) > 0.93


# Parameters.


def test_nested_parameters_replace_the_value_and_leave_shared_ones_alone():
    shared = Adam(0.1)
    one, other = MLPClassifier(optimizer=shared), MLPClassifier(optimizer=shared)
    one.set_params(optimizer__learning_rate=0.5, alpha=2.0)
    assert (one.optimizer, one.alpha) == (Adam(0.5), 2.0)
    assert other.optimizer is shared
    assert shared == Adam(0.1)
    named = MLPRegressor(optimizer="momentum", loss="huber")
    named.set_params(optimizer__momentum=0.5, loss__delta=3.0)
    assert (named.optimizer, named.loss) == (Momentum(momentum=0.5), Huber(3.0))
    scheduled = MLPClassifier().set_params(
        optimizer=SGD(InverseScaling(0.1)), optimizer__learning_rate__power=0.1
    )
    assert scheduled.optimizer == SGD(InverseScaling(0.1, power=0.1))
    assert scheduled.get_params()["optimizer__learning_rate__power"] == 0.1
    with pytest.raises(ValueError, match=r"Invalid parameter 'lr' for Adam"):
        named.set_params(optimizer="adam", optimizer__lr=0.1)


@pytest.mark.parametrize(
    ("keyword", "replacement"),
    [
        ("solver", "optimizer='adam'"),
        ("learning_rate_init", "optimizer__learning_rate"),
        ("momentum", r"Momentum\(momentum=...\)"),
        ("nesterovs_momentum", r"NAG\(\)"),
        ("beta_1", r"Adam\(beta_1=...\)"),
    ],
)
def test_keywords_of_scikit_learn_name_their_replacement(keyword, replacement):
    with pytest.raises(TypeError, match=f"has no parameter '{keyword}'.*Use.*{replacement}"):
        MLPClassifier(**{keyword: 0.5})
    with pytest.raises(TypeError, match=f"has no parameter '{keyword}'"):
        MLPRegressor().set_params(**{keyword: 0.5})


@BOTH
def test_the_signature_and_the_constructor_arguments_stay_as_they_are(estimator):
    names = list(inspect.signature(estimator).parameters)
    assert names[:2] == ["hidden_layer_sizes", "activation"]
    sizes, rates = [4, np.int64(3)], [0.1, 0.0]
    mlp = estimator(sizes, dropout=rates, optimizer="adam", max_iter=2)
    before = mlp.get_params()
    mlp.fit(X, y)
    assert all(value is before[key] for key, value in mlp.get_params().items())
    assert [c.shape for c in mlp.coefs_][:2] == [(4, 4), (4, 3)]
    unfitted = clone(mlp)
    assert not hasattr(unfitted, "coefs_")
    assert not hasattr(unfitted, "n_iter_")


@BOTH
def test_sizes_may_be_an_integer_of_any_kind(estimator):
    for size in (6, np.int32(6), (6,), [6], np.array([6])):
        mlp = estimator(size, max_iter=2, random_state=0).fit(X, y)
        assert mlp.coefs_[0].shape == (4, 6)
        assert mlp.n_layers_ == 3


# Randomness and manners.


@BOTH
def test_nothing_global_is_touched(estimator):
    data = X.copy(), y.astype(float)
    for part in data:
        part.setflags(write=False)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    numpy_state, torch_state = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    threads = torch.get_num_threads()
    mlp = estimator(random_state=1, dropout=0.2, early_stopping=True, max_iter=4)
    mlp.fit(*data).partial_fit(*data).predict(data[0])
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state[1])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    np.testing.assert_array_equal(data[0], X)


def test_without_a_seed_numpys_global_state_gives_one():
    results = []
    for _ in range(2):
        np.random.seed(5)  # noqa: NPY002
        results.append(MLPClassifier(max_iter=2).fit(X, y))
    same(*results)
    assert not np.array_equal(MLPClassifier(max_iter=2).fit(X, y)._theta, results[0]._theta)


def test_a_generator_is_drawn_from_once():
    state = np.random.RandomState(3)
    one = MLPClassifier(max_iter=2, random_state=state).fit(X, y)
    other = MLPClassifier(max_iter=2, random_state=state).fit(X, y)
    assert not np.array_equal(one._theta, other._theta)
    again = MLPClassifier(max_iter=2, random_state=np.random.RandomState(3)).fit(X, y)
    same(one, again)


def test_fitted_state_is_plain():
    """Arrays, numbers and our own values: nothing of torch is in a pickle."""
    mlp = MLPClassifier(max_iter=3, early_stopping=True, batch_norm=True).fit(X, y)
    assert b"torch" not in pickle.dumps(mlp)
    untrusted = ["skbasics.neural_network._mlp.MLPClassifier", "skbasics._fitted.FeedForward"]
    loaded = skops.io.loads(skops.io.dumps(mlp), trusted=untrusted)
    np.testing.assert_array_equal(loaded.predict_proba(X), mlp.predict_proba(X))


def test_threads_may_fit_at_the_same_time():
    expected = MLPClassifier(max_iter=10, random_state=0).fit(X, y)
    fitted = [MLPClassifier(max_iter=10, random_state=0) for _ in range(4)]
    threads = [threading.Thread(target=mlp.fit, args=(X, y)) for mlp in fitted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mlp in fitted:
        np.testing.assert_allclose(mlp._theta, expected._theta, rtol=1e-12)


# Data frames, tensors, bars and callbacks.


@BOTH
def test_data_frames_keep_their_names(estimator):
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    mlp = estimator(early_stopping=True, scoring=None, max_iter=3, random_state=0).fit(frame, y)
    assert mlp.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    scored = clone(mlp).set_params(scoring="r2").fit(frame, pd.Series(y))
    assert len(scored.validation_scores_) == 3
    mlp.fit(frame, y, X_val=frame, y_val=y)
    with pytest.raises(ValueError, match="feature names"):
        mlp.predict(frame.rename(columns={"a": "z"}))


def test_integer_text_and_list_inputs():
    mlp = MLPClassifier(max_iter=3, random_state=0)
    assert_shape = mlp.fit(X.tolist(), y.tolist()).predict(X.tolist())
    np.testing.assert_array_equal(assert_shape, mlp.fit(X, y).predict(X))


@BOTH
def test_tensors_give_what_arrays_give(estimator):
    tensors = torch.from_numpy(X), torch.from_numpy(y)
    options = {"max_iter": 6, "random_state": 0, "early_stopping": True}
    fitted = estimator(**options).fit(X, y)
    with config_context(array_api_dispatch=True):
        from_tensors = estimator(
            **options, scoring="accuracy" if estimator is MLPClassifier else "r2"
        )
        from_tensors.fit(*tensors, torch.ones(150), X_val=tensors[0], y_val=tensors[1])
        from_tensors = estimator(**options).fit(*tensors)
        prediction = from_tensors.predict(tensors[0])
        assert isinstance(prediction, torch.Tensor)
        assert from_tensors.score(*tensors) == pytest.approx(fitted.score(X, y))
    np.testing.assert_allclose(prediction.numpy(), fitted.predict(X))
    with (
        pytest.raises(ValueError, match="must use the same namespace"),
        config_context(array_api_dispatch=True),
    ):
        from_tensors.predict(X)
    assert isinstance(estimator(max_iter=2).fit(*tensors).coefs_[0], np.ndarray)


def test_labels_of_tensors_may_be_strings():
    names = np.array(["a", "b", "c"])[y]
    with config_context(array_api_dispatch=True):
        mlp = MLPClassifier(max_iter=30, random_state=0).fit(torch.from_numpy(X), names)
        assert set(mlp.predict(torch.from_numpy(X))) <= {"a", "b", "c"}
        assert isinstance(mlp.predict_proba(torch.from_numpy(X)), torch.Tensor)


@BOTH
def test_verbose_is_one_bar(estimator, capsys):
    estimator(max_iter=3, verbose=1).fit(X, y)
    shown = capsys.readouterr().err
    assert f"{estimator.__name__}: 100%" in shown
    assert "loss=" in shown
    estimator(max_iter=3).fit(X, y)
    assert capsys.readouterr().err == ""


class Recorder:
    """A callback that notes what it is told, and may ask to stop."""

    def __init__(self, stop_after=10**9, fail=False):
        self.stop_after, self.fail, self.events, self.scores = stop_after, fail, [], []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        self.events.append(f"end {context.task_name}")
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        if self.fail:
            raise RuntimeError("the callback failed")
        self.scores.append(fitted_estimator.score(X, y))
        return context.task_name == "epoch" and context.task_id + 1 >= self.stop_after


@BOTH
def test_callbacks_see_every_epoch_with_an_estimator_ready_to_predict(estimator):
    recorder = Recorder()
    mlp = estimator(max_iter=4, random_state=0).set_callbacks(recorder).fit(X, y)
    epochs = ["begin epoch", "end epoch"] * 4
    assert recorder.events == ["setup", "begin fit", *epochs, "end fit", "teardown"]
    assert recorder.scores[-1] == recorder.scores[-2] == mlp.score(X, y)
    assert len(set(recorder.scores)) > 1


@BOTH
def test_a_callback_may_stop_the_fit(estimator):
    mlp = estimator(max_iter=50, random_state=0).set_callbacks(Recorder(stop_after=3)).fit(X, y)
    assert mlp.n_iter_ == 3


def test_a_callback_that_fails_at_the_very_end_leaves_no_trace():
    class Last(Recorder):
        def on_fit_task_end(self, estimator, context):
            if context.task_name == "fit":
                raise RuntimeError("too late")

    mlp = MLPClassifier(max_iter=4, warm_start=True, random_state=0).fit(X, y)
    losses, theta = list(mlp.loss_curve_), mlp._theta.copy()
    with pytest.raises(RuntimeError, match="too late"):
        mlp.set_callbacks(Last()).fit(X, y)
    assert mlp.loss_curve_ == losses
    np.testing.assert_array_equal(mlp._theta, theta)


@BOTH
def test_a_failing_callback_leaves_no_trace_and_is_torn_down(estimator):
    mlp = estimator(max_iter=4, random_state=0).fit(X, y)
    theta, recorder = mlp._theta.copy(), Recorder(fail=True)
    mlp.set_callbacks(recorder)
    with pytest.raises(RuntimeError, match="the callback failed"):
        mlp.fit(X[:100, :2], y[:100])
    np.testing.assert_array_equal(mlp._theta, theta)
    assert mlp.n_features_in_ == 4
    assert recorder.events[-1] == "teardown"
    assert torch.is_grad_enabled()


def test_scikit_learns_own_callbacks(capsys):
    monitor = ScoringMonitor(scoring="accuracy")
    mlp = MLPClassifier(max_iter=5, random_state=0).set_callbacks(monitor, ProgressBar())
    mlp.fit(X, y)
    scores = [row["accuracy"] for row in monitor.get_logs().data if "accuracy" in row]
    assert scores[-1] == mlp.score(X, y)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(max_iter=3))
    pipeline.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    assert "MLPClassifier" in capsys.readouterr().out


# Bad input.


@BOTH
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_layer_sizes": (5, 0)}, r"hidden_layer_sizes must be whole numbers > 0"),
        ({"hidden_layer_sizes": (5.5,)}, r"hidden_layer_sizes must be whole numbers > 0"),
        ({"hidden_layer_sizes": -1}, r"'hidden_layer_sizes' parameter of MLP\w+ must be"),
        ({"activation": "rleu"}, r"'activation' parameter .*'gelu'.* Got 'rleu' instead"),
        ({"optimizer": "adma"}, r"'optimizer' parameter .*'adam'.* Got 'adma' instead"),
        ({"optimizer": Adam(-1.0)}, r"'learning_rate' parameter of Adam must be"),
        ({"optimizer": SGD(0)}, r"'learning_rate' parameter of SGD must be"),
        ({"scoring": "acuracy"}, r"'scoring' parameter .* Got 'acuracy' instead"),
        ({"dropout": 1.0}, r"'dropout' parameter of MLP\w+ must be"),
        ({"dropout": (0.1, 0.2)}, r"dropout must be a probability in \[0, 1\), or one for each"),
        ({"batch_norm": True, "batch_size": 1}, r"batch_norm=True needs batches of two rows"),
        ({"device": "tpu"}, r"device='tpu' cannot be used"),
        ({"activation": lambda z: z.sum()}, r"'activation' callable returned torch.float64 \(\)"),
        ({"validation_fraction": 0.0}, r"'validation_fraction' parameter"),
    ],
)
def test_bad_parameters_say_what_was_expected(estimator, options, message):
    mlp = estimator(max_iter=3, random_state=0).fit(X, y)
    theta = mlp._theta
    mlp.set_params(**options)
    with pytest.raises((ValueError, TypeError), match=message):
        mlp.fit(X, y)
    assert mlp._theta is theta


@BOTH
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": np.where(X > 1, np.nan, X)}, "Input X contains NaN"),
        ({"X": np.where(X > 1, np.inf, X)}, "Input X contains infinity"),
        ({"y": np.where(y > 1, np.nan, y)}, "y contains NaN"),
        ({"X": X[:100]}, "inconsistent numbers of samples"),
        ({"X": X[:0], "y": y[:0]}, r"0 sample\(s\)"),
        ({"sample_weight": np.zeros(150)}, "at least one non-zero"),
        ({"sample_weight": -np.ones(150)}, "Negative values"),
        ({"sample_weight": np.ones(3)}, r"sample_weight.shape == \(3,\)"),
        ({"X_val": X}, "fit was given X_val without y_val"),
        ({"y_val": y}, "fit was given y_val without X_val"),
        ({"X_val": X[:, :2], "y_val": y}, "X has 2 features"),
        ({"X_val": X, "y_val": np.c_[y, y]}, r"y (has 2 columns|has several columns)"),
    ],
)
def test_bad_data_leaves_the_estimator_as_it_was(estimator, arguments, message):
    mlp = estimator(max_iter=3, random_state=0).fit(X, y)
    before = vars(mlp).copy()
    with pytest.raises(ValueError, match=message):
        mlp.fit(**({"X": X, "y": y} | arguments))
    assert vars(mlp) == before
    if "X_val" not in arguments and "y_val" not in arguments:
        with pytest.raises(ValueError, match=message):
            mlp.partial_fit(**({"X": X, "y": y} | arguments))
        assert vars(mlp) == before


@BOTH
def test_wrong_widths(estimator):
    mlp = estimator(max_iter=2).fit(X, y)
    for method in (mlp.predict, mlp.hidden_features):
        with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 4"):
            method(X[:, :3])
    with pytest.raises(ValueError, match="X has 3 features"):
        mlp.partial_fit(X[:, :3], y)
    with pytest.raises(ValueError, match=r"layer=1 is not a hidden layer.*from -1 to 0"):
        mlp.hidden_features(X, 1)


def test_classes_that_do_not_fit():
    with pytest.raises(ValueError, match="first call of partial_fit must be given classes"):
        MLPClassifier().partial_fit(X, y)
    with pytest.raises(ValueError, match=r"y contains \[1\], not among the classes"):
        MLPClassifier().partial_fit(X[:60], y[:60], classes=[0, 2])
    mlp = MLPClassifier(warm_start=True, max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match=r"classes=\[1 2\] are not those of the first call"):
        mlp.partial_fit(X, y, classes=[1, 2])
    for labels in (np.where(y == 2, 3, y), np.where(y == 2, 1, y)):
        with pytest.raises(ValueError, match=r"y has only \[0 1\]|not among the classes"):
            mlp.fit(X, labels)
    with pytest.raises(ValueError, match=r"not among the classes \[0 1 2\]"):
        mlp.fit(X, y, X_val=X, y_val=y + 1)
    with pytest.raises(ValueError, match="class_weight is not defined for an indicator matrix"):
        MLPClassifier(class_weight="balanced").fit(X, np.eye(3)[y].astype(int) | 1)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        MLPClassifier().fit(X, X[:, 0])
    with pytest.raises(ValueError, match="wrap the classifier in MultiOutputClassifier"):
        MLPClassifier().fit(X, np.c_[y, y])


def test_a_continuation_must_be_the_same_network():
    mlp = MLPClassifier((5,), warm_start=True, max_iter=2).fit(X, y)
    mlp.set_params(hidden_layer_sizes=(6,))
    with pytest.raises(ValueError, match=r"hidden_layer_sizes was \(5,\) in the fit that this one"):
        mlp.fit(X, y)
    with pytest.raises(ValueError, match=r"hidden_layer_sizes was \(5,\)"):
        mlp.partial_fit(X, y)
    assert mlp.predict(X).shape == (150,)  # the fitted network is the one that predicts


def test_targets_outside_the_domain_of_the_loss():
    with pytest.raises(ValueError, match=r"loss='poisson' needs y >= 0, got a minimum of -1"):
        MLPRegressor(loss="poisson").fit(X, y - 1.0)
    with pytest.raises(ValueError, match=r"'loss' callable returned \(\) for 150 rows"):
        MLPRegressor(loss=lambda z, t: ((z - t) ** 2).mean()).fit(X, y)
    with pytest.raises(ValueError, match=r"'loss' parameter of MLPRegressor must be a str among"):
        MLPRegressor(loss="squared").fit(X, y)


@BOTH
@pytest.mark.parametrize("early_stopping", [False, True])
def test_divergence_is_an_error_that_says_what_to_change(estimator, early_stopping):
    mlp = estimator(max_iter=3, random_state=0, early_stopping=early_stopping).fit(X, y)
    before = vars(mlp).copy()
    mlp.set_params(optimizer=SGD(1e300), activation="identity")
    expected = r"in epoch \d+, at learning_rate=1e\+300. .*optimizer__learning_rate=1e\+299"
    with pytest.raises(ValueError, match=expected):
        mlp.fit(X, y)
    for name in ("_theta", "coefs_", "loss_curve_"):
        np.testing.assert_equal(getattr(mlp, name), before.get(name, getattr(mlp, name)))


def test_numbers_too_large_for_the_loss():
    huge = np.finfo(float).max * np.random.RandomState(0).uniform(size=(10, 2))
    with pytest.raises(ValueError, match=r"diverged: the loss was inf in epoch 1.*StandardScaler"):
        MLPRegressor().fit(huge, np.arange(10) % 2)


@BOTH
def test_an_interrupted_fit_leaves_the_estimator_as_it_was(estimator):
    class Interrupt(Recorder):
        def on_fit_task_end(self, estimator, context):
            raise KeyboardInterrupt

    mlp = estimator(max_iter=3, random_state=0).fit(X, y)
    before = mlp._theta.copy()
    with pytest.raises(KeyboardInterrupt):
        mlp.set_callbacks(Interrupt()).fit(X[:, :2], y)
    np.testing.assert_array_equal(mlp._theta, before)
    np.testing.assert_array_equal(mlp.predict(X), mlp.predict(X))


def test_small_data():
    with pytest.raises(ValueError, match="The validation set is too small: 1 of 2 rows"):
        MLPRegressor(early_stopping=True).fit(X[:2], y[:2])
    with pytest.warns(UserWarning, match=r"batch_size=500 is larger than the 150 rows"):
        MLPRegressor(batch_size=500, max_iter=2).fit(X, y)
    one = MLPRegressor(max_iter=2, random_state=0).fit(X[:1], y[:1])
    assert one.predict(X[:1]).shape == (1,)
    last_alone = MLPRegressor(max_iter=2, batch_size=50, batch_norm=True, random_state=0)
    assert np.isfinite(last_alone.fit(X[:101], y[:101]).predict(X)).all()


# What users did with it.


def test_a_continuation_on_other_validation_rows_scores_the_best_anew():
    mlp = MLPClassifier((8,), early_stopping=True, warm_start=True, max_iter=30, random_state=0)
    mlp.set_params(optimizer=Adam(0.02), n_iter_no_change=3)
    mlp.fit(X, y, X_val=X[:3], y_val=y[:3])  # three rows of one class are soon all right
    assert mlp.best_validation_score_ == 1.0
    first = mlp.score(X, y)
    for _ in range(5):
        mlp.fit(X, y, X_val=X, y_val=y)
    assert mlp.best_validation_score_ == mlp.score(X, y) > max(first, 0.9)
    mlp.set_params(scoring="neg_log_loss").fit(X, y, X_val=X, y_val=y)
    assert mlp.best_validation_score_ == pytest.approx(-log_loss(y, mlp.predict_proba(X)))


def test_a_continuation_with_another_loss_gets_new_patience():
    mlp = MLPRegressor(warm_start=True, max_iter=100, random_state=0).fit(X, y)
    mlp.set_params(loss="absolute_error", max_iter=20).fit(X, 1000.0 * y)
    assert mlp.n_iter_ == 20
    assert mlp.best_loss_ == min(mlp.loss_curve_[-20:])


@pytest.mark.parametrize(
    "other",
    [
        TorchOptimizer(torch.optim.Adam, {"lr": 0.01, "amsgrad": True}),
        TorchOptimizer(torch.optim.SGD, {"lr": 0.01, "momentum": 0.9}),
        TorchOptimizer(torch.optim.LBFGS),
        TorchOptimizer(torch.optim.RMSprop),
        "momentum",
    ],
)
def test_torch_optimizers_continue_and_may_be_changed(other):
    mlp = MLPClassifier((4,), warm_start=True, max_iter=3, random_state=0)
    mlp.set_params(optimizer=TorchOptimizer(torch.optim.Adam, {"lr": 0.01})).fit(X, y)
    mlp.set_params(optimizer=other)
    mlp.fit(X, y)
    mlp.partial_fit(X, y).partial_fit(X, y)
    assert np.isfinite(mlp.loss_)


def test_bad_class_weights():
    for weights in ({0: -5.0}, {1: np.nan}, {2: np.inf}):
        with pytest.raises(ValueError, match="class_weight must be finite and not negative"):
            MLPClassifier(class_weight=weights).fit(X, y)
    with pytest.raises(ValueError, match="leaves no row with a weight above zero"):
        MLPClassifier(class_weight={0: 0, 1: 0, 2: 0}).fit(X, y)


def test_scorers_meet_tensors_in_one_namespace():
    tensors = torch.from_numpy(X), torch.from_numpy(y)
    with config_context(array_api_dispatch=True):
        mlp = MLPClassifier(early_stopping=True, scoring="balanced_accuracy", max_iter=3)
        scores = mlp.fit(*tensors, sample_weight=torch.linspace(1, 2, 150)).validation_scores_
        assert len(scores) == 3
    assert isinstance(mlp.predict(X), np.ndarray)  # outside dispatch, NumPy in and out


def test_scorers_without_weights_say_so():
    def share(estimator, X, y):
        return (estimator.predict(X) == y).mean()

    mlp = MLPClassifier(early_stopping=True, scoring=share, max_iter=3).fit(X, y)
    assert len(mlp.validation_scores_) == 3
    with pytest.raises(ValueError, match=r"takes no sample_weight, and the validation rows have"):
        mlp.fit(X, y, np.linspace(1, 2, 150))


def test_parameters_changed_after_the_fit_do_not_change_the_model():
    mlp = MLPRegressor((6,), dropout=[0.1], max_iter=5, random_state=0).fit(X, y)
    before = mlp.predict(X)
    mlp.set_params(loss="poisson", hidden_layer_sizes=(3, 4), activation="tanh", batch_norm=True)
    np.testing.assert_array_equal(mlp.predict(X), before)
    with torch.no_grad():
        np.testing.assert_allclose(mlp.to_torch()(torch.from_numpy(X))[:, 0].numpy(), before)


def test_multilabel_classes_are_column_numbers():
    labels = np.c_[y > 0, y > 1, y < 1].astype(int)
    with pytest.raises(ValueError, match=r"not the labels of an indicator matrix of 3 columns"):
        MLPClassifier().partial_fit(X, labels, classes=[0, 1])
    stream = MLPClassifier().partial_fit(X, labels, classes=[0, 1, 2])
    assert stream.partial_fit(X, labels, classes=[0, 1, 2]).predict(X).shape == (150, 3)


@pytest.mark.parametrize("size", [1e-50, 1e37])
def test_weights_that_float32_cannot_hold(size):
    weights = np.full(150, size)
    with pytest.raises(ValueError, match="Divide them by their mean, or pass X as float64"):
        MLPClassifier(alpha=0).fit(X.astype(np.float32), y, weights)
    assert np.isfinite(MLPClassifier(alpha=0, max_iter=3).fit(X, y, weights).loss_)


def test_a_validation_score_that_is_nan_is_an_error():
    mlp = MLPClassifier(early_stopping=True, scoring=lambda *_: float("nan"))
    with pytest.raises(ValueError, match="the validation score was nan in epoch 1"):
        mlp.fit(X, y)
    with pytest.raises(ValueError, match="needs y >= 0"):
        MLPRegressor(loss="poisson").fit(X, y, X_val=X, y_val=y - 1.0)
    with pytest.raises(ValueError, match="sample_weight_val without X_val"):
        MLPRegressor().fit(X, y, sample_weight_val=np.ones(150))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (np.tanh, "'activation' callable failed on a torch.float64 tensor"),
        (torch.nn.PReLU(), "'activation' callable failed on a torch.float64 tensor"),
        (lambda z: z.float(), "'activation' callable returned torch.float32"),
        (lambda z: (z > 0).to(z.dtype), "'activation' callable returned a tensor without a grad"),
    ],
)
def test_activations_that_cannot_be_trained(function, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(activation=function).fit(X, y)


def test_activations_and_losses_may_work_in_place():
    settings = {"max_iter": 5, "random_state": 0}
    plain = MLPRegressor(**settings).fit(X, y)
    in_place = MLPRegressor(activation=torch.relu_, **settings).fit(X, y)
    np.testing.assert_allclose(in_place._theta, plain._theta, rtol=1e-12)
    own = MLPRegressor(loss=lambda z, t: z.sub_(t).square_().sum(-1) / 2, **settings).fit(X, y)
    np.testing.assert_allclose(own._theta, plain._theta, rtol=1e-12)
    with pytest.raises(ValueError, match=r"loss=Huber is a class; pass a value, loss=Huber\(\)"):
        MLPRegressor(loss=Huber).fit(X, y)
    with pytest.raises(ValueError, match="'loss' callable returned a tensor without a gradient"):
        MLPRegressor(loss=lambda z, t: t.sum(-1)).fit(X, y)


def test_what_an_unfitted_estimator_has_not():
    for attribute in ("coefs_", "intercepts_", "history_"):
        with pytest.raises(AttributeError, match=f"has no {attribute} before it is fitted"):
            getattr(MLPClassifier(), attribute)
    linear = MLPClassifier((), max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match="This network has no hidden layer"):
        linear.hidden_features(X)


def test_the_split_names_the_rare_class():
    with pytest.raises(ValueError, match="spam"):
        MLPClassifier(early_stopping=True).fit(X[:30], ["ham"] * 29 + ["spam"])


def test_a_changed_optimizer_gets_a_schedule_of_its_own_length():
    mlp = MLPClassifier(warm_start=True, max_iter=10, random_state=0).fit(X, y)
    mlp.set_params(optimizer=SGD(Cosine(0.1))).fit(X, y)
    rates = mlp.history_["learning_rate"][10:]
    np.testing.assert_allclose(rates, [Cosine(0.1).at(step, 10) for step in range(10)])


def test_anonymous_factories_are_told_apart_by_what_they_make():
    mlp = MLPClassifier((4,), warm_start=True, max_iter=3, random_state=0)
    mlp.set_params(optimizer=TorchOptimizer(lambda p: torch.optim.Adam(p))).fit(X, y)
    mlp.set_params(optimizer=TorchOptimizer(lambda p: torch.optim.NAdam(p))).fit(X, y)
    assert mlp.n_iter_ == 3


def test_line_searches_refuse_functions_that_change():
    mlp = MLPClassifier(optimizer=TorchOptimizer(torch.optim.LBFGS), dropout=0.2)
    with pytest.raises(ValueError, match="LBFGS evaluates a batch more than once"):
        mlp.fit(X, y)


def test_the_recorded_gradient_is_the_one_before_clipping():
    plain = MLPClassifier(optimizer=SGD(1e-9), max_iter=1, random_state=0).fit(X, y)
    clipped = MLPClassifier(
        optimizer=SGD(1e-9, max_gradient_norm=1e-3), max_iter=1, random_state=0
    ).fit(X, y)
    np.testing.assert_allclose(
        clipped.history_["gradient_norm"], plain.history_["gradient_norm"], rtol=1e-6
    )


def test_a_scorer_may_use_all_of_the_estimator():
    mlp = MLPClassifier(early_stopping=True, max_iter=3, random_state=0)
    mlp.set_params(scoring=lambda e, X, y: -e.hidden_features(X).mean()).fit(X, y)
    assert len(mlp.validation_scores_) == 3


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "roc_auc_ovr"])
def test_scorers_work_in_every_namespace(scoring):
    strict = pytest.importorskip("array_api_strict")
    weights = np.ones(150)
    weights[:5] = 0
    expected = MLPClassifier(early_stopping=True, scoring=scoring, max_iter=4, random_state=0)
    expected.fit(X, y, weights)
    for xp in (strict, torch):
        with config_context(array_api_dispatch=True):
            mlp = clone(expected).fit(xp.asarray(X), xp.asarray(y), xp.asarray(weights))
        np.testing.assert_allclose(mlp.validation_scores_, expected.validation_scores_)


@pytest.mark.filterwarnings("default")
def test_read_only_rows_may_be_predicted_by_many_threads():
    import warnings

    mlp = MLPClassifier(max_iter=2).fit(X, y)
    rows = X.copy()
    rows.setflags(write=False)
    before = list(warnings.filters)
    threads = [
        threading.Thread(target=lambda: [mlp.predict(rows) for _ in range(50)]) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_held_out_sparse_rows_are_dense_a_block_at_a_time(monkeypatch):
    from skbasics import _training

    seen = []
    dense = _training.dense_rows

    def counted(X, rows, like):
        block = dense(X, rows, like)
        seen.append(len(block))
        return block

    monkeypatch.setattr(_training, "dense_rows", counted)
    wide = sp.random(9000, 30, density=0.1, format="csr", random_state=0)
    MLPRegressor((3,), max_iter=1).fit(X, y, X_val=X, y_val=y)
    MLPRegressor((3,), max_iter=1, early_stopping=True, validation_fraction=0.9).fit(
        wide, np.arange(9000) / 9000
    )
    assert max(seen) <= 4096


def test_activations_need_not_be_hashable():
    class Swish:
        __hash__ = None

        def __call__(self, z):
            return z * torch.sigmoid(z)

    own = MLPClassifier(activation=Swish(), max_iter=5, random_state=0).fit(X, y)
    named = MLPClassifier(activation="silu", max_iter=5, random_state=0).fit(X, y)
    np.testing.assert_allclose(own.predict_proba(X), named.predict_proba(X), rtol=1e-9)


def test_classes_given_for_values_say_what_to_write():
    with pytest.raises(ValueError, match=r"optimizer=Adam is a class; pass a value, Adam\(\)"):
        MLPClassifier(optimizer=Adam).fit(X, y)
    with pytest.raises(ValueError, match=r"pass a value, TorchOptimizer\(NAdam, \{'lr': ...\}\)"):
        MLPClassifier(optimizer=torch.optim.NAdam).fit(X, y)
    with pytest.raises(ValueError, match=r"Unknown loss 'mse'.*'squared_error'"):
        MLPRegressor(loss="mse").set_params(loss__delta=1)
    with pytest.raises(ValueError, match=r"class_weight='balanced' needs all of y"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])


def test_a_fit_after_a_stream_says_nothing_of_stopping():
    mlp = MLPRegressor(warm_start=True, max_iter=2).partial_fit(X, y)
    assert mlp.should_stop_ is False
    assert not hasattr(mlp.fit(X, y), "should_stop_")


def test_early_stopping_looks_for_what_the_loss_looks_for():
    generator = np.random.RandomState(0)
    rows = generator.randn(2000, 3)
    target = rows[:, 0] + generator.exponential(size=2000)
    options = {"early_stopping": True, "random_state": 0, "optimizer": Adam(0.01), "max_iter": 100}
    upper = MLPRegressor((20,), loss=Quantile(0.9), **options).fit(rows, target)
    np.testing.assert_allclose(
        upper.history_["validation_score"], -upper.history_["validation_loss"]
    )
    assert 0.86 < np.mean(target <= upper.predict(rows)) < 0.94


def test_balanced_classes_are_those_of_the_training_rows():
    few = np.r_[np.arange(50), np.arange(60, 75), np.arange(110, 150)]
    options = {"early_stopping": True, "max_iter": 5, "random_state": 0, "validation_fraction": 0.3}
    balanced = MLPClassifier(class_weight="balanced", **options).fit(X[few], y[few])
    split = np.random.RandomState()
    split.set_state(balanced._training["split_state"])
    train, _ = train_test_split(y[few], test_size=0.3, random_state=split, stratify=y[few])
    factors = dict(enumerate(len(train) / (3 * np.bincount(train))))
    same(balanced, MLPClassifier(class_weight=factors, **options).fit(X[few], y[few]))
