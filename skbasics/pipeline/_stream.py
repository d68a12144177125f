"""scikit-learn's Pipeline, batch by batch."""

import copy
import inspect
from collections.abc import Iterator
from typing import Any, Self

from sklearn import get_config
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping

from skbasics._sklearn import fit_context


class StreamPipeline(Pipeline):
    """scikit-learn's Pipeline with `partial_fit`: every step learns from every batch.

    Each transformer takes the batch in, then transforms it by all it has seen so far, and the
    last step learns from the result. Early batches are therefore transformed by what little was
    known then, which no stream can avoid. Everything else, parameters and attributes included,
    is `sklearn.pipeline.Pipeline`.

    See Also
    --------
    sklearn.pipeline.Pipeline : The same without `partial_fit`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skbasics import MLPClassifier, OnlineMeanVar, StreamPipeline
    >>> X, y = load_iris(return_X_y=True)
    >>> model = StreamPipeline(
    ...     [("scale", OnlineMeanVar()), ("net", MLPClassifier(random_state=0))]
    ... )
    >>> for start in range(0, 150, 15):
    ...     rows = slice(start, start + 15)
    ...     model = model.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    >>> model["scale"].n_samples_seen_
    150
    """

    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Let every step learn from one batch.

        A step that learns nothing (a `FunctionTransformer`, a `FrozenEstimator`) only transforms.
        If a step fails, all are as they were before: a copy of them is kept until then.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Targets.
        **params : dict
            `classes`, `sample_weight` and the like: for each step whose `partial_fit` takes the
            name, or as ``step__name`` for one. With metadata routing enabled, as requested.

        Returns
        -------
        self : StreamPipeline

        Raises
        ------
        ValueError
            If a step has no `partial_fit`, or a parameter no taker.
        """
        self._validate_steps()
        learners = {name: step for name, step in self._working() if _learns(name, step)}
        routed = self._routed(learners, params)
        before = {name: copy.deepcopy(vars(step)) for name, step in learners.items()}
        last = self.steps[-1][0]
        try:
            for name, step in self._working():
                if name in learners:
                    step.partial_fit(X, y, **routed[name])
                if name != last:
                    X = step.transform(X)
        except BaseException:
            for name, step in learners.items():
                vars(step).clear()
                vars(step).update(before[name])
            raise
        return self

    def _working(self) -> Iterator[tuple[str, Any]]:
        yield from ((name, step) for name, step in self.steps if step not in (None, "passthrough"))

    def _routed(self, learners: dict[str, Any], params: dict[str, Any]) -> dict[str, dict]:
        """Return the parameters of each step."""
        if get_config()["enable_metadata_routing"]:
            mapping = MethodMapping().add(caller="partial_fit", callee="partial_fit")
            router = MetadataRouter(owner=self).add(method_mapping=mapping, **learners)
            router.validate_metadata(method="partial_fit", params=params)
            routes = router.route_params(caller="partial_fit", params=params)
            return {name: dict(routes[name].partial_fit) for name in learners}
        routed: dict[str, dict] = {name: {} for name in learners}
        for key, value in params.items():
            owner, _, parameter = key.rpartition("__")
            takers = [owner] if owner else [n for n, s in learners.items() if _takes(s, key)]
            if not takers or (owner and owner not in learners):
                raise ValueError(
                    f"partial_fit got {key!r}, which no step takes; the steps that learn are "
                    f"{list(learners)}."
                )
            for name in takers:
                routed[name][parameter] = value
        return routed


def _learns(name: str, step: Any) -> bool:
    """Whether a step is to see the batch; an error if it would have to and cannot."""
    if isinstance(step, FrozenEstimator) or not get_tags(step).requires_fit:
        return False
    if not hasattr(step, "partial_fit"):
        raise ValueError(
            f"step {name!r} ({type(step).__name__}) has no partial_fit, so it cannot learn from a "
            "stream. Fit it beforehand and wrap it in sklearn.frozen.FrozenEstimator, or take one "
            "that has."
        )
    return True


def _takes(step: Any, parameter: str) -> bool:
    parameters = inspect.signature(step.partial_fit).parameters
    return parameter in parameters
