"""Fits on blocks, in parallel, against one fit on all rows."""

import functools
import itertools
import pickle
import threading
import weakref
from pathlib import Path
from traceback import format_exception

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
import torch
from joblib import parallel_config
from sklearn.base import clone

import skbasics
from skbasics import (
    PCA,
    CorrespondenceAnalysis,
    MLPRegressor,
    OnlineMeanVar,
    VariationalRegressor,
    fit_blocks,
)
from skbasics._merging import Mergeable
from skbasics.distributed._blocks import _part, _Total

X = np.random.default_rng(0).gamma(4.0, size=(900, 4))
WEIGHTS = np.random.default_rng(1).integers(0, 4, 900).astype(float)
KINDS = [(X,), (X, None), (X, None, WEIGHTS)]
CUTS = [0, 1, 3, 300, 310, 620, 621, 900]
READINGS = {
    OnlineMeanVar: ("mean_", "var_", "scale_", "n_samples_seen_", "standard_error_"),
    PCA: ("components_", "explained_variance_", "mean_", "noise_variance_", "n_samples_"),
    CorrespondenceAnalysis: ("eigenvalues_", "column_coordinates_", "column_masses_"),
}
ESTIMATORS = [OnlineMeanVar(with_covariance=True), PCA(n_components=3), CorrespondenceAnalysis()]
EACH = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
BACKENDS = ["sequential", "threading", "loky", "multiprocessing"]


def cut(*arrays, cuts=CUTS):
    """Return blocks of rows: X, or tuples of X, y and weights."""
    spans = [slice(*span) for span in itertools.pairwise(cuts)]
    parts = [tuple(None if a is None else a[span] for a in arrays) for span in spans]
    return [part if len(arrays) > 1 else part[0] for part in parts]


def assert_same(fitted, expected, rtol=1e-10):
    for name in READINGS[type(expected)]:
        found, right = (np.asarray(getattr(each, name)) for each in (fitted, expected))
        np.testing.assert_allclose(found, right, rtol=rtol, atol=rtol * abs(right).max())
        assert found.dtype == right.dtype


def in_sequence(estimator, blocks):
    estimator = clone(estimator)
    for block in blocks:
        estimator.partial_fit(*(block if isinstance(block, tuple) else (block,)))
    return estimator


@pytest.mark.parametrize("backend", BACKENDS)
def test_blocks_are_one_pass_whatever_the_backend(backend):
    for estimator in ESTIMATORS:
        for data in KINDS if backend in ("sequential", "threading") else KINDS[2:]:
            with parallel_config(backend=backend, n_jobs=None if backend == "sequential" else 2):
                fitted = fit_blocks(estimator, iter(cut(*data)))
            assert_same(fitted, clone(estimator).fit(*data))
            assert_same(fitted, in_sequence(estimator, cut(*data)))
            serial = fit_blocks(estimator, cut(*data))
            for name in READINGS[type(estimator)]:  # the same pairs are merged, to the last bit
                np.testing.assert_array_equal(getattr(fitted, name), getattr(serial, name))


@EACH
@pytest.mark.parametrize("n_blocks", range(1, 18))
def test_any_number_of_blocks(estimator, n_blocks):
    blocks = np.array_split(X, n_blocks)
    assert_same(fit_blocks(estimator, blocks, n_jobs=1), clone(estimator).fit(X))


@EACH
def test_a_block_may_be_made_where_it_is_needed(estimator):
    blocks = cut(X, None, WEIGHTS)
    lazy = [
        blocks[0],
        functools.partial(tuple, blocks[1]),
        (functools.partial(np.array, blocks[2][0]), None, functools.partial(list, blocks[2][2])),
        *((sp.csr_array(block[0]), *block[1:]) for block in blocks[3:]),
    ]
    fitted = fit_blocks(estimator, lazy, n_jobs=2)
    assert_same(fitted, clone(estimator).fit(X, None, WEIGHTS))


