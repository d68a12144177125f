"""Fits that were made beforehand, for whoever is about to make them.

A search knows all its fits before scikit-learn makes the first one. It has them made as
stacks and leaves the results here; a fit that finds itself made adopts what it would have
learned, and any other trains as ever.
"""

from collections import defaultdict, deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from skbasics._fingerprint import Datasets, UnkeyedError, settings

Data = tuple[Any, ...]
"""X, y and all else that a fit is given: sample weights, validation data."""


class Stage(Protocol):
    """What fits that begin come upon."""

    def take(self, estimator: Any, data: Data) -> bool:
        """Whether the estimator is fitted now."""


_STAGE: ContextVar[Stage | None] = ContextVar("stage", default=None)


@contextmanager
def on_stage(stage: Stage | None) -> Iterator[None]:
    """Let the fits of this thread come upon `stage`, for the length of a ``with`` block."""
    token = _STAGE.set(stage)
    try:
        yield
    finally:
        _STAGE.reset(token)


def adopted(estimator: Any, data: Data) -> bool:
    """Whether a fit that is about to begin has been made already, and is now the estimator's.

    Parameters
    ----------
    estimator : estimator
        Without anything learned.
    data : tuple
        All that its fit was given.
    """
    stage = _STAGE.get()
    if stage is None or getattr(estimator, "_skl_callbacks", None):
        return False
    try:
        return stage.take(estimator, data)
    except UnkeyedError:
        return False


class ReachedError(BaseException):
    """A rehearsal has come to the fit that it was to find; `data` is what that is given.

    Not an Exception, so that nothing on the way takes it for a fit that failed.
    """

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.data = data


class Rehearsal:
    """A stage on which a certain fit is not made, but reported by `ReachedError`.

    Parameters
    ----------
    expected : Hashable
        The `settings` of the estimator of that fit.
    """

    def __init__(self, expected: Hashable) -> None:
        self._expected = expected

    def take(self, estimator: Any, data: Data) -> bool:
        """Leave other fits alone."""
        if settings(estimator) == self._expected:
            raise ReachedError(data)
        return False


class Trained:
    """A stage on which fits find themselves made.

    Each result is given once, in the order in which they were kept: fits without a random
    state, which agree in everything and still end differently, get one each.

    Parameters
    ----------
    datasets : Datasets
        The data of the fits that were made.
    """

    def __init__(self, datasets: Datasets) -> None:
        self._datasets = datasets
        self._learned: dict[Hashable, deque[dict[str, Any]]] = defaultdict(deque)

    def keep(self, key: Hashable, estimator: Any) -> None:
        """Keep what an estimator has learned; `key` is its settings and its data's numbers."""
        given = estimator.get_params(deep=False)
        learned = {name: value for name, value in vars(estimator).items() if name not in given}
        self._learned[key].append(learned)

    def take(self, estimator: Any, data: Data) -> bool:
        """Give the estimator what it would have learned, if that is here."""
        numbers = self._datasets.numbers(data) if self._learned else None
        results = self._learned.get((settings(estimator), numbers))
        if not results:
            return False
        vars(estimator).update(results.popleft())
        return True
