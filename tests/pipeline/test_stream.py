"""StreamPipeline: every step learns from every batch, or none does."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler

import skbasics
from skbasics import OnlineMeanVar, StreamPipeline

X, Y = load_iris(return_X_y=True)
ORDER = np.random.default_rng(0).permutation(150)
X, Y = X[ORDER], Y[ORDER]
BATCHES = [slice(start, start + 30) for start in range(0, 150, 30)]


def model(**steps):
    return StreamPipeline(list(steps.items()))


def state(pipeline):
    return pickle.dumps([vars(step) for _, step in pipeline.steps if step is not None])


def test_a_batch_is_the_steps_by_hand():
    pipeline = model(scale=OnlineMeanVar(), net=SGDClassifier(random_state=0))
    scaler, net = OnlineMeanVar(), SGDClassifier(random_state=0)
    for rows in BATCHES:
        assert pipeline.partial_fit(X[rows], Y[rows], classes=[0, 1, 2]) is pipeline
        Z = scaler.partial_fit(X[rows]).transform(X[rows])
        net.partial_fit(Z, Y[rows], classes=[0, 1, 2])
    np.testing.assert_array_equal(pipeline["net"].coef_, net.coef_)
    np.testing.assert_array_equal(pipeline.predict(X), net.predict(scaler.transform(X)))
    assert pipeline.score(X, Y) > 0.8


def test_everything_else_is_pipeline():
    ours = model(scale=StandardScaler(), net=GaussianNB()).fit(X, Y)
    theirs = Pipeline([("scale", StandardScaler()), ("net", GaussianNB())]).fit(X, Y)
    np.testing.assert_array_equal(ours.predict_proba(X), theirs.predict_proba(X))
    assert isinstance(clone(ours), StreamPipeline)
    assert isinstance(ours[:1], StreamPipeline)


def test_weights_reach_the_steps_that_take_them():
    weights = np.random.default_rng(1).integers(1, 4, 30)
    pipeline = model(scale=OnlineMeanVar(), pca=IncrementalPCA(2), net=GaussianNB())
    pipeline.partial_fit(X[:30], Y[:30], sample_weight=weights, net__classes=[0, 1, 2])
    expected = np.average(X[:30], axis=0, weights=weights)
    np.testing.assert_allclose(pipeline["scale"].mean_, expected)
    assert pipeline["net"].class_count_.sum() == weights.sum()
    pipeline.partial_fit(X[30:60], Y[30:60], scale__sample_weight=weights)
    assert pipeline["net"].class_count_.sum() == weights.sum() + 30


def test_metadata_routing_goes_by_request():
    weights = np.full(30, 2.0)
    with config_context(enable_metadata_routing=True):
        pipeline = model(
            scale=OnlineMeanVar().set_partial_fit_request(sample_weight=False),
            net=GaussianNB().set_partial_fit_request(sample_weight=True, classes=True),
        )
        pipeline.partial_fit(X[:30], Y[:30], sample_weight=weights, classes=[0, 1, 2])
        assert pipeline["scale"].n_samples_seen_ == 30
        assert pipeline["net"].class_count_.sum() == 60
        with pytest.raises(TypeError, match="'colour'"):
            pipeline.partial_fit(X[:30], Y[:30], colour=1)


def test_what_learns_nothing_passes_through():
    scaler = StandardScaler().fit(X[:50])
    mean = scaler.mean_.copy()
    pipeline = model(
        log=FunctionTransformer(np.log1p),
        none=None,
        text="passthrough",
        unit=Normalizer(),
        frozen=FrozenEstimator(PCA(2).fit(Normalizer().fit_transform(np.log1p(X)))),
        net=GaussianNB(),
    )
    pipeline.partial_fit(X, Y, classes=[0, 1, 2])
    assert pipeline.predict(X).shape == (150,)
    model(scale=FrozenEstimator(scaler), net=GaussianNB()).partial_fit(X, Y, classes=[0, 1, 2])
    np.testing.assert_array_equal(scaler.mean_, mean)


def test_the_last_step_may_be_a_transformer_or_nothing():
    for last in (OnlineMeanVar(), None):
        pipeline = model(scale=OnlineMeanVar(), last=last).partial_fit(X)
        np.testing.assert_allclose(pipeline.transform(X).std(axis=0), 1)


def test_texts_and_frames_go_through():
    texts = model(hash=HashingVectorizer(n_features=64), net=SGDClassifier(random_state=0))
    texts.partial_fit(["good", "bad", "good"], [1, 0, 1], classes=[0, 1])
    assert texts.predict(["good"]) == 1
    frame = pd.DataFrame(X, columns=list("abcd"))
    pipeline = model(scale=OnlineMeanVar(), net=GaussianNB()).set_output(transform="pandas")
    pipeline.partial_fit(frame, Y, classes=[0, 1, 2])
    assert pipeline["net"].feature_names_in_.tolist() == list("abcd")


def test_pipelines_nest():
    inner = model(shift=OnlineMeanVar(), scale=OnlineMeanVar())
    pipeline = model(inner=inner, net=GaussianNB())
    for rows in BATCHES:
        pipeline.partial_fit(X[rows], Y[rows], classes=[0, 1, 2])
    assert pipeline["inner"]["scale"].n_samples_seen_ == 150


def test_a_step_that_cannot_stream_is_named():
    pipeline = model(scale=OnlineMeanVar(), pca=PCA(2), net=GaussianNB())
    with pytest.raises(ValueError, match=r"step 'pca' \(PCA\) has no partial_fit.*FrozenEstimator"):
        pipeline.partial_fit(X, Y)
    assert not hasattr(pipeline["scale"], "mean_")


def test_a_parameter_without_a_taker_is_named():
    pipeline = model(scale=OnlineMeanVar(), net=SGDRegressor())
    for key in ("classes", "nett__sample_weight"):
        with pytest.raises(ValueError, match=f"partial_fit got '{key}', which no step takes"):
            pipeline.partial_fit(X, Y, **{key: [0]})
    assert not hasattr(pipeline["scale"], "mean_")


def test_a_failure_leaves_every_step_as_it_was():
    net = SGDClassifier(random_state=0)
    pipeline = model(scale=OnlineMeanVar(), old=StandardScaler(), net=net)
    pipeline.partial_fit(X[:50], Y[:50], classes=[0, 1, 2])
    before = state(pipeline)
    with pytest.raises(ValueError, match=r"classes=.* is not the same"):
        pipeline.partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match="expecting 4 features"):
        pipeline.partial_fit(X[:, :2], Y)
    assert state(pipeline) == before
    assert pipeline["net"] is net  # the very object, for whoever holds it
    empty = StreamPipeline([])
    with pytest.raises(ValueError, match="The pipeline is empty"):
        empty.partial_fit(X, Y)


def test_what_a_step_changes_in_place_is_taken_back():
    class Fails(GaussianNB):
        def partial_fit(self, X, y=None):
            raise KeyboardInterrupt

    first = SGDClassifier(random_state=0)
    first.transform = lambda X: X  # an estimator that updates its coef_ in place
    pipeline = model(first=first, last=Fails())
    first.partial_fit(X, Y, classes=[0, 1, 2])
    coefficients = first.coef_.copy()
    with pytest.raises(KeyboardInterrupt):
        pipeline.partial_fit(X, Y)
    np.testing.assert_array_equal(first.coef_, coefficients)


def test_what_a_nested_step_learned_is_taken_back_in_place():
    inner, net = OnlineMeanVar(), SGDClassifier(random_state=0)
    pipeline = model(inner=model(scale=inner), net=net)
    pipeline.partial_fit(X[:50], Y[:50], classes=[0, 1, 2])
    before = pickle.dumps(vars(inner))
    with pytest.raises(ValueError, match=r"classes=.* is not the same"):
        pipeline.partial_fit(X, Y, classes=[0, 1])
    assert pipeline["inner"]["scale"] is inner
    assert pickle.dumps(vars(inner)) == before


def test_parameters_reach_the_steps_of_a_nested_pipeline():
    weights = np.full(150, 2.0)
    pipeline = model(shift=OnlineMeanVar(), inner=model(scale=OnlineMeanVar(), net=GaussianNB()))
    pipeline.partial_fit(X, Y, classes=[0, 1, 2], sample_weight=weights)
    assert pipeline["shift"].n_samples_seen_.tolist() == [300] * 4
    assert pipeline["inner"]["scale"].n_samples_seen_.tolist() == [300] * 4
    assert pipeline["inner"]["net"].class_count_.sum() == 300
    pipeline.partial_fit(X, Y, inner__net__sample_weight=weights)
    assert pipeline["inner"]["scale"].n_samples_seen_.tolist() == [450] * 4
    assert pipeline["inner"]["net"].class_count_.sum() == 600
    with pytest.raises(ValueError, match="partial_fit got 'colour', which no step takes"):
        pipeline.partial_fit(X, Y, colour=1)


def test_requests_reach_the_steps_of_a_nested_pipeline():
    weights = np.full(150, 2.0)
    with config_context(enable_metadata_routing=True):
        scale = OnlineMeanVar().set_partial_fit_request(sample_weight=True)
        net = GaussianNB().set_partial_fit_request(sample_weight=False, classes=True)
        pipeline = model(inner=model(scale=scale), net=net)
        pipeline.partial_fit(X, Y, classes=[0, 1, 2], sample_weight=weights)
        assert scale.n_samples_seen_.tolist() == [300] * 4
        assert net.class_count_.sum() == 150
        frozen = FrozenEstimator(OnlineMeanVar().fit(X))  # learns nothing, so needs no request
        model(frozen=frozen, inner=model(scale=scale)).partial_fit(X, sample_weight=weights)


def test_a_parameter_for_one_step_comes_before_that_for_all():
    ones, twos = np.ones(150), np.full(150, 2.0)
    for params in (
        {"sample_weight": ones, "net__sample_weight": twos},
        {"net__sample_weight": twos, "sample_weight": ones},
    ):
        pipeline = model(scale=OnlineMeanVar(), net=GaussianNB())
        pipeline.partial_fit(X, Y, classes=[0, 1, 2], **params)
        assert pipeline["scale"].n_samples_seen_ == 150
        assert pipeline["net"].class_count_.sum() == 300


def test_a_first_batch_too_small_for_a_step_is_explained():
    pipeline = model(axes=skbasics.PCA(3), net=SGDClassifier())
    with pytest.raises(NotFittedError, match="needs 3 rows") as raised:
        pipeline.partial_fit(X[:2], Y[:2], classes=[0, 1, 2])
    assert "Step 'axes' could not transform its first batch" in raised.value.__notes__[0]


def test_the_reason_why_a_step_does_not_stream_is_told():
    pipeline = model(axes=skbasics.PCA(3, svd_solver="arpack"), net=SGDClassifier())
    with pytest.raises(ValueError, match=r"no partial_fit. partial_fit needs all of the spectrum"):
        pipeline.partial_fit(X, Y, classes=[0, 1, 2])