def sent_back(estimator, n_rows, n_features):
    rows = np.random.default_rng(0).gamma(4.0, size=(n_rows, n_features))
    _, part = _part(clone(estimator), 0, rows, sklearn.get_config())
    return part, rows


@EACH
def test_what_comes_back_does_not_grow_with_the_rows(estimator):
    sizes = [len(pickle.dumps(sent_back(estimator, n, 5)[0])) for n in (300, 3000)]
    assert abs(sizes[0] - sizes[1]) < 50  # digits
    assert sizes[1] < 3000 * 8


def test_few_rows_of_pca_come_back_as_they_are():
    for n_rows, n_features in ((255, 5), (40, 300), (299, 300)):
        part, rows = sent_back(PCA(), n_rows, n_features)
        np.testing.assert_array_equal(part._collected.rows()[0], rows)
    for n_rows, n_features in ((256, 5), (300, 300)):
        assert sent_back(PCA(), n_rows, n_features)[0]._collected.n_rows == 0


@EACH
def test_blocks_that_add_nothing(estimator):
    nothing = [X[:0], (X[:5], None, np.zeros(5)), (X[:0], None, np.zeros(0))]
    blocks = [*nothing, X[:400], *nothing, X[400:], *nothing]
    assert_same(fit_blocks(estimator, blocks), clone(estimator).fit(X))
    with pytest.raises(ValueError, match="none of the 3 blocks has a row that counts"):
        fit_blocks(estimator, nothing)
    with pytest.raises(ValueError, match="blocks is empty"):
        fit_blocks(estimator, iter([]))


def test_a_block_whose_values_are_all_missing_adds_nothing():
    rows = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    rows[:10] = rows[400:420] = rows[-1:] = np.nan
    weights = np.where(np.arange(900) < 405, 0.0, 1.0)  # a block with numbers of weight zero
    for data in ((rows,), (rows, None, weights)):
        blocks = cut(*data, cuts=[0, 10, 300, 399, 420, 899, 900])
        assert_same(fit_blocks(OnlineMeanVar(), blocks), OnlineMeanVar().fit(*data))
    missing = np.full((2, 4), np.nan)
    with pytest.raises(ValueError, match="none of the 2 blocks has a row that counts"):
        fit_blocks(OnlineMeanVar(), [missing, missing])
    for blocks in ([missing[:, :3], X], [X, missing[:, :3]]):
        with pytest.raises(ValueError, match=r"cannot merge: \d features here and \d there"):
            fit_blocks(OnlineMeanVar(), blocks)
    for estimator in ESTIMATORS:  # a covariance needs all values
        with pytest.raises(ValueError, match="Input X contains NaN"):
            fit_blocks(estimator, [X, missing])


