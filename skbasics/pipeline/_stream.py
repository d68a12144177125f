"""scikit-learn's Pipeline, batch by batch."""

import copy
from inspect import signature
from typing import Any, Self

from sklearn import get_config
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping

from skbasics._sklearn import fit_context


class StreamPipeline(Pipeline):
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
            or for one as ``step__name``. With metadata routing enabled, as requested.

        Returns
        -------
        self : StreamPipeline

        Raises
        ------
        ValueError
            If a step has no `partial_fit`, or a parameter no taker.
        """
        self._validate_steps()
        working = [pair for pair in self.steps if pair[1] not in (None, "passthrough")]
        learners = {name: step for name, step in working if _learns(name, step)}
        routed = _routed(self, learners, params)
        before = {name: copy.deepcopy(vars(step)) for name, step in learners.items()}
        try:
            for name, step in working:
                if name in learners:
                    step.partial_fit(X, y, **routed[name])
                X = step.transform(X) if name != self.steps[-1][0] else X
        except BaseException:
            for name, step in learners.items():
                vars(step).clear()
                vars(step).update(before[name])
            raise
        return self


def _learns(name: str, step: Any) -> bool:
    learns = get_tags(step).requires_fit and not isinstance(step, FrozenEstimator)
    if learns and not hasattr(step, "partial_fit"):
        raise ValueError(
            f"step {name!r} ({type(step).__name__}) has no partial_fit. Take one that has, or fit "
            "it beforehand and wrap it in sklearn.frozen.FrozenEstimator."
        )
    return learns


def _routed(pipeline: Any, learners: dict[str, Any], params: dict[str, Any]) -> dict[str, dict]:
    """Return the parameters of each step: by request, or by name."""
    if get_config()["enable_metadata_routing"]:
        mapping = MethodMapping().add(caller="partial_fit", callee="partial_fit")
        router = MetadataRouter(owner=pipeline).add(method_mapping=mapping, **learners)
        router.validate_metadata(method="partial_fit", params=params)
        routes = router.route_params(caller="partial_fit", params=params)
        return {name: dict(routes[name].partial_fit) for name in learners}
    takes = {name: signature(step.partial_fit).parameters for name, step in learners.items()}
    routed: dict[str, dict] = {name: {} for name in learners}
    for key, value in params.items():
        owner, _, parameter = key.rpartition("__")
        takers = [name for name in learners if name == owner or (not owner and key in takes[name])]
        if not takers:
            raise ValueError(f"partial_fit got {key!r}, which no step takes: {[*learners]}.")
        routed |= {name: routed[name] | {parameter: value} for name in takers}
    return routed
