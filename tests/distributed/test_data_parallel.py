"""Fits by several processes equal those by one, or fail on all of them, and soon."""

import os
import pickle
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path, PurePath
from unittest.mock import patch

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import torch.distributed as dist
from joblib import parallel_config
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import BaggingRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV as ScikitLearnSearch

from skbasics import (
    PCA,
    SGD,
    Adam,
    ConvNetClassifier,
    Cosine,
    GridSearchCV,
    InverseScaling,
    MLPClassifier,
    MLPRegressor,
    ParametricUMAP,
    RandomizedSearchCV,
    StreamPipeline,
    TorchOptimizer,
    VariationalRegressor,
    bias_variance_curve,
    bias_variance_decomposition,
    check_gradients,
    cross_val_score,
    cross_validate,
    fit_blocks,
    layer_health,
    learning_rate_range_test,
)
from skbasics._agreement import Term, check_agreed
from skbasics.distributed import data_parallel
from skbasics.network._layer import N_BUFFERS, Buffers
from tests.distributed.cases import CASES
from tests.distributed.worker import DECISIVE, PLACES, REGRESSOR, ROWS, TARGET, failing

ROOT = Path(__file__).parents[2]
DEADLINE = 300

in_ranks = pytest.mark.xdist_group("ranks")
"""Of a test of what torchrun does; by ``--dist loadgroup`` all of them share a worker."""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Return what three processes have written; they run once, whatever workers pytest has."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder = root / "ranks"
    try:
        folder.mkdir()
    except FileExistsError:
        wait_for(folder / "done")
    else:
        launch(folder)
    assert (folder / "done").read_text() == "0", (folder / "log").read_text()
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(3)]


