"""One fit on many blocks of rows, which workers make in parts."""

import copy
import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from traceback import format_exception
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend
from sklearn import config_context, get_config
from sklearn.base import clone
from sklearn.utils import check_consistent_length

from skbasics._arrays import as_numpy
from skbasics._collective import refuse_in_group
from skbasics._merging import Mergeable, NothingToAddError
from skbasics._sklearn import validate_data


def fit_blocks(
    estimator: Mergeable,
    blocks: Iterable[Any],
    *,
    n_jobs: int | None = None,
) -> Any:
    r"""Fit an estimator to blocks of rows that are never in one place.

    With :math:`T(B)` what a block leaves in the estimator (of :math:`n` rows their weight, mean
    and scatter, say) and :math:`\oplus` its `merge`,

    .. math:: T(B_1 \cup \dots \cup B_m) = T(B_1) \oplus \dots \oplus T(B_m) :

    each :math:`T(B_b)` is computed by one of joblib's workers and sent back, and neighbours are
    merged as they come, in pairs, pairs of pairs and so on. So the result is that of
    `partial_fit` on one block after the other, to rounding, and the same to the last bit
    whichever worker is done first.

    Parameters
    ----------
    estimator : OnlineMeanVar, PCA or CorrespondenceAnalysis
        What to fit. It is cloned and stays as it is, be it fitted or not; ``+`` adds the result
        to an earlier one.
    blocks : iterable
        Blocks in the order of their rows, each of them X, ``(X, y)`` or ``(X, y,
        sample_weight)``, with None for what there is not. A block, or a part of it, may also be
        a function without arguments that returns it, a Dask object or a future: it is called,
        computed or waited for by the worker, and its rows need not be sent there. A Dask array or
        data frame stands for its partitions. Blocks without rows, of weight zero, or (for
        OnlineMeanVar) of NaN alone add nothing.
        They are taken as workers become free, at most three for each, so that a generator may
        yield more rows than fit into memory; each block must have memory of its own.
    n_jobs : int, default=None
        Workers at a time; None is 1 unless ``joblib.parallel_config`` says otherwise, which also
        says what they are: threads, processes or a Dask cluster.

    Returns
    -------
    fitted : estimator
        A new one, fitted to all rows. As after `partial_fit`, its attributes are computed when
        they are first asked for.

    Raises
    ------
    TypeError
        If fits of the estimator do not add up, or if blocks are not iterable.
    ValueError
        If there is no block with a row, if blocks differ in their features, if `blocks` is one
        table, or if the sum of parts would not be the fit: with ``half_life``, for blocks would
        be streams side by side, and with a solver of PCA that finds leading components alone.
    joblib.externals.loky.process_executor.TerminatedWorkerError, distributed.KilledWorker
        If a process of the backend "loky" dies, or one of Dask's for the fourth time.

    Notes
    -----
    What a block raises has a note that says which block it was; of an error that cannot be sent to
    another process, a RuntimeError has the name and the text. Python's own "multiprocessing"
    waits for ever for a process that has died; "loky" raises, and Dask computes the block
    elsewhere, up to three times.

    What a worker sends back does not grow with the rows of its block, but PCA sends the rows
    themselves as long as they are fewer than 256 or than the features: then they are less than
    their scatter, or little.

    Futures are for the backend "dask" and for threads: other processes do not know the cluster.

    Of a `CorrespondenceAnalysis` there are no ``row_coordinates_``: its rows are not kept.

    See Also
    --------
    StreamPipeline : Blocks one after another through several steps.

    Examples
    --------
    >>> import numpy as np
    >>> from skbasics import PCA, fit_blocks
    >>> X = np.random.default_rng(0).standard_normal((1000, 3)) + 1e6
    >>> pca = fit_blocks(PCA(n_components=2), (X[i : i + 100] for i in range(0, 1000, 100)))
    >>> bool(np.allclose(pca.components_, PCA(n_components=2).fit(X).components_))
    True
    """
    refuse_in_group("fit_blocks")
    _check_estimator(estimator)
    total, config = _Total(), get_config()
    given = enumerate(total.until_error(_each(blocks)))
    tasks = ((clone(estimator), number, block, config) for number, block in given)
    for number, part in _results(tasks, n_jobs):
        total.add(number, part)
    return total.whole()


