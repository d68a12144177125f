"""Many fits side by side: those of networks of one shape are trained as one stack."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skbasics._data import select


@dataclass
class Job:
    """A fit to be made: ``estimator.fit(X[rows], y[rows], **fit_params)``.

    Attributes
    ----------
    estimator : estimator
        A clone of its own for each job; it is fitted in place.
    X, y : array-like
        Jobs on the same data share the objects themselves.
    rows : ndarray of int or None
        Row numbers, repeats allowed; None means all rows.
    fit_params : dict
        Keywords for `fit`, already cut to `rows`.
    """

    estimator: Any
    X: Any
    y: Any
    rows: np.ndarray | None = None
    fit_params: dict[str, Any] = field(default_factory=dict)


def stackable(estimator: Any) -> bool:
    """Whether fits of this estimator can be made side by side in a stack."""
    return False


def fit_side_by_side(jobs: Sequence[Job], *, stack_size: int | str = "auto") -> list[Exception | None]:
    """Make every fit; return for each the exception that it raised, or None.

    An estimator whose fit failed is as it was.
    """
    return [_alone(job) for job in jobs]


def _alone(job: Job) -> Exception | None:
    rows = np.arange(len(job.y)) if job.rows is None else job.rows
    try:
        job.estimator.fit(select(job.X, rows), np.asarray(job.y)[rows], **job.fit_params)
    except Exception as error:
        return error
    return None