def launch(folder):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    worker = ["--nproc-per-node=3", str(Path(__file__).with_name("worker.py")), str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    code = "a launch that did not end"
    try:
        with (folder / "log").open("w") as log:
            code = exit_code([*torchrun, *worker], env=environment, stdout=log, stderr=log)
    finally:
        (folder / "done.part").write_text(str(code))
        (folder / "done.part").rename(folder / "done")


def exit_code(command, **options):
    """Return how a command ended; if it does not, end it so that it ends its children."""
    process = subprocess.Popen(command, **options)
    try:
        return process.wait(DEADLINE)
    finally:
        process.terminate()
        process.wait(60)


def wait_for(path):
    until = time.monotonic() + DEADLINE
    while not path.exists():
        assert time.monotonic() < until, f"{path} is not written"
        time.sleep(0.2)


def assert_same_fit(together, alone):
    tolerance = 1e-8 if alone._theta.dtype == np.float64 else 1e-6
    for name in ("_theta", "_statistics"):
        mine, expected = getattr(together, name), getattr(alone, name)
        np.testing.assert_allclose(mine, expected, rtol=0, atol=tolerance, err_msg=name)
    assert together.n_iter_ == alone.n_iter_
    assert together.t_ == alone.t_
    assert together.history_.keys() == alone.history_.keys()
    for name in alone.history_.keys() - {"seconds"}:
        expected = alone.history_[name]
        np.testing.assert_allclose(together.history_[name], expected, rtol=tolerance, err_msg=name)


TOLD = ("classes_", "activation_rate_", "dead_units_", "kl_per_component_", "active_units_")


@in_ranks
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ranks_together_equal_one_process(case, ranks):
    fitted = [ranks[rank]["cases"][case.name] for rank in range(len(case.sizes))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = case.alone()
    for model in fitted:
        assert model._theta.tobytes() == fitted[0]._theta.tobytes()
        assert model._statistics.tobytes() == fitted[0]._statistics.tobytes()
        assert_same_fit(model, alone)
        for name in vars(alone).keys() & set(TOLD):
            mine, expected = getattr(model, name), getattr(alone, name)
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-8)
            else:
                np.testing.assert_array_equal(mine, expected)


def test_most_cases_have_batches_of_which_a_rank_has_no_rows():
    for case in CASES:
        if case.estimator.batch_size != "auto" and len(case.sizes) == 3:
            assert case.sizes[1] < sum(case.sizes) // case.estimator.batch_size, case.name


@in_ranks
def test_the_first_rank_seeds_all(ranks):
    for name in ("none", "generators"):
        thetas = {rank["seeds"][name]._theta.tobytes() for rank in ranks}
        assert len(thetas) == 1
    alone = clone(REGRESSOR).set_params(random_state=np.random.RandomState(0)).fit(ROWS, TARGET)
    assert_same_fit(ranks[2]["seeds"]["generators"], alone)


@in_ranks
@pytest.mark.parametrize("name", [name for _, name in DECISIVE])
def test_ranks_stop_together_however_they_round(name, ranks):
    alone = clone(ranks[0]["rounding"][name]).fit(ROWS, TARGET)
    for rank in ranks:
        assert_same_fit(rank["rounding"][name], alone)


DISAGREEMENTS = {
    "nan": (None, "Input X contains NaN"),
    "width": ("the width of X", "4", "3"),
    "dtype": ("the dtype of X", "float64", "float32"),
    "names": ("feature_names_in_", "None", "['a', 'b', 'c', 'd']"),
    "columns of y": ("the columns of y", "()", "(2,)"),
    "kind of y": ("the kind of y", "numbers", "'U'"),
    "parameters": ("alpha", "0.1", "0.5"),
    "seeds": ("random_state", "3", "4"),
    "class": ("the class", "MLPRegressor", "MLPClassifier"),
    "weights": (None, "Negative values in data passed to `sample_weight`"),
    "validation": ("X_val", "None", "given"),
    "validation data": (None, "Input X contains NaN"),
    "image shape": ("image_shape_", "[2, 2, 1]", "[4, 1, 1]"),
    "empty": (None, "Found array with 0 sample(s)"),
    "sparse": (None, "Sparse X cannot be data-parallel. Pass X.toarray()"),
    "device": (None, "device='moon' cannot be used"),
    "invalid": (None, "The 'tol' parameter of MLPRegressor must be"),
    "lbfgs": (None, "MLPRegressor.fit with optimizer=LBFGS cannot be data-parallel"),
    "warm start": (None, "MLPRegressor.fit with warm_start=True on a fitted estimator cannot be"),
    "other estimators": (None, "PCA.fit cannot be data-parallel"),
}
KINDS = dict.fromkeys(("sparse", "lbfgs", "warm start", "other estimators"), "NotImplementedError")
KINDS["invalid"] = "InvalidParameterError"


@in_ranks
@pytest.mark.parametrize("name", DISAGREEMENTS)
def test_what_one_rank_cannot_fit_no_rank_fits(name, ranks):
    subject, *values = DISAGREEMENTS[name]
    for rank, found in enumerate(ranks):
        kind, message, _ = found["disagreements"][name]
        if subject is not None:
            expected = f"{subject}: it is {values[0]} on rank 0 and {values[1]} on rank 1. Give all"
            assert message.startswith(f"The ranks do not agree on {expected}")
        elif rank == 1:
            assert message.startswith(values[0])
        else:
            assert message.startswith("Rank 1 could not begin this fit, and so no rank has: ")
            assert values[0] in message
        assert kind == (KINDS.get(name, "ValueError") if rank == 1 else "ValueError")


@in_ranks
def test_what_is_equal_is_agreed_on_however_it_is_written(ranks):
    assert {found["disagreements"]["alike"] for found in ranks} == {None}


def test_values_are_compared_where_their_words_end():
    many = np.zeros(2000)
    mine, same, other = (
        Term.of(each) for each in (many, many.astype(int), many + np.eye(2000)[999])
    )
    assert mine == same
    assert mine.words == other.words
    message = (
        rf"alpha: it is {re.escape(mine.words)} on rank 0 and another that looks alike on rank 1"
    )
    with pytest.raises(ValueError, match=message):
        check_agreed([{"alpha": mine}, {"alpha": other}])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": [2]}, {"a": 1, "b": [3]}),
        (Adam(0.1), Adam(0.2)),
        (SGD(InverseScaling(0.1)), SGD(Cosine(0.1))),
        (float("nan"), 0.0),
        (b"1", "1"),
        (PurePath("a"), PurePath("b")),
        ({float("nan"): 1}, {"nan": 1}),
    ],
)
def test_values_that_differ_are_told_apart_in_whatever_process(one, other):
    mine, other = Term.of(one), Term.of(other)
    assert mine != other
    assert mine == Term.of(pickle.loads(pickle.dumps(one)))
    assert mine == pickle.loads(pickle.dumps(mine))


