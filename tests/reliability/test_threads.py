"""Many threads and many workers: the same numbers, and everyone's settings as they were."""

import contextlib
import functools
import itertools
import multiprocessing
import os
import pkgutil
import sys
import threading
import warnings
import weakref

import joblib
import numba
import numpy as np
import pynndescent
import pytest
import threadpoolctl
import torch
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sklearn.base import clone
from threadpoolctl import threadpool_info

from skbasics import (
    PCA,
    UMAP,
    CorrespondenceAnalysis,
    MLPRegressor,
    OnlineMeanVar,
    _threads,
    fit_blocks,
)
from skbasics._threads import one_blas_thread, one_torch_thread
from skbasics.manifold import _approximate
from tests.reliability import injection
from tests.reliability.injection import PACKAGE, Faults
from tests.reliability.specimens import SPECIMENS

pytestmark = pytest.mark.filterwarnings("ignore:.*does not cover the posterior")
EACH = pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.name)
COMPILED = pytest.mark.xdist_group("descent")  # numba compiles it once in a process
N_THREADS = 4


@pytest.fixture
def impatient():
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(functions):
    """Return what functions return that begin at the same time, each in a thread of its own."""
    barrier, found = threading.Barrier(len(functions)), [None] * len(functions)

    def run(number):
        barrier.wait(60)
        try:
            found[number] = functions[number]()
        except BaseException as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return found


def assert_identical(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def counts():
    """Return the numbers of threads of torch and of every library that has some."""
    pools = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
    return torch.get_num_threads(), pools


def seed_of(specimen):
    return {"random_state": 0} if "random_state" in specimen.estimator.get_params() else {}


def fitted_outputs(specimen):
    fitted = specimen.fitted(**seed_of(specimen))
    return specimen.outputs(fitted, specimen.data()[0])


@EACH
def test_one_fitted_estimator_serves_many_threads(specimen, impatient):
    """Each thread has rows of its own, so that nothing that is kept can be right for all."""
    fitted = specimen.fitted()
    rows = [specimen.data(12, seed)[0] for seed in range(1, 1 + N_THREADS)]
    serial = [specimen.outputs(fitted, X) for X in rows]
    if specimen.streams:
        fitted.partial_fit(*specimen.data())  # what is computed when it is asked for, is not yet
        serial = [specimen.outputs(clone_of(fitted), X) for X in rows]
    found = at_once([functools.partial(specimen.outputs, fitted, X) for X in rows])
    for each, expected in zip(found, serial, strict=True):
        assert_identical(each, expected)


def clone_of(fitted):
    other = clone(fitted)
    vars(other).update(vars(fitted))
    return other


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (PCA, ("mean_", "noise_variance_", "components_", "n_components_")),
        (CorrespondenceAnalysis, ("column_masses_", "row_coordinates_", "eigenvalues_")),
    ],
)
def test_a_stream_is_settled_by_many_threads_at_once(kind, names, impatient):
    X = np.random.default_rng(0).gamma(4.0, size=(40, 6))
    expected = kind().partial_fit(X)
    for _ in range(25):
        stream = kind().partial_fit(X)
        readings = [functools.partial(getattr, stream, name) for name in names * 2]
        for name, value in zip(names * 2, at_once(readings), strict=True):
            np.testing.assert_array_equal(value, getattr(expected, name), err_msg=name)


def test_fits_in_parallel_are_the_serial_fits():
    serial = [fitted_outputs(specimen) for specimen in SPECIMENS]
    for backend in ("threading", "multiprocessing", "loky"):
        with parallel_config(backend=backend, n_jobs=2 if backend != "threading" else 4):
            found = Parallel()(delayed(fitted_outputs)(specimen) for specimen in SPECIMENS)
        for specimen, each, expected in zip(SPECIMENS, found, serial, strict=True):
            for name, value in expected.items():
                np.testing.assert_array_equal(each[name], value, f"{backend}: {specimen.name}")


