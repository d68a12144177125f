"""scikit-learn's Pipeline, batch by batch."""

import copy
from collections.abc import Iterator
from inspect import signature
from typing import Any, Self

from sklearn import get_config
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, process_routing

from skbasics._atomic import restore
from skbasics._documented import Documented
from skbasics._sklearn import fit_context


class StreamPipeline(Documented, Pipeline):
    """scikit-learn's Pipeline with `partial_fit`: every step learns from every batch.

    A transformer takes the batch in, then transforms it by all it has seen so far. One whose axes
    turn as it learns, as a PCA's do, is better frozen first. All else is Pipeline's.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skbasics import MLPClassifier, OnlineMeanVar, StreamPipeline
    >>> X, y = load_iris(return_X_y=True)
    >>> model = StreamPipeline([("scale", OnlineMeanVar()), ("net", MLPClassifier())])
    >>> model = model.partial_fit(X[:75], y[:75], classes=[0, 1, 2]).partial_fit(X[75:], y[75:])
    >>> model["scale"].n_samples_seen_
    150
    """

    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Let every step that learns do so; if one fails, all are as they were before.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Targets.
        **params : dict
            `classes`, `sample_weight` and the like, for each step whose `partial_fit` takes it,
            those of a StreamPipeline among them, or for one as ``step__name``, which comes first.
            With metadata routing enabled, as requested.

        Returns
        -------
        self : StreamPipeline

        Raises
        ------
        ValueError
            If a step has no `partial_fit`, or a parameter no taker.
        """
        self._validate_steps()
        learners = _learners(self)
        routed = _routed(self, learners, params)
        before = [(step, copy.deepcopy(vars(step))) for step in _leaves(self)]
        try:
            for name, step in _working(self):
                if name in learners:
                    step.partial_fit(X, y, **routed[name])
                X = step.transform(X) if name != self.steps[-1][0] else X
        except BaseException as error:
            if isinstance(error, NotFittedError):
                error.add_note(
                    f"Step {name!r} could not transform its first batch yet, so this batch was not "
                    "kept: begin with a larger one."
                )
            for step, state in before:
                restore(step, state)
            raise
        return self

    def get_metadata_routing(self) -> MetadataRouter:
        """Return Pipeline's routing, and that of `partial_fit`.

        Returns
        -------
        routing : MetadataRouter
        """
        router = super().get_metadata_routing()
        for name, pair in router:
            step = dict(self.steps).get(name)
            if hasattr(step, "partial_fit") and _changes(step):
                pair.mapping.add(caller="partial_fit", callee="partial_fit")
        return router


def _working(pipeline: StreamPipeline) -> list[tuple[str, Any]]:
    return [pair for pair in pipeline.steps if pair[1] not in (None, "passthrough")]


def _learners(pipeline: StreamPipeline) -> dict[str, Any]:
    return {name: step for name, step in _working(pipeline) if _learns(name, step)}


def _leaves(pipeline: StreamPipeline) -> Iterator[Any]:
    """Yield the steps that learn, those of pipelines among the steps too."""
    for step in _learners(pipeline).values():
        yield from _leaves(step) if isinstance(step, StreamPipeline) else [step]


def _learns(name: str, step: Any) -> bool:
    learns = _changes(step)
    if learns and not hasattr(step, "partial_fit"):
        raise ValueError(
            f"step {name!r} ({type(step).__name__}) has no partial_fit. {_reason(step)}Take one "
            "that has, or fit it beforehand and wrap it in sklearn.frozen.FrozenEstimator."
        )
    return learns


def _reason(step: Any) -> str:
    """Return why a step that could have a `partial_fit` has none, where it says so."""
    try:
        step.partial_fit  # noqa: B018
    except AttributeError as error:
        return f"{error.__cause__} " if error.__cause__ else ""


def _changes(step: Any) -> bool:
    return get_tags(step).requires_fit and not isinstance(step, FrozenEstimator)


def _routed(pipeline: Any, learners: dict[str, Any], params: dict[str, Any]) -> dict[str, dict]:
    """Return the parameters of each step: by request, or by name."""
    if get_config()["enable_metadata_routing"]:
        routes = process_routing(pipeline, "partial_fit", **params)
        return {name: dict(routes[name].partial_fit) for name in learners}
    routed: dict[str, dict] = {name: {} for name in learners}
    for key, value in sorted(params.items(), key=lambda item: "__" in item[0]):
        owner, named, parameter = key.partition("__")
        if named:
            takers = [name for name in learners if name == owner]
        else:
            takers, parameter = [name for name in learners if _takes(learners[name], key)], key
        if not takers:
            raise ValueError(f"partial_fit got {key!r}, which no step takes: {[*learners]}.")
        routed |= {name: routed[name] | {parameter: value} for name in takers}
    return routed


def _takes(step: Any, parameter: str) -> bool:
    if isinstance(step, StreamPipeline):
        return any(_takes(inner, parameter) for inner in _learners(step).values())
    return parameter in signature(step.partial_fit).parameters