def _check_estimator(estimator: Any) -> None:
    if isinstance(estimator, type) and issubclass(estimator, Mergeable):
        name = estimator.__name__
        raise TypeError(f"fit_blocks takes an estimator, got the class {name}. Give {name}().")
    if not isinstance(estimator, Mergeable):
        raise TypeError(
            f"fit_blocks adds up the fits on blocks, and those of {type(estimator).__name__} do "
            "not add up. OnlineMeanVar, PCA and CorrespondenceAnalysis do; for others, "
            "partial_fit takes one block after another."
        )
    estimator._check_adds_up()


def _each(blocks: Any) -> Iterator[Any]:
    """Return an iterator over blocks, for a Dask collection over its partitions."""
    if hasattr(blocks, "__dask_graph__"):
        if not hasattr(type(blocks), "to_delayed"):  # instances of Delayed have every attribute
            raise TypeError(
                f"blocks is one object of Dask, {blocks!r}, and not an iterable of blocks. Give "
                "it in a list, [blocks]."
            )
        if np.prod(getattr(blocks, "numblocks", (1,))[1:]) > 1:
            raise ValueError(
                f"the rows of blocks are cut, with chunks {blocks.chunks}. Call "
                "blocks.rechunk({1: -1}) first."
            )
        return iter(np.ravel(blocks.to_delayed()))
    if len(getattr(blocks, "shape", ())) == 2:
        raise ValueError(
            f"blocks is one table of shape {tuple(blocks.shape)}, and not an iterable of tables. "
            "Give [X], or cut it: np.array_split(X, 8)."
        )
    if not isinstance(blocks, Iterable):
        raise TypeError(
            f"blocks must be an iterable of blocks, got {blocks!r}. Give a list or a generator."
        )
    return iter(blocks)


def _results(tasks: Iterator[tuple], n_jobs: int | None) -> Iterator[tuple]:
    """Yield what tasks return as they end, or a few at a time where joblib cannot do that."""
    backend = get_active_backend()[0]
    if type(backend).__name__ == "DaskDistributedBackend":
        with backend.retrieval_context():
            yield from _on_dask(backend.client, tasks, 2 * max(1, effective_n_jobs(n_jobs)))
        return
    # Were several small tasks sent as one, more and more blocks would be held.
    options = {"n_jobs": n_jobs, "pre_dispatch": "2*n_jobs", "batch_size": 1}
    calls = (delayed(_part)(*task) for task in tasks)
    if backend.supports_return_generator:
        yield from Parallel(return_as="generator_unordered", **options)(calls)
        return
    n_tasks = 4 * effective_n_jobs(n_jobs)
    with Parallel(**options) as parallel:
        while found := parallel(itertools.islice(calls, n_tasks)):
            yield from found


def _on_dask(client: Any, tasks: Iterator[tuple], most: int) -> Iterator[tuple]:
    """Yield what tasks return as they end on a cluster.

    joblib would wait for ever for a task that kills workers, and for data that died with one.
    """
    from dask.distributed import as_completed

    running = as_completed()
    for task in itertools.islice(tasks, most):
        running.add(client.submit(_part, *task, pure=False))
    for future in running:
        yield future.result()
        for task in itertools.islice(tasks, 1):
            running.add(client.submit(_part, *task, pure=False))


def _part(
    estimator: Mergeable, number: int, block: Any, config: dict[str, Any]
) -> "tuple[int, Mergeable | _Failure]":
    """Return a block's number, and the estimator that has seen it alone, or else the error.

    If it were raised, joblib would end processes that others work in.
    """
    try:
        with config_context(**config):
            X, y, sample_weight = _loaded(block)
            if _counts(estimator, X, sample_weight):
                _learn(estimator, X, y, sample_weight)
    except Exception as error:
        return number, _Failure(error)
    return number, estimator


def _learn(estimator: Mergeable, X: Any, y: Any, sample_weight: Any) -> None:
    """Fit to a block, of which only the features are learned if all values are missing."""
    try:
        estimator.partial_fit(X, y, sample_weight)._drop_rows()
    except NothingToAddError:
        validate_data(estimator, X, skip_check_array=True)


