"""The fits of a search, made as stacks before scikit-learn asks for them."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, get_routing_for_object
from tqdm import tqdm

from skbasics import _stack
from skbasics._adoption import Data, ReachedError, Rehearsal, Trained, on_stage
from skbasics._fingerprint import Datasets, UnkeyedError, frozen, settings, token
from skbasics._sklearn import check_method_params, routing_enabled, safe_split
from skbasics.model_selection._shared_steps import SharedSteps

KEYWORDS = ("sample_weight", "X_val", "y_val", "sample_weight_val")
"""What `fit` of a network takes beside X and y, in the order in which it hands it on."""


def nested(estimator: Any) -> Iterator[Any]:
    """Yield an estimator, and going inwards those on whose behalf it transforms X or y."""
    yield estimator
    if isinstance(estimator, Pipeline):
        yield from nested(estimator.steps[-1][1])
    elif isinstance(estimator, TransformedTargetRegressor):
        yield from nested(getattr(estimator, "regressor_", estimator.regressor))


def network_of(estimator: Any) -> Any:
    """Return the network for which an estimator prepares the data; None if nothing stacks."""
    *outer, inner = nested(estimator)
    if any(getattr(each, "_skl_callbacks", None) for each in outer):
        return None
    return inner if _stack.stackable(inner) else None


def configured(estimator: Any, parameters: Mapping[str, Any]) -> Any:
    """Return a candidate: the estimator with some parameters set, both as clones."""
    return clone(estimator).set_params(**clone(dict(parameters), safe=False))


def stacks_for(
    estimator: Any,
    candidates: Callable[[], Iterable[Mapping[str, Any]]],
    data: tuple[Any, Any],
    params: Mapping[str, Any] | None,
    verbose: int,
) -> "Stacks | None":
    """Return the stacks of a search; None if there is no fit that can be made in one.

    Whatever is wrong with the estimator, the candidates or the parameters is left to
    scikit-learn to say.
    """
    params = dict(params or {})
    try:
        if not all(part is None or _is_numpy_like(part) for part in (*data, *params.values())):
            return None
        if all(network_of(configured(estimator, each)) is None for each in candidates()):
            return None
        return Stacks(estimator, routed_to_fit(estimator, params), verbose)
    except Exception:
        return None


def _is_numpy_like(array: Any) -> bool:
    """Whether scikit-learn takes it for NumPy; tensors would be on devices, or strict."""
    plain = isinstance(array, (np.ndarray, np.generic)) or sp.issparse(array)
    return plain or not (hasattr(array, "__array_namespace__") or hasattr(array, "__dlpack__"))


def routed_to_fit(estimator: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Return those of the parameters of a search that are for the `fit` of the estimator."""
    if not routing_enabled():
        return {name: value for name, value in params.items() if name != "groups"}
    mapping = MethodMapping().add(caller="fit", callee="fit")
    router = MetadataRouter(owner="search").add(estimator=estimator, method_mapping=mapping)
    return dict(router.route_params(caller="fit", params=params).estimator.fit)


@dataclass
class Candidate:
    """An estimator to be cross-validated whose last part is a network.

    Attributes
    ----------
    estimator : estimator
    network : estimator
        Its last part.
    settings : Hashable
        Those of the network.
    preparation : Hashable
        What the estimator is beside the network; candidates that agree prepare the same data.
    """

    estimator: Any
    network: Any
    settings: Any
    preparation: Any


@dataclass
class Fold:
    """The training rows of a fold, and the parameters of a fit cut to them."""

    X: Any
    y: Any
    fit_params: dict[str, Any]

    @classmethod
    def cut(
        cls, estimator: Any, X: Any, y: Any, fit_params: dict[str, Any], rows: np.ndarray
    ) -> "Fold":
        """Return the fold as scikit-learn cuts it; its X and y cannot be written to."""
        params = check_method_params(X, params=fit_params, indices=rows)
        X, y = safe_split(estimator, X, y, rows)
        return cls(frozen(X), frozen(y), params)


@dataclass
class Result:
    """A fit to be made, and its place in the table of results.

    Attributes
    ----------
    place : tuple of int
        Candidate and fold.
    key : Hashable
        What it is to be found by.
    job : Job
    """

    place: tuple[int, int]
    key: Any
    job: _stack.Job