@EACH
def test_blocks_of_weight_zero_must_fit_in(estimator):
    zeros = np.zeros(5)
    frame = pytest.importorskip("pandas").DataFrame(X, columns=list("abcd"))
    for blocks, message in (
        ([X, (X[:5, :2], None, zeros), X], "4 features here and 2 there"),
        ([(X[:5, :2], None, zeros), X[:0], X], "2 features here and 4 there"),
        ([X, (X[:5], None, zeros[:3])], "inconsistent numbers of samples"),
        ([X.tolist(), (X[:5, :2].tolist(), None, zeros.tolist())], "4 features here and 2 there"),
        ([frame, (frame[list("abdc")][:5], None, zeros)], "the features are named"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_blocks(estimator, blocks)
    fitted = fit_blocks(estimator, [(frame[:5], None, zeros), X])
    assert_same(fitted, clone(estimator).fit(X))
    assert not hasattr(fitted, "feature_names_in_")


@EACH
def test_weights_may_be_tensors_that_require_a_gradient(estimator):
    weights = torch.from_numpy(WEIGHTS).requires_grad_()
    zeros = torch.zeros(5, requires_grad=True)
    with sklearn.config_context(array_api_dispatch=True):
        parts = cut(torch.from_numpy(X), None, weights)
        fitted = fit_blocks(estimator, [*parts, (torch.from_numpy(X[:5]), None, zeros)])
    assert_same(fitted, clone(estimator).fit(X, None, WEIGHTS))


@EACH
def test_what_is_given_stays_and_what_is_returned_goes_on(estimator):
    given = clone(estimator).fit(X[:100])
    before = {name: np.array(getattr(given, name)) for name in READINGS[type(estimator)]}
    fitted = fit_blocks(given, [X[100:200], X[200:500]])
    assert fitted is not given
    assert fitted.get_params() == given.get_params()
    assert_same(fitted, clone(estimator).fit(X[100:500]))
    assert_same(given + fitted, clone(estimator).fit(X[:500]))
    assert_same(fitted.partial_fit(X[500:]), clone(estimator).fit(X[100:]))
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(given, name), value)


def test_the_order_of_rows_is_kept():
    blocks = np.array_split(X[:200], 9)
    for n_jobs in (1, 2):
        with parallel_config(backend="threading", n_jobs=n_jobs):
            fitted = fit_blocks(PCA(), blocks)
        rows, weights = fitted._collected.rows()
        np.testing.assert_array_equal(rows, X[:200])
        assert weights is None


def test_the_dispatch_to_tensors_reaches_the_workers():
    with sklearn.config_context(array_api_dispatch=True):
        blocks = [torch.from_numpy(block) for block in np.array_split(X, 5)]
        with parallel_config(backend="threading", n_jobs=2):
            fitted = fit_blocks(PCA(), blocks)
        assert isinstance(fitted.components_, torch.Tensor)
    np.testing.assert_allclose(fitted.components_, PCA().fit(X).components_, rtol=1e-10)


def test_names_of_features_are_kept_and_compared():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    fitted = fit_blocks(PCA(), [frame[:300], frame[300:]])
    assert list(fitted.feature_names_in_) == list("abcd")
    with pytest.raises(ValueError, match=r"named .*'d'\] here and .*'c'\] there"):
        fit_blocks(PCA(), [frame[:300], frame[300:][list("abdc")]])


@pytest.mark.parametrize(("n_jobs", "most"), [(1, 2), (2, 7), (3, 10)])
def test_few_blocks_are_held_at_a_time(n_jobs, most):
    alive, held = set(), []

    def generated():
        for number in range(120):
            block = X[: 1 + number % 7].copy()
            alive.add(number)
            weakref.finalize(block, alive.discard, number)
            held.append(len(alive))
            yield block
            del block

    with parallel_config(backend="threading", n_jobs=n_jobs):
        fit_blocks(OnlineMeanVar(), generated())
    assert len(held) == 120
    assert max(held) <= most


def test_a_slow_block_does_not_make_sums_pile_up():
    """Whoever comes while block 0 is not there is merged with his neighbours."""
    total, most = _Total(), 0
    for number in range(1, 256):
        total.add(number, OnlineMeanVar().partial_fit(X[number : number + 1]))
        most = max(most, len(total._sums))
    assert most == 14  # at most one of each size, 1 to 64, on either side
    total.add(0, OnlineMeanVar().partial_fit(X[:1]))
    assert len(total._sums) == 1
    assert_same(total.whole(), OnlineMeanVar().fit(X[:256]))


# What goes wrong.


def test_only_what_adds_up_is_taken():
    public = [getattr(skbasics, name) for name in skbasics.__all__]
    adding = {kind.__name__ for kind in public if isinstance(kind, type) and _adds(kind)}
    assert adding == {type(estimator).__name__ for estimator in ESTIMATORS}
    for estimator in (MLPRegressor(), VariationalRegressor(), "PCA"):
        with pytest.raises(
            TypeError, match=f"those of {type(estimator).__name__} do not"
        ) as caught:
            fit_blocks(estimator, [X])
        assert all(name in str(caught.value) for name in adding)
    with pytest.raises(TypeError, match=r"got the class PCA\. Give PCA\(\)"):
        fit_blocks(PCA, [X])
    with pytest.raises(ValueError, match="half_life=50 ages rows by those that follow"):
        fit_blocks(OnlineMeanVar(half_life=50), [X])
    for solver in ("arpack", "randomized"):
        with pytest.raises(ValueError, match=f"svd_solver='{solver}' finds the leading part"):
            fit_blocks(PCA(2, svd_solver=solver), [X])


def _adds(kind):
    return issubclass(kind, Mergeable)


def test_what_are_no_blocks():
    for table in (X, sp.csr_array(X), torch.from_numpy(X)):
        with pytest.raises(ValueError, match=r"one table of shape \(900, 4\)"):
            fit_blocks(PCA(), table)
    for other in (None, 3, lambda: X):
        with pytest.raises(TypeError, match="blocks must be an iterable of blocks, got"):
            fit_blocks(PCA(), other)
    for file in ("rows.npy", Path("rows.npy")):
        with pytest.raises(TypeError, match=r"rows\.npy.*give partial\(np\.load, path\)"):
            fit_blocks(PCA(), [file])
    for n_parts in (0, 4):
        with pytest.raises(ValueError, match=f"got a tuple of {n_parts}"):
            fit_blocks(PCA(), [(X,) * n_parts])
    with pytest.raises(ValueError, match="n_components=9"):
        fit_blocks(PCA(9), [X])


def broken():
    raise OSError("the disk is full")


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_error_says_which_block_it_was(backend):
    endless = itertools.chain([X] * 5, [broken], itertools.repeat(X))
    narrow = itertools.chain([X] * 5, [X[:, :3]], itertools.repeat(X))
    with parallel_config(backend=backend, n_jobs=None if backend == "sequential" else 2):
        with pytest.raises(OSError, match="the disk is full") as caught:
            fit_blocks(PCA(), endless)
        (note,) = caught.value.__notes__
        assert note.startswith("This was block 5 of fit_blocks, counted from 0.")
        assert "in broken" in "".join(format_exception(caught.value))  # wherever it was
        with pytest.raises(ValueError, match="4 features here and 3 there") as caught:
            fit_blocks(PCA(), narrow)
        assert caught.value.__notes__ == ["This was block 5 of fit_blocks, counted from 0."]


class LoadError(Exception):
    """An error that cannot be made anew from its text alone."""

    def __init__(self, path, code):
        super().__init__(f"{path}: {code}")


class LockedError(Exception):
    """An error that holds what no process can send."""


def not_loaded():
    raise LoadError("rows.npy", 5)


def not_sent():
    raise LockedError("rows.npy", threading.Lock())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("failing", "kind"), [(not_loaded, LoadError), (not_sent, LockedError)])