@dataclass
class _Failure:
    """An error, and its traceback as text once it has come from where nobody can look."""

    error: Exception
    traceback: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        traceback = self.traceback or "".join(format_exception(self.error))
        return _Failure, (_portable(self.error), traceback)


def _portable(error: Exception) -> Exception:
    """Return an error, or its name and text if it cannot be made anew from what it holds.

    Copies are made as processes send objects, and who cannot read one hangs or breaks.
    """
    try:
        return copy.deepcopy(error)
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _loaded(block: Any) -> tuple[Any, Any, Any]:
    """Return rows, target and weights of a block."""
    block = _here(block)
    if isinstance(block, (str, PathLike)):
        raise TypeError(
            f"a block is rows, or a function that returns them, got {block!r}. If it is a file, "
            "give partial(np.load, path), or another reader."
        )
    parts = tuple(map(_here, block)) if isinstance(block, tuple) else (block,)
    if not 1 <= len(parts) <= 3:
        raise ValueError(
            f"a block is X, (X, y) or (X, y, sample_weight), got a tuple of {len(parts)}."
        )
    return parts + (None,) * (3 - len(parts))


def _here(part: Any) -> Any:
    """Return what a function, a future or a Dask object stands for, anything else as it is."""
    if hasattr(part, "__dask_graph__"):
        return part.compute()
    if callable(getattr(part, "result", None)):
        return part.result()
    return part() if callable(part) else part


def _counts(estimator: Mergeable, X: Any, sample_weight: Any) -> bool:
    """Whether any row counts, so that the estimator can say what is wrong with the others.

    Where none does, the estimator learns the features, and weights must be as many as rows.
    """
    if getattr(X, "shape", ())[:1] == (0,):
        return False
    weights = np.ones(1) if sample_weight is None else np.asarray(as_numpy(sample_weight))
    if np.any(weights != 0):
        return True
    if weights.ndim:
        check_consistent_length(X, weights)
    validate_data(estimator, X, skip_check_array=True)
    return False


class _Total:
    """The sum of parts that come in any order.

    Neighbours are merged as soon as both are there, a block with the next, a pair with the next
    pair and so on: so few sums wait, rounding grows with the logarithm of their number alone, and
    it does not depend on who came first.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self._n_blocks = 0
        self._sums: dict[tuple[int, int], Mergeable] = {}  # by their first block and their number
        self._first: Mergeable | None = None  # that has features

    def until_error(self, blocks: Iterator[Any]) -> Iterator[Any]:
        """Yield blocks; end where any has failed, or where there should be a next one."""
        try:
            for block in blocks:
                if self.error is not None:
                    return
                yield block
        except Exception as error:
            self.error = error

    def add(self, number: int, part: Mergeable | _Failure) -> None:
        """Add the part of a block, or take note of the first error."""
        self._n_blocks += 1
        if self.error is not None:
            return
        traceback = part.traceback if isinstance(part, _Failure) else ""
        try:
            if isinstance(part, _Failure):
                raise part.error
            self._check_features(part)  # at once, and not when sums meet
            self._join(number, part if part.__sklearn_is_fitted__() else clone(part))
        except Exception as error:
            where = f" In the worker:\n{traceback}" if traceback else ""
            error.add_note(f"This was block {number} of fit_blocks, counted from 0.{where}")
            self.error = error

    def _check_features(self, part: Mergeable) -> None:
        if "n_features_in_" in vars(part):
            self._first = self._first or part
            self._first._check_same_features(part, "merge")

    def _join(self, first: int, part: Mergeable, size: int = 1) -> None:
        other = self._sums.pop((first ^ size, size), None)
        if other is None:
            self._sums[first, size] = part
            return
        left, right = (other, part) if first & size else (part, other)
        self._join(first & ~size, left.merge(right), 2 * size)

    def whole(self) -> Mergeable:
        """Return the sum of all blocks."""
        if self.error is not None:
            raise self.error
        if not self._sums:
            raise ValueError("blocks is empty: there is nothing to fit. Give one block at least.")
        whole = functools.reduce(
            lambda left, right: left.merge(right), (self._sums[key] for key in sorted(self._sums))
        )
        if not whole.__sklearn_is_fitted__():
            raise ValueError(
                f"none of the {self._n_blocks} blocks has a row that counts. Give one with rows "
                "of numbers and a positive weight."
            )
        return whole
