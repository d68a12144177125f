"""What users bring into a fit may fail: callbacks, generators, functions, data, memory."""

import copy
import functools
import re
import threading

import numpy as np
import pytest
import torch
from sklearn.callback import ProgressBar

from skbasics import Autoencoder, MLPClassifier, MLPRegressor, VAETransformer
from skbasics.network import Network
from tests.reliability.injection import FaultError, Faults, caused_by, frozen, world
from tests.reliability.specimens import CLASSIFIERS, SPECIMENS

pytestmark = pytest.mark.filterwarnings("ignore:.*does not cover the posterior")
NAMED = pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.name)
NETWORKS = [specimen for specimen in SPECIMENS if specimen.is_network]


class Failing:
    """A callback that counts its calls and fails at one of them."""

    def __init__(self, at=None, error=None):
        self.at, self.error, self.calls, self.open = at, error, [], 0

    def _called(self, hook):
        self.calls.append(hook)
        if len(self.calls) - 1 == self.at:
            raise self.error

    def setup(self, estimator, context):
        self.open += 1
        self._called("setup")

    def teardown(self, estimator, context):
        self.open -= 1

    def on_fit_task_begin(self, estimator, context, **_):
        self._called(f"{context.task_name} begins")

    def on_fit_task_end(self, estimator, context, **_):
        self._called(f"{context.task_name} ends")