@EACH
def test_the_numbers_of_threads_are_as_before(specimen, two_threads):
    before = counts()
    specimen.fitted()
    assert counts() == before
    X, y = specimen.data()
    X[3, 1] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        specimen.new().fit(X, y)
    assert counts() == before


class StopHere(Exception):  # noqa: N818
    """Ends a fit in its midst."""


def failing(z):
    if torch.get_num_threads() == 2 and openblas() == {1}:
        raise StopHere
    return torch.tanh(z)


def openblas():
    pools = threadpool_info()
    return {pool["num_threads"] for pool in pools if pool["internal_api"] == "openblas"}


def test_the_numbers_of_threads_are_as_before_after_a_failure_in_the_midst(two_threads):
    before = counts()
    X, y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30.0)
    with pytest.raises(StopHere):
        MLPRegressor((5,), failing, optimizer="lbfgs").fit(X, y)
    assert counts() == before
    with pytest.raises(StopHere), one_torch_thread():
        raise StopHere
    assert counts() == before


def test_numbers_of_threads_that_are_held_twice(two_threads):
    first = one_blas_thread(user_api="blas")
    second = one_blas_thread(internal_api="openblas")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert openblas() == {1}
    second.__exit__(None, None, None)
    assert openblas() == {2}


ALL_FILES = (
    *(PACKAGE, __file__, contextlib.__file__, threadpoolctl.__file__),
    weakref.WeakSet.add.__code__.co_filename,
)


def blas_alone():
    with one_blas_thread(user_api="blas"):
        pass


def torch_alone():
    with one_torch_thread():
        pass


@pytest.mark.parametrize("alone", [blas_alone, torch_alone])
def test_an_interrupt_at_any_place_of_entering_and_leaving_restores_the_counts(alone, two_threads):
    alone()  # and what is found but once is known
    with Faults(files=ALL_FILES) as clean:
        alone()
    assert clean.count > 20
    before = injection.world()
    for at in range(1, clean.count + 1):
        with Faults(at, KeyboardInterrupt, ALL_FILES) as faults, pytest.raises(KeyboardInterrupt):
            alone()
        assert injection.world() == before, faults.place


FITS = {
    "L-BFGS": MLPRegressor((3,), optimizer="lbfgs", max_iter=3, random_state=0),
    "a map": UMAP(n_epochs=2, init="pca", random_state=0),
}


@pytest.mark.parametrize("estimator", FITS.values(), ids=FITS)
def test_an_interrupt_of_a_fit_that_changes_the_counts_restores_them(estimator, two_threads):
    X, y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30.0)
    where = (_threads.__file__,)
    clone(estimator).fit(X, y)  # and what is found but once is known
    with Faults(files=where) as clean:
        clone(estimator).fit(X, y)
    assert clean.count > 2
    before = injection.world()
    for at in range(1, clean.count + 1):
        with Faults(at, KeyboardInterrupt, where) as faults, pytest.raises(KeyboardInterrupt):
            clone(estimator).fit(X, y)
        assert injection.world() == before, faults.place


def test_who_could_not_leave_is_gone_for_those_who_come_later(monkeypatch, two_threads):
    def interrupted(*_):
        raise KeyboardInterrupt

    before = injection.world()
    with monkeypatch.context() as patch:
        patch.setattr(_threads, "_leave", interrupted)  # twice, that is
        with pytest.raises(KeyboardInterrupt):
            blas_alone()
    assert openblas() == {1}
    blas_alone()
    assert injection.world() == before
    assert not _threads._held


def test_who_could_not_leave_does_not_undo_what_others_have_set_since():
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        lost = one_blas_thread(user_api="blas")
        lost.__enter__()
        _threads._held.update({path: (1, weakref.WeakSet()) for path in _threads._held})
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        blas_alone()
        assert openblas() == {2}
    assert not _threads._held


def resolved(name):
    """Return what has a name; umap-learn warns as it is imported."""
    with warnings.catch_warnings(action="ignore"):
        return pkgutil.resolve_name(name)