@in_ranks
def test_a_fit_that_diverges_does_so_on_all_ranks_and_leaves_them_in_step(ranks):
    messages = {found["disagreements"]["divergence"][:2] for found in ranks}
    assert len(messages) == 1
    (outcome,) = messages
    assert outcome[0] == "ValueError"
    assert outcome[1].startswith("MLPRegressor diverged: the loss was ")
    assert {found["disagreements"]["none"] for found in ranks} == {None}


@in_ranks
def test_outside_of_the_context_and_in_other_threads_a_rank_is_alone(ranks):
    alone = clone(REGRESSOR).fit(ROWS, TARGET)
    for model in ranks[0]["alone"]:
        assert model._theta.tobytes() == alone._theta.tobytes()


@in_ranks
def test_a_process_that_is_not_in_the_group_is_told(ranks):
    kind, message, _ = ranks[2]["outside"]
    assert kind == "ValueError"
    assert message.startswith("This process, rank 2, is not in the group. ")


@in_ranks
def test_the_program_of_the_guide_runs(ranks):
    assert {found["guide"] for found in ranks} == {ranks[0]["guide"]}
    assert ranks[0]["guide"] > 0.9


LOST = "Rank {} of 3 may have lost another rank in data-parallel training: a message failed, as it"
AFTERWARDS = "An earlier fit by this group of processes ended on rank {} by {}, and the ranks"


@in_ranks
@pytest.mark.parametrize("place", PLACES)
def test_ranks_that_are_left_alone_by_a_failure_are_told_long_before_the_timeout(place, ranks):
    for rank, found in enumerate(ranks):
        (kind, message, seconds), *again, untouched = found["midst"][place]
        reason = "MemoryError" if rank == 1 else "a message that failed"
        if rank == 1:
            assert (kind, message) == ("MemoryError", "no memory is left")
        else:
            assert kind == "RuntimeError"
            assert message.startswith(LOST.format(rank))
            assert message.endswith("(Rank 1: MemoryError: no memory is left)")
        assert seconds < 20
        for kind, message, _ in again:
            assert kind == "RuntimeError"
            assert message.startswith(AFTERWARDS.format(rank, reason))
        assert untouched


@in_ranks
def test_ranks_whose_fellow_does_not_answer_end_within_the_timeout(ranks):
    for rank, found in enumerate(ranks):
        kind, message, seconds = found["sleep"]
        assert kind == "RuntimeError"
        assert message.startswith(LOST.format(rank))
        assert seconds < 20


@in_ranks
def test_ranks_whose_fellow_dies_end_within_the_timeout(ranks):
    assert "death" not in ranks[2]
    for rank in (0, 1):
        kind, message, seconds = ranks[rank]["death"]
        assert kind == "RuntimeError"
        assert message.startswith(LOST.format(rank))
        assert seconds < 60


@pytest.fixture
def group_of_one():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


class Silent:
    """A callback that says nothing."""

    def setup(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context): ...

    def teardown(self, estimator, context): ...


@pytest.fixture
def messages(group_of_one):
    """Return the values that the ranks have gathered so far."""
    with patch.object(dist, "all_gather_object", wraps=dist.all_gather_object) as gather:
        yield gather.call_args_list