def chosen(calls):
    """Return the places of the first, the middle and the last call of every hook."""
    places = {hook: [i for i, call in enumerate(calls) if call == hook] for hook in calls}
    return sorted({p[k] for p in places.values() for k in (0, len(p) // 2, -1)})


@NAMED
def test_a_callback_that_fails_in_any_hook_is_torn_down_and_undoes_the_fit(specimen):
    if not hasattr(specimen.estimator, "set_callbacks"):
        assert specimen.kind in ("PCA", "CorrespondenceAnalysis", "OnlineMeanVar")
        return
    X, y = specimen.data(seed=1)
    watch = Failing()
    estimator, spared = (specimen.fitted(random_state=0) for _ in range(2))
    spared.set_callbacks(watch).fit(X, y)
    before, surroundings = frozen(vars(estimator)), world()
    assert watch.open == 0
    assert {"setup", "fit begins", "fit ends"} <= set(watch.calls)
    for i, place in enumerate(chosen(watch.calls)):
        error = KeyboardInterrupt if i % 2 else FaultError
        failing = Failing(place, error)
        with pytest.raises(error):
            estimator.set_callbacks(failing).fit(X, y)
        assert failing.open == 0
        assert len(failing.calls) == place + 1
        assert frozen(vars(estimator)) == before, watch.calls[place]
        assert world() == surroundings, watch.calls[place]
    estimator.set_callbacks(Failing()).fit(X, y)
    assert frozen(vars(estimator)) == frozen(vars(spared))


@NAMED
def test_a_generator_of_the_users_moves_as_by_a_whole_fit_or_not_at_all(specimen):
    """And nothing else is changed: with the generator set back, the fit is what it would be."""
    if "random_state" not in specimen.estimator.get_params():
        return
    X, y = specimen.data()
    start = frozen(np.random.RandomState(7))
    spared = specimen.new(random_state=np.random.RandomState(7))
    spared.fit(X, y)
    end = frozen(spared.random_state)
    counted = specimen.new(random_state=np.random.RandomState(7))
    with Faults() as clean:
        counted.fit(X, y)
    for at in np.linspace(1, clean.count, 4).astype(int):
        estimator = specimen.new(random_state=np.random.RandomState(7))
        with Faults(at, KeyboardInterrupt) as faults, pytest.raises(KeyboardInterrupt):
            estimator.fit(X, y)
        assert frozen(estimator.random_state) in (start, end), faults.place
        assert vars(estimator).keys() == estimator.get_params(deep=False).keys(), faults.place
    estimator.random_state.set_state(np.random.RandomState(7).get_state())
    assert frozen(vars(estimator.fit(X, y))) == frozen(vars(spared))


class Unreadable:
    """Rows that fail when they are read."""

    def __init__(self, n_rows):
        self.shape = (n_rows, 4)

    def __len__(self):
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        raise FaultError("the disk is gone")


@NAMED
def test_data_that_cannot_be_used_change_nothing(specimen):
    X, y = specimen.data()
    infinite = np.where(np.arange(24)[:, None] == 23, np.inf, X)
    first = {"classes": ["a", "b", "c"]} if specimen.kind in CLASSIFIERS else {}
    for estimator, options in ((specimen.new(), first), (specimen.fitted(), {})):
        before, surroundings = frozen(vars(estimator)), world()
        calls = [estimator.fit]
        if specimen.streams:
            calls.append(functools.partial(estimator.partial_fit, **options))
        for learn in calls:
            with pytest.raises(FaultError, match="the disk is gone"):
                learn(Unreadable(24), y)
            with pytest.raises(ValueError, match="infinity"):
                learn(infinite, y)
            if y is not None:
                with pytest.raises(ValueError, match="inconsistent"):
                    learn(X, y[:-1])
            if specimen.weighs:
                with pytest.raises(ValueError, match=r"sample_weight\.shape|Negative"):
                    learn(X, y, sample_weight=-np.ones(24))
        assert frozen(vars(estimator)) == before
        assert world() == surroundings


def fails_in_call(n, result):
    """Return a function that fails when it is called for the n-th time."""
    calls = []

    def function(*args):
        calls.append(args)
        if len(calls) == n:
            raise FaultError
        return result(*args)

    return function


def brought():
    """Yield estimators with a function of the user's that fails in the second epoch or later."""
    quick = {"max_iter": 4, "batch_size": 8, "random_state": 0}
    sizes = {"hidden_layer_sizes": (5,)}
    for kind in (MLPClassifier, MLPRegressor):
        for n in (1, 2, 5):
            yield kind(**quick, **sizes, activation=fails_in_call(n, torch.tanh))
            scorer = fails_in_call(n, lambda estimator, X, y: 1.0)
            if n < 5:
                yield kind(**quick, **sizes, scoring=scorer, early_stopping=True)
    for n in (1, 2, 8):
        loss = fails_in_call(n, lambda y, f: ((y - f) ** 2).sum(-1))
        yield MLPRegressor(**quick, **sizes, loss=loss)
        yield Autoencoder(2, **sizes, **quick, activation=fails_in_call(n, torch.tanh))
        yield VAETransformer(2, **sizes, **quick, activation=fails_in_call(n, torch.tanh))
    for rule in ("lbfgs", "newton"):
        loss = fails_in_call(3, lambda y, f: ((y - f) ** 2).sum(-1))
        yield MLPRegressor((2,), "tanh", optimizer=rule, loss=loss, random_state=0)


@pytest.mark.parametrize("estimator", list(brought()), ids=lambda e: type(e).__name__)
def test_functions_that_fail_change_nothing_and_are_called_anew(estimator):
    X, y = SPECIMENS[0 if isinstance(estimator, MLPClassifier) else 1].data()
    before, surroundings = frozen(vars(estimator)), world()
    with pytest.raises((FaultError, ValueError)) as raised:
        estimator.fit(X, y)
    assert caused_by(raised.value, FaultError)
    assert frozen(vars(estimator)) == before
    assert world() == surroundings
    estimator.fit(X, y)  # for the function fails once
    spared = copy.copy(estimator)
    assert frozen(vars(spared.fit(X, y))) == frozen(vars(estimator))


VALIDATED = [specimen for specimen in NETWORKS if "newton" not in specimen.name]


@pytest.mark.parametrize("specimen", VALIDATED, ids=lambda specimen: specimen.name)
def test_validation_data_that_cannot_be_used_change_nothing(specimen):
    X, y = specimen.data()
    estimator = specimen.fitted(early_stopping=True, random_state=0)
    before, surroundings = frozen(vars(estimator)), world()
    own = {} if y is None else {"y_val": y}
    with pytest.raises(FaultError, match="the disk is gone"):
        estimator.fit(X, y, X_val=Unreadable(24), **own)
    with pytest.raises(ValueError, match="3 features"):
        estimator.fit(X, y, X_val=X[:, :3], **own)
    with pytest.raises(ValueError, match="infinity"):
        estimator.fit(X, y, X_val=np.where(X[5] == X, np.inf, X), **own)
    assert frozen(vars(estimator)) == before
    assert world() == surroundings


ALLOCATIONS = ("empty", "zeros", "empty_like", "zeros_like", "cat", "stack", "from_numpy")


@pytest.mark.parametrize("specimen", NETWORKS, ids=lambda specimen: specimen.name)
def test_memory_that_is_short_changes_nothing(specimen, monkeypatch):
    X, y = specimen.data(seed=1)
    estimator = specimen.fitted(random_state=0)
    before, surroundings = frozen(vars(estimator)), world()

    def allocations(at):
        made = []

        def guard(function):
            def allocate(*args, **kwargs):
                made.append(function)
                if len(made) == at:
                    raise MemoryError
                return function(*args, **kwargs)

            return allocate

        with monkeypatch.context() as patch:
            for name in ALLOCATIONS:
                patch.setattr(torch, name, guard(getattr(torch, name)))
            copy.deepcopy(estimator).fit(X, y) if at is None else estimator.fit(X, y)
        return len(made)

    n = allocations(None)
    assert n > 3
    for at in np.linspace(1, n, 4).astype(int):
        with pytest.raises(MemoryError):
            allocations(at)
        assert frozen(vars(estimator)) == before
        assert world() == surroundings


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_memory_that_is_short_has_one_name_on_all_devices(error, monkeypatch):
    def allocate(*_):
        raise error

    monkeypatch.setattr(Network, "forward", allocate)
    with pytest.raises(MemoryError, match=re.escape(str(error))):
        MLPRegressor((5,)).fit(np.eye(9), np.arange(9.0))


@pytest.mark.parametrize("verbose", [0, 1])
def test_bars_are_closed(verbose, capsys):
    X, y = SPECIMENS[0].data()
    network = MLPClassifier((5,), max_iter=4, random_state=0, verbose=verbose)
    network.set_callbacks(ProgressBar()).fit(X, y)
    usual, surroundings = kinds_of_threads(), world()
    for at in (2, 6):
        with pytest.raises(KeyboardInterrupt):
            network.set_callbacks(ProgressBar(), Failing(at, KeyboardInterrupt)).fit(X, y)
        assert kinds_of_threads() <= usual
        assert world() == surroundings
    assert ("MLPClassifier" in capsys.readouterr().err) == bool(verbose)


def kinds_of_threads():
    """Return what the threads are for; that which draws scikit-learn's bar may take its leave."""
    for thread in threading.enumerate():
        if type(thread).__name__ == "_RefreshThread":
            thread.join(timeout=60)
    return {thread.name.partition(" ")[2] or type(thread) for thread in threading.enumerate()}
