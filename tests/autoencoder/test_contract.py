"""Autoencoders as users of scikit-learn handle them: alone, continued, searched, stacked."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import skops.io
import torch
from sklearn import model_selection
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skbasics import (
    Adam,
    Autoencoder,
    Cosine,
    GridSearchCV,
    Momentum,
    SparseAutoencoder,
    VAETransformer,
    _run,
)
from skbasics._stack import Job, fit_side_by_side

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DIGITS, LABELS = load_digits(return_X_y=True)
X, LABELS = DIGITS[:300] / 16, LABELS[:300]
SMALL = {"hidden_layer_sizes": (9,), "max_iter": 6, "random_state": 0}
ESTIMATORS = [
    Autoencoder(3, **SMALL),
    SparseAutoencoder(8, **SMALL),
    SparseAutoencoder(8, sparsity="l1", **SMALL),
    SparseAutoencoder(8, sparsity="topk", n_active=2, **SMALL),
    VAETransformer(3, **SMALL),
    VAETransformer(3, likelihood="bernoulli", kl_warmup=4, **SMALL),
]
EACH = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: repr(e)[:28])


def same(one, other):
    np.testing.assert_array_equal(one._theta, other._theta)
    np.testing.assert_array_equal(one._statistics, other._statistics)


# Continuation.


@EACH
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"batch_norm": True}])
def test_three_epochs_and_three_more_are_six(estimator, options):
    options = {"warm_start": True, "tol": 0, "dropout": 0.1} | options
    whole = clone(estimator).set_params(max_iter=6, **options).fit(X)
    halves = clone(estimator).set_params(max_iter=3, **options).fit(X).fit(X)
    same(whole, halves)
    assert halves.loss_curve_ == whole.loss_curve_
    if isinstance(estimator, VAETransformer):
        assert halves.kl_curve_ == whole.kl_curve_


@EACH
def test_a_pass_of_a_stream_is_an_epoch(estimator):
    once = clone(estimator).set_params(max_iter=1).fit(X[:150])
    stream = clone(estimator).partial_fit(X[:150])
    same(once, stream)
    stream.partial_fit(X[150:151]).partial_fit(X[151:])
    assert stream.t_ == 300
    assert len(stream.loss_curve_) == 3
    assert np.isfinite(stream.transform(X)).all()
    with pytest.raises(ValueError, match="X has 5 features, but"):
        stream.partial_fit(X[:, :5])


def test_the_warm_up_of_a_stream_counts_its_calls():
    vae = VAETransformer(2, (5,), kl_warmup=4, beta=2.0, random_state=0)
    for _ in range(6):
        vae.partial_fit(X)
    losses = np.array(vae.loss_curve_) + vae.reconstruction_curve_
    np.testing.assert_allclose(losses, 2 * np.minimum(1, np.arange(6) / 4) * vae.kl_curve_)


@EACH
def test_a_continuation_must_be_the_same_network(estimator):
    fitted = clone(estimator).set_params(warm_start=True).fit(X)
    fitted.set_params(n_components=4)
    with pytest.raises(ValueError, match=r"n_components was \d in the fit .* and is now 4"):
        fitted.fit(X)


def test_strengths_may_change_while_a_fit_goes_on_and_its_kind_may_not():
    vae = VAETransformer(2, (5,), warm_start=True, max_iter=2, random_state=0).fit(X)
    vae.set_params(beta=3.0, free_bits=0.1).fit(X)
    assert len(vae.loss_curve_) == 4
    sparse = SparseAutoencoder(4, warm_start=True, max_iter=2).fit(X)
    sparse.set_params(sparsity_weight=1.0, target_activation=0.2).fit(X)
    sparse.set_params(sparsity="l1")
    with pytest.raises(ValueError, match=r"sparsity was 'kl' in the fit .* is now 'l1'\."):
        sparse.fit(X)
    assert sparse.sparsity == "l1"
    assert len(sparse.loss_curve_) == 4


@EACH
def test_early_stopping_goes_by_the_score_of_held_out_rows(estimator):
    train, test = X[:200], X[200:]
    weights = np.linspace(0, 2, 100)
    fitted = clone(estimator).set_params(early_stopping=True, max_iter=10, tol=0)
    fitted.fit(train, X_val=test, sample_weight_val=weights)
    best = fitted.score(test, sample_weight=weights)
    tolerance = 0.02 if isinstance(estimator, VAETransformer) else 1e-12  # by fewer draws
    np.testing.assert_allclose(fitted.best_validation_score_, best, rtol=tolerance)
    np.testing.assert_allclose(
        fitted.history_["validation_loss"], -np.array(fitted.validation_scores_)
    )
    without = clone(estimator).set_params(max_iter=10, tol=0).fit(train)
    assert without.loss_curve_ == fitted.loss_curve_  # those rows are only looked at


@EACH
def test_rows_are_held_out_of_training(estimator):
    fitted = clone(estimator).set_params(early_stopping=True, validation_fraction=0.2).fit(X)
    assert len(fitted.validation_scores_) == fitted.n_iter_
    assert fitted.t_ == 240 * fitted.n_iter_
    with pytest.raises(ValueError, match="sample_weight_val without X_val; pass all"):
        clone(estimator).fit(X, sample_weight_val=np.ones(3))


# Weights.


@EACH
def test_weights_count_rows(estimator):
    counts = np.arange(60) % 3
    weighted = clone(estimator).fit(X[:60], sample_weight=counts)
    repeated = clone(estimator).fit(np.repeat(X[:60], counts, axis=0)[::-1])
    np.testing.assert_allclose(weighted._theta, repeated._theta, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-9)
    if isinstance(estimator, VAETransformer):
        np.testing.assert_allclose(weighted.kl_per_component_, repeated.kl_per_component_)
    same(clone(estimator).fit(X), clone(estimator).fit(X, sample_weight=np.ones(300)))
    with pytest.raises(ValueError, match="zero"):
        clone(estimator).fit(X, sample_weight=np.zeros(300))


# Stacks and searches.

VARIED = [
    {"optimizer__learning_rate": 0.03},
    {"alpha": 0.3, "random_state": 1},
    {"dropout": 0.4, "random_state": 2},
    {"batch_size": 25, "max_iter": 3},
    {"early_stopping": True, "n_iter_no_change": 1, "random_state": 3},
]
OWN = {
    SparseAutoencoder: {"sparsity_weight": 1.0, "target_activation": 0.3},
    VAETransformer: {"beta": 3.0, "kl_warmup": 2, "free_bits": 0.2},
}


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


@EACH
def test_a_stack_is_its_replicas_alone(estimator, stacks):
    own = OWN.get(type(estimator), {})
    if estimator.get_params().get("sparsity") == "topk":
        own = {}
    changes = [*VARIED, own]
    estimators = [clone(estimator).set_params(**change) for change in changes]
    rng = np.random.default_rng(0)
    rows = [
        rng.integers(0, 300, 300) if i % 2 else rng.permutation(300)[: 190 + i]
        for i in range(len(estimators))
    ]
    weights = [rng.uniform(size=len(r)) if i == 2 else None for i, r in enumerate(rows)]
    params = [{} if w is None else {"sample_weight": w} for w in weights]
    jobs = [Job(clone(e), X, None, r, p) for e, r, p in zip(estimators, rows, params, strict=True)]
    assert fit_side_by_side(jobs) == [None] * len(jobs)
    assert stacks == [len(jobs)]
    for single, job in zip(estimators, jobs, strict=True):
        alone = single.fit(X[job.rows], **job.fit_params)
        np.testing.assert_allclose(job.estimator._theta, alone._theta, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(job.estimator._statistics, alone._statistics, rtol=1e-12)
        for name, values in alone.history_.items():
            if name != "seconds":
                np.testing.assert_allclose(job.estimator.history_[name], values, rtol=1e-7)
        assert set(vars(job.estimator)) == set(vars(alone))


def test_rows_with_and_without_holes_stack():
    holes = X.copy()
    holes[10, 3] = holes[20] = np.nan
    vae = VAETransformer(2, (5,), max_iter=4, random_state=0)
    rows = [np.arange(150), np.arange(100, 300)]  # the second have none
    jobs = [Job(clone(vae), holes, None, part) for part in rows]
    assert fit_side_by_side(jobs) == [None, None]
    for job in jobs:
        alone = clone(vae).fit(holes[job.rows])
        np.testing.assert_allclose(job.estimator._theta, alone._theta, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("estimator", "grid"),
    [
        (VAETransformer(**SMALL), {"beta": [0.5, 2.0], "n_components": [2, 3]}),
        (SparseAutoencoder(8, **SMALL), {"sparsity_weight": [0.1, 1.0], "alpha": [0, 0.1]}),
        (Autoencoder(**SMALL), {"optimizer__learning_rate": [1e-3, 1e-2], "n_components": [2, 3]}),
    ],
    ids=["vae", "sparse", "plain"],
)
def test_searches_find_what_scikit_learns_find_by_the_estimators_own_score(estimator, grid, stacks):
    ours = GridSearchCV(estimator, grid, cv=3).fit(X)
    n_groups = 2 if "n_components" in grid else 1
    assert sorted(stacks)[-n_groups:] == [12 // n_groups] * n_groups
    theirs = model_selection.GridSearchCV(estimator, grid, cv=3).fit(X)
    for key in ("mean_test_score", "rank_test_score", "split0_test_score"):
        np.testing.assert_allclose(ours.cv_results_[key], theirs.cv_results_[key], rtol=1e-7)
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_estimator_.transform(X).shape == (300, ours.best_estimator_.n_components)


@pytest.mark.filterwarnings("ignore:Scoring failed", "ignore:One or more of the test scores")
@pytest.mark.parametrize("order", [1, -1])
def test_what_features_are_is_checked_in_searches_too(order):
    rows = np.random.RandomState(0).uniform(size=(300, 6))
    rows[0, 0] = 7
    grid = {"loss": ["squared_error", "bernoulli"][::order]}
    search = GridSearchCV(Autoencoder(2, max_iter=3, random_state=0), grid, cv=3, refit=False)
    with pytest.warns(FitFailedWarning):
        search.fit(rows)
    failed = np.isnan(search.cv_results_["split1_test_score"])
    assert failed.tolist() == [loss == "bernoulli" for loss in grid["loss"]]


def test_in_a_pipeline_before_a_classifier():
    pipeline = make_pipeline(
        MinMaxScaler(),
        VAETransformer(8, (64,), likelihood="bernoulli", max_iter=60, random_state=0),
        LogisticRegression(),
    )
    grid = {"vaetransformer__optimizer__learning_rate": [1e-4, 3e-3]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(DIGITS[:600], load_digits().target[:600])
    assert search.best_params_ == {"vaetransformer__optimizer__learning_rate": 3e-3}
    assert search.best_score_ > 0.7
    copied = pickle.loads(pickle.dumps(copy.deepcopy(search)))
    np.testing.assert_array_equal(copied.predict(DIGITS), search.predict(DIGITS))


# Everything else.


@EACH
def test_a_row_is_encoded_by_itself(estimator):
    fitted = clone(estimator).fit(X)
    for method in (fitted.transform, fitted.reconstruct, fitted.score_samples):
        whole = method(X)
        np.testing.assert_allclose(whole[7:8], method(X[7:8]), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(whole[::-2], method(X[::-2]), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fitted.inverse_transform(fitted.transform(X)), fitted.reconstruct(X))


@EACH
def test_sparse_rows_are_dense_rows(estimator):
    dense = clone(estimator).set_params(batch_size=70).fit(X)
    sparse = clone(estimator).set_params(batch_size=70).fit(sp.csr_array(X))
    np.testing.assert_allclose(sparse._theta, dense._theta, rtol=1e-9, atol=1e-11)
    rows = sp.csr_matrix(X)
    np.testing.assert_allclose(sparse.score_samples(rows), dense.score_samples(X), rtol=1e-9)
    np.testing.assert_allclose(sparse.reconstruct(rows), dense.reconstruct(X), rtol=1e-9)


@EACH
def test_float32_stays_float32(estimator):
    fitted = clone(estimator).fit(X.astype(np.float32))
    codes = fitted.transform(X.astype(np.float32))
    results = [codes, fitted.inverse_transform(codes), fitted.coefs_[0]]
    results.append(fitted.score_samples(X.astype(np.float32)))
    if isinstance(estimator, VAETransformer):
        results += [fitted.sample(2, random_state=0), *fitted.posterior(X.astype(np.float32))]
        results.append(fitted.kl_per_component_)
    assert {result.dtype for result in results} == {np.dtype("float32")}
    close = clone(estimator).fit(X)
    if not isinstance(estimator, VAETransformer):  # whose draws are by the bits of the rows
        np.testing.assert_allclose(fitted.score(X), close.score(X), rtol=1e-3)


@EACH
def test_it_persists(estimator):
    fitted = clone(estimator).fit(X)
    fitted.set_params(warm_start=True, max_iter=2)
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))
    same(loaded.fit(X), fitted.fit(X))
    dumped = skops.io.dumps(fitted)
    trusted = skops.io.get_untrusted_types(data=dumped)
    assert all(name.startswith("skbasics.") for name in trusted)
    loaded = skops.io.loads(dumped, trusted=trusted)
    np.testing.assert_array_equal(loaded.score_samples(X), fitted.score_samples(X))


@EACH
def test_frames_come_back_as_frames(estimator):
    frame = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(64)])
    fitted = clone(estimator).set_output(transform="pandas").fit(frame)
    codes = fitted.transform(frame)
    name = type(estimator).__name__.lower()
    assert codes.columns.tolist() == [f"{name}{i}" for i in range(fitted.n_components)]
    assert fitted.feature_names_in_[3] == "pixel3"
    assert clone(fitted).fit_transform(frame).equals(codes)


class Scores:
    """A callback that scores the estimator as it is after each epoch, and may ask to stop."""

    def __init__(self, stop_after=np.inf):
        self.stop_after, self.values = stop_after, []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, X, fitted_estimator):
        if context.task_name == "epoch":
            self.values.append(fitted_estimator.score(X))
        return len(self.values) >= self.stop_after


@EACH
def test_callbacks_see_every_epoch_with_an_estimator_ready_to_score(estimator):
    scores = Scores()
    fitted = clone(estimator).set_callbacks(scores).fit(X)
    assert len(scores.values) == fitted.n_iter_ == 6
    assert scores.values[-1] == fitted.score(X)
    assert len(set(scores.values)) == 6
    assert clone(estimator).set_callbacks(Scores(stop_after=2)).fit(X).n_iter_ == 2


def test_schedules_span_the_fit():
    fitted = Autoencoder(2, optimizer=Adam(Cosine(0.1)), max_iter=10, random_state=0).fit(X)
    rates = fitted.history_["learning_rate"]
    assert rates[0] == 0.1
    assert rates[-1] < 0.01
    assert (np.diff(rates) < 0).all()


def test_hidden_features_are_counted_through_encoder_and_decoder():
    fitted = VAETransformer(3, (9, 5), max_iter=2, random_state=0).fit(X)
    widths = [fitted.hidden_features(X, layer).shape[1] for layer in range(5)]
    assert widths == [9, 5, 3, 5, 9]
    np.testing.assert_array_equal(fitted.hidden_features(X, 2), fitted.transform(X))
    decoder = fitted.coefs_[-1], fitted.intercepts_[-1]
    last = fitted.hidden_features(X, -1) @ decoder[0] + decoder[1]
    np.testing.assert_allclose(last, fitted.reconstruct(X), atol=1e-12)
    assert fitted.n_layers_ == 7
    modules = fitted.to_torch()
    with torch.no_grad():
        codes = modules.encoder(torch.from_numpy(X))
        np.testing.assert_allclose(codes, fitted.transform(X), atol=1e-12)
        np.testing.assert_allclose(modules(torch.from_numpy(X)), fitted.reconstruct(X), atol=1e-12)


@EACH
def test_the_module_can_be_saved(estimator):
    fitted = clone(estimator).fit(X)
    module = pickle.loads(pickle.dumps(fitted.to_torch()))
    with torch.no_grad():
        codes = module.encoder(torch.from_numpy(X))
    np.testing.assert_allclose(codes, fitted.transform(X), atol=1e-12)


@EACH
def test_an_interrupted_stream_leaves_the_estimator_as_it_was(estimator, monkeypatch):
    fitted = clone(estimator).partial_fit(X)
    losses = list(fitted.loss_curve_)

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(estimator), "_describe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fitted.partial_fit(X)
    assert fitted.loss_curve_ == losses


def test_values_that_share_a_place_are_added():
    doubled = sp.csr_array((np.repeat(X[X > 0] / 2, 2), _twice(X > 0), _ends(X > 0)), X.shape)
    options = {"max_iter": 3, "random_state": 0}
    sparse = VAETransformer(2, likelihood="bernoulli", **options).fit(doubled)
    dense = VAETransformer(2, likelihood="bernoulli", **options).fit(X)
    np.testing.assert_allclose(sparse._theta, dense._theta, atol=1e-12)
    assert not doubled.has_canonical_format
    two = sp.csr_array((np.full(4, 0.7), np.array([0, 0, 1, 2]), np.array([0, 4])), (1, 64))
    with pytest.raises(ValueError, match=r"X goes from 0 to 1\.4"):
        sparse.score(two)


def _twice(present):
    return np.repeat(np.nonzero(present)[1], 2)


def _ends(present):
    return np.concatenate([[0], np.cumsum(2 * present.sum(1))])


# Bad input.


@EACH
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "The 'n_components' parameter of .* must be an int in the range"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be whole numbers > 0"),
        ({"dropout": (0.1, 0.2)}, "one for each of the 1 hidden layers"),
        ({"activation": "sine"}, "The 'activation' parameter"),
    ],
)
def test_bad_parameters_say_what_was_expected(estimator, options, message):
    with pytest.raises(ValueError, match=message):
        clone(estimator).set_params(**options).fit(X)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (Autoencoder(loss="log"), "The 'loss' parameter of Autoencoder must be a str among"),
        (SparseAutoencoder(target_activation=1.0), "The 'target_activation' parameter"),
        (SparseAutoencoder(n_active=0), "The 'n_active' parameter"),
        (SparseAutoencoder(sparsity_weight=-1), "The 'sparsity_weight' parameter"),
        (VAETransformer(noise_scale=0.0), "The 'noise_scale' parameter"),
        (VAETransformer(beta=-1), "The 'beta' parameter"),
        (VAETransformer(kl_warmup=0.5), "The 'kl_warmup' parameter"),
        (VAETransformer(optimizer="lbfgs"), "another function"),
        (VAETransformer(optimizer="newton"), "another function"),
    ],
)
def test_own_parameters_that_are_bad(estimator, message):
    with pytest.raises(ValueError, match=message):
        estimator.fit(X)


def test_rows_outside_the_domain():
    message = (
        r"loss='bernoulli' models features between 0 and 1, and X goes from 0 to 16\. Scale it "
        r"\(MinMaxScaler\(clip=True\) before it, or X / 255 for pixels\), or take "
        r"loss='squared_error'\."
    )
    with pytest.raises(ValueError, match=message):
        Autoencoder(loss="bernoulli").fit(DIGITS)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        Autoencoder().fit(np.where(X > 0.9, np.nan, X))


@EACH
def test_a_fit_that_fails_leaves_the_estimator_as_it_was(estimator):
    fitted = clone(estimator).fit(X)
    before = copy.deepcopy(vars(fitted))
    with pytest.raises(ValueError, match="infinity"):
        fitted.fit(np.where(X.max() == X, np.inf, X))
    fitted.set_params(optimizer=Momentum(1e200))
    with pytest.raises(ValueError, match="diverged"):
        fitted.fit(X)
    assert vars(fitted).keys() == before.keys()
    np.testing.assert_array_equal(fitted._theta, before["_theta"])


@EACH
def test_small_data_and_constant_features(estimator):
    for rows in (X[:1], X[:2], np.ones((20, 3)), np.zeros((20, 1))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = clone(estimator).fit(rows)
        assert fitted.transform(rows).shape == (len(rows), fitted.n_components)
        assert np.isfinite(fitted.score(rows))


@EACH
def test_codes_of_another_width(estimator):
    fitted = clone(estimator).fit(X)
    with pytest.raises(ValueError, match=r"X has 2 columns, and the codes of this .* have "):
        fitted.inverse_transform(X[:, :2])
    unfitted = clone(estimator)
    for method in (unfitted.transform, unfitted.inverse_transform, unfitted.score):
        with pytest.raises(NotFittedError):
            method(X)
    with pytest.raises(NotFittedError):
        unfitted.to_torch()