def starting_with_all_cores(function):
    """Return a function that sets OpenMP's number of threads, as numba does when it starts."""

    @functools.wraps(function)
    def start(*args, **kwargs):
        threadpoolctl.threadpool_limits(3, user_api="openmp")
        assert torch.get_num_threads() == 3
        return function(*args, **kwargs)

    return start


@COMPILED
@pytest.mark.parametrize(
    ("starting", "estimator"),
    [
        ("umap.umap_:UMAP.fit", UMAP(engine="umap-learn", n_epochs=2, random_state=0)),
        ("pynndescent:NNDescent.__init__", UMAP(n_epochs=2, random_state=0)),
    ],
    ids=["umap-learn", "descent"],
)
def test_what_numba_starts_leaves_torch_its_threads(starting, estimator, two_threads, monkeypatch):
    where, name = starting.rsplit(".", 1)
    owner = resolved(where)
    monkeypatch.setattr(owner, name, starting_with_all_cores(getattr(owner, name)))
    monkeypatch.setattr(_approximate, "MANY", 20)
    estimator.fit(np.random.default_rng(0).normal(size=(40, 4)))
    assert torch.get_num_threads() == 2


@COMPILED
@pytest.mark.parametrize(
    ("failing", "estimator"),
    [
        ("umap.umap_:simplicial_set_embedding", UMAP(engine="umap-learn", random_state=0)),
        ("pynndescent.pynndescent_:nn_descent", UMAP(n_jobs=1)),
    ],
    ids=["umap-learn", "descent"],
)
def test_what_fails_leaves_numba_its_threads(failing, estimator, monkeypatch):
    def fail(*_, **__):
        assert numba.get_num_threads() == 1
        raise ValueError("no places were found")

    where, name = failing.split(":")
    monkeypatch.setattr(resolved(where), name, fail)
    monkeypatch.setattr(_approximate, "MANY", 20)
    before = numba.get_num_threads()
    if before == 1:
        pytest.skip("there is one core, and one thread of numba")
    with pytest.raises(ValueError, match="no places were found"):
        estimator.fit(np.random.default_rng(0).normal(size=(40, 4)))
    assert numba.get_num_threads() == before


@COMPILED
def test_maps_that_overlap_leave_warnings_as_they_were(monkeypatch):
    """The second begins while the first is silent, and ends after it, as far as it may."""
    inside, entered = threading.Event(), threading.Event()

    class Descent(pynndescent.NNDescent):
        def __init__(self, *args, **kwargs):
            if threading.current_thread() is first:
                inside.set()
                entered.wait(1)
            else:
                entered.set()
                first.join(60)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(pynndescent, "NNDescent", Descent)
    monkeypatch.setattr(_approximate, "MANY", 20)
    X = np.random.default_rng(0).normal(size=(40, 4))
    before = list(warnings.filters)
    fits = [UMAP(n_epochs=2, random_state=0).fit for _ in range(2)]
    first, other = (threading.Thread(target=fit, args=(X,)) for fit in fits)
    first.start()
    assert inside.wait(60)
    other.start()
    for thread in (first, other):
        thread.join(60)
        assert not thread.is_alive()
    assert entered.is_set()
    assert warnings.filters == before


def test_the_last_to_leave_restores_the_counts_though_another_thread_lowered_them(two_threads):
    inside, leave, left, done = (threading.Event() for _ in range(4))

    def first():
        with one_blas_thread(user_api="blas"):
            inside.set()
            leave.wait(60)
        left.set()
        done.wait(60)  # still alive: what it has set first, it alone may set

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(60)
    with one_blas_thread(user_api="blas"):
        leave.set()
        assert left.wait(60)
        assert openblas() == {1}
    assert openblas() == {2}
    done.set()
    thread.join(60)


def test_what_another_sets_meanwhile_is_not_undone():
    with threadpoolctl.threadpool_limits(3, user_api="blas"):
        with one_blas_thread(user_api="blas"):
            threadpoolctl.threadpool_limits(2, user_api="blas")
        assert openblas() == {2}


