"""What a search shares among its fits, and that nothing of it leaks or stays."""

import pickle
import time

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn import config_context, model_selection
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_breast_cancer
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVC

from skbasics import GridSearchCV, MLPClassifier, StreamPipeline, _stack
from skbasics._adoption import on_stage
from skbasics.model_selection._shared_steps import SharedSteps
from tests.model_selection.test_search import assert_same_results, assert_same_search, both

X, y = (part[::3] for part in load_breast_cancer(return_X_y=True))
y = np.array(["no", "yes"])[y]
NETWORK = MLPClassifier((6,), max_iter=5, random_state=0)
GRID = {"net__optimizer__learning_rate": [1e-3, 3e-2], "net__alpha": [0.0, 1.0]}
FITTED = []


class Recorder(TransformerMixin, BaseEstimator):
    """A scaler that notes the rows it was fitted on, in their order."""

    def __init__(self, power=1.0):
        self.power = power

    def fit(self, X, y=None):
        FITTED.append((self.power, X[:, 0].copy()))
        self.scale_ = np.abs(X).max(0) ** self.power
        return self

    def transform(self, X):
        return X / self.scale_


class InPlace(TransformerMixin, BaseEstimator):
    """What no transformer should be: it writes to the rows it is given."""

    def __init__(self, shift=0.0):
        self.shift = shift

    def fit(self, X, y=None):
        X -= X.mean(0) + self.shift
        return self

    def transform(self, X):
        X /= 100.0
        return X


def pipeline(*steps, **options):
    named = [(f"step{i}", step) for i, step in enumerate(steps)]
    return Pipeline([*named, ("net", NETWORK)], **options)


def test_a_step_is_fitted_once_a_fold_and_on_its_training_rows_only(counted):
    FITTED.clear()
    folds = list(KFold(3).split(X))
    grid = {**GRID, "step0__power": [0.5, 1.0]}
    GridSearchCV(pipeline(Recorder()), grid, cv=folds, refit=False).fit(X, y)
    assert counted.adopted == len(counted.jobs) == 24
    assert len(FITTED) == 6
    for power in (0.5, 1.0):
        rows = [seen for given, seen in FITTED if given == power]
        for seen, (train, _) in zip(rows, folds, strict=True):
            np.testing.assert_array_equal(seen, X[train, 0])


def test_jobs_on_the_same_rows_share_them(counted):
    GridSearchCV(pipeline(StandardScaler()), GRID, cv=3).fit(X, y)
    assert len({id(job.X) for job in counted.jobs}) == 3
    assert len({id(job.y) for job in counted.jobs}) == 3
    assert len({id(job.estimator) for job in counted.jobs}) == 12


@pytest.mark.parametrize(
    "steps",
    [
        [InPlace()],
        [StandardScaler(), InPlace(), StandardScaler()],
        [StandardScaler(copy=False), Normalizer(copy=False)],
        [SelectFromModel(MLPClassifier((3,), max_iter=2, random_state=0), max_features=5)],
    ],
    ids=["first", "in the middle", "without copies", "a network of its own"],
)
def test_steps_do_not_disturb_each_other(counted, steps):
    if isinstance(steps[-1], SelectFromModel):
        steps[-1].importance_getter = importance
    grid = {**GRID, "step0__shift": [0.0, 1.0]} if isinstance(steps[0], InPlace) else GRID
    kinds = (GridSearchCV, model_selection.GridSearchCV)  # each with an X to write to at the end
    assert_same_search(*[kind(pipeline(*steps), grid, cv=3).fit(X.copy(), y) for kind in kinds])
    assert len(counted.jobs) == counted.adopted == 12 * (2 if isinstance(steps[0], InPlace) else 1)


def importance(network):
    return np.abs(network.coefs_[0]).sum(1)


def test_a_memory_of_the_user_is_used_and_kept(counted, tmp_path):
    FITTED.clear()
    memory = joblib.Memory(tmp_path, verbose=0)
    mine = pipeline(Recorder(), memory=memory)
    ours = GridSearchCV(mine, GRID, cv=3).fit(X, y)
    assert len(FITTED) == 4  # three folds, and all rows
    assert ours.best_estimator_.memory.location == memory.location
    assert_same_search(ours, model_selection.GridSearchCV(mine, GRID, cv=3).fit(X, y))
    assert counted.adopted == 12