def half_square(prediction, target):
    return (prediction - target).square().sum(-1) / 2


def changed(**parameters):
    return clone(REGRESSOR).set_params(**parameters)


REFUSED = {
    "lbfgs": (lambda: changed(optimizer="lbfgs"), "optimizer=LBFGS", "optimizer='adam'"),
    "newton": (lambda: changed(optimizer="newton"), "optimizer=Newton", "optimizer='adam'"),
    "foreign": (
        lambda: changed(optimizer=TorchOptimizer(torch.optim.NAdam)),
        "optimizer=TorchOptimizer",
        "optimizer='adam'",
    ),
    "activation": (lambda: changed(activation=np.sin), "a callable activation", "'relu'"),
    "loss": (lambda: changed(loss=half_square), "a callable loss", "loss='huber'"),
    "scoring": (lambda: changed(scoring="r2"), "scoring='r2'", "scoring=None"),
    "augment": (
        lambda: ConvNetClassifier(augment=lambda images, generator: images),
        "a callable augment",
        "augment='shift'",
    ),
    "callbacks": (
        lambda: clone(REGRESSOR).set_callbacks(Silent()),
        "an estimator with callbacks",
        "without set_callbacks",
    ),
    "warm start": (
        lambda: changed(warm_start=True).fit(ROWS, TARGET),
        "warm_start=True on a fitted estimator",
        "fit a clone(estimator)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_fits_that_ranks_cannot_make_are_refused_after_one_message(name, messages):
    make, what, change = REFUSED[name]
    model = make()
    before = vars(model).copy()
    with (
        data_parallel(),
        pytest.raises(NotImplementedError, match="cannot be data-parallel") as raised,
    ):
        model.fit(ROWS, TARGET)
    assert f"{type(model).__name__}.fit with {what}" in str(raised.value)
    assert change in str(raised.value)
    assert vars(model) == before
    assert len(messages) == 1  # by which the others know


OTHERS = {
    "PCA.fit": lambda: PCA().fit(ROWS),
    "ParametricUMAP.fit": lambda: ParametricUMAP().fit(ROWS),
    "VariationalRegressor.fit": lambda: VariationalRegressor().fit(ROWS, TARGET),
    "MLPRegressor.partial_fit": lambda: MLPRegressor().partial_fit(ROWS, TARGET),
    "PCA.partial_fit": lambda: StreamPipeline([("pca", PCA())]).partial_fit(ROWS),
}
VERBOSE = clone(REGRESSOR).set_params(verbose=True)  # which nothing stacks
DOORS = {
    "GridSearchCV.fit": lambda: GridSearchCV(VERBOSE, {"alpha": [0, 1]}).fit(ROWS, TARGET),
    "RandomizedSearchCV.fit": lambda: RandomizedSearchCV(PCA(), {"whiten": [0, 1]}, n_iter=1).fit(
        ROWS
    ),
    "cross_validate": lambda: cross_validate(REGRESSOR, ROWS, TARGET),
    "cross_val_score": lambda: cross_val_score(VERBOSE, ROWS, TARGET),
    "bias_variance_decomposition": lambda: bias_variance_decomposition(REGRESSOR, ROWS, TARGET),
    "bias_variance_curve": lambda: bias_variance_curve(
        REGRESSOR, ROWS, TARGET, param_name="alpha", param_range=[0, 1]
    ),
    "fit_blocks": lambda: fit_blocks(PCA(), [ROWS]),
    "check_gradients": lambda: check_gradients(REGRESSOR, ROWS, TARGET),
    "learning_rate_range_test": lambda: learning_rate_range_test(REGRESSOR, ROWS, TARGET),
}


def test_an_interruption_is_remembered_for_the_group_and_for_no_other(group_of_one):
    def interrupt():
        raise KeyboardInterrupt

    with data_parallel(), failing(2, interrupt), pytest.raises(KeyboardInterrupt):
        clone(REGRESSOR).fit(ROWS, TARGET)
    for same in (None, dist.group.WORLD):
        expected = AFTERWARDS.format(0, "KeyboardInterrupt")
        with data_parallel(same), pytest.raises(RuntimeError, match=f"^{expected}"):
            clone(REGRESSOR).fit(ROWS, TARGET)
    with data_parallel(dist.new_group([0])):
        clone(REGRESSOR).fit(ROWS, TARGET)


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_learns_from_the_rows_of_one_rank_by_mistake(name, messages):
    with data_parallel(), pytest.raises(NotImplementedError, match=rf"^{name} cannot be data-par"):
        OTHERS[name]()
    assert len(messages) == 1


@pytest.mark.parametrize("name", DOORS)
def test_searches_and_their_like_are_refused_and_leave_the_ranks_in_step(name, messages):
    with data_parallel():
        with pytest.raises(NotImplementedError, match=rf"^{name} cannot be data-parallel, because"):
            DOORS[name]()
        assert not messages
        together = clone(REGRESSOR).fit(ROWS, TARGET)
    assert len(messages) == 1
    assert_same_fit(together, clone(REGRESSOR).fit(ROWS, TARGET))


def test_what_does_not_learn_is_at_hand(messages):
    model = clone(REGRESSOR).fit(ROWS, TARGET)
    with data_parallel():
        assert model.score(ROWS, TARGET) == r2_score(TARGET, model.predict(ROWS))
        assert layer_health(model, ROWS).n_rows == len(ROWS)
    assert not messages


def test_jobs_of_scikit_learn_do_not_know_of_the_context(messages):
    alone = BaggingRegressor(REGRESSOR, 2, random_state=0).fit(ROWS, TARGET)
    with data_parallel(), parallel_config(backend="threading"):
        jobs = clone(alone).set_params(n_jobs=2).fit(ROWS, TARGET)
        assert not messages
        search = ScikitLearnSearch(REGRESSOR, {"alpha": [0]}, cv=2).fit(ROWS, TARGET)
    assert len(messages) == 3  # without jobs of their own they are fits of the ranks together
    for one, other in zip(jobs.estimators_, alone.estimators_, strict=True):
        np.testing.assert_array_equal(one._theta, other._theta)
    assert search.n_splits_ == 2


def test_a_group_of_one_makes_the_fit_of_one(group_of_one):
    with data_parallel():
        with pytest.raises(NotImplementedError, match=r"Pass X.toarray\(\)"):
            clone(REGRESSOR).fit(sp.csr_matrix(ROWS), TARGET)
        together = MLPClassifier((5,), max_iter=2, random_state=0).fit(ROWS, TARGET > 0)
    alone = clone(together).fit(ROWS, TARGET > 0)
    assert_same_fit(together, alone)
    np.testing.assert_array_equal(together.predict(ROWS), alone.predict(ROWS))


def test_buffers_of_parts_of_many_sizes_do_not_pile_up():
    buffers, like = Buffers(), torch.zeros(1, 1)
    made = {n: buffers.get((1, n), like) for n in range(2, 20)}
    assert all(buffers.get((1, n), like) is made[n] for n in range(20 - N_BUFFERS, 20))
    assert buffers.get((1, 2), like) is not made[2]


def test_tensors_come_back_as_tensors(group_of_one):
    X, y = torch.from_numpy(ROWS), torch.from_numpy(TARGET)
    with config_context(array_api_dispatch=True), data_parallel():
        together = clone(REGRESSOR).fit(X, y)
        prediction = together.predict(X)
    assert isinstance(together._theta, torch.Tensor)
    expected = clone(REGRESSOR).fit(ROWS, TARGET).predict(ROWS)
    np.testing.assert_allclose(prediction.numpy(), expected, rtol=0, atol=1e-8)


def test_without_torch_distributed_the_context_cannot_be_entered():
    with (
        pytest.raises(RuntimeError, match="Start the processes with torchrun, and call torch"),
        data_parallel(),
    ):
        raise AssertionError
