"""The rounds of an experiment: a training set for each, a fit, and its predictions."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed
from tqdm import tqdm

from skbasics import _stack
from skbasics._arrays import SEED_BOUND, as_numpy
from skbasics._sklearn import check_array, safe_indexing
from skbasics._stack import Job, fit_side_by_side

CHUNK_BYTES = 2**28
"""Room for the training sets that wait to be fitted together."""
CHUNK_ROUNDS = 256


@dataclass(frozen=True)
class Prediction:
    """What the estimator of one round says of the test rows.

    Attributes
    ----------
    values : ndarray of shape (n_test,), (n_test, n_outputs) or (n_test, n_classes)
    classes : ndarray or None
        The columns of probabilities.
    warned : tuple of (type, str)
        The kinds and words of warnings that the round gave.
    """

    values: np.ndarray
    classes: np.ndarray | None
    warned: tuple[tuple[type[Warning], str], ...] = ()


@dataclass(frozen=True)
class Rounds:
    """Training sets, and what is predicted after each.

    Attributes
    ----------
    estimator : estimator
        The user's; only its clones are fitted.
    X, y : array-like or None
        The rows to resample, None where a sampler draws fresh ones.
    X_test : array-like
        The rows to predict.
    resampling : {"bootstrap", "subsample"} or callable
    n_drawn : int
        Rows of a training set; for a sampler without meaning.
    method : {"predict", "predict_proba"}
    """

    estimator: Any
    X: Any
    y: Any
    X_test: Any
    resampling: str | Callable
    n_drawn: int
    method: str

    def predictions(self, seeds: np.ndarray, n_jobs: int | None, verbose: bool) -> list[Prediction]:
        """Return the predictions of every round; `seeds` has a row for each.

        What many rounds warn of is said once.
        """
        if _stack.stackable(_last_step(self.estimator)):
            results = self._side_by_side(seeds)
        else:
            results = self._one_by_one(seeds, n_jobs, verbose)
        found = list(tqdm(results, total=len(seeds), desc="rounds", disable=not verbose))
        warned = Counter(warning for result in found for warning in result.warned)
        for (kind, words), count in warned.items():
            warnings.warn(
                f"{words} (in {min(count, len(seeds))} of {len(seeds)} rounds)", kind, stacklevel=3
            )
        return found

    def _one_by_one(
        self, seeds: np.ndarray, n_jobs: int | None, verbose: bool
    ) -> Iterator[Prediction]:
        # Not every backend of joblib can hand out results as they come; the bar needs that.
        parallel = Parallel(n_jobs=n_jobs, return_as="generator" if verbose else "list")
        return parallel(delayed(self._alone)(number, seed) for number, seed in enumerate(seeds))

    def _alone(self, number: int, seeds: np.ndarray) -> Prediction:
        X, y, rows = self._training_set(number, seeds[0])
        X, y = _take(X, rows), _take(y, rows)
        estimator = self._seeded(seeds[1])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")  # they are given on, and filtered, once counted
            try:
                estimator.fit(X, y)
            except Exception as error:
                raise _explained(error, number, self.estimator, y) from error
            prediction = self._predict(estimator, self.X_test)
        return replace(prediction, warned=tuple(set(_said(caught))))

    def _side_by_side(self, seeds: np.ndarray) -> Iterator[Prediction]:
        rounds = self if _has_head(self.estimator) else self._in_plain_arrays()
        pending = iter(enumerate(seeds))
        while True:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = rounds._chunk(pending)
            if not found:
                return
            # Each network warns once; which of a stack it was is not told, so the first has all.
            yield replace(found[0], warned=_said(caught))
            yield from found[1:]

    def _chunk(self, pending: Iterator[tuple[int, np.ndarray]]) -> list[Prediction]:
        """Return the predictions of the next rounds, as many as may wait for each other."""
        fits, held = [], 0
        for number, seeds in pending:
            fits.append((number, *self._prepared(number, seeds)))
            X = fits[-1][-1].X
            held += 0 if X is self.X else _bytes(X)
            if held >= CHUNK_BYTES or len(fits) == CHUNK_ROUNDS:
                break
        errors = fit_side_by_side([job for _, _, job in fits]) if fits else []
        found = []
        for (number, head, job), error in zip(fits, errors, strict=True):
            if error is not None:
                y = _take(job.y, job.rows)
                raise _explained(error, number, self.estimator, y) from error
            X_test = self.X_test if head is None else plain(head.transform(self.X_test))
            found.append(self._predict(job.estimator, X_test))
        return found

    def _in_plain_arrays(self) -> "Rounds":
        names = [list(getattr(X, "columns", ())) for X in (self.X, self.X_test)]
        if names[0] != names[1] and all(names):
            raise ValueError(f"X has the columns {names[0]} and X_test has {names[1]}.")
        return replace(self, X=plain(self.X), X_test=plain(self.X_test))

    def _prepared(self, number: int, seeds: np.ndarray) -> tuple[Pipeline | None, Job]:
        """Return the fitted steps before the last, if any, and the fit of the last."""
        X, y, rows = self._training_set(number, seeds[0])
        estimator = self._seeded(seeds[1])
        if not _has_head(estimator):
            return None, Job(_last_step(estimator), plain(X), y, rows)
        X, y, head = _take(X, rows), _take(y, rows), estimator[:-1]
        try:
            return head, Job(_last_step(estimator), plain(head.fit_transform(X, y)), y)
        except Exception as error:
            raise _explained(error, number, self.estimator, y) from error

    def _training_set(self, number: int, seed: int) -> tuple[Any, Any, np.ndarray | None]:
        """Return X, y and the rows of them that round `number` takes; None is all."""
        generator = np.random.RandomState(seed)
        if callable(self.resampling):
            try:
                sample = self.resampling(generator)
            except Exception as error:
                error.add_note(f"This was raised by the sampler in round {number}.")
                raise
            return *check_sample(sample, number, self.X_test), None
        n = _length(self.y)
        if self.resampling == "bootstrap":
            return self.X, self.y, generator.randint(0, n, self.n_drawn)
        return self.X, self.y, generator.permutation(n)[: self.n_drawn]

    @cached_property
    def _random_states(self) -> list[tuple[str, bool]]:
        """The `random_state` parameters, nested ones too, and whether each is None."""
        parameters = sorted(self.estimator.get_params().items(), key=lambda item: item[0])
        names = ("random_state", "__random_state")
        return [(k, v is None) for k, v in parameters if k == names[0] or k.endswith(names[1])]

    def _seeded(self, seed: int) -> Any:
        """Return a clone whose random states are seeded where they are None."""
        drawn = [int(seed)]
        if len(self._random_states) > 1:  # one for each, so that a seed which is set shifts none
            generator = np.random.RandomState(seed)
            drawn = generator.randint(SEED_BOUND, size=len(self._random_states)).tolist()
        pairs = zip(self._random_states, drawn, strict=False)
        return clone(self.estimator).set_params(**{k: seed for (k, none), seed in pairs if none})

    def _predict(self, estimator: Any, X_test: Any) -> Prediction:
        values = np.asarray(as_numpy(getattr(estimator, self.method)(X_test)))
        if self.method == "predict":
            return Prediction(values, None)
        return Prediction(values, np.asarray(as_numpy(estimator.classes_)))


def plain(X: Any) -> Any:
    """Return data frames and lists as arrays: a network beside others needs no names."""
    if X is None or (hasattr(X, "shape") and not hasattr(X, "columns")):
        return X
    return check_array(X, accept_sparse="csr", dtype=None, ensure_all_finite=False)


def round_seeds(generator: np.random.RandomState, n_rounds: int) -> np.ndarray:
    """Return two seeds for each round, of its training set and of its estimator.

    Fewer rounds are the first of more.
    """
    return generator.randint(SEED_BOUND, size=(n_rounds, 2))


def check_sample(sample: Any, number: int, X_test: Any) -> tuple[Any, Any]:
    """Return what a sampler drew, as X and y.

    Raises
    ------
    ValueError
        If it is no pair, its parts are not equally long, or its columns are not those of X_test.
    """
    expected = (
        "resampling must return a training set (X, y), as in "
        "`lambda rng: make_friedman1(100, random_state=rng)`"
    )
    if not isinstance(sample, (tuple, list)) or len(sample) != 2:
        raise ValueError(f"{expected}, and in round {number} it returned {_described(sample)}.")
    X, y = sample
    y = y if hasattr(y, "__array_namespace__") else np.asarray(y)
    n_rows, n_targets = _length(X), _length(y)
    if n_rows != n_targets or not n_rows:
        raise ValueError(
            f"{expected} with a y for each row, and in round {number} it returned {n_rows} rows "
            f"of X and {n_targets} of y."
        )
    shape, test_shape = np.shape(X), np.shape(X_test)
    if shape[1:] != test_shape[1:]:
        raise ValueError(
            f"{expected} with the columns of X_test, and in round {number} its X has the shape "
            f"{shape} where X_test has {test_shape}."
        )
    return X, y


def _described(sample: Any) -> str:
    if isinstance(sample, (tuple, list)):
        return f"{len(sample)} things"
    return f"an array of shape {sample.shape}" if hasattr(sample, "shape") else repr(sample)


def _explained(error: Exception, number: int, estimator: Any, y: Any) -> Exception:
    """Return a failed fit's error with the round in it, and the remedy for a lone class."""
    y = np.asarray(as_numpy(y))
    if isinstance(error, ValueError) and y.ndim == 1 and len(np.unique(y)) == 1:
        name = type(_last_step(estimator)).__name__
        return ValueError(
            f"In round {number} all {len(y)} training rows have the class {y[0].item()!r}, and "
            f"{name} refuses to learn from one class alone ({error}). Take more rows, "
            'resampling="subsample" with a larger train_size, or a sampler (a callable) that draws '
            "every class."
        )
    error.add_note(f"This was raised by the fit of round {number}.")
    return error


def _said(caught: list[warnings.WarningMessage]) -> tuple[tuple[type[Warning], str], ...]:
    return tuple((warning.category, str(warning.message)) for warning in caught)


def _last_step(estimator: Any) -> Any:
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def _has_head(estimator: Any) -> bool:
    """Whether there are steps before the last."""
    return isinstance(estimator, Pipeline) and len(estimator.steps) > 1


def _take(X: Any, rows: np.ndarray | None) -> Any:
    return X if rows is None else safe_indexing(X, rows)


def _bytes(X: Any) -> int:
    return X.data.nbytes if sp.issparse(X) else X.nbytes


def _length(X: Any) -> int:
    return X.shape[0] if hasattr(X, "shape") else len(X)
