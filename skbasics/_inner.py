"""What there is to draw inside of what one has: searches, pipelines."""

from typing import Any


def innermost(estimator: Any, X: Any = None) -> tuple[Any, Any]:
    """Return what was trained, and rows as it sees them.

    That is the best estimator of a search and the last step of a pipeline, whose other steps X
    goes through.
    """
    for outer in ("best_estimator_", "regressor_"):
        if hasattr(estimator, outer):
            return innermost(getattr(estimator, outer), X)
    if not hasattr(estimator, "_final_estimator"):
        return estimator, X
    before = estimator[:-1]
    if X is not None and len(before):
        X = before.transform(X)
    return innermost(estimator[-1], X)