@pytest.mark.parametrize("outer", [None, StandardScaler()], ids=["flat", "nested"])
def test_nothing_of_the_search_stays_in_what_it_returns(counted, outer):
    estimator = pipeline(StandardScaler())
    grid = GRID
    if outer is not None:
        estimator = Pipeline([("scale", outer), ("inner", estimator)])
        grid = {f"inner__{name}": values for name, values in GRID.items()}
    before = estimator.get_params()
    search = GridSearchCV(estimator, grid, cv=3).fit(X, y)
    assert counted.adopted == 12
    assert estimator.get_params() == before
    assert search.estimator is estimator
    assert search.best_estimator_.memory is None
    assert (search.best_estimator_[-1] if outer else search.best_estimator_).memory is None
    assert b"SharedSteps" not in pickle.dumps(search)
    other = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(other.predict_proba(X), search.predict_proba(X))
    assert_same_search(clone(search).fit(X, y), search)
    peer = model_selection.GridSearchCV(estimator, grid, cv=3).fit(X, y)
    assert set(vars(search)) == set(vars(peer))


def test_a_pickled_pipeline_leaves_the_memory_behind():
    inside = pipeline(StandardScaler(), memory=SharedSteps(None))
    assert clone(inside).memory is inside.memory
    assert pickle.loads(pickle.dumps(inside)).memory is None


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.tolist(),
        lambda X: pd.DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])]),
        sp.csr_array,
        lambda X: X.astype(np.float32),
        np.asfortranarray,
    ],
    ids=["list", "frame", "sparse", "float32", "fortran"],
)
def test_kinds_of_rows(counted, convert):
    steps = pipeline(StandardScaler(with_mean=False))
    assert_same_search(*both(steps, GRID, X=convert(X), cv=3))
    assert counted.adopted == len(counted.jobs) == 12


def test_frames_keep_their_names(counted):
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])])
    steps = pipeline(StandardScaler()).set_output(transform="pandas")
    ours, theirs = both(steps, GRID, X=frame, cv=3)
    assert_same_search(ours, theirs)
    names = [search.best_estimator_[-1].feature_names_in_ for search in (ours, theirs)]
    np.testing.assert_array_equal(*names)
    np.testing.assert_array_equal(ours.feature_names_in_, frame.columns)


def test_a_pipeline_that_streams(counted):
    steps = StreamPipeline([("scale", StandardScaler()), ("net", NETWORK)])
    assert_same_search(*both(steps, GRID, cv=3))
    assert counted.adopted == 12


def test_sample_weights_are_cut_to_the_folds(counted):
    weights = np.random.default_rng(0).uniform(0.1, 2, len(X))
    weights[::5] = 0
    fit_params = {"net__sample_weight": weights}
    assert_same_search(*both(pipeline(StandardScaler()), GRID, cv=3, fit_params=fit_params))
    assert counted.adopted == 12
    assert all(len(job.fit_params["sample_weight"]) == len(job.y) for job in counted.jobs)


def test_validation_data_reach_every_fit(counted):
    fit_params = {"X_val": X[:30], "y_val": y[:30]}
    grid = {"alpha": [0.0, 1.0], "early_stopping": [True]}
    assert_same_search(*both(NETWORK, grid, cv=3, fit_params=fit_params))
    assert counted.adopted == 6


def test_routed_metadata(counted):
    weights = np.random.default_rng(0).uniform(0.1, 2, len(X))
    with config_context(enable_metadata_routing=True):
        network = clone(NETWORK).set_fit_request(sample_weight=True)
        network.set_score_request(sample_weight=True)
        scale = StandardScaler().set_fit_request(sample_weight=True)
        steps = Pipeline([("scale", scale), ("net", network)])
        fit_params = {"sample_weight": weights, "groups": np.arange(len(X)) % 5}
        cv = model_selection.GroupKFold(3)
        ours, theirs = both(steps, GRID, cv=cv, fit_params=fit_params)
        assert_same_search(ours, theirs)
        unweighted = clone(steps).set_params(scale=StandardScaler())
        unweighted["scale"].set_fit_request(sample_weight=False)
        other = GridSearchCV(unweighted, GRID, cv=cv).fit(X, y, **fit_params)
    assert counted.adopted == 24
    assert other.best_estimator_["scale"].mean_[0] != ours.best_estimator_["scale"].mean_[0]


def test_the_time_of_a_stack_is_shared_out(counted, monkeypatch):
    fit_side_by_side = _stack.fit_side_by_side

    def slowly(jobs, **options):
        time.sleep(0.6)
        return fit_side_by_side(jobs, **options)

    monkeypatch.setattr(_stack, "fit_side_by_side", slowly)
    search = GridSearchCV(NETWORK, {"max_iter": [2, 10]}, cv=3, refit=False).fit(X, y)
    short, long = search.cv_results_["mean_fit_time"] * 3
    assert short + long > 0.6
    assert long / short == pytest.approx(5, rel=0.5)
    assert (search.cv_results_["std_fit_time"] < 0.05).all()