class Stacks:
    """The networks of a search or cross-validation, trained before they are asked for.

    Parameters
    ----------
    estimator : estimator
        What is searched or validated.
    fit_params : dict
        What its `fit` is given beside X and y.
    verbose : int
        Whether to show a bar.

    Attributes
    ----------
    estimator : estimator
        A clone of it, for scikit-learn to fit, whose pipelines share their steps.
    seconds : ndarray of shape (n_candidates * n_folds,)
        What each fit has taken so far: its share of a stack, and the preparation of the data
        where it was the first to need it.
    """

    def __init__(self, estimator: Any, fit_params: dict[str, Any], verbose: int) -> None:
        self._datasets = Datasets()
        self._trained = Trained(self._datasets)
        self._steps = SharedSteps(self._datasets)
        self._fit_params, self._verbose = fit_params, verbose
        self.estimator = clone(estimator)
        self._lend_memory()
        self.seconds = np.zeros(0)

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Let fits find themselves made, for the length of a ``with`` block."""
        try:
            with on_stage(self._trained):
                yield
        finally:
            self._steps.clear()
            self._datasets.clear()

    def _lend_memory(self) -> None:
        for each in nested(self.estimator):
            if isinstance(each, Pipeline) and each.memory is None and _fits_as_usual(each):
                each.memory = self._steps

    def take_memory_from(self, estimator: Any) -> None:
        """Leave no trace in an estimator that was fitted during the search."""
        for each in nested(estimator):
            if isinstance(each, Pipeline) and each.memory is self._steps:
                each.memory = None
            if isinstance(each, TransformedTargetRegressor):
                self.take_memory_from(each.regressor)

    def train(
        self,
        candidates: Sequence[Mapping[str, Any]],
        X: Any,
        y: Any,
        splits: Sequence[tuple[Any, Any]],
    ) -> None:
        """Train all networks of some candidates on all folds that can be trained in stacks."""
        self.seconds = np.zeros((len(candidates), len(splits)))
        planned = [self._plan(parameters) for parameters in candidates]
        folds = [self._cut(X, y, rows) for rows, _ in splits] if any(planned) else []
        prepared: dict[Any, Data | None] = {}
        results = []
        for i, candidate in enumerate(planned):
            for j, fold in enumerate(folds if candidate else ()):
                start = time.perf_counter()
                key = j, candidate.preparation
                if prepared.get(key) is None:  # the candidate before may have failed by itself
                    prepared[key] = self._rehearse(candidate, fold)
                if prepared[key] is not None:
                    results.append(self._result((i, j), candidate, prepared[key]))
                self.seconds[i, j] += time.perf_counter() - start
        self._train(results)
        self.seconds = self.seconds.ravel()

    def _plan(self, parameters: Mapping[str, Any]) -> Candidate | None:
        try:
            estimator = configured(self.estimator, parameters)
            network = network_of(estimator)
            if network is None:
                return None
            found_by = settings(network)
            if settings(clone(network)) != found_by:
                return None  # scikit-learn's clones would not be found
            return Candidate(estimator, network, found_by, token(estimator, hole=network))
        except (UnkeyedError, ValueError, TypeError):
            return None  # scikit-learn will meet the same error, and say it

    def _cut(self, X: Any, y: Any, rows: Any) -> Fold:
        return Fold.cut(self.estimator, X, y, self._fit_params, np.asarray(rows))

    def _rehearse(self, candidate: Candidate, fold: Fold) -> Data | None:
        """Return what the network would be given by a fit; None if it is not reached."""
        targets = () if fold.y is None else (fold.y,)
        try:
            with on_stage(Rehearsal(candidate.settings)):
                clone(candidate.estimator).fit(fold.X, *targets, **fold.fit_params)
        except ReachedError as reached:
            return reached.data
        except Exception:
            return None  # it will fail again when scikit-learn makes it, who knows what to do
        return None

    def _result(self, place: tuple[int, int], candidate: Candidate, data: Data) -> Result:
        X, y, *rest = data
        given = {
            name: value for name, value in zip(KEYWORDS, rest, strict=True) if value is not None
        }
        key = candidate.settings, self._datasets.numbers(data, learn=True)
        return Result(place, key, _stack.Job(clone(candidate.network), X, y, None, given))

    def _train(self, results: Sequence[Result]) -> None:
        """Train what was planned; networks of different sizes have no stack in common."""
        by_size: dict[Any, list[Result]] = {}
        for result in results:
            size = token(getattr(result.job.estimator, "hidden_layer_sizes", None))
            by_size.setdefault(size, []).append(result)
        with tqdm(
            total=len(results), desc="stacks", unit="fit", disable=not (self._verbose and results)
        ) as bar:
            for group in by_size.values():
                self._train_together(group)
                bar.update(len(group))

    def _train_together(self, group: Sequence[Result]) -> None:
        start = time.perf_counter()
        with on_stage(None):
            failures = _stack.fit_side_by_side([result.job for result in group])
        seconds = time.perf_counter() - start
        epochs = np.ones(len(group))
        for k, (result, failure) in enumerate(zip(group, failures, strict=True)):
            if failure is None:
                self._trained.keep(result.key, result.job.estimator)
                epochs[k] = max(1, getattr(result.job.estimator, "n_iter_", 1))
        for result, share in zip(group, epochs / epochs.sum(), strict=True):
            self.seconds[result.place] += seconds * share


def _fits_as_usual(pipeline: Pipeline) -> bool:
    """Whether it is scikit-learn's own way to fit, whose use of the memory is known."""
    return type(pipeline).fit is Pipeline.fit


class TrainingSplitter:
    """A splitter that has the stacks trained when it splits, so that the folds are the same.

    Parameters
    ----------
    splitter : splitter
        Whose folds to use.
    train : callable
        Given X, y and the list of folds.
    """

    def __init__(self, splitter: Any, train: Callable[[Any, Any, list], None]) -> None:
        self._splitter, self._train = splitter, train

    def split(self, X: Any, y: Any = None, **params: Any) -> Iterator[tuple[Any, Any]]:
        """Return the folds."""
        splits = list(self._splitter.split(X, y, **params))
        self._train(X, y, splits)
        return iter(splits)

    def get_n_splits(self, *args: Any, **params: Any) -> int:
        """Return the number of folds."""
        return self._splitter.get_n_splits(*args, **params)

    def get_metadata_routing(self) -> Any:
        """Return what the splitter asks for."""
        return get_routing_for_object(self._splitter)