def test_one_thread_of_torch_here_is_two_elsewhere(two_threads):
    with one_torch_thread():
        assert torch.get_num_threads() == 1
        assert at_once([torch.get_num_threads] * 3) == [2, 2, 2]
    assert torch.get_num_threads() == 2


def test_fits_at_once_leave_each_other_alone(two_threads):
    """They lower the same counts, begin and end at different times, and still."""
    X, y = np.random.default_rng(0).normal(size=(80, 5)), np.arange(80.0)
    estimators = [
        *(UMAP(n_epochs=n, init="pca", random_state=0) for n in (5, 15, 30)),
        MLPRegressor((5,), optimizer="lbfgs", max_iter=10, random_state=0),
        UMAP(n_epochs=10, random_state=0),
    ]
    before = counts()
    serial = [clone(each).fit(X, y) for each in estimators]
    found = at_once([functools.partial(clone(each).fit, X, y) for each in estimators])
    for each, expected in zip(found, serial, strict=True):
        if isinstance(each, UMAP):
            np.testing.assert_array_equal(each.embedding_, expected.embedding_)
        else:
            np.testing.assert_array_equal(each.predict(X), expected.predict(X))
    assert counts() == before
    assert at_once([torch.get_num_threads, openblas]) == [2, {2}]  # also for threads to come


def wide_fit():
    X = np.random.default_rng(0).normal(size=(400, 5))
    return MLPRegressor((300,), "tanh", max_iter=1, batch_size=400).fit(X, X[:, 0])


def exit_code_of_a_fork(target):
    """Return how a forked process ended; None if it did not, and had to be killed."""
    process = multiprocessing.get_context("fork").Process(target=target)
    process.start()
    process.join(60)
    ended = process.exitcode
    if ended is None:
        process.kill()
    return ended


def test_a_forked_process_does_not_wait_for_threads_it_has_not(two_threads):
    torch.exp(torch.randn(1000, 1000))  # by two threads, which a fork does not inherit
    wide_fit()
    assert exit_code_of_a_fork(wide_fit) == 0


def locks():
    return _threads._lock, _threads._one_at_a_time


def fit_where_locks_are_free():
    assert not any(lock.locked() for lock in locks())
    blas_alone()
    assert openblas() == {2}
    assert not _threads._held


def test_a_forked_process_does_not_wait_for_who_is_not_there(two_threads):
    """Another thread computes on one thread of BLAS, and one holds all locks."""
    inside, done = threading.Event(), threading.Event()

    def hold():
        with one_blas_thread(user_api="blas"), locks()[0], locks()[1]:
            inside.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(60)
    ended = exit_code_of_a_fork(fit_where_locks_are_free)
    done.set()
    thread.join(60)
    assert ended == 0
    assert openblas() == {2}


def threads_of_a_fit(number):
    """Return the numbers of threads that torch has in a fit, as its activation sees it."""
    seen = set()

    def watching(z):
        seen.add(torch.get_num_threads())
        return torch.tanh(z)

    X = np.random.default_rng(number).normal(size=(30, 3))
    MLPRegressor((4,), watching, max_iter=2).fit(X, X[:, 0])
    return seen | set(counts()[1].values())


def test_workers_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    limit = max(1, joblib.cpu_count() // 2)
    with parallel_config(backend="loky", n_jobs=2):
        found = Parallel()(delayed(threads_of_a_fit)(number) for number in range(4))
    assert all(found)
    assert max(set.union(*found)) <= limit


def test_a_process_that_dies_is_an_error_and_no_hang():
    X = np.random.default_rng(0).normal(size=(30, 3))
    blocks = itertools.chain([X] * 3, [functools.partial(os._exit, 3)], itertools.repeat(X))
    with parallel_config(backend="loky", n_jobs=2), pytest.raises(TerminatedWorkerError):
        fit_blocks(OnlineMeanVar(), blocks)