def test_a_bar_shows_the_stacks(counted, capsys):
    GridSearchCV(NETWORK, {"alpha": [0.0, 1.0]}, cv=3, verbose=1, refit=False).fit(X, y)
    captured = capsys.readouterr()
    assert "stacks: 100%" in captured.err
    assert "6/6" in captured.err
    assert "Fitting 3 folds for each of 2 candidates, totalling 6 fits" in captured.out
    GridSearchCV(NETWORK, {"alpha": [0.0]}, cv=3, refit=False).fit(X, y)
    assert "stacks" not in capsys.readouterr().err


def test_a_search_with_callbacks_is_made_by_scikit_learn(counted):
    callback = pytest.importorskip("sklearn.callback")
    for estimator in (
        GridSearchCV(NETWORK, {"alpha": [0.0, 1.0]}, cv=3).set_callbacks(callback.ProgressBar()),
        GridSearchCV(
            Pipeline([("net", NETWORK)]).set_callbacks(callback.ScoringMonitor(scoring="accuracy")),
            {"net__alpha": [0.0, 1.0]},
            cv=3,
        ),
    ):
        try:
            estimator.fit(X, y)
        except TypeError as refused:  # in scikit-learn's words
            assert "auto-propagated" in str(refused)  # noqa: PT017
    assert not counted.jobs


def test_tensors_are_left_to_scikit_learn(counted):
    with config_context(array_api_dispatch=True):
        search = GridSearchCV(NETWORK, {"alpha": [0.0, 1.0]}, cv=3)
        search.fit(torch.from_numpy(X), torch.from_numpy((y == "yes").astype(int)))
    assert isinstance(search.best_estimator_.coefs_[0], torch.Tensor)
    assert not counted.jobs


def test_a_job_that_a_stack_could_not_make_is_made_alone(counted, monkeypatch):
    monkeypatch.setattr(_stack, "fit_side_by_side", lambda jobs: [MemoryError()] * len(jobs))
    assert_same_search(*both(NETWORK, {"alpha": [0.0, 1.0]}, cv=3))
    assert counted.adopted == 0


def test_a_search_without_a_network_is_scikit_learn_s(counted, monkeypatch):
    backends = []
    parallel = joblib.Parallel.__call__

    def noting(self, *args):
        backends.append((type(self._backend).__name__, self.n_jobs))
        return parallel(self, *args)

    monkeypatch.setattr(joblib.Parallel, "__call__", noting)
    with joblib.parallel_config(backend="threading"):
        ours, theirs = both(SVC(), {"C": [0.1, 1.0]}, cv=3, n_jobs=2)
        GridSearchCV(NETWORK, {"alpha": [0.0, 1.0]}, cv=3, n_jobs=2).fit(X, y)
    assert_same_results(ours, theirs, 0)
    assert backends[0] == backends[1] == ("ThreadingBackend", 2)
    assert backends[2] == ("SequentialBackend", 2)
    assert counted.adopted == len(counted.jobs) == 6


def test_inside_the_fits_of_a_stacked_search_parallel_is_as_it_was(counted):
    seen = []

    class Noting(StandardScaler):
        def fit(self, X, y=None):
            seen.append(joblib.parallel.get_active_backend()[0].__class__.__name__)
            return super().fit(X, y)

    with joblib.parallel_config(backend="threading"):
        GridSearchCV(make_pipeline(Noting(), NETWORK), {"mlpclassifier__alpha": [0.0]}).fit(X, y)
        after = joblib.parallel.get_active_backend()[0].__class__.__name__
    assert set(seen) == {"ThreadingBackend"}
    assert after == "ThreadingBackend"


def test_only_a_fresh_fit_is_adopted():
    """A continued one, and a stream, begin from what the estimator has learned."""

    class Nothing:
        asked = 0

        def take(self, estimator, data):
            self.asked += 1
            return False

    stage = Nothing()
    with on_stage(stage):
        network = clone(NETWORK).set_params(warm_start=True).fit(X, y)
        assert stage.asked == 1
        network.fit(X, y)
        clone(NETWORK).partial_fit(X, y, classes=["no", "yes"])
        assert stage.asked == 1
    clone(NETWORK).fit(X, y)
    assert stage.asked == 1


def test_a_candidate_whose_clone_is_not_recognised_is_not_stacked(counted):
    """A module is copied with the estimator, and could not be found by its copy."""
    grid = {"alpha": [0.0, 1.0]}
    network = clone(NETWORK).set_params(activation=torch.nn.Tanh())
    assert_same_search(*both(network, grid, cv=3))
    assert len(counted.jobs) == counted.adopted
    network = clone(NETWORK).set_params(activation=torch.tanh)
    assert_same_search(*both(network, grid, cv=3))
    assert counted.adopted >= 6