def test_an_error_that_cannot_be_sent_is_told_of(backend, failing, kind):
    elsewhere = backend in ("loky", "multiprocessing")
    endless = itertools.chain([X] * 3, [failing], itertools.repeat(X))
    # Where Dask is loaded, so is what teaches pickle to make any error anew.
    kinds = (RuntimeError, kind) if elsewhere else kind
    with parallel_config(backend=backend, n_jobs=None if backend == "sequential" else 2):
        with pytest.raises(kinds, match=r"rows\.npy") as caught:
            fit_blocks(PCA(), endless)
        assert_same(fit_blocks(PCA(), [X]), PCA().fit(X))
    named = str(caught.value).startswith(f"{kind.__name__}: ")
    assert named == (caught.type is RuntimeError)
    (note,) = caught.value.__notes__
    assert note.startswith("This was block 3 of fit_blocks, counted from 0.")
    assert f"in {failing.__name__}" in "".join(format_exception(caught.value))


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_error_of_the_generator_is_raised(backend):
    def breaking():
        yield from [X] * 9
        raise OSError("no more of it")

    with parallel_config(backend=backend, n_jobs=None if backend == "sequential" else 2):
        with pytest.raises(OSError, match="no more of it"):
            fit_blocks(PCA(), breaking())
        assert_same(fit_blocks(PCA(), [X]), PCA().fit(X))
